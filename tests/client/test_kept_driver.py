"""A client's block keeps the driver between its sessions and leaves none; without a block it goes with the last."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lifecycle import AsyncClient
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
