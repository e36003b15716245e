"""The list of planted bugs: each can still be planted."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_place_of_every_planted_bug_stands_once_in_the_source() -> None:
    sys.path.append(str(ROOT))  # at the end, so that an installed wheel is tested and not the source beside it
    bugs = [bug for part in ("core", "shell", "around") for bug in import_module(f"tests.mutants.{part}").BUGS]
    assert len(bugs) >= 300
    sources = {bug.file: bug.source(ROOT).read_text("utf-8") for bug in bugs}
    assert [(bug.file, bug.name) for bug in bugs if sources[bug.file].count(bug.old) != 1] == []


def test_every_invariant_names_a_bug_that_there_is() -> None:
    """Whether it sees it is tried by `python -m tests.mutants.laws`, which takes minutes."""
    sys.path.append(str(ROOT))
    laws, engines, broken = map(
        import_module, ("tests.mutants.laws", "tests.testing.engines", "tests.testing.broken_logs")
    )
    bugs = [bug for part in ("core", "shell") for bug in import_module(f"tests.mutants.{part}").BUGS]
    there = {(bug.file, bug.name) for bug in bugs if bug.equivalent is None}
    there |= {("tests/testing/broken_logs.py", log.__name__) for log in broken.BROKEN}
    assert {law.id for law in engines.ALL_LAWS} == set(laws.SEEN)
    assert {law: place for law, place in laws.SEEN.items() if place not in there} == {}


def test_every_invariant_is_met_by_an_engine() -> None:
    sys.path.append(str(ROOT))
    engines = import_module("tests.testing.engines")
    met = {law for engine in engines.ENGINES.values() for law in engine.laws()}
    assert {law.id for law in engines.ALL_LAWS} - met == set()
