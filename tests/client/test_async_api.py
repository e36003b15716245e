"""The asynchronous twin with a real Chromium: the same endings, and cancellation at every point leaves nothing."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lifecycle import AsyncClient, AsyncSession, Client, InvalidConfig, MemoryLog, Session, SqliteLog, UnknownSession
from lifecycle.core import Cause, State
from lifecycle.errors import AlreadyStarted, BrowserLost, LaunchFailed, NotStarted, SessionTimedOut
from lifecycle.log.codec import decode
from lifecycle.log.port import Appended, Expected, NewEvent, Recorded
from lifecycle.testing.fake_host import FakeBrowser, PretendedBrowser
from lifecycle_chromium import paths, process
from tests.client.pretended import AsyncPages

pytestmark = pytest.mark.browser
_T = TypeVar("_T")
_TITLE = "data:text/html,<title>here</title>"


def run(path: Path, body: Callable[[AsyncClient], Awaitable[_T]]) -> _T:
    """Run *body* on a client of its own loop, then prove that every session is released and nothing is left."""

    async def whole() -> _T:
        client = AsyncClient(path / "log.db", actor="tester")
        try:
            return await body(client)
        finally:
            client.close()

    result = asyncio.run(whole())
    log = SqliteLog(path / "log.db")
    for session in log.sessions.list(now=0):
        assert session.released
        assert process.find_by_profile(session.session_id) == []
        assert not paths.profile(log.runtime_dir, session.session_id).exists()
    log.close()
    return result


def test_the_twins_have_the_same_names() -> None:
    def names(cls: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}

    assert names(AsyncSession) == names(Session)
    assert names(AsyncClient) | {"sessions"} == names(Client) | {"sessions"}


def test_a_block_runs_and_ends(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> str:
        async with client.Session(timeout_minutes=2, labels={"job": "x"}) as session:
            await session.page.goto(_TITLE)
            assert await session.page.title() == "here"
            now = await session.status()
            assert (now.status, now.timeout_minutes) == ("active", 2)
            assert (await session.cdp_url()).startswith("ws://127.0.0.1:")
            assert [one.session_id for one in await client.sessions.list(status="active")] == [session.session_id]
        assert session.response is not None
        assert session.response.cause is Cause.STOPPED
        assert await client.sessions.count(labels={"job": "x"}) == 1
        return (await client.sessions.get(session.session_id)).status

    assert run(tmp_path, body) == State.CLOSED


def test_manual_start_and_stop_are_idempotent(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> None:
        session = client.Session(page=False)
        with pytest.raises(NotStarted):
            await session.status()
        assert await session.stop() is None
        await session.start()
        with pytest.raises(AlreadyStarted):
            await session.start()
        assert (await session.status()).status == "active"
        first = await session.stop()
        assert first is not None
        assert await session.stop() == first

    run(tmp_path, body)


def test_an_exception_ends_as_error_and_propagates(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> str | None:
        session = client.Session(page=False)
        with pytest.raises(ValueError, match="broken"):
            async with session:
                raise ValueError("broken")
        return (await client.sessions.get(session.session_id)).error

    assert run(tmp_path, body) == "ValueError: broken"


def test_a_deadline_frees_a_blocked_call(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> None:
        with pytest.raises(SessionTimedOut):
            async with client.Session(idle_timeout_minutes=1 / 40) as session:
                await session.page.wait_for_timeout(60_000)

    run(tmp_path, body)


def test_a_killed_browser_is_told(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> None:
        async def work() -> None:
            async with client.Session() as session:
                (pid,) = [p for p in process.find_by_profile(session.session_id) if _is_main(p)]
                os.kill(pid, signal.SIGKILL)
                await session.page.wait_for_timeout(60_000)

        with pytest.raises(BrowserLost) as lost:
            await work()
        assert lost.value.view.cause is Cause.BROWSER_CRASHED

    run(tmp_path, body)


def _is_main(pid: int) -> bool:
    return "--type=" not in Path(f"/proc/{pid}/cmdline").read_text()


def test_attach_by_id_and_leave(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> None:
        async with client.Session() as session:
            await session.page.goto(_TITLE)
            async with client.Session(session.session_id) as again:
                assert await again.page.title() == "here"
            assert (await session.status()).status == "active"
            assert await session.page.title() == "here"
        with pytest.raises(UnknownSession):
            await client.Session("nobody").start()

    run(tmp_path, body)


def test_bad_arguments_are_refused_at_once(tmp_path: Path) -> None:
    client = AsyncClient(tmp_path / "log.db")
    with pytest.raises(InvalidConfig, match="did you mean headless"):
        client.Session(headles=True)  # type: ignore[call-arg] # what a user mistypes
    client.close()


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.3, 0.6, 1.0])
def test_a_cancelled_start_leaves_no_browser_and_a_cause(tmp_path: Path, after_s: float) -> None:
    async def body(client: AsyncClient) -> None:
        session = client.Session()
        start = asyncio.ensure_future(session.start())
        await asyncio.sleep(after_s)
        start.cancel()
        try:
            await start
        except asyncio.CancelledError:
            pass
        else:
            await session.stop()  # it was faster
        for ended in await client.sessions.list():
            assert ended.cause in (Cause.CANCELLED, Cause.STOPPED)

    run(tmp_path, body)


def test_a_cancelled_block_is_recorded_as_cancelled(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> None:
        inside = asyncio.Event()

        async def work() -> None:
            async with client.Session() as session:
                inside.set()
                await session.page.wait_for_timeout(60_000)

        task = asyncio.ensure_future(work())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (ended,) = await client.sessions.list()
        assert ended.cause is Cause.CANCELLED

    run(tmp_path, body)


def test_cancelling_the_end_still_ends(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> None:
        session = await client.Session(page=False).start()
        stop = asyncio.ensure_future(session.stop())
        await asyncio.sleep(0)
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        (ended,) = await client.sessions.list()
        assert ended.status is State.CLOSED

    run(tmp_path, body)


class Watched(MemoryLog):
    """Remembers which threads used it."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        self.threads.add(threading.get_ident())
        return super().append(stream, events, expected=expected)

    def read(self, stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        self.threads.add(threading.get_ident())
        return super().read(stream, after, until)

    def head(self, stream: str) -> int:
        self.threads.add(threading.get_ident())
        return super().head(stream)


def test_the_log_is_never_used_on_the_event_loops_thread() -> None:
    log = Watched()

    async def body() -> None:
        client = AsyncClient(log, browser=FakeBrowser())
        async with client.Session(page=False) as session:
            await session.status()
            await session.touch()
            await session.extend(minutes=1)
            await session.annotate("step")
            await session.cdp_url()
            await client.sessions.get(session.session_id)
            async with client.Session(session.session_id, page=False):
                pass
        await client.reconcile()
        client.close()

    asyncio.run(body())
    assert log.threads
    assert threading.get_ident() not in log.threads


class Warmed(AsyncPages):
    """A driver that is up before the browser fails to come up."""

    def __init__(self) -> None:
        super().__init__()
        self.warmed = threading.Event()
        self.uses = 0

    async def warm(self) -> Any:  # type: ignore[override] # as its base
        self.uses += 1
        self.warmed.set()

        async def give_back() -> None:
            self.uses -= 1

        return give_back


class FailsLate(FakeBrowser):
    """A browser that does not come up, after the driver is there."""

    def __init__(self, pages: Warmed) -> None:
        super().__init__()
        self.pages = pages

    def launch(self, session_id: str) -> PretendedBrowser:
        assert self.pages.warmed.wait(10)
        raise LaunchFailed(session_id, "no such luck")


def test_a_start_that_fails_gives_the_driver_back() -> None:
    pages = Warmed()

    async def body() -> None:
        client = AsyncClient(MemoryLog(), browser=FailsLate(pages), pages=pages)
        with pytest.raises(LaunchFailed):
            await client.Session().start()
        client.close()

    asyncio.run(body())
    assert pages.uses == 0


def test_a_terminal_event_is_written_once_however_the_block_ends(tmp_path: Path) -> None:
    async def body(client: AsyncClient) -> str:
        async with client.Session(page=False) as session:
            await session.stop()
        return session.session_id

    session_id = run(tmp_path, body)
    log = SqliteLog(tmp_path / "log.db")
    endings = [e.type for e in map(decode, log.read(session_id)) if e.type in ("session.closed", "session.failed")]
    log.close()
    assert endings == ["session.closed"]
