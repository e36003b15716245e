"""Ctrl-C, and whatever a signal's handler raises, in the middle of beginning and ending a session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from lifecycle import AsyncClient, AsyncSession, Cause, Client, MemoryLog, Session, core
from lifecycle.client.handle import Handle
from lifecycle.errors import LaunchFailed
from lifecycle.log.codec import decode
from lifecycle.log.port import Appended, Expected, NewEvent
from lifecycle.testing import FakeBrowser, VirtualClock
from tests.client.pretended import AsyncPages, Connection, DriverError, Pages
from tests.client.world import inside, until


class TimeLimit(Exception):
    """As the handler of a task queue's signal raises it."""


class Interrupted(MemoryLog):
    """A log in which one append of *kind* is interrupted, before or after it was written; or one load."""

    def __init__(self, kind: str, when: str, interrupt: BaseException) -> None:
        super().__init__()
        self.kind, self.when = kind, when
        self.interrupt: BaseException | None = interrupt
        self.loads = False

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        if self.interrupt is None or events[0].event.type != f"session.{self.kind}":
            return super().append(stream, events, expected=expected)
        interrupt, self.interrupt = self.interrupt, None
        if self.when == "after":
            super().append(stream, events, expected=expected)
        raise interrupt

    def load(self, stream: str, since: core.Session | None = None) -> core.Session | None:
        if self.loads and self.interrupt is not None:
            interrupt, self.interrupt = self.interrupt, None
            raise interrupt
        return super().load(stream, since)


def ended(log: MemoryLog, client: Client, host: FakeBrowser, session_id: str) -> Cause | None:
    """How it ended; there must be one ending, and no browser."""
    types = [row.type.removeprefix("session.") for row in log.read(session_id)]
    assert types[-1] == "released", types
    assert len({"closed", "failed"} & set(types)) == 1
    assert not any(browser.running for browser in host.browsers.values())
    return client.sessions.get(session_id).cause


@pytest.mark.parametrize(
    "interrupt", [KeyboardInterrupt(), SystemExit(0), TimeLimit()], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("leave", ["stop", "block"])
def test_an_ending_that_is_interrupted_ends_the_session_all_the_same(
    leave: str, when: str, interrupt: BaseException
) -> None:
    log, host = Interrupted("closed", when, interrupt), FakeBrowser()
    client = Client(log, browser=host, clock=VirtualClock())
    session = client.Session(page=False)
    work: Callable[[], object] = (lambda: session.start().stop()) if leave == "stop" else (lambda: inside(session, str))
    with pytest.raises(type(interrupt)) as raised:
        work()
    assert raised.value is interrupt
    assert client.sessions.list(status=["created", "active"]) == []
    session.stop()  # only to see the browser gone: nobody waited for that
    assert ended(log, client, host, session.session_id) is Cause.STOPPED


def test_an_interrupt_while_the_end_of_a_block_asks_what_became_of_the_browser() -> None:
    log, host = Interrupted("none", "", KeyboardInterrupt()), FakeBrowser()
    client = Client(log, browser=host, pages=Pages(), clock=VirtualClock())
    session = client.Session()

    def breaks(_: object) -> None:
        log.loads = True
        raise DriverError

    with pytest.raises(KeyboardInterrupt):
        inside(session, breaks)
    assert ended(log, client, host, session.session_id) is Cause.EXCEPTION


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), TimeLimit()], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(("kind", "asked"), [(Pages, "is_driver_error"), (Connection, "connected")])
def test_an_interrupt_while_the_end_of_a_block_asks_the_driver(
    monkeypatch: pytest.MonkeyPatch, kind: type, asked: str, interrupt: BaseException
) -> None:
    """A driver that hangs takes its time, and is what makes people press Ctrl-C: the session was left running."""
    host = FakeBrowser()
    client = Client(log := MemoryLog(), browser=host, pages=Pages(), clock=VirtualClock())
    session = client.Session()

    def interrupted(*_: object) -> bool:
        raise interrupt

    def breaks(session: Session) -> None:
        assert session.page == "the first tab"
        monkeypatch.setattr(kind, asked, interrupted)
        raise DriverError

    with pytest.raises(type(interrupt)):
        inside(session, breaks)
    assert ended(log, client, host, session.session_id) is Cause.EXCEPTION


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_start_that_is_interrupted_while_created_is_written_leaves_no_session(when: str) -> None:
    log, host = Interrupted("created", when, KeyboardInterrupt()), FakeBrowser()
    client = Client(log, browser=host, clock=VirtualClock())
    session = client.Session(page=False)
    with pytest.raises(KeyboardInterrupt):
        session.start()
    assert client.sessions.list(status=["created", "active"]) == []
    assert [view.cause for view in client.sessions.list()] == ([Cause.INTERRUPTED] if when == "after" else [])


def interrupt_waiting(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    """From here on *error* comes while a start waits for its browser, which comes up."""

    def begun(*_: object) -> None:
        raise error

    patch.setattr(Handle, "begun", begun)


def test_a_start_that_is_interrupted_again_while_it_lets_go_leaves_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever presses Ctrl-C presses it twice: the second one hit the driver's end, and the browser stayed."""
    host = FakeBrowser()
    client = Client(log := MemoryLog(), browser=host, pages=Pages(), clock=VirtualClock())
    session = client.Session()

    def warm(_: Pages) -> Callable[[], None]:
        def gives_back() -> None:
            raise KeyboardInterrupt

        return gives_back

    interrupt_waiting(monkeypatch, KeyboardInterrupt())
    monkeypatch.setattr(Pages, "warm", warm)
    with pytest.raises(KeyboardInterrupt):
        session.start()
    assert ended(log, client, host, session.session_id) is Cause.INTERRUPTED


def test_the_keeper_is_told_of_a_start_whose_driver_does_not_come_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was left to find out by itself: that took five seconds, and then its browser was killed."""
    client = Client(browser=FakeBrowser(), log=(log := MemoryLog()), pages=Pages())
    session = client.Session()

    def warm(_: Pages) -> Callable[[], None]:
        until(lambda: client.sessions.get(session.session_id).status == "active", "never started")
        raise OSError("no such driver")

    monkeypatch.setattr(Pages, "warm", warm)
    with pytest.raises(LaunchFailed, match="no such driver"):
        session.start()
    released = decode(log.read(session.session_id)[-1])
    assert getattr(released, "how", None) == "graceful"


def test_an_asynchronous_start_that_is_cancelled_again_while_it_lets_go_leaves_no_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = FakeBrowser()
    log = MemoryLog()

    async def scenario() -> str:
        session = AsyncClient(log, browser=host, pages=AsyncPages(), clock=VirtualClock()).Session()

        async def cancelled(_: object) -> None:
            raise asyncio.CancelledError

        interrupt_waiting(monkeypatch, TimeLimit())
        monkeypatch.setattr(AsyncSession, "_close_page", cancelled)
        with pytest.raises(asyncio.CancelledError):
            await session.start()
        return session.session_id

    session_id = asyncio.run(scenario())
    assert ended(log, Client(log, browser=host), host, session_id) is Cause.EXCEPTION


def test_the_driver_is_not_asked_when_a_block_is_left_without_an_error_of_its(monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes time, in which the end can be interrupted, and a driver breaks when it is."""
    client = Client(MemoryLog(), browser=FakeBrowser(), pages=Pages(), clock=VirtualClock())
    asked: list[object] = []

    def works(session: Session) -> None:
        assert session.page == "the first tab"
        monkeypatch.setattr(Connection, "connected", asked.append)

    inside(client.Session(), works)
    assert asked == []
