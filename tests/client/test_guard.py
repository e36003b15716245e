"""The owner's guard, round by round: when it steps in for a keeper, and when it lets go of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lifecycle import Client, MemoryLog
from lifecycle.client.endings import Endings, Once
from lifecycle.client.guard import Guard
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import Uuid7
from lifecycle.core import Cause, Close, Create, Limits, ProcessIdentity, Release, Session, Start, State
from lifecycle.core.events import SessionCreated, SessionReleased, SessionStarted
from lifecycle.errors import LogUnavailable
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeBrowser

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from lifecycle.log.port import Appended, EventLog

ME = ProcessIdentity(host="here", boot_id="b", pid=1, started=1)


class Rounds(ManualClock):
    """Runs the guard's thread here, one round at a time."""

    run: Callable[[], object]
    left = 0

    def start(self, name: str, run: Callable[[], object]) -> None:
        self.run = run

    def wait_for(self, changed: threading.Condition, true: Callable[[], bool], timeout_s: float) -> bool:
        self.left -= 1
        return self.left < 0

    def round(self) -> None:
        self.left = 1
        self.run()


class Host(FakeBrowser):
    """A keeper that lives and does nothing."""

    dropped = 0

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        return True

    def drop_keeper(self, session: Session, log: EventLog) -> bool:
        self.dropped += 1
        return True


class World:
    """One active session, idle timeout one minute."""

    def __init__(self) -> None:
        self.clock = Rounds()
        self.log = MemoryLog(clock=self.clock.now)
        self.host = Host()
        self.recorder = Recorder(self.log, self.clock, Uuid7(), actor="guard", writer="test")
        limits = Limits(idle_timeout_us=60_000_000, max_duration_us=600_000_000)
        self.recorder.create(Create(event=SessionCreated(session_id="s1", limits=limits, owner=ME, keeper_id="k")))
        self.recorder.execute("s1", Start(event=SessionStarted(ownership="launched", browser=ME)))
        self.guard = Guard(self.recorder, self.host)
        self.guard.watch(self.session())

    def session(self) -> Session:
        return self.recorder.load("s1")


@pytest.fixture
def world() -> World:
    return World()


def test_a_session_is_its_keepers_until_two_seconds_after_its_deadline(world: World) -> None:
    world.clock.advance(61.999)
    world.clock.round()
    assert (world.session().status, world.host.dropped) == (State.ACTIVE, 0)


def test_two_seconds_after_its_deadline_the_guard_ends_it(world: World) -> None:
    world.clock.advance(62)
    world.clock.round()
    session = world.session()
    assert (session.status, session.cause, session.released) == (State.TIMED_OUT, Cause.IDLE, True)
    assert world.host.dropped == 1


def test_a_guard_for_which_there_was_no_thread_starts_with_the_next_session(world: World) -> None:
    begun: list[str] = []

    class Exhausted(Rounds):
        def start(self, name: str, run: Callable[[], object]) -> None:
            begun.append(name)
            if len(begun) == 1:
                raise RuntimeError("can't start new thread")

    recorder = Recorder(world.log, Exhausted(), Uuid7(), actor="guard", writer="test")
    guard = Guard(recorder, world.host)
    with pytest.raises(RuntimeError):
        guard.watch(world.session())
    guard.watch(world.session())
    assert begun == ["lifecycle-guard", "lifecycle-guard"]
    endings, ending = Endings(recorder), Once("s1", lambda _: None)
    begun.clear()
    with pytest.raises(RuntimeError):
        endings.watch("s1", ending)
    endings.watch("s1", ending)
    assert begun == ["lifecycle-endings", "lifecycle-endings"]


def test_a_guard_outlives_whatever_goes_wrong_in_a_round(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the last cord: a thread that ended at the first surprise would watch over nothing, and say so to nobody."""

    def fails(session: Session, log: EventLog) -> bool:
        raise OSError(24, "Too many open files")

    world.clock.advance(62)
    with monkeypatch.context() as patch:
        patch.setattr(world.host, "drop_keeper", fails)
        world.clock.round()
    assert world.session().status is State.ACTIVE
    world.clock.round()
    assert world.session().released


def test_a_lost_keeper_is_recorded_once_the_log_takes_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once. Until then it was next looked at after the deadline, and recorded as a timeout."""

    def refuses(*_given: object, **_more: object) -> Appended:
        raise LogUnavailable("the disk is full")

    def gone(*_given: object) -> bool:
        return False

    monkeypatch.setattr(world.host, "keeper_alive", gone)
    with monkeypatch.context() as patch:
        patch.setattr(world.log, "append", refuses)
        world.guard.keeper_lost()
        world.clock.round()
    assert world.session().status is State.ACTIVE
    world.clock.round()
    session = world.session()
    assert (session.status, session.cause, session.released) == (State.ERROR, Cause.KEEPER_LOST, True)


def test_a_guard_with_nothing_to_watch_ends_and_begins_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread holds client and log: a client that nobody closes would stay for ever, with its connections."""
    begun: list[str] = []
    start = world.clock.start

    def started(name: str, run: Callable[[], object]) -> None:
        begun.append(name)
        start(name, run)

    monkeypatch.setattr(world.clock, "start", started)
    world.guard.watch(world.session())
    world.clock.round()
    assert begun == []
    world.guard.released("s1")
    world.clock.round()
    world.guard.watch(world.session())
    assert begun == ["lifecycle-guard"]


def test_a_session_that_was_seen_to_its_end_is_watched_no_longer() -> None:
    client = Client(MemoryLog(), browser=FakeBrowser())
    with client.Session(page=False):
        assert len(client._shared.guard.watched()) == 1  # pyright: ignore[reportPrivateUsage]
    assert client._shared.guard.watched() == []  # pyright: ignore[reportPrivateUsage]


def test_a_released_session_is_watched_no_longer(world: World) -> None:
    world.recorder.execute("s1", Close(cause=Cause.STOPPED))
    world.recorder.execute("s1", Release(event=SessionReleased(how="graceful")))
    world.clock.advance(62)
    world.clock.round()
    assert world.guard.watched() == []
    assert world.host.dropped == 0
