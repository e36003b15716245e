"""given / when / then for the core: a history, a command at a time, and what must come of it. No test runner needed.

    given(created(), started()).when(Close(cause=Cause.STOPPED), at=T0 + MINUTE).then(closed(at=T0 + MINUTE))

What does not come as it was said raises AssertionError with the difference, field by field.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lifecycle.core import (
    Close,
    Create,
    Expire,
    Extend,
    Fail,
    Record,
    Release,
    Session,
    Start,
    State,
    decide,
    evolve,
    fold,
    legal,
    moment,
)
from lifecycle.core.events import (
    SessionClosed,
    SessionCreated,
    SessionExtended,
    SessionFailed,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
)
from lifecycle.errors import IllegalCommand, IllegalHistory
from lifecycle.testing.runs import Step, play

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.core import Command, Event

__all__ = ["Given", "Outcome", "accepted", "emitted", "given", "lines", "order"]

_TIMES: Final = ("at", "last_at", "until")


def lines(events: Sequence[Event]) -> list[str]:
    """*events* as lines of text, one for the event and one for each field that is not empty."""
    found: list[str] = []
    for number, event in enumerate(events, start=1):
        found.append(f"{number}. {event.type}")
        for name in type(event).model_fields:
            value = getattr(event, name)
            if value is not None and value != {} and value != ():
                shown = f"{value}  {moment(value):%Y-%m-%d %H:%M:%S.%f}" if name in _TIMES else repr(value)
                found.append(f"     {name} = {shown}")
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    step: Step

    @property
    def events(self) -> tuple[Event, ...] | None:
        """The events it caused; () when nothing happened, None when it was refused."""
        return self.step.events

    def then(self, *expected: Event) -> Session:
        """Exactly these events, in this order; returns the session after them."""
        if self.step.events != expected:
            raise AssertionError(self._told(lines(expected) or ["nothing happens"]))
        after = fold(expected, self.step.before)
        assert after is not None  # no command is accepted where there is no session, but the one that makes it
        return after

    def then_nothing(self) -> None:
        """Accepted, and nothing happens."""
        if self.step.events != ():
            raise AssertionError(self._told(["nothing happens"]))

    def then_refused(self, command: str | None = None) -> IllegalCommand:
        """Refused, naming the command (*command*, where its name says less), the state and what is legal there."""
        error, before = self.step.error, self.step.before
        if error is None:
            raise AssertionError(self._told(["refused"]))
        state = "not created" if before is None else before.status
        options = legal(None if before is None else State(before.status))
        named = command or error.command
        seen, expected = (error.command, error.state, error.legal), (named, state, options)
        if seen != expected or not all(word in str(error) for word in (named, state, *options)):
            raise AssertionError(
                f"the refusal is not what it should be\n  expected {expected}\n  seen     {seen}: {error}"
            )
        return error

    def _told(self, expected: list[str]) -> str:
        step = self.step
        seen = ["refused"] if step.events is None else lines(step.events) or ["nothing happens"]
        where = "no session" if step.before is None else f"a session that is {step.before.status}"
        head = f"{step.command.name} on {where}, at {step.clock}"
        diff = list(difflib.unified_diff(expected, seen, "expected", "seen", lineterm="", n=99))
        return "\n".join([head, *diff[:2], *diff[3:], *([str(step.error)] if step.error else [])])


@dataclass(frozen=True, slots=True)
class Given:
    """A history to begin with."""

    before: Session | None
    history: tuple[Event, ...] = ()

    def when(self, command: Command, at: int) -> Outcome:
        """Give *command* when the clock reads *at* (µs)."""
        return Outcome(play(self.before, command, at, self.history))


def given(*events: Event) -> Given:
    """A session with this history; none without events."""
    return Given(fold(events), events)


def order(event: Event) -> Command | None:
    """The command that would make decide emit *event* at its own time, if any could."""
    match event:
        case SessionCreated():
            return Create(event=event)
        case SessionStarted():
            return Start(event=event)
        case SessionExtended(at=at, until=until):
            return Extend(by_us=until - at) if until > at else None
        case SessionClosed(cause=cause, evidence=evidence):
            return Close(cause=cause, evidence=evidence)
        case SessionFailed():
            # Without Fail's cutting: a history may hold longer texts than today's command would record.
            return Fail.model_construct(**{name: getattr(event, name) for name in Fail.model_fields})
        case SessionTimedOut(evidence=evidence):
            return Expire(evidence=evidence)
        case SessionReleased():
            return Release(event=event)
        case _:
            note: Any = event
            return Record(event=note)  # pydantic refuses what is not a note


def emitted(before: Session | None, event: Event) -> bool:
    """Whether decide would emit exactly *event* on *before*."""
    command = order(event)
    if command is None:
        return False
    try:
        return decide(before, command, event.at) == (event,)
    except IllegalCommand:
        return False


def accepted(before: Session | None, event: Event) -> bool:
    """Whether evolve takes *event* after *before*."""
    try:
        evolve(before, event)
    except IllegalHistory:
        return False
    return True
