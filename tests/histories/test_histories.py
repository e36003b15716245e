"""Histories that were recorded by every release replay for ever: they are accepted, and come out as they did then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lifecycle.audit.carry import check_lines, import_lines, lines_of
from lifecycle.audit.verify import verify
from lifecycle.core import EVENT_TYPES, Cause
from lifecycle.log import SqliteLog, decode

FILES = sorted(Path(__file__).parent.glob("*.jsonl"))


def test_there_are_histories() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recorded_history_replays_and_comes_out_the_same(path: Path) -> None:
    found = check_lines(lines_of(path))
    assert found.ok, (found.refused, found.differs)
    assert found.sessions


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recorded_history_is_imported_and_verified(path: Path, tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db", synchronous="NORMAL")
    assert import_lines(lines_of(path), log).unreadable == {}
    assert verify(log).faults == ()
    for event_type in EVENT_TYPES:
        for row in log.read_all(limit=1000, types=[event_type]).events:
            decode(row)
    log.close()


def test_the_first_ones_hold_every_cause_and_every_event() -> None:
    lines = [json.loads(line) for line in lines_of(FILES[0])]
    assert {line["session"]["cause"] for line in lines if "session" in line} == {None, *Cause}
    types = {line["type"] for line in lines if "type" in line}
    assert types == {*EVENT_TYPES, "log.forgotten"}
