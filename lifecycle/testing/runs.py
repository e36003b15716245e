"""Runs of the core: commands given one after another, and what each met and did. Nothing here needs Hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lifecycle.core import LIVE, Session, decide, evolve
from lifecycle.errors import IllegalCommand

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifecycle.core import Command, Event

__all__ = ["Run", "Step", "play"]


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a run: what it met, when by the clock, and what it did.

    `events` is None where it was refused, () where nothing happened. `history` is all that happened before, as far as
    the caller knows it.
    """

    before: Session | None
    command: Command
    clock: int
    events: tuple[Event, ...] | None
    after: Session | None
    error: IllegalCommand | None = field(default=None, compare=False)
    history: tuple[Event, ...] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Run:
    """A life: the commands in their order. Begins with an accepted create."""

    steps: tuple[Step, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """The history that the run left."""
        return tuple(event for step in self.steps for event in step.events or ())

    @property
    def session(self) -> Session:
        """The session after the run."""
        last = self.steps[-1].after
        assert last is not None
        return last

    @property
    def live(self) -> Run:
        """The run up to where its session still lived."""
        return Run(tuple(step for step in self.steps if step.after and step.after.status in LIVE))

    @property
    def recorded(self) -> Iterable[tuple[Step, Session | None, Event]]:
        """Every event with its step and the session it met."""
        for step in self.steps:
            before = step.before
            for event in step.events or ():
                yield step, before, event
                before = evolve(before, event)


def play(before: Session | None, command: Command, clock: int, history: tuple[Event, ...] | None = None) -> Step:
    """Give *command* at *clock* (µs) and record what happened."""
    try:
        events = decide(before, command, clock)
    except IllegalCommand as error:
        return Step(before, command, clock, None, before, error, history)
    after = before
    for event in events:
        after = evolve(after, event)
    return Step(before, command, clock, events, after, None, history)
