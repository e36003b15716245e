"""Deterministic simulation: the production client and keeper in a world where everything may go wrong.

    from lifecycle.testing.simulation import Budget, explore, run, seeds, Seeded

    seeds(range(100))                          # a hundred random runs of the largest scenario
    explore("lean", Budget(1, 1, 0))           # every interleaving of three processes, one fault, one crash

A run that breaks an invariant raises Failure, with the seed and the tape; `shrink` makes it simpler, `save` keeps it,
`replay` runs it again. Needs greenlet, which Playwright brings.
"""

from lifecycle.testing.simulation.choice import Drawn, Odometer, Pruned, Seeded, Tape
from lifecycle.testing.simulation.engines import Explored, Failure, checker, explore, replay, run, save, seeds, shrink
from lifecycle.testing.simulation.programs import SCENARIOS
from lifecycle.testing.simulation.world import EVENTS, FAULTS, Budget, World

__all__ = [
    "EVENTS",
    "FAULTS",
    "SCENARIOS",
    "Budget",
    "Drawn",
    "Explored",
    "Failure",
    "Odometer",
    "Pruned",
    "Seeded",
    "Tape",
    "World",
    "checker",
    "explore",
    "replay",
    "run",
    "save",
    "seeds",
    "shrink",
]
