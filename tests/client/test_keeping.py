"""The keeper's rules for one session, step by step on a clock that stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lifecycle import MemoryLog
from lifecycle.audit.why import why
from lifecycle.client.keeping import Kept, record_gone
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import Uuid7
from lifecycle.core import Cause, Close, Create, Event, Extend, Fail, Limits, ProcessIdentity, Release, Session, Start
from lifecycle.core.events import (
    SessionAccessed,
    SessionClosed,
    SessionCreated,
    SessionFailed,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
    TabClosed,
    TabOpened,
)
from lifecycle.errors import LogUnavailable, WrongVersion
from lifecycle.log.codec import decode
from lifecycle.ports import Exit
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import PretendedBrowser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.log.port import Appended, Expected, NewEvent, Recorded

ME = ProcessIdentity(host="here", boot_id="b", pid=1, started=1)
MINUTE = 60_000_000


class Refusing(MemoryLog):
    """A log that can be told to refuse appends."""

    refuses = False

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        if self.refuses:
            raise LogUnavailable("the disk is full")
        return super().append(stream, events, expected=expected)


class World:
    """One active session in its keeper; idle timeout 2 minutes, at most 10."""

    def __init__(self, *, keep_alive: bool = False) -> None:
        self.clock = ManualClock()
        self.log = Refusing(clock=self.clock.now)
        self.recorder = Recorder(self.log, self.clock, Uuid7(), actor="keeper", writer="test")
        self.elsewhere = Recorder(self.log, self.clock, Uuid7(), actor="somebody", writer="test")
        self.session_id = "s1"
        created = SessionCreated(
            session_id=self.session_id,
            limits=Limits(idle_timeout_us=2 * MINUTE, max_duration_us=10 * MINUTE),
            owner=ME,
            keep_alive=keep_alive,
        )
        self.recorder.create(Create(event=created))
        session = self.recorder.execute("s1", Start(event=SessionStarted(ownership="launched", browser=ME))).session
        self.browser = PretendedBrowser()
        self.released = 0
        self.kept = Kept(
            session,
            self.recorder,
            self.browser,
            on_released=self._count,
            grace_s=0.0,
        )

    def _count(self) -> None:
        self.released += 1

    def events(self) -> list[Event]:
        """What was recorded after `started`."""
        return [decode(row) for row in self.log.read("s1")][2:]

    def types(self) -> list[type[Event]]:
        return [type(event) for event in self.events()]

    def session(self) -> Session:
        return self.recorder.load("s1")


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_due_writes_nothing_and_sleeps_at_most_a_second(world: World) -> None:
    assert world.kept.step() == 1.0
    assert world.events() == []


def test_the_sleep_ends_at_the_deadline(world: World) -> None:
    world.clock.advance(119.75)
    assert world.kept.step() == pytest.approx(0.25)


def test_the_deadline_is_recorded_before_the_browser_is_touched(world: World) -> None:
    world.clock.advance(120)
    running: list[bool] = []
    append = world.log.append

    def seen(stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        running.append(world.browser.running)
        return append(stream, events, expected=expected)

    world.log.append = seen  # type: ignore[method-assign] # watching the order of acts
    assert world.kept.step() is None
    assert world.types() == [SessionTimedOut, SessionReleased]
    assert running == [True, False]
    assert world.events()[0].at == world.session().created_at + 2 * MINUTE


def test_a_dead_browser_is_recorded_with_its_signal(world: World) -> None:
    world.browser.end(Exit(signal=11))
    assert world.kept.step() is None
    failed, released = world.events()
    assert isinstance(failed, SessionFailed)
    assert (failed.cause, failed.evidence["signal"]) == (Cause.BROWSER_CRASHED, 11)
    assert isinstance(released, SessionReleased)
    assert (released.how, released.signal) == ("killed", 11)


def test_a_browser_that_quit_with_code_0_was_closed(world: World) -> None:
    world.browser.end(Exit(code=0))
    world.kept.step()
    closed = world.events()[0]
    assert isinstance(closed, SessionClosed)
    assert closed.cause is Cause.BROWSER_CLOSED


def test_a_browser_found_dead_after_the_deadline_is_a_timeout_with_the_find_as_evidence(world: World) -> None:
    world.browser.end(Exit(signal=9))
    world.clock.advance(500)
    world.kept.step()
    ending = world.events()[0]
    assert isinstance(ending, SessionTimedOut)
    assert ending.evidence["found"] == "fail/browser_crashed"
    assert ending.evidence["signal"] == 9


def test_the_owners_death_closes_the_session(world: World) -> None:
    world.kept.owner_gone({"leash": "pipe"})
    world.kept.step()
    closed = world.events()[0]
    assert isinstance(closed, SessionClosed)
    assert (closed.cause, closed.evidence["leash"]) == (Cause.OWNER_EXITED, "pipe")


def test_a_session_kept_alive_outlives_its_owner_until_the_deadline() -> None:
    world = World(keep_alive=True)
    world.kept.owner_gone({"leash": "pipe"})
    assert world.kept.step() == 1.0
    assert world.events() == []
    world.clock.advance(120)
    world.kept.step()
    assert world.types() == [SessionTimedOut, SessionReleased]


def test_an_ending_written_by_somebody_else_ends_the_browser_once_the_keeper_looks(world: World) -> None:
    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    world.kept.look()
    assert world.kept.step() is None
    assert not world.browser.running
    assert world.types() == [SessionClosed, SessionReleased]


def test_an_ending_that_nobody_told_the_keeper_shuts_the_door_and_is_looked_at(world: World) -> None:
    assert world.kept.lives()
    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    assert not world.kept.lives()
    assert world.kept.step() is None
    assert not world.kept.lives()


def test_nobody_is_let_in_past_the_deadline_written_down_or_not(world: World) -> None:
    world.clock.advance(119)
    assert world.kept.lives()
    world.clock.advance(1)
    assert not world.kept.lives()
    assert world.events() == []


def test_a_log_that_can_not_be_read_shuts_no_door_until_the_browser_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> Session:
        raise LogUnavailable("locked")

    world.log.refuses = True
    monkeypatch.setattr(world.log, "load", unavailable)
    assert world.kept.lives()
    world.kept.end(Close(cause=Cause.STOPPED))
    world.kept.step()  # grace 0: the browser goes, whatever the log says
    assert not world.browser.running
    assert not world.kept.lives()


def test_a_look_that_comes_while_the_log_is_read_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is older than what the look is about: only the next step can see that."""
    read = world.log.read

    def then_it_is_stopped(stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        rows = read(stream, after, until)
        monkeypatch.undo()
        world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
        world.kept.look()
        return rows

    world.kept.look()
    monkeypatch.setattr(world.log, "read", then_it_is_stopped)
    assert world.kept.step() is not None
    assert world.kept.step() is None
    assert world.types() == [SessionClosed, SessionReleased]


def test_a_look_at_a_log_that_can_not_be_read_is_repeated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> tuple[Recorded, ...]:
        raise LogUnavailable("the disk is gone")

    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    world.kept.look()
    monkeypatch.setattr(world.log, "read", fails)
    assert world.kept.step() is not None
    monkeypatch.undo()
    assert world.kept.step() is None
    assert world.types() == [SessionClosed, SessionReleased]


def test_a_deadline_that_somebody_else_moved_is_honoured(world: World) -> None:
    world.elsewhere.execute("s1", Extend(by_us=5 * MINUTE))
    world.clock.advance(120)
    assert world.kept.step() is not None
    assert world.browser.running
    world.clock.advance(180)
    world.kept.step()
    assert SessionTimedOut in world.types()


def test_facts_are_recorded_in_order(world: World) -> None:
    world.kept.note(TabOpened(tab="a"))
    world.kept.note(TabClosed(tab="a"))
    world.kept.step()
    assert world.types() == [TabOpened, TabClosed]


def test_facts_after_the_ending_are_dropped(world: World) -> None:
    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    world.kept.note(TabOpened(tab="a"))
    world.kept.look()
    world.kept.step()
    assert world.types() == [SessionClosed, SessionReleased]


def test_accesses_are_coalesced_to_a_quarter_of_the_idle_timeout(world: World) -> None:
    """2 minutes of idle timeout: an access within 30 s of the last recorded one waits."""
    for _ in range(5):
        world.clock.advance(5)
        world.kept.accessed()
        world.kept.step()
    assert world.events() == []
    world.clock.advance(5)
    world.kept.accessed()
    world.kept.step()
    (access,) = world.events()
    assert isinstance(access, SessionAccessed)
    assert access.last_at == world.clock.now()


def test_a_pending_access_is_recorded_a_quarter_before_the_deadline_at_the_latest(world: World) -> None:
    world.clock.advance(20)
    world.kept.accessed()
    used = world.clock.now()
    world.kept.step()
    assert world.events() == []
    world.clock.advance(69.9)
    world.kept.step()
    assert world.events() == []
    world.clock.advance(0.1)
    world.kept.step()
    (access,) = world.events()
    assert isinstance(access, SessionAccessed)
    assert access.last_at == used


def test_accesses_before_a_deadline_that_they_can_not_move_are_coalesced_too(world: World) -> None:
    """A script that is busy until its maximum duration is over, 100 accesses a second: none is written in vain."""
    for _ in range(28):
        world.clock.advance(20)
        world.kept.accessed()
        world.kept.step()
    before = world.types().count(SessionAccessed)
    pauses: list[float] = []
    while world.clock.now() < world.session().created_at + 10 * MINUTE - 10_000:
        world.clock.advance(0.01)
        world.kept.accessed()
        pause = world.kept.step()
        assert pause is not None
        pauses.append(pause)
    assert world.types().count(SessionAccessed) - before <= 2
    assert pauses.count(0.0) == 0
    world.clock.advance(0.01)
    world.kept.step()
    assert world.types()[-2:] == [SessionTimedOut, SessionReleased]


def test_a_pending_access_is_recorded_before_the_ending(world: World) -> None:
    world.clock.advance(20)
    world.kept.accessed()
    world.browser.end(Exit(signal=9))
    world.kept.step()
    assert world.types() == [SessionAccessed, SessionFailed, SessionReleased]


def test_an_access_that_the_log_refuses_is_recorded_once_it_takes_it(world: World) -> None:
    world.clock.advance(90)
    world.kept.accessed()
    used = world.clock.now()
    world.log.refuses = True
    world.kept.step()
    world.log.refuses = False
    world.kept.step()
    (access,) = world.events()
    assert isinstance(access, SessionAccessed)
    assert access.last_at == used


def test_a_keeper_that_comes_too_late_expires_the_session_whatever_was_accessed(world: World) -> None:
    world.clock.advance(100)
    world.kept.accessed()
    world.clock.advance(30)
    world.kept.step()
    assert world.types() == [SessionTimedOut, SessionReleased]


def test_a_clock_step_stands_in_the_evidence_of_the_ending(world: World) -> None:
    world.kept.step()
    world.clock.step(-3600)
    world.kept.step()
    world.browser.end(Exit(signal=9))
    world.kept.step()
    failed = world.events()[0]
    assert isinstance(failed, SessionFailed)
    assert failed.evidence["clock_step_us"] == -3_600_000_000


def test_a_deaf_browser_is_killed_after_the_grace(world: World) -> None:
    world.browser.deaf = True
    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    world.kept.look()
    world.kept.step()
    released = world.events()[-1]
    assert isinstance(released, SessionReleased)
    assert (released.how, released.signal) == ("killed", 9)


def test_a_log_that_refuses_the_ending_keeps_no_browser_alive_and_gets_it_later(world: World) -> None:
    world.log.refuses = True
    world.clock.advance(120)
    assert world.kept.step() is not None
    assert not world.browser.running  # grace 0
    assert world.events() == []
    world.clock.advance(5)
    assert world.kept.step() is not None
    world.log.refuses = False
    assert world.kept.step() is None
    assert world.types() == [SessionTimedOut, SessionReleased]


def test_a_browser_ended_while_the_log_refuses_is_not_taken_for_one_that_closed_itself(world: World) -> None:
    """Found by the simulation: tests/simulation/tapes/owner-gone-while-the-disk-is-full.json."""
    world.log.refuses = True
    world.kept.owner_gone({"leash": "test"})
    assert world.kept.step() is not None
    assert not world.browser.running
    world.log.refuses = False
    assert world.kept.step() is None
    assert world.session().cause is Cause.OWNER_EXITED


def test_a_log_that_refuses_facts_ends_no_session_that_is_kept_alive_past_its_owner() -> None:
    world = World(keep_alive=True)
    world.kept.owner_gone({"leash": "test"})
    world.log.refuses = True
    world.kept.note(TabOpened(tab="a"))
    assert world.kept.step() is not None
    assert world.browser.running
    world.log.refuses = False
    assert world.kept.step() is not None
    assert world.types() == [TabOpened]


def test_a_log_that_refuses_facts_loses_none_of_them(world: World) -> None:
    world.log.refuses = True
    world.kept.note(TabOpened(tab="a"))
    world.kept.step()
    assert world.browser.running
    world.log.refuses = False
    world.kept.note(TabClosed(tab="a"))
    world.kept.step()
    assert world.types() == [TabOpened, TabClosed]


def test_an_ending_is_given_up_after_ten_minutes_of_refusal(world: World) -> None:
    world.log.refuses = True
    world.clock.advance(120)
    world.kept.step()
    world.clock.advance(601)
    assert world.kept.step() is None
    assert not world.browser.running


@pytest.mark.parametrize(("refusals", "recorded"), [(3, True), (149, True), (151, False)])
def test_a_failed_launch_is_recorded_if_the_log_takes_it_within_15_seconds(
    refusals: int, recorded: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        world.clock.advance(seconds)
        world.log.refuses = len(waited) < refusals

    monkeypatch.setattr(world.clock, "sleep", sleep)
    world.log.refuses = True
    never = SessionReleased(how="never_started")
    if recorded:
        record_gone(world.recorder, "s1", Fail(cause=Cause.LAUNCH_FAILED), never)
    else:
        with pytest.raises(LogUnavailable):
            record_gone(world.recorder, "s1", Fail(cause=Cause.LAUNCH_FAILED), never)
    assert world.types() == ([SessionFailed, SessionReleased] if recorded else [])


def test_somebody_elses_browser_is_left_running(world: World) -> None:
    world.browser.external = True
    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    world.kept.look()
    assert world.kept.step() is None
    assert world.browser.running
    released = world.events()[-1]
    assert isinstance(released, SessionReleased)
    assert released.how == "detached"


def test_run_ends_the_browser_whatever_goes_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> float:
        raise RuntimeError("a defect in the keeper")

    monkeypatch.setattr(world.kept, "step", broken)
    with pytest.raises(RuntimeError):
        world.kept.run()
    assert not world.browser.running
    assert not world.browser.profile
    assert world.released == 1


def test_run_sees_a_session_through_and_says_so_once(world: World) -> None:
    world.kept.owner_gone({"leash": "pipe"})
    world.kept.run()
    assert world.released == 1
    assert world.session().released


def test_a_fact_that_comes_while_others_are_written_is_not_lost(world: World) -> None:
    append = world.log.append

    def slow(stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        world.log.append = append  # type: ignore[method-assign] # only the first append is slow
        world.kept.note(TabClosed(tab="a"))
        return append(stream, events, expected=expected)

    world.log.append = slow  # type: ignore[method-assign] # a second thread's note() in the middle of a write
    world.kept.note(TabOpened(tab="a"))
    world.kept.step()
    world.kept.step()
    assert world.types() == [TabOpened, TabClosed]


def test_a_flood_of_facts_is_cut_and_the_ending_says_by_how_many(world: World) -> None:
    for _ in range(10_003):
        world.kept.note(TabClosed(tab="a"))
    world.kept.missed(4)
    world.log.refuses = True  # the facts themselves stay unwritten: this is about their number
    world.kept.step()
    world.log.refuses = False
    world.browser.end(Exit(signal=9))
    world.kept.step()
    failed = next(event for event in world.events() if isinstance(event, SessionFailed))
    assert failed.evidence["facts_dropped"] == 7


def test_a_session_released_by_somebody_else_loses_its_browser_and_gets_no_second_release(world: World) -> None:
    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    world.elsewhere.execute("s1", Release(event=SessionReleased(how="killed")))
    world.kept.look()
    assert world.kept.step() is None
    assert not world.browser.running
    assert world.types() == [SessionClosed, SessionReleased]


def test_released_tells_of_the_one_time_the_browser_was_ended(world: World) -> None:
    """A log that takes the ending but not `released` gets the same receipt later."""
    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    world.kept.look()
    append = world.log.append

    def refuse(stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        raise LogUnavailable("the disk is full")

    world.log.append = refuse  # type: ignore[method-assign] # refuses `released` alone
    assert world.kept.step() is not None
    world.log.append = append  # type: ignore[method-assign] # takes it now
    assert world.kept.step() is None
    released = world.events()[-1]
    assert isinstance(released, SessionReleased)
    assert (released.how, released.exit_code) == ("graceful", 0)


@pytest.mark.parametrize(("external", "how"), [(False, "killed"), (True, "detached")])
def test_what_no_rule_provides_for_ends_the_session_in_the_record_too(
    world: World, monkeypatch: pytest.MonkeyPatch, external: bool, how: str
) -> None:
    """Its keeper lives and goes on with others, so nobody else would record it before the deadline."""

    def fails(timeout_s: float) -> Exit | None:
        raise OSError(24, "Too many open files")

    world.browser.external = external
    monkeypatch.setattr(world.browser, "exit", fails)
    with pytest.raises(OSError, match="Too many"):
        world.kept.run()
    failed, released = world.events()
    assert isinstance(failed, SessionFailed)
    assert (failed.cause, failed.error_type, failed.evidence) == (Cause.KEEPER_LOST, "OSError", {"keeper": "failed"})
    assert isinstance(released, SessionReleased)
    assert (released.how, world.browser.running, world.released) == (how, False, 1)
    assert "failed, and ended it: OSError" in why(world.log, "s1", world.clock.now()).text


def test_what_goes_wrong_after_the_ending_changes_no_ending(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(world.browser, "ask_to_close", fails)
    world.elsewhere.execute("s1", Close(cause=Cause.STOPPED))
    world.kept.look()
    with pytest.raises(OSError, match="Too many"):
        world.kept.run()
    assert world.types() == [SessionClosed, SessionReleased]


def test_an_id_that_is_taken_is_told_as_a_lost_race(world: World) -> None:
    with pytest.raises(WrongVersion):
        world.elsewhere.create(Create(event=SessionCreated(session_id="s1", limits=world.session().limits, owner=ME)))
