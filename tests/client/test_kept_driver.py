"""A client's block keeps the driver between its sessions and leaves none; without a block it goes with the last."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lifecycle import AsyncClient
from lifecycle_playwright import async_api, driver
from tests.adapters.playwright.world import drivers
from tests.client.world import until

if TYPE_CHECKING:
    from lifecycle import Client
    from tests.client.world import World

pytestmark = pytest.mark.browser


def life(client: Client) -> list[int]:
    """The drivers that are there while a session has a page."""
    with client.Session() as session:
        session.page.title()
        return drivers()


def test_in_a_block_sessions_share_one_driver(world: World) -> None:
    with world.client() as client:
        first = life(client)
        assert len(first) == 1
        assert asyncio.run(asyncio.sleep(0, "free")) == "free"
        assert life(client) == first
        assert drivers() == first
    assert drivers() == []


def test_without_a_block_it_goes_with_the_last_session(world: World) -> None:
    client = world.client()
    first = life(client)
    assert drivers() == []
    assert life(client) != first
    assert drivers() == []


def test_every_thread_keeps_its_own_and_takes_it_along(world: World) -> None:
    with world.client() as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(life, client).result(60)
        assert len(first) == 1
        assert pool.submit(life, client).result(60) == first
    until(lambda: drivers() == [], "a driver outlives its thread")


def test_a_loop_keeps_its_own(world: World) -> None:
    async def life(client: AsyncClient) -> list[int]:
        async with client.Session() as session:
            await session.page.title()
            return drivers()

    async def main() -> None:
        async with AsyncClient(world.log) as client:
            first = await life(client)
            assert len(first) == 1
            assert await life(client) == first
        assert drivers() == []
        client = AsyncClient(world.log)
        await life(client)
        assert drivers() == []
        client.close()

    asyncio.run(main())


def test_one_that_has_stopped_answering_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PATIENCE_S", 0.5)
    with world.client() as client:
        (first,) = life(client)
        os.kill(first, signal.SIGSTOP)
        assert life(client) not in ([], [first])
        until(lambda: first not in drivers(), "the stopped one is left")
    assert drivers() == []


def test_a_loop_s_that_has_stopped_answering_holds_nothing_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_api, "PATIENCE_S", 0.5)

    async def main() -> None:
        async with AsyncClient(world.log) as client:
            session = await client.Session().start()
            (first,) = drivers()
            os.kill(first, signal.SIGSTOP)
            async with client.Session() as other:
                assert await other.page.title() == ""
                assert first not in drivers()
            await session.stop()
            for pid in drivers():  # that of the client's block
                os.kill(pid, signal.SIGSTOP)
        assert drivers() == []

    asyncio.run(main())


def test_ending_a_session_waits_for_no_driver_that_has_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_api, "PATIENCE_S", 0.5)

    async def main() -> None:
        client = AsyncClient(world.log)
        async with client.Session():
            os.kill(drivers()[0], signal.SIGSTOP)
        assert drivers() == []
        client.close()

    asyncio.run(main())
