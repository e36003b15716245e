"""The invariants: each with an id, a sentence and a check, and the Checker that every engine holds its worlds against.

    checker = Checker()
    for step in steps:
        checker.step(step)            # raises Broken at the first law that does not hold
    checker.require(Step, Entry, Look)  # raises Vacuous where something was never reached
    print(checker.report())

The ids up to 54 are those of docs/reference/invariants.md and stay. An embedder registers more: register(mine) adds
an Invariant (id "shop-1", say) to every Checker made from then on.
"""
# ruff: noqa: E501  # a table: one invariant, one line

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lifecycle.core import LIVE, LOOKUP, State, deadline, view
from lifecycle.core.commands import COMMANDS
from lifecycle.errors import InvalidConfig, LifecycleError
from lifecycle.testing.laws import facts, logs, looks, steps, worlds
from lifecycle.testing.laws.facts import Entry
from lifecycle.testing.laws.logs import Appending, Replayed, Store, Upcast
from lifecycle.testing.laws.looks import Look
from lifecycle.testing.laws.steps import Space
from lifecycle.testing.laws.worlds import Quiet
from lifecycle.testing.runs import Step
from lifecycle.testing.told import Fact, Told, tell, trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lifecycle.core import Command, Session
    from lifecycle.testing.laws.facts import Findings

__all__ = [
    "INVARIANTS",
    "Appending",
    "Broken",
    "Checker",
    "Coverage",
    "Entry",
    "Invariant",
    "Look",
    "Quiet",
    "Replayed",
    "Space",
    "Step",
    "Store",
    "Upcast",
    "Vacuous",
    "Violation",
    "forget",
    "invariants",
    "orders",
    "register",
]


