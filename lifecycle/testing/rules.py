"""Rule-based state machines: Hypothesis gives orders in any sequence, and the invariants are held against all of them.

    class MyLogRules(LogRules):
        def make_log(self): return MyLog(...)

    TestMyLog = MyLogRules.TestCase                 # pytest and unittest
    prove(MyLogRules)                               # anywhere; fails as well when something was never reached
    prove(LogRules.over(lambda: MyLog(...)))        # by factory

Each machine has a `checker`, one for all of its runs, that counts what was exercised.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from lifecycle.errors import MissingExtra

try:
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
    from hypothesis.stateful import run_state_machine_as_test as _run
except ImportError:
    raise MissingExtra("lifecycle.testing.rules", "testing") from None

from lifecycle.client.async_api import AsyncClient
from lifecycle.client.sync_api import Client
from lifecycle.core import LIVE, Cause, Close, Create, Expire, Fail, Record, Release, Session, deadline, fold, instant
from lifecycle.core.events import Event, Limits, SessionAnnotated, SessionCreated, SessionReleased, SessionStarted
from lifecycle.errors import (
    EventIdReused,
    IllegalHistory,
    KeeperUnavailable,
    LaunchFailed,
    LifecycleError,
    SessionEnded,
    WrongVersion,
)
from lifecycle.log.codec import decode
from lifecycle.log.memory import MemoryLog
from lifecycle.log.port import ANY, EXISTS, NO_STREAM, Cursor, EventLog, Expected, NewEvent, Recorded
from lifecycle.ports import Exit
from lifecycle.testing.fake_host import FakeBrowser
from lifecycle.testing.history import check_history
from lifecycle.testing.invariants import Appending, Broken, Checker, Entry, Look, Quiet, Step, Store, Vacuous, orders
from lifecycle.testing.laws.logs import everything
from lifecycle.testing.laws.worlds import Answer
from lifecycle.testing.runs import play
from lifecycle.testing.samples import OWNER, SECOND, T0
from lifecycle.testing.story import accepted
from lifecycle.testing.strategies import any_event, candidates, clocks, commands
from lifecycle.testing.told import Fact, Told, tell
from lifecycle.testing.virtual_clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from lifecycle.core import Command, SessionView
    from lifecycle.testing.invariants import Coverage

__all__ = ["AsyncClientRules", "ClientRules", "CoreRules", "LogRules", "Rules", "prove"]


_MOST: Final = 8
_SHRINKING: Final = (Phase.shrink, Phase.explain)
_ALL: Final[Any] = list(HealthCheck)


class Rules(RuleBasedStateMachine):
    """What all machines share."""

    #: one for all runs of a class; made anew for each class, with the invariants that are registered then
    checker: ClassVar[Checker]
    #: names that this machine can't reach, and need not: for prove
    besides: ClassVar[tuple[str, ...]] = ()
    #: kinds of subject whose invariants must all have been exercised: for prove
    subjects: ClassVar[tuple[type, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        if "checker" not in type(self).__dict__:
            type(self).checker = Checker()


def prove(
    machine: type[Rules], *, examples: int = 100, steps: int = 30, besides: Iterable[str] = (), shrink: bool = True
) -> Coverage:
    """Run *machine* until it has exercised all that it should; what it did.

    Args:
        examples: How many runs; up to eight times as many if something was never reached.
        steps: How many orders a run has at most.
        besides: Names that it need not reach, such as invariants about what the subject does not have.
        shrink: Make a run that fails as short as it can be; that may take minutes.

    Raises:
        Broken: An invariant does not hold; Hypothesis prints the shortest run that shows it.
        Vacuous: Something was never reached.
    """
    machine.checker = Checker()
    for times in (1, 2, 4, _MOST):
        runs = settings(
            max_examples=examples * times,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=_ALL,
            phases=[phase for phase in Phase if phase not in (() if shrink else _SHRINKING)],
        )
        _run(machine, settings=runs)
        try:
            return machine.checker.require(*machine.subjects, besides={*machine.besides, *besides})
        except Vacuous:
            if times == _MOST:
                raise
    raise AssertionError("unreachable")


class CoreRules(Rules):
    """Any commands to one session, under a clock that aims at its deadline. Override `play` to prove another core."""

    subjects = (Step, Entry, Look)
    #: laws of rows, which the core has none of
    besides = ("6", "8", "55", "56")

    def __init__(self) -> None:
        super().__init__()
        self.session: Session | None = None
        self.clock = T0
        self.history: tuple[Event, ...] = ()

    def play(self, before: Session | None, command: Command, clock: int, history: tuple[Event, ...]) -> Step:
        """What the core under test does."""
        return play(before, command, clock, history)

    def give(self, command: Command, clock: int) -> None:
        """Give *command*, and check what it did."""
        step = self.play(self.session, command, clock, self.history)
        self.checker.step(step)
        self.session, self.clock = step.after, clock
        self.history += step.events or ()

    @initialize(
        idle=st.sampled_from([None, SECOND, SECOND + 1, 2 * SECOND, 3 * SECOND]),
        longest=st.sampled_from([SECOND, 2 * SECOND, 4 * SECOND, 7 * SECOND]),
    )
    def create(self, idle: int | None, longest: int) -> None:
        """Begin."""
        limits = Limits(idle_timeout_us=idle, max_duration_us=longest)
        self.give(Create(event=SessionCreated(session_id="s", owner=OWNER, limits=limits)), self.clock)

    @rule(data=st.data())
    def order(self, data: st.DataObject) -> None:
        """Any command, at any reading of the clock."""
        assert self.session is not None
        clock = data.draw(clocks(self.clock, deadline(self.session)), label="clock")
        self.give(data.draw(commands(clock), label="command"), clock)

    @rule(command=commands(T0))
    def order_at_once(self, command: Command) -> None:
        """Any command; no time has passed."""
        self.give(command, self.clock)


_ENDINGS: Final[tuple[Command, ...]] = (
    Close(cause=Cause.STOPPED),
    Fail(cause=Cause.BROWSER_CRASHED, error_message="gone"),
    Expire(),
)
_RELEASE: Final = Release(event=SessionReleased(how="graceful"))
#: near and never far: a log's clock is one for all sessions, and none would live long under one that jumps to the end
_TICKS: Final = st.sampled_from(
    [("clock", 0)] * 4 + [("clock", 1), ("clock", SECOND // 4), ("clock", -SECOND), ("D", -1), ("D", 0)]
)
_STREAMS: Final = ("s-1", "s-2", "s-3")


class LogRules(Rules):
    """Any use of an EventLog, compared with a list after each.

    Override `raw_rows` to read what is stored past the log's own reading: a broken read can't hide a broken write then.
    """

    subjects = (Appending, Store, Entry)
    #: what a log is told is stamped by its writers, whose clock it does not know
    besides = ("11",)

    def make_log(self) -> EventLog:
        """A new, empty log."""
        raise NotImplementedError(f"{type(self).__name__}.make_log() must give a new, empty log")

    def raw_rows(self, log: EventLog) -> Sequence[Recorded] | None:
        """What is stored, in log order, read without *log*; None if there is no other way than its own."""
        return None

    def reopen(self, log: EventLog) -> EventLog | None:
        """*log* opened again; None if its events die with the object.

        Leave *log* open, as after a crash; close it only where a log can't be open twice.
        """
        return None

    @staticmethod
    def over(
        make_log: Callable[[], EventLog],
        *,
        raw_rows: Callable[[EventLog], Sequence[Recorded] | None] = lambda log: None,
        reopen: Callable[[EventLog], EventLog | None] = lambda log: None,
    ) -> type[LogRules]:
        """The rules over the logs that *make_log* gives."""

        class Over(LogRules):
            def make_log(self) -> EventLog:
                return make_log()

            def raw_rows(self, log: EventLog) -> Sequence[Recorded] | None:
                return raw_rows(log)

            def reopen(self, log: EventLog) -> EventLog | None:
                return reopen(log)

        return Over

    def __init__(self) -> None:
        super().__init__()
        self.log = self.make_log()
        self.clock = T0
        self.model: list[tuple[str, NewEvent]] = []
        self.rows: list[Recorded] = []
        self.sessions: dict[str, Session] = {}
        self.batches: list[tuple[str, list[NewEvent]]] = []
        self.tailed: list[Recorded] = []
        self.cursor: Cursor | None = None
        self._ids = 0

    def teardown(self) -> None:
        """Close."""
        self.log.close()

    def stored(self) -> list[Recorded]:
        """What is stored now, by the raw way if there is one."""
        raw = self.raw_rows(self.log)
        return everything(self.log) if raw is None else list(raw)

    def new(self, event: Event) -> NewEvent:
        """*event* with an id of its own."""
        self._ids += 1
        return NewEvent(event_id=f"e-{self._ids}", event=event, actor="kit", writer="kit")

    def append(self, stream: str, batch: list[NewEvent], expected: Expected) -> object:
        """Append, hold the outcome against the laws of appending, and keep the model; what the log said."""
        told: Any
        try:
            told = self.log.append(stream, batch, expected=expected)
        except LifecycleError as error:
            told = error
        after = self.stored()
        appending = Appending(before=self.rows, stream=stream, batch=batch, expected=expected, told=told, after=after)
        self.checker.check(appending)
        if not isinstance(told, LifecycleError) and not appending.repeated:
            self.model += [(stream, new) for new in batch]
            self.batches.append((stream, batch))
        self.rows = after
        return told

    def head(self, stream: str) -> int:
        """The version of the last event of *stream*, by the model."""
        return sum(name == stream for name, _ in self.model)

    @rule(
        stream=st.sampled_from(_STREAMS),
        idle=st.sampled_from([None, SECOND, 3 * SECOND]),
        expected=st.sampled_from([NO_STREAM, 0, ANY]),
        started=st.booleans(),
    )
    def begin(self, stream: str, idle: int | None, expected: Expected, started: bool) -> None:
        """A session's first event, or its first two; refused where the stream is there already."""
        limits = Limits(idle_timeout_us=idle, max_duration_us=7 * SECOND)
        events: list[Event] = [
            SessionCreated(at=self.clock, session_id=stream, owner=OWNER, limits=limits, browser_path="/b")
        ]
        if started:
            events.append(SessionStarted(at=self.clock, ownership="launched", profile="/p"))
        known = stream in self.sessions
        told = self.append(stream, [self.new(event) for event in events], expected)
        if known:
            assert isinstance(told, WrongVersion | IllegalHistory), f"a second session.created: {told!r}"
        else:
            assert not isinstance(told, LifecycleError), f"session.created was refused: {told!r}"
            session = fold(events)
            assert session is not None
            self.sessions[stream] = session

    def _legal(self, data: st.DataObject, session: Session, most: int) -> tuple[list[Event], Session]:
        events: list[Event] = []
        for _ in range(data.draw(st.integers(1, most), label="commands")):
            origin, by = data.draw(_TICKS, label="clock")
            self.clock = by + (deadline(session) if origin == "D" else self.clock)
            step = play(session, data.draw(commands(self.clock), label="command"), self.clock)
            events += step.events or ()
            assert step.after is not None
            session = step.after
        return events, session

    def _some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.sessions)), label="stream")

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), expectation=st.sampled_from(["head", "head", "exists", "any"]))
    def go_on(self, data: st.DataObject, expectation: str) -> None:
        """Legal events, one or more in a batch, with an expectation that holds."""
        stream = self._some(data)
        events, session = self._legal(data, self.sessions[stream], 3)
        if events:
            choices: dict[str, Expected] = {"head": self.head(stream), "exists": EXISTS, "any": ANY}
            expected = choices[expectation]
            told = self.append(stream, [self.new(event) for event in events], expected)
            assert not isinstance(told, LifecycleError), f"legal events were refused: {told!r}"
            self.sessions[stream] = session

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), command=st.sampled_from(_ENDINGS))
    def end(self, data: st.DataObject, command: Command) -> None:
        """An ending in one batch with what follows it, where the session still lives; else what is left to follow."""
        stream = self._some(data)
        session = self.sessions[stream]
        events: list[Event] = []
        for each in (command, _RELEASE):
            step = play(session, each, self.clock)
            events += step.events or ()
            assert step.after is not None
            session = step.after
        if events:
            told = self.append(stream, [self.new(event) for event in events], self.head(stream))
            assert not isinstance(told, LifecycleError), f"an ending was refused: {told!r}"
            self.sessions[stream] = session

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), off=st.sampled_from([-1, 1, 5]))
    def go_on_from_elsewhere(self, data: st.DataObject, off: int) -> None:
        """Legal events, expected to follow another version than they do: a conflict."""
        stream = self._some(data)
        events, _ = self._legal(data, self.sessions[stream], 2)
        if events:
            told = self.append(stream, [self.new(event) for event in events], max(self.head(stream) + off, 0))
            assert isinstance(told, WrongVersion), f"a conflict was not told: {told!r}"

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def forge(self, data: st.DataObject) -> None:
        """One event that evolve would refuse, alone or behind a legal one: nothing is written."""
        stream = self._some(data)
        session = self.sessions[stream]
        forged = data.draw(candidates(session) | any_event, label="event")
        if accepted(session, forged):
            return
        told = self.append(stream, [self.new(forged)], ANY)
        assert isinstance(told, LifecycleError), f"an illegal {forged.type} was taken: {told!r}"
        if session.status in LIVE and session.last_at < deadline(session):
            legal = SessionAnnotated(at=session.last_at, name="before")
            told = self.append(stream, [self.new(legal), self.new(forged)], ANY)
            assert isinstance(told, LifecycleError), f"a batch with an illegal {forged.type} was taken: {told!r}"

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), expected=st.sampled_from([0, 1, NO_STREAM, EXISTS, ANY]))
    def retry(self, data: st.DataObject, expected: Expected) -> None:
        """A batch that stands in the log already: the first positions, whatever is expected."""
        stream, batch = data.draw(st.sampled_from(self.batches), label="batch")
        told: Any = self.append(stream, batch, expected)
        assert getattr(told, "duplicate", False), f"a retry was not known as one: {told!r}"

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def reuse_an_id(self, data: st.DataObject) -> None:
        """The id of an event with other content: refused."""
        stream, batch = data.draw(st.sampled_from(self.batches), label="batch")
        other = NewEvent(
            event_id=batch[0].event_id, event=SessionAnnotated(at=T0, name="another"), actor="kit", writer="kit"
        )
        told = self.append(stream, [other], ANY)
        assert isinstance(told, EventIdReused), f"an id was used again: {told!r}"

    @rule(stream=st.sampled_from(_STREAMS), after=st.integers(0, 8), until=st.none() | st.integers(0, 8))
    def read(self, stream: str, after: int, until: int | None) -> None:
        """A part of a stream."""
        found = [row.version for row in self.log.read(stream, after, until)]
        last = self.head(stream) if until is None else min(until, self.head(stream))
        assert found == list(range(after + 1, last + 1)), f"read({stream}, {after}, {until}) gave {found}"

    @rule(limit=st.sampled_from([1, 2, 5]), pages=st.integers(1, 4))
    def tail(self, limit: int, pages: int) -> None:
        """A reader that goes on where it stopped."""
        for _ in range(pages):
            page = self.log.read_all(self.cursor, limit=limit)
            self.tailed += page.events
            self.cursor = page.cursor
        assert self.tailed == self.rows[: len(self.tailed)], "a tailing reader saw something else than is stored"

    @rule()
    def look_into_the_index(self) -> None:
        """Lists, counts, single sessions; and all of the log by its own reading."""
        self.checker.check(Store(log=self.log, now=self.clock, earlier=self.rows))
        report = self.log.sessions.rebuild()
        assert report.equal, f"a rebuild found {report.differing} to be something else"

    @rule()
    def open_again(self) -> None:
        """Open once more, and go on with that."""
        again = self.reopen(self.log)
        if again is not None:
            self.log.close()
            self.log = again
            self.checker.check(Store(log=again, now=self.clock, earlier=self.rows))

    @invariant()
    def stored_as_appended(self) -> None:
        """What is stored is what was appended, and a history that can have happened."""
        rows = self.stored()
        found = [(row.stream, row.event_id, row.actor, row.writer) for row in rows]
        expected = [(stream, new.event_id, new.actor, new.writer) for stream, new in self.model]
        assert found == expected, f"stored are {found}, appended were {expected}"
        for row, (_, new) in zip(rows, self.model, strict=True):
            assert decode(row) == new.event, f"{new.event!r} is stored as {row!r}"
        for violation in check_history(rows, checker=self.checker):
            raise Broken(violation, rows)


