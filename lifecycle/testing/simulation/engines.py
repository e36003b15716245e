"""The engines: seeds, all interleavings to a bound, Hypothesis, and tapes that were recorded before."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lifecycle.testing.invariants import Checker, invariants
from lifecycle.testing.simulation.choice import Odometer, Pruned, Seeded, Tape
from lifecycle.testing.simulation.laws import LAWS
from lifecycle.testing.simulation.programs import SCENARIOS
from lifecycle.testing.simulation.world import Budget, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lifecycle.testing.simulation.choice import Choose

__all__ = ["Explored", "Failure", "checker", "explore", "replay", "run", "save", "seeds", "shrink"]


class Failure(AssertionError):
    """A run broke an invariant. `tape` replays it; with the scenario and the budget it is all there is to know."""

    def __init__(
        self, scenario: str, budget: Budget, tape: Sequence[int], why: BaseException, story: list[str], seed: int | None
    ) -> None:
        self.scenario = scenario
        self.budget = budget
        self.tape = tuple(tape)
        self.why = why
        self.seed = seed
        told = "\n  ".join(story[-60:])
        named = "" if seed is None else f"seed {seed}, "
        super().__init__(f"{why}\n{named}scenario {scenario}, {budget}\ntape {list(tape)}\nwhat happened\n  {told}")


@dataclass(frozen=True, slots=True)
class Explored:
    """How much a search went through."""

    runs: int
    states: int
    complete: bool


def checker() -> Checker:
    """All invariants that a simulated world is held against."""
    return Checker([*invariants(), *LAWS])


def run(
    choose: Choose,
    scenario: str = "everything",
    budget: Budget | None = None,
    held: Checker | None = None,
    *,
    seed: int | None = None,
) -> World:
    """One run of *scenario* with the decisions of *choose*.

    Raises:
        Failure: An invariant was broken.
        Pruned: The rest is known to *choose*.
    """
    allowed = budget or Budget()
    world = World(choose, replace(allowed), held)
    try:
        try:
            SCENARIOS[scenario](world)
            world.play()
        finally:
            world.close()
    except AssertionError as error:
        raise Failure(scenario, allowed, choose.tape, error, world.history, seed) from error
    return world


def seeds(
    which: Iterable[int], scenario: str = "everything", budget: Budget | None = None, held: Checker | None = None
) -> int:
    """Run *scenario* with each seed; how many there were."""
    count = 0
    for seed in which:
        run(Seeded(seed), scenario, budget, held, seed=seed)
        count += 1
    return count


def explore(
    scenario: str, budget: Budget, held: Checker | None = None, *, most: int | None = None, prune: bool = True
) -> Explored:
    """Run *scenario* in every way that *budget* allows, or in *most* of them; states that were seen once are enough."""
    choose = Odometer(prune=prune)
    runs = 0
    while True:
        with contextlib.suppress(Pruned):
            run(choose, scenario, budget, held)
        runs += 1
        if not choose.next():
            return Explored(runs, len(choose.states), complete=True)
        if most is not None and runs >= most:
            return Explored(runs, len(choose.states), complete=False)


def replay(tape: Path, held: Checker | None = None) -> World:
    """The run that *tape* recorded."""
    found: dict[str, Any] = json.loads(tape.read_text("utf-8"))
    kinds = found["budget"].pop("kinds")
    budget = Budget(**found["budget"], kinds=None if kinds is None else frozenset(kinds))
    return run(Tape(found["tape"]), found["scenario"], budget, held)


def save(failure: Failure, path: Path) -> None:
    """Write the tape of *failure*, for a test that replays it."""
    budget = failure.budget
    kinds = None if budget.kinds is None else sorted(budget.kinds)
    path.write_text(
        json.dumps(
            {
                "why": str(failure.why).splitlines()[0],
                "scenario": failure.scenario,
                "budget": {"faults": budget.faults, "crashes": budget.crashes, "events": budget.events, "kinds": kinds},
                "tape": list(failure.tape),
            },
            indent=1,
        )
        + "\n",
        "utf-8",
    )


def shrink(failure: Failure, *, rounds: int = 2_000) -> Failure:
    """A simpler run that breaks the same invariant: fewer decisions, and more of them harmless."""
    best = failure
    left = rounds
    progress = True
    while progress and left > 0:
        progress = False
        for candidate in _simpler(best.tape):
            left -= 1
            if left <= 0:
                break
            found = _fails(candidate, best)
            if found is not None and _cost(found.tape) < _cost(best.tape):
                best, progress = found, True
                break
    return best


def _cost(tape: Sequence[int]) -> tuple[int, int, int]:
    return sum(1 for each in tape if each), len(tape), sum(tape)


def _simpler(tape: Sequence[int]) -> Iterable[tuple[int, ...]]:
    tape = tuple(tape)
    while tape and tape[-1] == 0:
        tape = tape[:-1]
    at = [index for index, each in enumerate(tape) if each]
    for size in (len(at) // 2, len(at) // 4, 1):
        if size < 1:
            continue
        for begin in range(0, len(at), size):
            gone = set(at[begin : begin + size])
            yield tuple(0 if index in gone else each for index, each in enumerate(tape))
    for index in reversed(range(len(tape))):
        yield tape[:index] + tape[index + 1 :]
    for index in at:
        if tape[index] > 1:
            yield (*tape[:index], 1, *tape[index + 1 :])


def _fails(tape: Sequence[int], like: Failure) -> Failure | None:
    try:
        run(Tape(tape), like.scenario, like.budget)
    except Failure as found:
        same = _law(found.why) == _law(like.why)
        return found if same else None
    return None


def _law(error: BaseException) -> str:
    violation = getattr(error, "violation", None)
    return violation.id if violation is not None else type(error).__name__
