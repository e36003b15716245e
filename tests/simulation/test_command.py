"""python -m lifecycle.testing.simulation: figures, a story, and a failing run that is kept and replayed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lifecycle.testing.fake_host import PretendedBrowser
from lifecycle.testing.simulation.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_figures_say_what_was_tried_and_reached(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "20", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["seeds"], figures["all of them"]) == (20, True)
    assert figures["invariants reached"] > 20


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
