"""The list of planted bugs: each can still be planted."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_place_of_every_planted_bug_stands_once_in_the_source() -> None:
    sys.path.append(str(ROOT))  # at the end, so that an installed wheel is tested and not the source beside it
    bugs = [bug for part in ("core", "shell") for bug in import_module(f"tests.mutants.{part}").BUGS]
    assert len(bugs) >= 200
    sources = {bug.file: (ROOT / "lifecycle" / bug.file).read_text("utf-8") for bug in bugs}
    assert [(bug.file, bug.name) for bug in bugs if sources[bug.file].count(bug.old) != 1] == []
