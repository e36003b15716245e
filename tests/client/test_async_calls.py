"""What stands around every blocking call of the asynchronous client: batches, and what becomes of a cancelled one."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import AsyncClient, Client, MemoryLog
from lifecycle.client import async_api
from lifecycle.errors import ClientClosed, LifecycleError, LogUnavailable
from lifecycle.testing.fake_host import FakeBrowser
from tests.client.pretended import AsyncConnection, AsyncPages, DriverError, Pretence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lifecycle.client.shared import Shared


@pytest.fixture
def log() -> MemoryLog:
    """One with a session of some events."""
    log = MemoryLog()
    with Client(log, browser=FakeBrowser()) as client, client.Session(page=False) as session:
        for number in range(4):
            session.annotate("n", {"n": number})
    return log


@pytest.mark.parametrize("size", [1, 2, 3, 500])
def test_what_comes_in_batches_comes_whole(log: MemoryLog, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """However many fit into one, the last and the full one included."""
    monkeypatch.setattr(async_api, "_BATCH", size)
    [session] = log.sessions.list(now=0)

    async def run() -> None:
        async with AsyncClient(log, browser=FakeBrowser()) as client:
            assert [line async for line in client.export()] == whole
            names = [step.name async for step in client.subscribe(session.session_id)]
            assert names == ["created", "started", *["annotated"] * 4, "closed", "released"]

    with Client(log, browser=FakeBrowser()) as twin:
        whole = list(twin.export())
    asyncio.run(run())


def test_the_log_is_there_before_anything_was_awaited_and_after(tmp_path: Path) -> None:
    """For collectors and exporters, which are told of a log."""
    client, unused = AsyncClient(tmp_path / "log.db", browser=FakeBrowser()), AsyncClient(tmp_path / "none.db")
    assert client.log.last(1) == ()
    assert asyncio.run(client.sessions.count()) == 0
    assert client.log is client.log
    client.close()
    unused.close()
    with pytest.raises(ClientClosed):
        _ = unused.log


def test_a_cancelled_call_is_awaited_and_its_error_is_not_reported_as_lost(log: MemoryLog) -> None:
    async def run() -> list[Any]:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        client = AsyncClient(log, browser=FakeBrowser())
        begun, go = threading.Event(), threading.Event()

        def fails(_: Shared) -> None:
            begun.set()
            assert go.wait(20)
            raise LookupError

        call = asyncio.create_task(client._worker.run(fails))  # pyright: ignore[reportPrivateUsage]
        await asyncio.to_thread(begun.wait, 20)
        for _ in range(2):  # and cancelled once more while it is awaited
            call.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not call.done()
        go.set()
        with suppress(asyncio.CancelledError):  # pytest.raises would keep it, and with it what is to be lost
            await call
        assert call.cancelled()
        client.close()
        return reported

    reported = asyncio.run(run())
    gc.collect()
    assert reported == []


def test_after_it_is_closed_no_log_is_opened(tmp_path: Path) -> None:
    async def run() -> None:
        client = AsyncClient(tmp_path / "log.db", browser=FakeBrowser())
        client.close()
        with pytest.raises(ClientClosed):
            await client.sessions.count()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def test_leaving_the_client_s_block_closes_its_log(tmp_path: Path) -> None:
    async def run() -> AsyncClient:
        async with AsyncClient(tmp_path / "log.db", browser=FakeBrowser()) as client:
            assert await client.sessions.count() == 0
        return client

    client = asyncio.run(run())
    opened = client._worker.shared().recorder.log  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(LogUnavailable):
        opened.last(1)


def test_a_start_whose_page_can_not_be_reached_ends_the_session() -> None:
    pretence = Pretence("async")
    pretence.pages.refuses = DriverError("no")
    with pytest.raises(LifecycleError):
        pretence.run(lambda: pretence.session.start())
    [session] = pretence.log.sessions.list(now=pretence.clock.now())
    assert session.closed_at is not None
    pretence.close()


def test_an_end_closes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pretence = Pretence("async")
    closed: list[AsyncConnection] = []

    async def close(connection: AsyncConnection) -> None:
        closed.append(connection)

    monkeypatch.setattr(AsyncConnection, "close", close)
    pretence.run(lambda: pretence.session.start())
    pretence.run(lambda: pretence.session.stop())
    assert len(closed) == 1
    pretence.close()


def test_a_driver_that_nobody_keeps_is_given_back_with_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    pretence = Pretence("async")
    given_back: list[str] = []

    async def warm(_: AsyncPages) -> Callable[[], Awaitable[None]]:
        async def give_back() -> None:
            given_back.append("once")

        return give_back

    monkeypatch.setattr(AsyncPages, "warm", warm)
    pretence.run(lambda: pretence.session.start())
    assert given_back == ["once"]
    pretence.close()


def test_a_start_that_is_cancelled_before_there_is_anything_to_give_up(log: MemoryLog) -> None:
    """It does not wait for a place then: nobody would want it."""

    async def run() -> None:
        client = AsyncClient(log, browser=FakeBrowser(), max_sessions=1, max_wait_s=86_400)
        running = await client.Session(page=False).start()
        session = client.Session(page=False)
        make = session._make  # pyright: ignore[reportPrivateUsage]
        begun, go = threading.Event(), threading.Event()

        def late(shared: Shared) -> Any:
            begun.set()
            assert go.wait(20)
            return make(shared)

        session._make = late  # pyright: ignore[reportPrivateUsage]
        starting = asyncio.create_task(session.start())
        await asyncio.to_thread(begun.wait, 20)
        starting.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await running.stop()
        client.close()

    asyncio.run(run())
