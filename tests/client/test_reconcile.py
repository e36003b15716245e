"""Every row of reconcile's table, on a pretended host."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from lifecycle import MemoryLog
from lifecycle.client.reconcile import RELEASE_WAIT_S, Reconciled, reconcile
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import Uuid7
from lifecycle.core import Cause, Close, Create, Extend, Limits, ProcessIdentity, Release, Session, Start, State
from lifecycle.core.events import SessionCreated, SessionReleased, SessionStarted
from lifecycle.errors import IllegalHistory
from lifecycle.ports import Remains
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeBrowser

if TYPE_CHECKING:
    from lifecycle.log.port import EventLog

ME = ProcessIdentity(host="here", boot_id="b", pid=1, started=1)
Keeper = Literal["alive", "gone", "elsewhere"]


class Host(FakeBrowser):
    """Answers as it is told, and counts the browsers it was asked to end."""

    keeper: Keeper = "alive"
    ended = 0

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        return {"alive": True, "gone": False, "elsewhere": None}[self.keeper]

    def end(self, session: Session, log: EventLog) -> Remains:
        self.ended += 1
        return Remains(how="killed", profile_removed=True, evidence={"processes_found": 1})


class World:
    def __init__(self, *, started: bool = True) -> None:
        self.clock = ManualClock()
        self.log = MemoryLog(clock=self.clock.now)
        self.host = Host()
        self.recorder = Recorder(self.log, self.clock, Uuid7(), actor="reconcile", writer="test")
        limits = Limits(idle_timeout_us=60_000_000, max_duration_us=600_000_000)
        self.recorder.create(Create(event=SessionCreated(session_id="s1", limits=limits, owner=ME, keeper_id="k")))
        if started:
            self.recorder.execute("s1", Start(event=SessionStarted(ownership="launched", browser=ME)))

    def run(self, keeper: Keeper, *, patient: bool = True) -> list[Reconciled]:
        self.host.keeper = keeper
        return reconcile(self.log.sessions.live(), self.recorder, self.host, patient=patient)

    def session(self) -> Session:
        return self.recorder.load("s1")


@pytest.fixture
def world() -> World:
    return World()


def test_a_live_session_whose_keeper_lives_is_left_alone(world: World) -> None:
    assert world.run("alive") == []
    assert (world.session().status, world.host.ended) == (State.ACTIVE, 0)


def test_a_live_session_of_another_host_is_left_alone(world: World) -> None:
    assert world.run("elsewhere") == []
    assert (world.session().status, world.host.ended) == (State.ACTIVE, 0)


def test_a_live_session_without_keeper_fails_and_its_browser_is_ended(world: World) -> None:
    assert world.run("gone") == [Reconciled(session_id="s1", cause="keeper_lost", how="killed")]
    session = world.session()
    assert (session.status, session.cause, session.released) == (State.ERROR, Cause.KEEPER_LOST, True)
    assert world.host.ended == 1


def test_a_session_of_another_host_past_its_deadline_times_out_and_nothing_is_claimed_of_its_browser(
    world: World,
) -> None:
    world.clock.advance(60)
    assert world.run("elsewhere") == [Reconciled(session_id="s1", cause="idle", how="out of reach")]
    assert (world.session().status, world.session().released) == (State.TIMED_OUT, False)
    assert world.host.ended == 0
    world.clock.advance(60)
    assert world.run("elsewhere") == []


@pytest.mark.parametrize("keeper", ["alive", "gone"])
def test_a_session_past_its_deadline_times_out_whatever_is_found(world: World, keeper: Keeper) -> None:
    world.clock.advance(60)
    assert world.run(keeper) == [Reconciled(session_id="s1", cause="idle", how="killed")]
    session = world.session()
    assert (session.status, session.released) == (State.TIMED_OUT, True)
    assert session.closed_at == session.created_at + 60_000_000


@pytest.mark.parametrize("patient", [True, False])
def test_a_session_that_its_living_keeper_may_be_launching_just_now_times_out_and_is_left_to_it(patient: bool) -> None:
    """`never_started` would be found, and be wrong a moment later. The simulation found it."""
    world = World(started=False)
    world.clock.advance(60)
    assert world.run("alive", patient=patient) == [Reconciled(session_id="s1", cause="idle", how="left to its keeper")]
    assert (world.session().released, world.host.ended) == (False, 0)
    assert world.run("alive") == []
    world.clock.advance(RELEASE_WAIT_S)
    assert world.run("alive") == [Reconciled(session_id="s1", cause=None, how="killed")]


def test_one_found_after_the_grace_is_not_left_to_a_keeper_that_has_not_launched_it() -> None:
    world = World(started=False)
    world.clock.advance(60 + RELEASE_WAIT_S)
    assert world.run("alive") == [Reconciled(session_id="s1", cause="idle", how="killed")]


@pytest.mark.parametrize("meanwhile", ["ended", "ended at its deadline", "extended"])
def test_what_somebody_else_did_meanwhile_stands(world: World, meanwhile: str) -> None:
    """Between looking for its keeper and writing the ending."""

    class Overtaken(Host):
        def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
            world.recorder.execute(
                "s1", Extend(by_us=90_000_000) if meanwhile == "extended" else Close(cause=Cause.STOPPED)
            )
            if meanwhile != "ended":
                world.clock.advance(61)
            return False

    host = Overtaken()
    assert reconcile([world.session()], world.recorder, host) == []
    assert host.ended == 0


def test_one_that_its_keeper_has_released_meanwhile_is_not_told(world: World) -> None:
    world.recorder.execute("s1", Close(cause=Cause.STOPPED))

    class Overtaken(Host):
        def end(self, session: Session, log: EventLog) -> Remains:
            world.recorder.execute("s1", Release(event=SessionReleased(how="graceful")))
            return super().end(session, log)

    assert reconcile([world.session()], world.recorder, Overtaken(), patient=False) == []


def test_an_ended_session_without_keeper_is_released_with_no_second_ending(world: World) -> None:
    world.recorder.execute("s1", Close(cause=Cause.STOPPED))
    assert world.run("gone") == [Reconciled(session_id="s1", cause=None, how="killed")]
    session = world.session()
    assert (session.cause, session.released, session.version) == (Cause.STOPPED, True, 4)


def test_an_ended_session_is_left_to_its_living_keeper_for_the_grace(world: World) -> None:
    world.recorder.execute("s1", Close(cause=Cause.STOPPED))
    assert world.run("alive") == []
    world.clock.advance(RELEASE_WAIT_S)
    assert world.run("alive") == [Reconciled(session_id="s1", cause=None, how="killed")]


def test_an_impatient_reconcile_finishes_an_ended_session_at_once(world: World) -> None:
    world.recorder.execute("s1", Close(cause=Cause.STOPPED))
    assert len(world.run("alive", patient=False)) == 1


@pytest.mark.parametrize("keeper", ["alive", "gone"])
def test_a_released_session_is_never_touched_again(world: World, keeper: Keeper) -> None:
    world.recorder.execute("s1", Close(cause=Cause.STOPPED))
    world.recorder.execute("s1", Release(event=SessionReleased(how="graceful")))
    world.host.keeper = keeper
    world.clock.advance(RELEASE_WAIT_S)
    assert reconcile([world.session()], world.recorder, world.host) == []
    assert world.host.ended == 0


def test_what_the_list_said_is_read_again_before_anything_is_done(world: World) -> None:
    stale = [world.session()]
    world.recorder.execute("s1", Close(cause=Cause.STOPPED))
    world.recorder.execute("s1", Release(event=SessionReleased(how="graceful")))
    world.host.keeper = "gone"
    assert reconcile(stale, world.recorder, world.host) == []
    assert world.host.ended == 0


def test_a_session_that_ended_since_the_list_was_made_is_finished_at_once(world: World) -> None:
    stale = [world.session()]
    world.recorder.execute("s1", Close(cause=Cause.STOPPED))
    world.host.keeper = "gone"
    assert reconcile(stale, world.recorder, world.host) == [Reconciled(session_id="s1", cause=None, how="killed")]


def test_a_session_without_a_keeper_ends_with_its_owner_and_its_browser_is_left_alone(world: World) -> None:
    limits = Limits(idle_timeout_us=60_000_000, max_duration_us=600_000_000)
    world.recorder.create(Create(event=SessionCreated(session_id="s2", limits=limits, owner=ME, keeper_id=None)))
    world.recorder.execute("s2", Start(event=SessionStarted(ownership="attached", browser=ME)))
    world.host.keeper = "gone"
    (found,) = reconcile([world.recorder.load("s2")], world.recorder, world.host)
    session = world.recorder.load("s2")
    assert (found.cause, session.status, session.cause) == ("owner_exited", State.CLOSED, Cause.OWNER_EXITED)


def test_a_session_that_breaks_the_table_keeps_no_other_from_being_put_right(world: World) -> None:
    class Broken(Recorder):
        def load(self, session_id: str) -> Session:
            if session_id == "broken":
                raise IllegalHistory(session_id, 2, "session.started can't follow")
            return super().load(session_id)

    recorder = Broken(world.log, world.clock, Uuid7(), actor="reconcile", writer="test", lenient=True)
    broken = replace(world.session(), session_id="broken")
    world.host.keeper = "gone"
    assert [one.session_id for one in reconcile([broken, world.session()], recorder, world.host)] == ["s1"]


def test_a_browser_that_can_not_be_ended_now_keeps_no_other_from_being_put_right(world: World) -> None:
    """A process out of descriptors can't look at others; the next reconcile, or the guard's next round, goes on."""

    class Exhausted(Host):
        def end(self, session: Session, log: EventLog) -> Remains:
            if session.session_id == "s1" and not self.ended:
                self.ended += 1
                raise OSError(errno.EMFILE, "too many open files")
            return super().end(session, log)

    world.host = Exhausted()
    limits = Limits(idle_timeout_us=60_000_000, max_duration_us=600_000_000)
    world.recorder.create(Create(event=SessionCreated(session_id="s2", limits=limits, owner=ME, keeper_id="k")))
    assert [one.session_id for one in world.run("gone")] == ["s2"]
    assert [one.session_id for one in world.run("gone")] == ["s1"]
    assert world.session().cause == Cause.KEEPER_LOST


def test_running_it_twice_changes_nothing_more(world: World) -> None:
    world.run("gone")
    version = world.session().version
    assert world.run("gone") == []
    assert world.session().version == version
