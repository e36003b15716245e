"""A run of the benchmarks that was interrupted goes on, and measures nothing twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from io import StringIO
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import pytest

from tests.bench import __main__ as bench
from tests.bench import growth

if TYPE_CHECKING:
    from pathlib import Path

#: Two small logs, measured in this process; waits for the signal at the second figure of the larger one.
WAITING: Final = """
import io, signal, sys
from tests.bench import __main__ as bench, growth
left = len(growth.WORK) + 2
def measured(path, what):
    global left
    left -= 1
    if left == 0:
        print("here", flush=True)
        signal.pause()
    return {"us": float(left), "peak_mb": 1.0, "events": 500}
growth.SIZES, growth._best = (100_000 + 500, 100_000 + 1000), measured
growth.kept_log = lambda *_: io.StringIO()
bench.main()
"""


def test_a_measurement_of_growth_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BUILD", tmp_path)
    words = ["--growth", "--directory", str(tmp_path / "logs")]
    code = WAITING.replace(
        "bench.main()", f"import pathlib\nbench.BUILD = pathlib.Path({str(tmp_path)!r})\nbench.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, cwd=growth.ROOT
    ) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "here\n"
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 130
        finally:
            child.kill()
    before = json.loads((tmp_path / "growth.json").read_text())
    assert [len(figures) for figures in before.values()] == [len(growth.WORK), 1]
    taken: list[str] = []

    def kept_log(*_: object) -> StringIO:
        return StringIO()

    def measured(_path: Path, what: str) -> dict[str, float]:
        taken.append(what)
        return {"us": 100.0, "peak_mb": 1.0, "events": 500}

    monkeypatch.setattr(growth, "SIZES", (100_500, 101_000))
    monkeypatch.setattr(growth, "_best", measured)
    monkeypatch.setattr(growth, "kept_log", kept_log)
    monkeypatch.setattr(sys, "argv", ["bench", *words, "--resume"])
    bench.main()
    assert taken == list(growth.WORK)[1:]
    after = json.loads((tmp_path / "growth.json").read_text())
    assert after["100500"] == before["100500"]
    assert after["101000"]["load"] == before["101000"]["load"]
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    taken.clear()
    bench.main()
    assert taken == [*growth.WORK] * 2  # not asked to go on


def test_rows_that_were_measured_are_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[str] = []
    stop_at = 3

    def measured(row: bench.Row, rounds: int) -> bench.Result:
        if len(taken) == stop_at:
            raise KeyboardInterrupt
        taken.append(row.title)
        ratio = bench.Ratio(1.0 + len(row.title), 1.0, 100.0)
        return bench.Result(row, ratio, tuple((peer, ratio) for peer in row.peers[:rounds]))

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["bench", "--json", str(tmp_path / "bench.json"), *words])
        bench.main()
        return capsys.readouterr().out

    monkeypatch.setattr(bench, "BUILD", tmp_path)
    monkeypatch.setattr(bench, "measure", measured)
    with pytest.raises(SystemExit, match="130"):
        run()
    stop_at = 1000
    taken.clear()
    resumed = run("--resume")
    assert taken == [row.title for row in bench.ROWS[3:]]
    assert resumed == run()
    taken.clear()
    assert run("--resume") == resumed
    assert taken == []
    page = tmp_path / "page.md"
    page.write_text("".join(["before", *bench.MARKS, "after"]))
    assert run("--resume", "--page", str(page)) == resumed
    assert taken == []
    written = page.read_text()
    assert resumed.strip() in written
    charts = {path.name: path.read_text() for path in (tmp_path / "bench").glob("*.svg")}
    assert len(charts) == len(bench.ROWS) == sum(f"(bench/{name})" in written for name in charts)
    texts = [one.text for one in ET.fromstring(charts["append_full.svg"]).iter() if one.tag.endswith("text")]
    title = "append one event, FULL"
    ours = 1.0 + len(title)
    assert texts[:5] == [f"{title} (of 1,000)", "floor", "1.00 ×", "ours", f"{ours:.2f} × (1.00 to 100.00)"]
    assert texts[5:] == ["eventsourcing", f"{ours * ours:.2f} × ({ours:.2f} to {ours * 100:.2f})", "allowed 1.15 ×"]
    run("--resume", "--rounds", "2")  # measured otherwise: all of it
    assert len(taken) == len(bench.ROWS)
    taken.clear()
    run("--most", "1000000")
    assert taken == [row.title for row in bench.ROWS if row.size <= 1_000_000]
    assert len(taken) == len(bench.ROWS) - 2
