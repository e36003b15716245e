"""Starting twice, and an ending that the log refuses, on pretended browsers."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from lifecycle import AsyncClient, Cause, Client, MemoryLog, State
from lifecycle.client.system import SystemClock
from lifecycle.errors import AlreadyStarted, KeeperUnavailable, LogUnavailable
from lifecycle.ports import Exit
from lifecycle.testing import VirtualClock
from lifecycle.testing.fake_host import FakeBrowser
from tests.client.test_keeping import Refusing
from tests.client.world import inside, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.core import Session as Recorded
    from lifecycle.log.port import EventLog
    from lifecycle.ports import Remains


def test_a_second_start_is_refused_and_starts_nothing() -> None:
    host = FakeBrowser()
    with Client(MemoryLog(), browser=host) as client:
        session = client.Session(page=False).start()
        with pytest.raises(AlreadyStarted):
            session.start()
        assert len(host.browsers) == 1
        session.stop()
        with pytest.raises(AlreadyStarted):
            session.start()


def test_a_stop_hears_first_why_its_browser_is_dead() -> None:
    host = FakeBrowser()
    with Client(MemoryLog(), browser=host) as client:
        session = client.Session(page=False).start()
        browser = host.browsers[session.session_id]
        browser.on_exit = lambda: None  # its keeper has not noticed yet
        browser.end(Exit(signal=9))
        session.stop()
        assert session.status().cause is Cause.BROWSER_CRASHED


def test_a_start_that_was_refused_with_nothing_recorded_may_be_tried_again() -> None:
    """LogUnavailable says that the same call is safe to repeat; AlreadyStarted would tell the opposite."""
    log, host = Refusing(), FakeBrowser()
    told: list[object] = []
    with Client(log, browser=host) as client:
        session = client.Session(page=False, on_end=told.append)
        log.refuses = True
        for _ in range(2):
            with pytest.raises(LogUnavailable):
                session.start()
        assert session.stop() is None
        log.refuses = False
        with session:
            assert session.status().status is State.ACTIVE
        assert len(told) == 1


def test_a_first_start_that_could_not_put_right_what_is_left_leaves_that_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, host = MemoryLog(), FakeBrowser()
    Client(log, browser=host).Session(page=False).start()
    host.lose_keeper(beside=lambda _: None)  # its owner is gone too
    with Client(log, browser=host) as client:
        live = client.log.sessions.live

        def refuses() -> list[object]:
            monkeypatch.setattr(client.log.sessions, "live", live)
            raise LogUnavailable("locked")

        monkeypatch.setattr(client.log.sessions, "live", refuses)
        with pytest.raises(LogUnavailable):
            client.Session(page=False).start()
        assert [session.status for session in client.sessions.list()] == ["active"]
        with client.Session(page=False):
            pass
        assert [session.cause for session in client.sessions.list(order="oldest")] == ["keeper_lost", "stopped"]


def test_so_may_an_asynchronous_one() -> None:
    async def run() -> None:
        log, host = Refusing(), FakeBrowser()
        async with AsyncClient(log, browser=host) as client:
            session = client.Session(page=False)
            log.refuses = True
            with pytest.raises(LogUnavailable):
                await session.start()
            log.refuses = False
            await session.start()
            ended = await session.stop()
            assert ended is not None
            assert ended.session_id == session.session_id
            with pytest.raises(AlreadyStarted):
                await session.start()

    asyncio.run(run())


def test_an_attaching_that_failed_may_be_tried_again() -> None:
    log, host = Refusing(), FakeBrowser()
    with Client(log, browser=host) as client, client.Session(page=False) as session:
        again = client.Session(session.session_id)
        log.refuses = True
        with pytest.raises(LogUnavailable):
            again.start()
        log.refuses = False
        with again:
            again.annotate("seen")


def test_an_ending_that_the_log_refuses_is_left_to_the_keeper() -> None:
    """The browser ends at once, and the ending is recorded as soon as the log takes it."""
    log, host = Refusing(), FakeBrowser()
    with Client(log, browser=host) as client:
        session = client.Session(page=False).start()
        log.refuses = True
        with pytest.raises(LogUnavailable):
            session.stop()
        until(lambda: not host.browsers[session.session_id].running, "the browser runs on")
        log.refuses = False
        until(lambda: session.status().cause is not None, "no ending was recorded")
        assert session.status().cause is Cause.STOPPED


class Threadless(SystemClock):
    """Where the user may have no more threads (RLIMIT_NPROC)."""

    def start(self, name: str, run: Callable[[], object]) -> None:
        raise RuntimeError("can't start new thread")


def test_a_start_without_a_thread_to_be_had_ends_what_it_began() -> None:
    """An ending's append is looked after by a thread too; without one the session stood as created for long."""
    with Client(MemoryLog(), browser=FakeBrowser(), clock=Threadless()) as client:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            client.Session(page=False).start()
        (ended,) = client.sessions.list()
        assert (ended.status, ended.cause) == (State.ERROR, Cause.EXCEPTION)


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_that_can_not_say_its_text_ends_the_session_like_any_other() -> None:
    """Its text was asked for before anything was ended, so nothing was: the error got a note, the browser ran on."""
    client = Client(MemoryLog(), browser=FakeBrowser())

    def raises(_: object) -> None:
        raise Speechless

    session = client.Session(page=False, on_end=raises)
    with pytest.raises(Speechless) as raised:
        inside(session, raises)
    assert not hasattr(raised.value, "__notes__")
    ending = client.sessions.get(session.session_id)
    assert (ending.cause, ending.status) == (Cause.EXCEPTION, State.ERROR)
    assert "its text can't be told: RuntimeError" in (ending.error or "")


