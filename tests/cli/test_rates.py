"""Progress of long work: said on stderr, with rate and time left; nothing in the first second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lifecycle.audit.carry import lines_of
from lifecycle.cli import rates

if TYPE_CHECKING:
    from pathlib import Path


def test_a_line_says_how_far_how_fast_and_how_long() -> None:
    assert rates.line("read", "bytes", 500, 2000, 0.5) == "read 500 of 2000 bytes, 1000/s, 1.50 s left"
    assert rates.line("read", "bytes", 500, 0, 0.5) == "read 500 bytes, 1000/s"


def test_nothing_in_the_first_second_then_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with rates.shown("read", "bytes") as tell:
        for now in (0.5, 0.9, 1.1, 1.5, 2.9, 3.2):
            tell(int(now * 10), 40)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["read 11 of 40 bytes, 10/s, 2.90 s left", "read 32 of 40 bytes, 10/s, 0.80 s left"]


def test_reading_a_file_tells_how_many_bytes_of_how_many(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("a line of 19 bytes\n" * 2500)
    told: list[tuple[int, int]] = []
    assert len(list(lines_of(path, lambda count, total: told.append((count, total))))) == 2500
    assert told == [(19 * 1000, 47_500), (19 * 2000, 47_500), (47_500, 47_500)]