@dataclass(frozen=True, slots=True)
class Invariant:
    """One law. *about* is the type of its subject; *check* yields True or what is wrong for each thing it judged."""

    id: str
    sentence: str
    about: type
    check: Callable[[Any], Findings] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and where."""

    id: str
    sentence: str
    message: str
    stream: str | None = None
    version: int | None = None

    def __str__(self) -> str:
        where = "" if self.stream is None else f" {self.stream}"
        where += "" if self.version is None else f" version {self.version}"
        return f"[{self.id}]{where}: {self.message} ({self.sentence})"


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, violation: Violation, subject: object) -> None:
        super().__init__(f"{violation}\nin {subject!r}")
        self.violation = violation
        self.subject = subject


class Vacuous(AssertionError):
    """A run was green and proves less than it says: something was never reached."""


def _table() -> Iterator[Invariant]:
    for about, rows in _LAWS.items():
        for id, check, sentence in rows:
            yield Invariant(id, sentence, about, check)


_Law: TypeAlias = "tuple[str, Callable[[Any], Findings], str]"
# fmt: off
_LAWS: Final[dict[type, tuple[_Law, ...]]] = {
    Entry: (
        ("1", facts.created_first, "The first event is `created`; no other is."),
        ("2", facts.in_the_table, "Every event is legal, by the table, in the status it met."),
        ("3", facts.one_ending, "There is at most one ending."),
        ("4", facts.after_the_ending, "After an ending comes at most one `released`, which changes neither status, end nor duration."),
        ("5", facts.versions_count, "The versions of a stream are 1 to n, without gap or repeat."),
        ("6", facts.positions_rise, "Positions in the log strictly rise, in the order of the versions."),
        ("7", facts.started_once, "A session starts at most once."),
        ("8", facts.known_shape, "Every event is of a known type, schema version and shape; what is not is reported, never skipped."),
        ("9", facts.own_session, "A session's events stand in the stream of its id."),
        ("10", facts.time_runs_forward, "Times in a history never run back."),
        ("11", facts.not_in_the_future, "No event is stamped later than the writer's now."),
        ("12", facts.timeout_at_the_deadline, "`timed_out` is stamped with the deadline, however late it was noticed."),
        ("13", facts.before_the_deadline, "No other event of a live session is at or after its deadline."),
        ("55", facts.chained, "Every row's hash follows from the row and the hash before it."),
        ("56", facts.private_fits, "A private part is the one that its event was recorded with."),
        ("57", facts.rule_is_the_smaller_limit, "`timed_out` names the limit that set the deadline."),
        ("58", facts.extended_ahead, "An extension reaches past its own moment."),
        ("59", facts.cause_of_its_ending, "Every ending has a cause of its own kind."),
        ("60", facts.access_in_between, "A recorded access is not before creation and not after its own event."),
    ),
    Step: (
        ("14", steps.expires_at_the_deadline, "Expiring before the deadline does nothing; from it on it times out."),
        ("15", steps.deadline_is_history, "The deadline is a function of the history."),
        ("16", steps.access_never_moves_back, "The last access never moves back and is never before creation."),
        ("17", steps.back_is_still, "A clock that steps back is the same as one that stands still."),
        ("18", steps.one_timeout_however_far, "A clock that jumps far ahead yields one timeout, at the deadline."),
        ("19", steps.equal_stamps_are_ordered, "Events of one moment are legal; their order is their version."),
        ("20", steps.only_access_moves_the_deadline, "Only access moves the deadline, and never back."),
        ("25", steps.only_differences_matter, "Only differences of time matter: moving every clock moves every stamp, and nothing else."),
        ("26", steps.decides_the_same_again, "decide is deterministic and changes nothing it was given."),
        ("27", steps.evolve_refuses_what_decide_would_not_emit, "evolve accepts exactly what decide emits."),
        ("28", steps.evolve_takes_what_decide_emits, "evolve never refuses what decide has just emitted."),
        ("29", steps.live_is_fold, "The live session equals the fold of its history."),
        ("30", steps.cut_anywhere, "A fold can be cut and continued anywhere."),
        ("31", steps.prefix_is_then, "A prefix folds to the session as it stood then."),
        ("32", steps.survives_serialisation, "Sessions and events survive serialisation."),
        ("35", steps.refusal_changes_nothing, "A refusal leaves everything as it was."),
        ("36", steps.stop_is_idempotent, "Stopping an ended session is accepted and does nothing."),
        ("37", steps.ended_refuses, "An ended session ignores expiry and refuses start, note, extend and fail."),
        ("38", steps.stop_ends, "After a stop the session is ended."),
        ("39", steps.legal_is_what_is_accepted, "What `legal` lists is what is not refused (an ended session also accepts close and expire, without effect)."),
    ),
    Look: (
        ("17-seen", looks.stepped_back, "A reader whose clock steps back sees no negative duration, and no session that is live again."),
        ("21", looks.as_told, "Status, end and duration are what the events say; duration is capped at the deadline."),
        ("22", looks.duration_grows, "Duration never shrinks: not with time, not across an ending."),
        ("23", looks.duration_rests, "Duration is constant after the ending."),
        ("24", looks.timed_out_lasts_to_the_deadline, "Duration is never negative; a timed-out session's ends at its deadline."),
        ("61", looks.deadline_as_told, "The deadline that a reader sees is the one the events give."),
    ),
    Space: (
        ("40", steps.every_ending_is_near, "Every live session can reach every ending."),
        ("41", steps.every_row_is_taken, "Every row of the table is taken: the laws are not vacuous."),
    ),
    Upcast: (("33", logs.upcast_folds_alike, "An upcast event folds like the one it became."),),
    Replayed: (("34", logs.same_bytes_elsewhere, "Another process with another hash seed gives the same bytes."),),
    Appending: (
        ("42", logs.wrong_expectation_writes_nothing, "An append with a wrong expected version writes nothing and says so."),
        ("43", logs.all_or_nothing, "A batch is all or nothing, also across the death of its writer."),
        ("44", logs.acknowledged_is_there, "What was acknowledged can be read; what is unknown is wholly there or wholly absent."),
        ("45", logs.rows_never_change, "What stands in a log never changes."),
        ("51-log", logs.retry_adds_nothing, "Appending the same event ids again adds nothing."),
    ),
    Store: (
        ("45-kept", logs.earlier_is_a_prefix, "What stood in a log earlier is the beginning of what stands in it now."),
        ("46", logs.statuses_partition, "The lists by status partition the sessions; every id appears once."),
        ("47", logs.index_is_fold, "The index of sessions equals the fold of the log."),
        ("48", logs.tailing_sees_all_once, "A reader of the whole log sees every event once, in order, also when it starts late."),
        ("49", logs.streams_are_apart, "Streams do not influence each other: reading one is the whole log, filtered."),
    ),
    Quiet: (
        ("50", worlds.one_ending_and_everybody_is_told, "However many end a session at once: one ending, and everybody is told that one."),
        ("51", worlds.retried_command_adds_nothing, "A command that is retried after an unknown append leaves one event."),
        ("52", worlds.acknowledged_is_durable, "What was acknowledged survives every crash."),
        ("53", worlds.browser_runs_while_active, "At rest a browser runs exactly while its session is active; none is launched for an ended one; every ended one is released."),
        ("54", worlds.one_ending_for_a_death, "A browser that dies by itself gives one ending, however many report it."),
    ),
}
# fmt: on

INVARIANTS: Final[tuple[Invariant, ...]] = tuple(_table())

_registered: list[Invariant] = []
_orders: list[Command] = []


def register(*things: Invariant | Command) -> None:
    """Add an embedder's own: an Invariant to every Checker made from now on, a command to those that engines give.

    An event type of an embedder's own is an annotation: register Record(event=SessionAnnotated(name=..., data=...)).

    Raises:
        InvalidConfig: Something else, or an id that is taken; nothing was added.
    """
    taken = {known.id for known in invariants()}
    for thing in things:
        if isinstance(thing, Invariant):
            if thing.id in taken:
                raise InvalidConfig("id", thing.id, "one that no other invariant has")
            taken.add(thing.id)
        elif not isinstance(thing, COMMANDS):
            raise InvalidConfig(
                "register", thing, "an Invariant, or a command such as Record(event=SessionAnnotated(…))"
            )
    for thing in things:
        if isinstance(thing, Invariant):
            _registered.append(thing)
        else:
            _orders.append(thing)


def forget(*things: Invariant | Command) -> None:
    """Take back what register added, as far as it is there."""
    for thing in things:
        place: list[Any] = _registered if isinstance(thing, Invariant) else _orders
        with suppress(ValueError):
            place.remove(thing)


def invariants() -> tuple[Invariant, ...]:
    """INVARIANTS and those that were registered."""
    return (*INVARIANTS, *_registered)


def orders() -> tuple[Command, ...]:
    """The commands that were registered, for engines to give besides their own."""
    return tuple(_orders)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a run exercised, and how often. Names that were never reached are in `never`."""

    reached: dict[str, Counter[str]]
    never: dict[str, tuple[str, ...]]

    def __str__(self) -> str:
        lines: list[str] = []
        for kind, counts in self.reached.items():
            total = len(counts) + len(self.never.get(kind, ()))
            lines.append(f"{kind}: {len(counts)} of {total}, {sum(counts.values())} times in all")
            if missing := self.never.get(kind):
                lines.append(f"  never: {', '.join(missing)}")
        return "\n".join(lines)


