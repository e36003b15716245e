"""Every session that a bounded life can reach, found by breadth-first search, and the laws checked in all of them.

Clocks stand where it hurts: one before and at the last event, one before, at and after the deadline. The only bound is
on the number of extensions: without it a session can be extended for ever. Nothing is sampled, so nothing is missed.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest

from lifecycle.core import (
    ENDED,
    LIVE,
    LOOKUP,
    Cause,
    Close,
    Create,
    Expire,
    Extend,
    Fail,
    Limits,
    Record,
    Release,
    Session,
    Start,
    deadline,
    evolve,
    legal,
    view,
)
from lifecycle.core.events import (
    SessionAccessed,
    SessionExtended,
    SessionNavigated,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
)
from lifecycle.core.evolve import trigger_of
from lifecycle.testing.given import accepted, emitted
from lifecycle.testing.runs import Step, play
from lifecycle.testing.samples import OWNER, SAMPLES, SECOND, T0, created

if TYPE_CHECKING:
    from lifecycle.core import Command, Event

EXTENSIONS: Final = 1
IDLE: Final = 2 * SECOND
LONGEST: Final = 3 * SECOND
START: Final = created(limits=Limits(idle_timeout_us=IDLE, max_duration_us=LONGEST), owner=OWNER)


def commands(clock: int) -> list[Command]:
    """Every kind of command; an access now and one that was coalesced."""
    return [
        Create(event=START),
        Start(event=SessionStarted(ownership="launched")),
        Record(event=SessionNavigated(tab="t")),
        Record(event=SessionAccessed(last_at=clock, by="gate")),
        Record(event=SessionAccessed(last_at=clock - IDLE, by="gate")),
        Extend(by_us=IDLE),
        Close(cause=Cause.STOPPED),
        Fail(cause=Cause.BROWSER_CRASHED),
        Expire(),
        Release(event=SessionReleased(how="graceful")),
    ]


def clocks(session: Session) -> list[int]:
    ends = deadline(session)
    return sorted({session.last_at - 1, session.last_at, ends - 1, ends, ends + 1})


Key = tuple[object, ...]


def key(session: Session) -> Key:
    """What makes two sessions the same for all that can follow: whatever events change, but the version."""
    return (
        session.status,
        session.released,
        session.cause,
        session.last_at,
        session.last_accessed_at,
        session.started_at,
        session.closed_at,
        session.extended_until,
    )


@cache
def closure() -> tuple[Step, ...]:
    """Every command at every clock in every session that can be reached."""
    first = evolve(None, START)
    seen, todo, steps = {(key(first), 0)}, deque([(first, 0)]), list[Step]()
    while todo:
        session, extensions = todo.popleft()
        for clock in clocks(session):
            for command in commands(clock):
                step = play(session, command, clock)
                extended = extensions + any(isinstance(event, SessionExtended) for event in step.events or ())
                if extended > EXTENSIONS:
                    continue
                steps.append(step)
                there = after(step)
                if (key(there), extended) not in seen:
                    seen.add((key(there), extended))
                    todo.append((there, extended))
    return tuple(steps)


def before(step: Step) -> Session:
    assert step.before is not None
    return step.before


def after(step: Step) -> Session:
    assert step.after is not None
    return step.after


@cache
def events() -> list[tuple[Step, Event]]:
    return [(step, event) for step in closure() for event in step.events or ()]


@cache
def sessions() -> list[Session]:
    return list({key(after(step)): after(step) for step in closure()}.values())


def test_the_search_is_not_empty_and_ends() -> None:
    assert 100 < len(sessions()) < 2_000


def test_41_it_takes_every_row_of_the_table() -> None:
    assert {(before(step).status, trigger_of(event.type)) for step, event in events()} == set(LOOKUP)


def test_40_every_live_session_can_reach_every_ending() -> None:
    """In one step even: what a live session can always do is end, in each of the three ways."""
    endings: dict[Key, set[str]] = {}
    for step in closure():
        if before(step).status in LIVE and after(step).status in ENDED:
            endings.setdefault(key(before(step)), set()).add(after(step).status)
    for session in sessions():
        if session.status in LIVE:
            assert session.last_at < deadline(session)
            assert endings[key(session)] == set(ENDED)


def test_3_7_a_session_ends_once_starts_once_and_is_released_once() -> None:
    for step, event in events():
        here, there = before(step), after(step)
        assert here.status in LIVE or isinstance(event, SessionReleased)
        assert here.started_at is None or not isinstance(event, SessionStarted)
        assert not here.released
        if here.status in ENDED:
            assert (there.status, there.closed_at, there.cause) == (here.status, here.closed_at, here.cause)


def test_10_11_12_13_every_stamp_is_right() -> None:
    for step, event in events():
        here = before(step)
        ends, now = deadline(here), max(step.clock, here.last_at)
        assert here.last_at <= event.at <= now
        if isinstance(event, SessionTimedOut):
            assert event.at == ends <= now
        else:
            assert event.at == now
            assert here.status in ENDED or now < ends


def test_14_a_live_session_past_its_deadline_answers_everything_with_the_timeout() -> None:
    for step in closure():
        late = before(step).status in LIVE and max(step.clock, before(step).last_at) >= deadline(before(step))
        timed_out = [event.type for event in step.events or ()] == ["session.timed_out"]
        if isinstance(step.command, Create | Release):
            assert not timed_out
        else:
            assert timed_out == late


def test_15_16_20_the_deadline_and_the_last_access_never_move_back() -> None:
    for step in closure():
        assert deadline(after(step)) >= deadline(before(step))
        assert after(step).created_at <= before(step).last_accessed_at <= after(step).last_accessed_at
        assert after(step).last_accessed_at <= after(step).last_at


def test_21_22_23_24_duration_grows_to_the_deadline_and_never_shrinks() -> None:
    for step in closure():
        now = max(step.clock, before(step).last_at)
        assert view(after(step), now).duration >= view(before(step), now).duration
    for session in sessions():
        times = [session.last_at - 1, *clocks(session), deadline(session) + SECOND]
        seen = [view(session, now) for now in sorted(times)]
        assert [one.duration for one in seen] == sorted(one.duration for one in seen)
        assert all(one.duration <= one.deadline - one.created_at for one in seen)
        assert session.status in LIVE or len({one.duration for one in seen}) == 1


def test_36_37_38_39_what_is_refused_and_what_does_nothing() -> None:
    for step in closure():
        if isinstance(step.command, Close):
            assert step.events is not None
            assert after(step).status in ENDED
        if isinstance(step.command, Expire):
            assert step.events is not None
        if before(step).status in ENDED:
            idle = isinstance(step.command, Close | Expire)
            assert step.events == () if idle else (step.events is None) != isinstance(step.command, Release)
        elif max(step.clock, before(step).last_at) < deadline(before(step)):
            assert (step.events is not None) == (step.command.name in legal(before(step).status))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda event: event.type)
def test_27_evolve_accepts_exactly_what_decide_emits(sample: Event) -> None:
    """Every type of event, at every clock, in every session that can be reached."""
    verdicts: Counter[bool] = Counter()
    for session in sessions():
        for at in clocks(session):
            event = sample.model_copy(update={"at": at})
            if isinstance(event, SessionAccessed):
                event = event.model_copy(update={"last_at": min(at, T0 + SECOND)})
            if isinstance(event, SessionExtended):
                event = event.model_copy(update={"until": at + IDLE})
            verdict = accepted(session, event)
            assert verdict == emitted(session, event)
            verdicts[verdict] += 1
    assert verdicts[False]
    assert verdicts[True] or sample.type == "session.created"