class Stiff(Exception):
    def add_note(self, note: str, /) -> None:
        raise AttributeError("frozen")


def test_an_error_that_takes_no_note_leaves_the_block_as_it_is() -> None:
    """As one that is a frozen dataclass; where the log refused the ending besides, another error came in its place."""
    log = Refusing()
    client = Client(log, browser=FakeBrowser())

    def raises(_: object) -> None:
        log.refuses = True
        raise Stiff

    with pytest.raises(Stiff):
        inside(client.Session(page=False), raises)
    log.refuses = False


class OutOfFiles(FakeBrowser):
    """A host in a process that has no file descriptor left: it can't look at other processes."""

    out = False

    def _look(self) -> None:
        if self.out:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def keeper_alive(self, session: Recorded, log: EventLog) -> bool | None:
        self._look()
        return super().keeper_alive(session, log)

    def browser_died(self, session: Recorded, log: EventLog) -> bool:
        self._look()
        return super().browser_died(session, log)

    def end(self, session: Recorded, log: EventLog) -> Remains:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_without_a_file_descriptor_a_session_is_stopped_by_its_keeper_as_ever() -> None:
    """It was an OSError, though the keeper was at it."""
    host = OutOfFiles(grace_s=1.0)
    with Client(MemoryLog(), browser=host, clock=VirtualClock()) as client:
        session = client.Session(page=False).start()
        host.browsers[session.session_id].deaf = True  # so that it takes a while
        host.out = True
        ending = session.stop()
        assert ending is not None
        assert ending.cause is Cause.STOPPED
        assert client.history(session.session_id)[-1].type == "session.released"


def test_a_browser_that_can_not_be_ended_for_want_of_them_is_an_error_that_says_so() -> None:
    host = OutOfFiles()
    with Client(MemoryLog(), browser=host, clock=VirtualClock()) as client:
        session = client.Session(page=False).start()
        host.lose_keeper(beside=lambda _: None)
        with pytest.raises(KeeperUnavailable, match=r"can't be ended: .*Too many open files"):
            session.stop()
        assert session.status().cause is Cause.STOPPED