#: outcomes of the rule that the deadline comes first, and of the table, that a run of the core has to meet
_GUARDS: Final = ("D - 1", "D", "D + 1", "clock back", "accepted", "nothing", "refused")


class Checker:
    """Holds subjects against the invariants about their type, and counts what was exercised.

    Args:
        only: These invariants in place of all that are known.
    """

    def __init__(self, only: Iterable[Invariant] | None = None) -> None:
        self.invariants = tuple(invariants() if only is None else only)
        self._some = only is not None
        self._about: dict[type, list[Invariant]] = {}
        for invariant in self.invariants:
            self._about.setdefault(invariant.about, []).append(invariant)
        self._reached: dict[str, Counter[str]] = {
            kind: Counter() for kind in ("states", "transitions", "guards", "faults", "invariants")
        }
        self._seen: set[type] = set()

    def saw(self, kind: str, name: str) -> None:
        """Count *name* as exercised: kind is states, transitions, guards, faults, or a word of an engine's own."""
        self._reached.setdefault(kind, Counter())[name] += 1

    def violations(self, subject: object) -> Iterator[Violation]:
        """What is wrong with *subject*, law by law, as the caller asks for more.

        Raises:
            Vacuous: No invariant is about such a thing. A Checker of some that were chosen says nothing.
        """
        kind = type(subject)
        if kind not in self._about and not self._some:
            about = ", ".join(sorted(each.__name__ for each in self._about))
            world = "simulated worlds need lifecycle.testing.simulation.checker()"
            raise Vacuous(f"no invariant of this Checker is about {kind.__name__}, they are about {about}; {world}")
        self._seen.add(kind)
        counts = self._reached["invariants"]
        for invariant in self._about.get(kind, ()):
            for found in _judged(invariant, subject):
                counts[invariant.id] += 1
                if found is not True:
                    stream, version = _place(subject)
                    yield Violation(invariant.id, invariant.sentence, str(found or "does not hold"), stream, version)
        if isinstance(subject, Entry):
            self._count(subject)

    def check(self, *subjects: object) -> None:
        """Raise Broken at the first invariant that does not hold of one of *subjects*."""
        for subject in subjects:
            for violation in self.violations(subject):
                raise Broken(violation, subject)

    def step(self, step: Step) -> None:
        """Check a step of the core, every event that it left, and what readers see after it when it matters."""
        self._guard(step)
        self.check(step)
        if step.after is None or step.history is None or not step.events:
            return  # nothing happened: whatever there is to see was seen after the step before
        told = steps.retold(step.history, step.after.session_id)
        for event in step.events:
            version = told.version + 1 if told is not None else 1
            fact = Fact.of(event, step.after.session_id, version)
            self.check(Entry(told, fact, clock=step.clock))
            told = tell(told, fact)
        if told is not None:
            before = steps.retold(step.history, step.after.session_id)
            self.looks(step.after, told, step.before, before)

    def looks(self, session: Session, told: Told, before: Session | None = None, then: Told | None = None) -> None:
        """Check what a reader sees of *session* around its last event and its deadline, and after *before*."""
        earlier: Look | None = None
        if before is not None and then is not None:
            earlier = Look(then, session.last_at - 1, view(before, min(session.last_at, told.deadline) - 1))
        ends = deadline(session)
        for now in sorted({session.last_at - 1, session.last_at, ends - 1, ends, ends + 1, ends + 10**9}):
            look = Look(told, now, view(session, now), earlier)
            self.check(look)
            earlier = look

    def _guard(self, step: Step) -> None:
        self.saw("guards", "refused" if step.events is None else "accepted" if step.events else "nothing")
        if (before := step.before) is not None:
            self._moment(step.clock, before.last_at, deadline(before) if before.status in LIVE else None)

    def _moment(self, clock: int, last_at: int, ends: int | None) -> None:
        if clock < last_at:
            self.saw("guards", "clock back")
        if ends is not None and abs(delta := clock - ends) <= 1:
            self.saw("guards", "D" if not delta else f"D {'+' if delta > 0 else '-'} 1")

    def _count(self, entry: Entry) -> None:
        if entry.stray:
            return
        if entry.told is not None and entry.fact.type != "session.created":
            self.saw("transitions", f"{entry.told.status} {trigger(entry.fact.type)}")
        self.saw("states", entry.after.status)
        if entry.told is not None and entry.clock is not None:
            self._moment(entry.clock, entry.told.last_at, entry.told.deadline if entry.told.live else None)

    def report(self, *, faults: Iterable[str] = ()) -> Coverage:
        """What was exercised so far. *faults* are the kinds of fault that the engine can inject."""
        wanted = {
            "states": [state.value for state in State],
            "transitions": [f"{state} {name}" for state, name in LOOKUP],
            "guards": _GUARDS if Step in self._seen else (),
            "faults": list(faults),
            "invariants": [each.id for each in self.invariants if each.about in self._seen],
        }
        never = {kind: tuple(name for name in names if not self._reached[kind][name]) for kind, names in wanted.items()}
        return Coverage(
            {kind: Counter(counts) for kind, counts in self._reached.items()},
            {kind: names for kind, names in never.items() if names},
        )

    def require(self, *subjects: type, faults: Iterable[str] = (), besides: Iterable[str] = ()) -> Coverage:
        """The coverage; raise Vacuous where something was never reached.

        Args:
            subjects: Types of which there must have been one; all their invariants must have been exercised.
            faults: Kinds of fault that must have been injected.
            besides: Names that this run can't reach, and need not.
        """
        if unseen := [kind.__name__ for kind in subjects if kind not in self._seen]:
            raise Vacuous(f"no {', '.join(unseen)} was ever checked")
        coverage = self.report(faults=faults)
        excused = set(besides)
        missing = {kind: [name for name in names if name not in excused] for kind, names in coverage.never.items()}
        if told := [f"{kind}: {', '.join(names)}" for kind, names in missing.items() if names]:
            raise Vacuous("never reached\n  " + "\n  ".join(told) + f"\nreached\n{coverage}")
        return coverage


def _judged(invariant: Invariant, subject: object) -> Findings:
    try:
        found: Any = invariant.check(subject)
        if found is None or isinstance(found, bool | str):
            yield f"its check gave {found!r}; it must yield True, or a sentence, for each thing it judges"
            return
        yield from found
    except LifecycleError as error:  # the subject is so far off that the library itself refuses it
        yield f"{type(error).__name__}: {error}"
    except Exception as error:
        where = extract_tb(error.__traceback__)[-1]
        yield f"its check failed with {error!r} in {where.name}, {where.filename}:{where.lineno}"


def _place(subject: object) -> tuple[str | None, int | None]:
    match subject:
        case Entry(fact=fact):
            return fact.stream, fact.version
        case Look(told=told):
            return told.session_id, told.version
        case Step(before=before) if before is not None:
            return before.session_id, before.version
        case _:
            return None, None
