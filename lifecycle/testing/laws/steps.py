"""Laws of the core: what one command does to one session at one reading of the clock, and what may follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from lifecycle.core import (
    ENDED,
    LIVE,
    LOOKUP,
    Cause,
    Close,
    Event,
    Expire,
    Extend,
    Fail,
    Record,
    Release,
    Session,
    Start,
    State,
    deadline,
    evolve,
    fold,
    legal,
    load,
)
from lifecycle.core.events import (
    MAX_TIME,
    SessionAccessed,
    SessionCreated,
    SessionExtended,
    SessionNavigated,
    SessionOperation,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
)
from lifecycle.core.evolve import trigger_of
from lifecycle.errors import IllegalHistory
from lifecycle.log.canonical import parse
from lifecycle.log.codec import encode
from lifecycle.testing.runs import Step, play
from lifecycle.testing.told import Fact, Told, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.core import Command
    from lifecycle.testing.laws.facts import Findings

__all__ = ["Space", "retold"]

_STOP: Final = Close(cause=Cause.STOPPED)
#: one of every kind that a session may be given
_EACH: Final[tuple[Command, ...]] = (
    Start(event=SessionStarted(ownership="launched")),
    Record(event=SessionNavigated(tab="t")),
    Extend(by_us=1),
    _STOP,
    Fail(cause=Cause.EXCEPTION),
    Expire(),
    Release(event=SessionReleased(how="graceful")),
)
_ACCESS: Final = (SessionStarted, SessionAccessed, SessionOperation, SessionExtended)
_FAR: Final = (0, 1, 10**9, 10**15)
_LONGEST_CUT: Final = 16


@dataclass(frozen=True, slots=True)
class Space:
    """All steps that a search has taken, and the name it gives to equal sessions."""

    steps: Sequence[Step]


@cache
def _sessions() -> TypeAdapter[Session]:
    return TypeAdapter(Session)


def retold(events: Sequence[Event], stream: str) -> Told | None:
    """The story of *events*, by Told."""
    told: Told | None = None
    for version, event in enumerate(events, start=1):
        told = tell(told, Fact.of(event, stream, version))
    return told


def _history(it: Step) -> tuple[Event, ...] | None:
    return None if it.history is None else it.history + (it.events or ())


def expires_at_the_deadline(it: Step) -> Findings:
    if isinstance(it.command, Expire) and it.before is not None and it.before.status in LIVE and it.history:
        told = retold(it.history, it.before.session_id)
        assert told is not None
        due = max(it.clock, told.last_at) >= told.deadline
        kinds = [event.type for event in it.events or ()]
        yield kinds == (["session.timed_out"] if due else []) or (
            f"expire {'at or after' if due else 'before'} the deadline gave {kinds}"
        )


def deadline_is_history(it: Step) -> Findings:
    history = _history(it)
    if history and it.events and it.after is not None:
        told = retold(history, it.after.session_id)
        assert told is not None
        found = deadline(it.after)
        yield found == told.deadline or f"deadline {found}, the history says {told.deadline}"


def access_never_moves_back(it: Step) -> Findings:
    if it.events and it.before is not None and it.after is not None:
        yield it.after.created_at <= it.before.last_accessed_at <= it.after.last_accessed_at or (
            f"last access went from {it.before.last_accessed_at} to {it.after.last_accessed_at}"
        )


def back_is_still(it: Step) -> Findings:
    if it.before is not None and it.clock < it.before.last_at:
        still = play(it.before, it.command, it.before.last_at)
        yield still.events == it.events or f"at {it.clock}: {it.events}; at the last event: {still.events}"


def one_timeout_however_far(it: Step) -> Findings:
    if it.events and it.after is not None and it.after.status in LIVE:
        ends = deadline(it.after)
        for far in _FAR:
            try:
                first = play(it.after, Expire(), ends + far)
                again = play(first.after, Expire(), ends + far)
            except IllegalHistory as error:
                yield f"a clock {far} µs past the deadline gave what can't follow: {error}"
                return
            found = [(event.type, event.at) for event in (*(first.events or ()), *(again.events or ()))]
            yield found == [("session.timed_out", ends)] or f"a clock {far} µs past the deadline gave {found}"


def equal_stamps_are_ordered(it: Step) -> Findings:
    if it.before is not None and it.after is not None and it.events and it.clock == it.before.last_at:
        yield it.after.version == it.before.version + len(it.events) or (
            f"version {it.after.version} after {len(it.events)} events on {it.before.version}"
        )
        yield it.events[-1].at == it.clock or f"stamped {it.events[-1].at}, it was {it.clock}"


def only_access_moves_the_deadline(it: Step) -> Findings:
    if it.before is not None:
        session = it.before
        for event in it.events or ():
            after = evolve(session, event)
            old, new = deadline(session), deadline(after)
            yield new >= old or f"{event.type} moved the deadline back from {old} to {new}"
            yield new == old or isinstance(event, _ACCESS) or f"{event.type} moved the deadline"
            session = after


def _moved(event: Event, by: int) -> Event:
    times = {name: getattr(event, name) + by for name in ("at", "last_at", "until") if hasattr(event, name)}
    return event.model_copy(update=times)


_TIMES: Final = ("created_at", "last_at", "last_accessed_at", "started_at", "closed_at", "extended_until")


def only_differences_matter(it: Step) -> Findings:
    by, most = 977_000_001, MAX_TIME // 2
    if it.before is None or not (it.before.created_at > 0 and 0 <= it.clock < most and deadline(it.before) < most):
        return
    times = {name: getattr(it.before, name) for name in _TIMES}
    changed: dict[str, Any] = {name: None if at is None else at + by for name, at in times.items()}
    moved = replace(it.before, **changed)
    command = it.command
    if isinstance(command, Record):
        command = Record.model_construct(event=_moved(command.event, by))
    expected = None if it.events is None else tuple(_moved(event, by) for event in it.events)
    found = play(moved, command, it.clock + by).events
    yield found == expected or f"every clock {by} µs later gives {found} in place of {expected}"


def decides_the_same_again(it: Step) -> Findings:
    again = play(it.before, it.command, it.clock)
    yield (again.events, again.after) == (it.events, it.after) or f"the same command again gave {again.events}"


def evolve_refuses_what_decide_would_not_emit(it: Step) -> Findings:
    for event in it.events or ():
        if it.before is None:
            continue
        forged = [event.model_copy(update={"at": it.before.last_at - 1})] if it.before.last_at else []
        if it.before.status in LIVE and not isinstance(event, SessionReleased):
            ends = deadline(it.before)
            forged.append(event.model_copy(update={"at": ends + 1 if isinstance(event, SessionTimedOut) else ends}))
        for false in forged:
            try:
                evolve(it.before, false)
            except IllegalHistory:
                yield True
            else:
                yield f"evolve took {false.type} at {false.at}, which decide would not emit"


def evolve_takes_what_decide_emits(it: Step) -> Findings:
    for _ in it.events or ():
        try:
            found = fold(it.events or (), it.before)
        except IllegalHistory as error:
            yield f"evolve refuses what decide has just emitted: {error}"
        else:
            yield found == it.after or "evolve makes another session of it"
        return


def live_is_fold(it: Step) -> Findings:
    if it.events and (history := _history(it)) is not None:
        yield fold(history) == it.after or "the live session is not the fold of its history"


def cut_anywhere(it: Step) -> Findings:
    history = _history(it)
    if history and it.events and len(history) <= _LONGEST_CUT:
        for cut in range(1, len(history)):
            yield fold(history[cut:], fold(history[:cut])) == it.after or f"a fold cut at {cut} gives another session"


def prefix_is_then(it: Step) -> Findings:
    if it.history is not None and it.events:
        yield fold(it.history) == it.before or "the prefix folds to another session than it was"


def survives_serialisation(it: Step) -> Findings:
    if it.events and it.after is not None:
        found = _sessions().validate_json(_sessions().dump_json(it.after))
        yield found == it.after or "the session comes back from JSON as another"
        for event in it.events:
            encoded = encode(event)
            fields: dict[str, Any] = {**parse(encoded.data), **(parse(encoded.private) if encoded.private else {})}
            back = load(event.type, event.schema_version, event.at, fields)
            yield back == event or f"{event.type} comes back from the log as {back!r}"


def refusal_changes_nothing(it: Step) -> Findings:
    if it.events is None:
        yield it.after is it.before or "a refused command changed the session"
        if it.error is not None:
            options = legal(None if it.before is None else State(it.before.status))
            yield it.error.legal == options or f"the refusal calls {it.error.legal} legal; it is {options}"


def stop_is_idempotent(it: Step) -> Findings:
    if isinstance(it.command, Close) and it.before is not None:
        if it.before.status in ENDED:
            yield it.events == () or f"a stop of an ended session gave {it.events}"
        again = play(it.after, it.command, it.clock + 1)
        yield (again.events, again.after) == ((), it.after) or f"a second stop gave {again.events}"


def ended_refuses(it: Step) -> Findings:
    if it.before is not None and it.before.status in ENDED:
        match it.command:
            case Expire():
                yield it.events == () or f"expire on an ended session gave {it.events}"
            case Start() | Record() | Extend() | Fail():
                yield it.events is None or f"{it.command.name} on an ended session gave {it.events}"
            case _:
                return


def stop_ends(it: Step) -> Findings:
    if isinstance(it.command, Close) and it.events is not None and it.after is not None:
        yield it.after.status in ENDED or f"after a stop the session is {it.after.status}"


def legal_is_what_is_accepted(it: Step) -> Findings:
    session = it.after
    if session is None or it.before is it.after:
        return
    found = {command.name for command in _EACH if play(session, command, session.last_at).events is not None}
    idle = {"close", "expire"} if session.status in ENDED else set[str]()
    expected = set(legal(session.status)) | idle
    yield found == expected or f"in {session.status} accepted are {sorted(found)}, legal {sorted(expected)}"


def every_ending_is_near(it: Space) -> Findings:
    lives = {step.before.status: step.before for step in it.steps if step.before and step.before.status in LIVE}
    for status, session in lives.items():
        reached = {
            step.after.status
            for command, clock in ((_STOP, session.last_at), (_EACH[4], session.last_at), (Expire(), deadline(session)))
            if (step := play(session, command, clock)).after is not None
        }
        yield reached == set(ENDED) or f"from {status} only {sorted(reached)} can be reached"


def every_row_is_taken(it: Space) -> Findings:
    taken: set[tuple[State, str]] = set()
    for step in it.steps:
        session = step.before
        for event in step.events or ():
            if session is not None and not isinstance(event, SessionCreated):
                taken.add((session.status, trigger_of(event.type)))
            session = evolve(session, event)
    for state, name in LOOKUP:
        yield (state, name) in taken or f"{name} from {state} was never taken"
