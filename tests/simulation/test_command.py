"""python -m lifecycle.testing.simulation: figures, a story, and a failing run that is kept and replayed."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from lifecycle.testing.fake_host import PretendedBrowser
from lifecycle.testing.invariants import Checker, Coverage, Invariant, Step, forget, register
from lifecycle.testing.model import closure, standing
from lifecycle.testing.simulation import Budget, Explored
from lifecycle.testing.simulation.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


def test_figures_say_what_was_tried_and_reached(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "20", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["seeds"] == 20
    assert figures["invariants reached"] > 20


def test_a_search_that_was_cut_short_is_not_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both searches in full: docs/reference/testing.md, which is run."""
    steps = closure(extensions=0)
    skipped = next(step.after for step in steps if step.after is not None and step.after.released)
    cut = [step for step in steps if step.before is None or standing(step.before) != standing(skipped)]
    monkeypatch.setattr("lifecycle.testing.simulation.__main__.closure", lambda: cut)

    def explored(scenario: str, budget: Budget, held: Checker) -> Explored:
        return Explored(10, 5, complete=False)

    monkeypatch.setattr("lifecycle.testing.simulation.__main__.explore", explored)
    assert main(["--closure", "--json"]) == 1
    core, three = map(json.loads, capsys.readouterr().out.splitlines())
    assert (core["closed"], three["closed"]) == (False, False)


def test_a_core_that_breaks_a_law_is_found_by_its_closure(capsys: pytest.CaptureFixture[str]) -> None:
    def never(step: Step) -> Iterator[bool | str]:
        yield step.command.name != "close" or "somebody closes"

    law = Invariant("shop-1", "Nobody closes.", Step, never)
    register(law)
    try:
        assert main(["--closure"]) == 1
    finally:
        forget(law)
    assert "shop-1" in capsys.readouterr().err


def test_many_seeds_that_never_reach_something_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A few here: they can't have met everything."""
    monkeypatch.setattr("lifecycle.testing.simulation.__main__._ENOUGH", 1)
    assert main(["--seeds", "60"]) == 1
    told = capsys.readouterr().err
    assert "never reached" in told
    assert "faults: " in told
    assert main(["--seeds", "1", "--faults", "0"]) == 0


def test_events_that_never_happen_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def all_but_events(self: Checker, *subjects: type, faults: tuple[str, ...]) -> Coverage:
        return Coverage({"events": Counter({"skew": 1})}, {})

    monkeypatch.setattr("lifecycle.testing.simulation.__main__._ENOUGH", 1)
    monkeypatch.setattr(Checker, "require", all_but_events)
    assert main(["--seeds", "1"]) == 1
    assert "events: crash owner, crash keeper" in capsys.readouterr().err


def test_one_run_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1", "--from", "7", "--story"]) == 0
    assert "owner appends session.created" in capsys.readouterr().out


def test_a_failing_run_is_kept_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A keeper that leaves the browser of an ended session running: found, kept, and found again on the tape."""

    def nothing(self: PretendedBrowser) -> None:
        """Leaves it running."""

    monkeypatch.setattr(PretendedBrowser, "kill", nothing)
    monkeypatch.setattr(PretendedBrowser, "ask_to_close", nothing)
    tape = tmp_path / "tape.json"
    assert main(["--seeds", "50", "--keep", str(tape)]) == 1
    assert "--tape" in capsys.readouterr().err
    assert main(["--tape", str(tape)]) == 1
    monkeypatch.undo()
    assert main(["--tape", str(tape)]) == 0
