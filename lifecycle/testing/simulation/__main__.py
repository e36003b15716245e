"""Simulates until something breaks, or everything asked for was tried.

    python -m lifecycle.testing.simulation                     5,000 seeds
    python -m lifecycle.testing.simulation --seeds 100000      more of them
    python -m lifecycle.testing.simulation --closure           without chance: every move of the core, and every order
                                                               of three processes with one fault and one crash
    python -m lifecycle.testing.simulation --from 123 --seeds 1 --story   one run, told
    python -m lifecycle.testing.simulation --tape tape.json    a run that was recorded

A run that breaks an invariant is made simpler and kept as a tape; the exit code is 1 then. So it is when 2,000 seeds
or more, with faults, crashes and events, never reached a state, a transition, a fault, an event or an invariant.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lifecycle.testing.invariants import Broken, Entry, Quiet, Space, Vacuous
from lifecycle.testing.model import closure, standing
from lifecycle.testing.simulation.choice import Seeded
from lifecycle.testing.simulation.engines import Failure, checker, explore, replay, run, save, shrink
from lifecycle.testing.simulation.laws import LAWS
from lifecycle.testing.simulation.world import EVENTS, FAULTS, Budget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lifecycle.testing.invariants import Checker

__all__ = ["main"]

_TOLD_EVERY_S: Final = 5.0
#: So many seeds reach everything.
_ENOUGH: Final = 2_000
#: Calls that fail once, and processes that die: without what lasts.
_ONCE: Final = frozenset([*FAULTS, *EVENTS]) - {"log.append disk_full", "browser.launch hangs"}


def main(argv: list[str] | None = None) -> int:
    """Simulate what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m lifecycle.testing.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=5_000, metavar="N", help="how many seeds; default: 5000")
    parser.add_argument(
        "--from", dest="first", type=int, default=0, metavar="SEED", help="the first of them; default: 0"
    )
    parser.add_argument("--faults", type=int, default=2, help="calls that fail in a run, at most; default: 2")
    parser.add_argument("--crashes", type=int, default=1, help="processes that are killed, at most; default: 1")
    parser.add_argument("--events", type=int, default=3, help="other events, at most; default: 3")
    parser.add_argument("--closure", action="store_true", help="what can be gone through in full, and no seeds")
    parser.add_argument("--tape", type=Path, metavar="FILE", help="replay this tape and nothing else")
    parser.add_argument(
        "--keep", type=Path, default=Path("tape.json"), metavar="FILE", help="where a failing run is kept"
    )
    parser.add_argument("--story", action="store_true", help="tell what happened in each run")
    parser.add_argument("--json", dest="as_json", action="store_true", help="figures as JSON")
    given = parser.parse_args(argv)
    try:
        if given.tape is not None:
            print("\n".join(replay(given.tape).history))
            return 0
        if given.closure:
            return _tell(_closure(), as_json=given.as_json)
        figures = _seeds(given)
    except (Broken, Vacuous) as error:  # in the core, which has no tape: the step is in the message
        print(error, file=sys.stderr)
        return 1
    except Failure as failure:
        simpler = failure if given.tape is not None else shrink(failure)
        print(simpler, file=sys.stderr)
        if given.tape is None:
            save(simpler, given.keep)
            print(f"kept in {given.keep}; --tape {given.keep} replays it", file=sys.stderr)
        return 1
    if given.as_json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28}{value}")
    return 0


def _tell(searches: Iterable[_Closed], *, as_json: bool) -> int:
    """Print each as it ends; 1 where something was left out."""
    whole = True
    for found in searches:
        whole = whole and found.closed
        if as_json:
            print(json.dumps(asdict(found)))
            continue
        print(found.what)
        print(f"  {found.states} states, {found.runs} runs, {found.invariants} invariants")
        print(f"  {'closed' if found.closed else 'NOT CLOSED'} after {found.cpu_s:.1f} s of one core")
    return 0 if whole else 1


def _seeds(given: argparse.Namespace) -> dict[str, object]:
    held = checker()
    began = told = time.monotonic()
    budget = Budget(faults=given.faults, crashes=given.crashes, events=given.events)
    for number, seed in enumerate(range(given.first, given.first + given.seeds), start=1):
        world = run(Seeded(seed), "watched", budget, held, seed=seed)
        if given.story:
            print(f"seed {seed}", *world.history, sep="\n  ")
        if time.monotonic() - told >= _TOLD_EVERY_S:
            told = time.monotonic()
            print(f"{number} of {given.seeds} seeds, {number / (told - began):.0f}/s", file=sys.stderr)
    if given.seeds >= _ENOUGH and min(given.faults, given.crashes, given.events) > 0:
        _reached(held)
    reached = held.report().reached
    return {"seeds": given.seeds, **{f"{kind} reached": len(found) for kind, found in sorted(reached.items()) if found}}


def _reached(held: Checker) -> None:
    """Raise Vacuous where something was never reached."""
    found = held.require(Entry, Quiet, *{law.about for law in LAWS}, faults=FAULTS)
    if never := [event for event in EVENTS if event not in found.reached["events"]]:
        raise Vacuous(f"never reached\n  events: {', '.join(never)}")


@dataclass(frozen=True, slots=True)
class _Closed:
    """A search that went through everything within its bound, or did not."""

    what: str
    states: int
    runs: int  # of the core: moves
    closed: bool
    invariants: int
    cpu_s: float


def _closure() -> Iterator[_Closed]:
    searches = {"the core, every move a run": _core, "three processes, one fault, one crash": _three_processes}
    for what, search in searches.items():
        began = time.process_time()
        held = checker()
        states, runs, closed = search(held)
        invariants = len(held.report().reached["invariants"])
        yield _Closed(what, states, runs, closed, invariants, round(time.process_time() - began, 1))


def _core(held: Checker) -> tuple[int, int, bool]:
    steps = closure()
    for step in steps:
        held.step(step)
    held.check(Space(steps))
    met = {standing(step.before) for step in steps if step.before is not None}
    left = {standing(step.after) for step in steps if step.after is not None}
    return len(left), len(steps), left == met  # every move was tried in every state that a move has led to


def _three_processes(held: Checker) -> tuple[int, int, bool]:
    """A keeper, somebody who stops its session and somebody who fails it."""
    found = explore("lean", Budget(faults=1, crashes=1, events=0, kinds=_ONCE), held)
    return found.states, found.runs, found.complete


if __name__ == "__main__":
    sys.exit(main())
