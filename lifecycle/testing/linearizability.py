"""Whether what many processes were told could have come from one of them after the other.

    history = [Operation(process=1, invoked=10, returned=20, command=…, result=…), …]
    linearize(history, begin, apply)    an order that explains it, or NotLinearizable

Every operation must seem to take effect at one moment between its invocation and its return (Herlihy and Wing, 1990).
An operation whose process was killed, or that ended unknown, may have taken effect at any moment after its invocation,
or never. The search is Wing and Gong's with Lowe's memory of what was tried (2017): exponential at worst, quick where
few operations overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from lifecycle.core import decide, fold
from lifecycle.errors import IllegalCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from lifecycle.core import Command, Session

__all__ = ["UNKNOWN", "NotLinearizable", "Operation", "apply_command", "linearize"]

_State = TypeVar("_State", bound="Hashable")

#: The result of an operation that nobody was told of.
UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call: moments of any clock that all processes share. `returned` None, or `result` UNKNOWN: nobody knows."""

    process: int
    invoked: int
    returned: int | None
    command: object
    result: object

    @property
    def known(self) -> bool:
        """Whether somebody was told the result."""
        return self.returned is not None and self.result is not UNKNOWN


class NotLinearizable(AssertionError):
    """No order of the operations gives what was told. `longest`: the longest beginning of one that does."""

    def __init__(self, longest: Sequence[Operation], left: Sequence[Operation]) -> None:
        self.longest = tuple(longest)
        self.left = tuple(left)
        told = "\n  ".join(f"{one.process}: {one.command} -> {one.result}" for one in self.longest[-10:])
        next_ = "\n  ".join(f"{one.process}: {one.command} -> {one.result}" for one in self.left[:10])
        super().__init__(f"nothing explains what was told after\n  {told}\nof these, none can come next\n  {next_}")


def apply_command(session: Session, command: Command, *, now: int) -> tuple[Session, object]:
    """What *command* does to *session* when it is alone: the session after it, and what its caller is told.

    Told are the types of the events that it caused, or "refused".
    """
    try:
        events = decide(session, command, now)
    except IllegalCommand:
        return session, "refused"
    after = fold(events, session)
    assert after is not None
    return after, tuple(event.type for event in events)


def linearize(
    history: Sequence[Operation], begin: _State, apply: Callable[[_State, object], tuple[_State, object]]
) -> list[Operation]:
    """An order of *history* in which *apply*, from *begin* on, tells every caller what it was told.

    Unknown operations stand in it where they must have happened.

    Raises:
        NotLinearizable: There is none.
    """
    operations = sorted(history, key=lambda one: one.invoked)
    everything = frozenset(number for number, one in enumerate(operations) if one.known)
    longest: list[int] = []
    tried: set[tuple[frozenset[int], _State]] = set()
    # A stack of our own: histories are longer than Python's.
    path: list[int] = []
    stack: list[tuple[frozenset[int], _State, list[int]]] = []

    def candidates(done: frozenset[int]) -> list[int]:
        """What may come next: whatever was invoked before any that is left had returned."""
        left = [number for number in range(len(operations)) if number not in done]
        ends = [one.returned for number in left if (one := operations[number]).known and one.returned is not None]
        limit = min(ends, default=None)
        return [number for number in left if limit is None or operations[number].invoked <= limit]

    stack.append((frozenset(), begin, candidates(frozenset())))
    while stack:
        done, state, untried = stack[-1]
        if everything <= done:
            return [operations[number] for number in path]
        if not untried:
            stack.pop()
            if path:
                path.pop()
            continue
        number = untried.pop(0)
        after, result = apply(state, operations[number].command)
        if operations[number].known and result != operations[number].result:
            continue
        now_done = done | {number}
        if (now_done, after) in tried:
            continue
        tried.add((now_done, after))
        path.append(number)
        if len(path) > len(longest):
            longest = list(path)
        stack.append((now_done, after, candidates(now_done)))
    found = frozenset(longest)
    raise NotLinearizable(
        [operations[number] for number in longest], [operations[number] for number in candidates(found)]
    )
