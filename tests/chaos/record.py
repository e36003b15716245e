"""What an attack did, in figures: said on the terminal, and kept in the file that CHAOS_FIGURES names, if it names one.

A test asks for the fixture `figures` and calls it once; tests.chaos.figures makes a table of all that was kept.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, Unpack, cast

from lifecycle.log.driver import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["COLUMNS", "SEED", "Counts", "Figures", "Judgement", "judged"]

ROOT: Final = Path(__file__).parents[2]
SEED: Final = int(os.environ.get("CHAOS_SEED", "7"))


class Judgement(TypedDict, total=False):
    """What must be nothing."""

    lost: int
    corrupt: int
    orphaned: int


class Counts(Judgement, total=False):
    """What can be counted."""

    states: int
    kills: int
    acknowledged: int
    ambiguous: int
    browsers: int
    bad: int


#: The same as heads of columns.
COLUMNS: Final = {
    "states": "crash states",
    "kills": "kills",
    "acknowledged": "acknowledged appends",
    "lost": "lost",
    "corrupt": "corrupt",
    "ambiguous": "in doubt, resolved",
    "browsers": "browsers launched",
    "orphaned": "orphaned",
    "bad": "bad inputs",
}
_SETTINGS: Final = ("CHAOS_EVERY", "CHAOS_SECONDS", "CHAOS_ROUNDS", "CHAOS_SEED")
_LEFT: Final = ("process", "driver", "file", "socket", "no browser")


@dataclass
class Figures:
    """The figures of the test in *file*; `say` gets them as a line."""

    file: Path
    say: Callable[[str], None] = print
    began: float = field(default_factory=time.monotonic)

    def __call__(
        self,
        attack: str,
        besides: Mapping[str, int] | None = None,
        *,
        seed: int | None = None,
        control: bool = False,
        command: str | None = None,
        **counts: Unpack[Counts],
    ) -> None:
        """Keep what *attack* did. *control*: nothing is promised here, so it counts towards no total."""
        line = {
            "attack": attack,
            "counts": counts,
            "besides": dict(besides or {}),
            "seconds": round(time.monotonic() - self.began, 1),
            "seed": seed,
            "sqlite": sqlite3.sqlite_version,
            "control": control,
            "command": command or _command(self.file),
        }
        if kept := os.environ.get("CHAOS_FIGURES"):
            path = ROOT / kept
            path.parent.mkdir(parents=True, exist_ok=True)
            # One write to the end: several processes of one run share the file.
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        told = [f"{COLUMNS[name]} {count:,}" for name, count in cast("dict[str, int]", counts).items()]
        told += [f"{count:,} {what}" for what, count in (besides or {}).items()]
        seeded = "" if seed is None else f", seed {seed}"
        self.say(f"\n[{attack}, SQLite {sqlite3.sqlite_version}{seeded}: {'; '.join(told)}]")


def _command(file: Path) -> str:
    """What a person types to see the figures of the tests in *file* again, with the settings that it reads."""
    source = file.read_text("utf-8")
    settings = [f"{name}={os.environ[name]}" for name in _SETTINGS if name in os.environ and name in source]
    if "build/sqlite" in os.environ.get("LD_LIBRARY_PATH", ""):
        settings.append("LD_LIBRARY_PATH=build/sqlite")
    return " ".join([*settings, "python -m pytest", str(file.relative_to(ROOT))])


def judged(runs: list[list[str]], *, browsers: bool = False) -> Judgement:
    """In how many *runs* something acknowledged was lost, and in how many something else is wrong with the record.

    With *browsers* also how many of them, or of what belongs to them, are left.
    """
    left = [[text for text in found if text.startswith(_LEFT)] for found in runs]
    lost = [[text for text in found if text.startswith("lost")] for found in runs]
    counts: Judgement = {
        "lost": sum(map(bool, lost)),
        "corrupt": sum(len(run) > len(gone) + len(stays) for run, gone, stays in zip(runs, lost, left, strict=True)),
    }
    if browsers:
        counts["orphaned"] = sum(map(len, left))
    return counts
