"""The engines that hold the invariants, and what each promises to exercise: its own test fails where it did not.

`tests.core.pages` makes the table of docs/reference/invariants.md from this; `tests.mutants.laws` runs the engines on
a library with a bug in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from lifecycle.testing.invariants import INVARIANTS, Entry, Look, Quiet, Replayed, Space, Step, Upcast
from lifecycle.testing.rules import ClientRules, CoreRules, LogRules
from lifecycle.testing.simulation.laws import LAWS, Acting, Ended, NotBegun, Rest, Stopped

if TYPE_CHECKING:
    from lifecycle.testing.invariants import Invariant

__all__ = ["ALL_LAWS", "ENGINES", "Engine"]

#: the kit's invariants, and those that only a simulated world can be held against
ALL_LAWS: Final[tuple[Invariant, ...]] = (*INVARIANTS, *LAWS)
#: laws of rows, which the core has none of; a log's tests exercise them
_OF_ROWS: Final = ("6", "8", "55", "56")


class Engine(NamedTuple):
    """All laws about *subjects* must have been exercised, but those named in *besides*."""

    subjects: tuple[type, ...]
    besides: tuple[str, ...]
    where: str

    def laws(self) -> list[str]:
        """The ids of the laws that the engine must exercise."""
        return [law.id for law in ALL_LAWS if law.about in self.subjects and law.id not in self.besides]


ENGINES: Final[dict[str, Engine]] = {
    "search": Engine((Step, Entry, Look, Space), _OF_ROWS, "tests/core/test_closure.py"),
    "commands": Engine((Step, Entry, Look), _OF_ROWS, "tests/core/test_invariants.py"),
    "CoreRules": Engine(CoreRules.subjects, CoreRules.besides, "tests/testing/test_rules.py"),
    "LogRules": Engine(LogRules.subjects, LogRules.besides, "tests/testing/test_rules.py"),
    "ClientRules": Engine(ClientRules.subjects, ClientRules.besides, "tests/testing/test_rules.py"),
    "simulation": Engine(
        (Entry, Quiet, Acting, Ended, NotBegun, Stopped, Rest), (), "tests/simulation/test_simulation.py"
    ),
    "check_history": Engine((Entry,), ("11",), "tests/testing/test_history.py"),
    "old events": Engine((Upcast,), (), "tests/core/test_upcast.py"),
    "replay": Engine((Replayed,), (), "tests/core/test_determinism.py"),
}
