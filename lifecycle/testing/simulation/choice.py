"""Where every decision of a simulated run comes from: one function, and the four engines behind it.

A run is wholly determined by the numbers it is given: the tape. Zero is always the harmless choice, so a tape that is
shorter, or has more zeros, is a simpler run.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Choose", "Drawn", "Odometer", "Pruned", "Seeded", "Tape"]

#: One in so many: how often a run lets happen what is rare in the world; each run has one of these.
_RARE = (4, 12, 40, 120)


class Pruned(Exception):  # not an error: this run has come to a state that was explored before
    """The rest of this run is known."""


class Choose(Protocol):
    """A source of decisions. `tape` holds those made so far."""

    tape: list[int]

    def __call__(self, n: int, label: str, *, rare: bool = False) -> int:
        """A number below *n*. *rare*: everything but 0 should be unusual."""
        ...

    def visit(self, state: Callable[[], int]) -> None:
        """The run has come to *state*.

        Raises:
            Pruned: It was explored before.
        """
        ...


class _Taped:
    def __init__(self) -> None:
        self.tape: list[int] = []

    def __call__(self, n: int, label: str, *, rare: bool = False) -> int:
        chosen = 0 if n <= 1 else self._pick(n, rare)
        if n > 1:
            self.tape.append(chosen)
        return chosen

    def _pick(self, n: int, rare: bool) -> int:
        raise NotImplementedError

    def visit(self, state: Callable[[], int]) -> None:
        pass


class Tape(_Taped):
    """Decisions that were made before; zeros where they end, and what is too large counts as the largest."""

    def __init__(self, tape: Sequence[int]) -> None:
        super().__init__()
        self._given = tuple(tape)

    def _pick(self, n: int, rare: bool) -> int:
        at = len(self.tape)
        return min(self._given[at], n - 1) if at < len(self._given) else 0


class Seeded(_Taped):
    """Decisions of a seeded generator."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)  # noqa: S311 # repeatable, not secret
        self._rare = self._random.choice(_RARE)

    def _pick(self, n: int, rare: bool) -> int:
        if rare and self._random.randrange(self._rare):
            return 0
        return self._random.randrange(n)


class Drawn(_Taped):
    """Decisions drawn by something else, such as Hypothesis, which shrinks towards zeros."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        super().__init__()
        self._draw = draw

    def _pick(self, n: int, rare: bool) -> int:
        return self._draw(n)


class Odometer(_Taped):
    """All decisions, one run after the other, depth first; states that were seen are not explored twice."""

    def __init__(self, *, prune: bool = True) -> None:
        super().__init__()
        self._prefix: list[tuple[int, int]] = []
        self._seen: set[int] = set()
        self._prune = prune
        self._widths: list[int] = []

    @property
    def states(self) -> frozenset[int]:
        """The different states that were visited."""
        return frozenset(self._seen)

    def _pick(self, n: int, rare: bool) -> int:
        at = len(self.tape)
        self._widths[at:] = [n]
        return self._prefix[at][0] if at < len(self._prefix) else 0

    def visit(self, state: Callable[[], int]) -> None:
        """Where the run repeats an earlier one nothing is looked up."""
        if len(self.tape) < len(self._prefix):
            return
        if (found := state()) in self._seen and self._prune:
            raise Pruned
        self._seen.add(found)

    def next(self) -> bool:
        """Turn to the next run; False when there is none."""
        turned = list(zip(self.tape, self._widths[: len(self.tape)], strict=True))
        while turned and turned[-1][0] == turned[-1][1] - 1:
            turned.pop()
        if not turned:
            return False
        last, width = turned.pop()
        self._prefix = [*turned, (last + 1, width)]
        self.tape = []
        return True
