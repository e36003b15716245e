"""The core's space, walked through without chance: every session within a bound, the shortest ways, all sequences.

Time is abstracted to where it matters: one before and at the last event; one before, at and after the deadline. The
paths are plain data, so that they can be walked on anything that claims to be a session: our tests do it with the
core, with the whole client on pretended browsers, and once with real ones.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from lifecycle.core import (
    LIVE,
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
)
from lifecycle.core.events import (
    MAX_TIME,
    SessionAccessed,
    SessionExtended,
    SessionNavigated,
    SessionReleased,
    SessionStarted,
)
from lifecycle.core.evolve import trigger_of
from lifecycle.testing.invariants import orders
from lifecycle.testing.runs import Run, Step, play
from lifecycle.testing.samples import OWNER, SECOND, created

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lifecycle.core import Command, Event

__all__ = [
    "CREATE",
    "MOVES",
    "WHENS",
    "Move",
    "closure",
    "moves",
    "sequences",
    "shortest_paths",
    "standing",
    "transition_paths",
    "walk",
]

IDLE: Final = 2 * SECOND
LONGEST: Final = 3 * SECOND
CREATE: Final = Create(event=created(limits=Limits(idle_timeout_us=IDLE, max_duration_us=LONGEST), owner=OWNER))
#: an access as late as the clock says, and one that was coalesced
_NOW, _EARLIER = 0, -IDLE

#: where a clock can stand, seen from a session
WHENS: Final = ("back", "still", "D - 1", "D", "D + 1")
#: one of every kind of command; an int stands for an access so many µs after the clock's reading
MOVES: Final[tuple[Command | int, ...]] = (
    CREATE,
    Start(event=SessionStarted(ownership="launched")),
    Record(event=SessionNavigated(tab="t")),
    _NOW,
    _EARLIER,
    Extend(by_us=IDLE),
    Close(cause=Cause.STOPPED),
    Fail(cause=Cause.BROWSER_CRASHED),
    Expire(),
    Release(event=SessionReleased(how="graceful")),
)


@dataclass(frozen=True, slots=True)
class Move:
    """A command, and where the clock stands when it is given."""

    order: Command | int
    when: str

    def clock(self, session: Session | None) -> int:
        """The reading, in µs."""
        if session is None:
            return CREATE.event.at
        ends = deadline(session)
        return {
            "back": session.last_at - 1,
            "still": session.last_at,
            "D - 1": ends - 1,
            "D": ends,
            "D + 1": ends + 1,
        }[self.when]

    def command(self, clock: int) -> Command:
        """The command as it is given at *clock*."""
        if isinstance(self.order, int):
            return Record(event=SessionAccessed(last_at=min(max(clock + self.order, 0), MAX_TIME), by="gate"))
        return self.order

    @property
    def name(self) -> str:
        """What it is called, and when."""
        if isinstance(self.order, int):
            return f"access at {self.when}"
        return f"{self.order.name} at {self.when}"


def moves(whens: Sequence[str] = WHENS) -> tuple[Move, ...]:
    """Every command, those that were registered included, at each of *whens*."""
    return tuple(Move(order, when) for order, when in product((*MOVES, *orders()), whens))


def walk(path: Sequence[Move]) -> Run:
    """The run that *path* gives, on the core."""
    steps: list[Step] = []
    session: Session | None = None
    for move in path:
        clock = move.clock(session)
        history = tuple(event for step in steps for event in step.events or ())
        steps.append(play(session, move.command(clock), clock, history))
        session = steps[-1].after
    return Run(tuple(steps))


def standing(session: Session) -> tuple[object, ...]:
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


def closure(extensions: int = 1) -> tuple[Step, ...]:
    """Every move in every session that can be reached with so many extensions at most; each step knows its history.

    The only bound is on the extensions: without it a session can be extended for ever. Nothing is sampled, so nothing
    within the bound is missed.
    """
    first = play(None, CREATE, CREATE.event.at, ())
    assert first.after is not None
    steps, todo = [first], deque([(first.after, 0, first.events or ())])
    seen = {(standing(first.after), 0)}
    every = moves()
    while todo:
        session, extended, history = todo.popleft()
        for move in every:
            clock = move.clock(session)
            step = play(session, move.command(clock), clock, history)
            now = extended + any(isinstance(event, SessionExtended) for event in step.events or ())
            if now > extensions:
                continue
            steps.append(step)
            assert step.after is not None
            if (standing(step.after), now) not in seen:
                seen.add((standing(step.after), now))
                todo.append((step.after, now, history + (step.events or ())))
    return tuple(steps)


_SIMPLE: Final = tuple(Move(order, when) for order, when in product(MOVES[1:], ("still", "D")))


def shortest_paths() -> dict[str, tuple[Move, ...]]:
    """The shortest way to each standing: the statuses, and `released` for each ending that was reached."""
    found: dict[str, tuple[Move, ...]] = {}
    for path in _breadth_first():
        session = walk(path).session
        name = f"{session.status} released" if session.released else session.status.value
        found.setdefault(name, path)
    return found


def transition_paths() -> dict[str, tuple[Move, ...]]:
    """The shortest way through each row of the table; its last move takes the row."""
    found: dict[str, tuple[Move, ...]] = {}
    for path in _breadth_first():
        last = walk(path).steps[-1]
        if last.before is not None:
            for event in last.events or ():
                found.setdefault(f"{last.before.status} {trigger_of(event.type)}", path)
    return found


def _breadth_first() -> Iterator[tuple[Move, ...]]:
    """Paths in the order of their length; none that does nothing, none beyond a session already standing so."""
    create = (Move(CREATE, "still"),)
    yield create
    todo: deque[tuple[Move, ...]] = deque([create])
    seen: set[tuple[object, ...]] = set()
    while todo:
        path = todo.popleft()
        before = walk(path).session
        for move in _SIMPLE:
            if before.status in LIVE and move.when == "D" and not isinstance(move.order, Expire):
                continue  # late commands give the timeout too, by a less plain way
            longer = (*path, move)
            step = walk(longer).steps[-1]
            if not step.events:
                continue
            yield longer
            after = walk(longer).session
            if (after.status, after.released) not in seen:
                seen.add((after.status, after.released))
                todo.append(longer)


def sequences(length: int = 4, whens: Sequence[str] = ("still", "D - 1", "D")) -> Iterator[Step]:
    """Every step of all sequences of up to *length* commands after the first, each at each of *whens*.

    A step is given once, with the shortest history that leads to it: two sequences that leave equal sessions go on
    equally, so what follows them is the same. The number of sequences this stands for is (moves × whens) ** length.
    """
    first = play(None, CREATE, CREATE.event.at, ())
    yield first
    assert first.after is not None
    here: dict[tuple[object, ...], tuple[Session, tuple[Event, ...]]] = {}
    here[standing(first.after)] = (first.after, first.events or ())
    seen = set(here)
    every = moves(whens)
    for _ in range(length):
        there: dict[tuple[object, ...], tuple[Session, tuple[Event, ...]]] = {}
        for session, history in here.values():
            for move in every:
                clock = move.clock(session)
                step = play(session, move.command(clock), clock, history)
                yield step
                assert step.after is not None
                if (key := standing(step.after)) not in seen:
                    seen.add(key)
                    there[key] = (step.after, (*history, *(step.events or ())))
        here = there
