"""A disk that fails at any operation, a process that dies there, and the power that goes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.log import SqliteLog
from tests.chaos.power import Outcome, cut_everywhere, read
from tests.chaos.record import SEED, judged

if TYPE_CHECKING:
    from tests.chaos.record import Figures

HERE = Path(__file__).parent
#: Long forms take every moment and more seeds: `make chaos`.
EVERY = int(os.environ.get("CHAOS_EVERY", "40"))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that is loaded before libc, built here."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler or no Linux: the shim between SQLite and the disk can't be built")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "shim.c"), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"the shim between SQLite and the disk can't be built: {built.stderr.splitlines()[:1]}")
    return library


def run(shim: Path, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.victim", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parents[1],
        env={**os.environ, "LD_PRELOAD": str(shim)},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("mode", ["killed", "torn", "EIO once", "EIO for ever", "ENOSPC once", "ENOSPC for ever"])
def test_whatever_happens_at_any_operation_nothing_acknowledged_is_lost(
    mode: str, journal: str, shim: Path, memory_dir: Path, figures: Figures
) -> None:
    """Writes, truncations, syncs, removals: each one in turn fails, or is where the process dies.

    An append that was cut short, or refused, is written again with the same event ids: that settles whether it stands.
    """
    moments = run(shim, memory_dir, journal, "FULL", mode, str(EVERY))
    assert [moment for moment in moments if moment["wrong"]] == []
    assert all(moment["code"] in (0, -9) for moment in moments), moments
    if mode in ("killed", "torn"):
        assert sum(moment["code"] == -9 for moment in moments) > 150 / EVERY, "hardly anything was killed"
        assert moments[-1]["code"] == 0, "the last operation was not reached"
    else:
        assert any(moment["told"] < moment["all"] for moment in moments) or "once" in mode, "nothing ever failed"
    figures(
        f"death at each operation, {journal}"
        if mode in ("killed", "torn")
        else f"EIO and ENOSPC at each operation, {journal}",
        {"stood untold": sum(moment["stored"] > moment["told"] for moment in moments)},
        states=len(moments),
        kills=sum(moment["code"] == -9 for moment in moments),
        acknowledged=sum(moment["told"] for moment in moments),
        **judged([moment["wrong"] for moment in moments]),
        ambiguous=sum(moment["doubt"] for moment in moments),
    )


def recorded(shim: Path, folder: Path, journal: str, synchronous: str) -> Outcome:
    run(shim, folder, journal, synchronous, "recorded", "1")
    states = folder / "states"
    states.mkdir()
    return cut_everywhere(states, read(folder / "operations"), (folder / "before").read_bytes(), SEED)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_no_power_cut_loses_what_was_acknowledged(journal: str, shim: Path, memory_dir: Path, figures: Figures) -> None:
    outcome = recorded(shim, memory_dir, journal, "FULL")
    figures(
        f"power cut before each operation, {journal}",
        seed=SEED,
        states=outcome.states,
        lost=outcome.lost,
        corrupt=outcome.broken,
    )
    assert outcome.states > 200
    assert (outcome.lost, outcome.broken) == (0, 0), outcome.first


def test_a_power_cut_loses_where_commits_are_not_synced(shim: Path, memory_dir: Path, figures: Figures) -> None:
    """The model can see: NORMAL promises less, and the difference shows."""
    outcome = recorded(shim, memory_dir, "wal", "NORMAL")
    figures(
        "power cut before each operation, synchronous=NORMAL",
        seed=SEED,
        control=True,
        states=outcome.states,
        lost=outcome.lost,
        corrupt=outcome.broken,
    )
    assert outcome.lost > 0
    assert outcome.broken == 0, outcome.first
    SqliteLog(memory_dir / "log.db").close()