_ONE_IN_FIVE: Final = st.sampled_from([False, False, False, False, True])
_NAPS_US: Final = (1, 1000, SECOND // 2, SECOND, 5 * SECOND)


def _annotations() -> list[tuple[str, Any]]:
    """The event types of an embedder's own that were registered, as a client gives them."""
    noted = [order.event for order in orders() if isinstance(order, Record)]
    return [(event.name, event.data) for event in noted if isinstance(event, SessionAnnotated)]


class ClientRules(Rules):
    """The whole client: sessions that are started, used and ended in every way, on a clock that jumps.

    The default is MemoryLog and FakeBrowser. Override `make_log`; or `make_client`, and the hooks that reach behind it,
    for a host of your own, which must go by `self.clock`.
    """

    subjects = (Entry, Look, Store, Quiet)
    #: what takes more than one thread, a crash or an event with private fields
    besides = ("11", "45-kept", "51", "52", "56", "created note", "created close", "created expire")

    def make_log(self) -> EventLog:
        """A new, empty log."""
        return MemoryLog()

    def make_client(self) -> Client:
        """The client under test, on `self.log` and `self.clock`."""
        self.host = FakeBrowser()
        return Client(log=self.log, browser=self.host, clock=self.clock)

    def kill_browser(self, session_id: str) -> None:
        """Kill the session's browser from outside."""
        if (browser := self.host.browsers.get(session_id)) is not None:
            browser.end(Exit(signal=9))

    def quit_browser(self, session_id: str) -> None:
        """Have the session's browser quit by itself."""
        if (browser := self.host.browsers.get(session_id)) is not None:
            browser.end(Exit(code=0))

    def lose_keeper(self) -> None:
        """Kill the keeper of all sessions."""
        self.host.lose_keeper()

    def break_launch(self, broken: bool) -> None:
        """Have browsers not come up from now on, or come up again."""
        self.host.fail_launch = "told to fail" if broken else None

    def running(self) -> set[str]:
        """The ids of the sessions whose browser runs."""
        return {session_id for session_id, browser in self.host.browsers.items() if browser.running}

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(T0)
        self.log = self.make_log()
        self.client: Any = self.make_client()
        self.sessions: list[Any] = []
        self.looks: dict[str, Look] = {}
        self.answers: list[Answer] = []
        self.died: set[str] = set()

    def call(self, given: Any) -> Any:
        """The outcome of a call; of the async twin, what awaiting it gives."""
        return given

    def teardown(self) -> None:
        """Let everything come to its end, and look what is left."""
        try:
            self.come_to_rest()
        finally:
            for session in self.sessions:
                self.call(session.stop())
            self.call(self.client.close())
            self.clock.settle()
            self.log.close()

    def _some(self, data: st.DataObject) -> Any:
        return data.draw(st.sampled_from(self.sessions), label="session")

    @precondition(lambda self: len(self.sessions) < 4)
    @rule(
        idle_s=st.sampled_from([1, 2, 5]),
        longest_s=st.sampled_from([5, 8]),
        broken=st.sampled_from([False] * 4 + [True]),
    )
    def start(self, idle_s: int, longest_s: int, broken: bool) -> None:
        """Start a session; one in five has a browser that does not come up."""
        session = self.client.Session(page=False, idle_timeout_minutes=idle_s / 60, max_duration_minutes=longest_s / 60)
        self.break_launch(broken)
        try:
            self.call(session.start())
        except LaunchFailed:
            assert broken, "a launch failed that should not"
        except (SessionEnded, KeeperUnavailable):
            pass  # lost its keeper on the way
        finally:
            self.break_launch(False)
        self.sessions.append(session)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        """Stop a session, whatever its state."""
        session = self._some(data)
        view = self.call(session.stop())
        again = self.call(session.stop())
        assert (view.status, view.closed_at) == (again.status, again.closed_at), f"{view} and then {again}"
        self.answers.append(Answer(session_id=session.session_id, view=view))

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), how=st.sampled_from(["touch", "extend", "annotate"]))
    def use(self, data: st.DataObject, how: str) -> None:
        """Use a session; an ended one says so."""
        session = self._some(data)
        try:
            match how:
                case "touch":
                    self.call(session.touch())
                case "extend":
                    self.call(session.extend(minutes=2 / 60))
                case _:
                    for name, said in (("step", {"n": 1}), *_annotations()):
                        self.call(session.annotate(name, said))
        except SessionEnded:
            assert self.call(session.status()).status not in LIVE, "a live session said that it had ended"
        except LifecycleError as error:
            if self.call(session.status()).status in LIVE:
                raise AssertionError(f"a live session refused to {how}") from error

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """What a reader sees."""
        session = self._some(data)
        now = self.clock.now()
        view: SessionView | None = self.call(session.status())
        if view is None:
            return
        told: Told | None = None
        for row in self.log.read(session.session_id, until=view.version):
            told = tell(told, Fact.read(row))
        assert told is not None
        found = Look(told, now, view, self.looks.get(session.session_id))
        self.checker.check(found)
        self.looks[session.session_id] = found

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), how=st.sampled_from(["kill", "quit", "keeper"]))
    def lose(self, data: st.DataObject, how: str) -> None:
        """The world takes a browser or the keeper away."""
        session = self._some(data)
        if how == "keeper":
            self.lose_keeper()
            return
        if session.session_id in self.running():
            self.died.add(session.session_id)
        self.kill_browser(session.session_id) if how == "kill" else self.quit_browser(session.session_id)

    @rule(us=st.sampled_from(_NAPS_US))
    def let_time_pass(self, us: int) -> None:
        """A moment, or longer than a session may live."""
        self.clock.sleep(us / 1e6)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), off=st.sampled_from([-1, 0, 1]))
    def wait_for_the_deadline(self, data: st.DataObject, off: int) -> None:
        """Until one before, at or one after the deadline of a session."""
        view: SessionView | None = self.call(self._some(data).status())
        if view is not None and view.status in LIVE:
            self.clock.sleep_until(instant(view.deadline) + off)

    @rule(seconds=st.sampled_from([-3600, -2, -1e-6, 2]))
    def set_the_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.clock.step(seconds)

    @precondition(lambda self: self.sessions)
    @rule()
    def come_to_rest(self) -> None:
        """Until nothing is under way: what runs is what is active, and the log is whole."""
        self.clock.settle()
        live = [view for view in self.call(self.client.sessions.list()) if view.status in LIVE]
        if live:
            self.clock.sleep_until(max(instant(view.deadline) for view in live) - 1)
        self.clock.sleep(20)
        self.clock.settle()
        now = self.clock.now()
        quiet = Quiet(log=self.log, now=now, running=self.running(), answers=tuple(self.answers), died=self.died)
        self.checker.check(quiet, Store(log=self.log, now=now))

    @invariant()
    def history_holds(self) -> None:
        """The record is one that can have happened."""
        self.clock.settle()
        rows = everything(self.log, 1000)
        for violation in check_history(rows, checker=self.checker):
            raise Broken(violation, rows)


class AsyncClientRules(ClientRules):
    """The same rules for AsyncClient, on an event loop of the machine's own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        super().__init__()

    def make_client(self) -> Any:
        """An AsyncClient on `self.log` and `self.clock`."""
        self.host = FakeBrowser()
        return AsyncClient(log=self.log, browser=self.host, clock=self.clock)

    def call(self, given: Any) -> Any:
        """Await what the async twin gave."""
        if asyncio.iscoroutine(given):
            coroutine: Coroutine[Any, Any, Any] = given
            return self._runner.run(coroutine)
        return given

    def teardown(self) -> None:
        """As ClientRules, and close the loop."""
        try:
            super().teardown()
        finally:
            with suppress(RuntimeError):
                self._runner.close()
