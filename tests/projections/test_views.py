"""The views make the file useful in any SQLite browser, with ISO times and seconds, on a connection of no trust."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.core import moment, view
from lifecycle.log import SqliteLog
from lifecycle.log.driver import sqlite3
from lifecycle.testing.log_samples import SECOND, T0, begin, closed, failed, new

if TYPE_CHECKING:
    from pathlib import Path

#: beyond what SQLite's own fractions of a second can tell
ODD = T0 + 123_456


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "live", 9_000_000_000 * SECOND)
        begin(log, "overdue", ODD)
        begin(log, "closed", ODD)
        log.append("closed", [new(closed(ODD + 2 * SECOND + 1))], expected=2)
        begin(log, "error", T0)
        log.append("error", [new(failed(T0 + 2 * SECOND))], expected=2)
    return tmp_path / "log.db"


def _rows(path: Path, name: str) -> dict[str, dict[str, Any]]:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA trusted_schema = OFF")
        conn.row_factory = sqlite3.Row
        return {row["session_id"]: dict(row) for row in conn.execute(f"SELECT * FROM {name}")}


def _iso(at: int) -> str:
    return moment(at).isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_sessions_view_says_what_status_says(path: Path) -> None:
    rows = _rows(path, "sessions_view")
    with SqliteLog(path) as log:
        for session in log.sessions.list(now=T0 + 10**13):
            seen, row = view(session, T0 + 10**13), rows[session.session_id]
            assert (row["status"], row["version"]) == (seen.status, seen.version)
            assert row["created_at"] == seen.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
            if seen.closed_at is not None:
                assert row["duration_s"] == seen.duration.total_seconds()
                assert row["closed_at"] == seen.closed_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert [rows[name]["status"] for name in ("live", "overdue", "closed", "error")] == [
        "active", "timed_out", "closed", "error"
    ]  # fmt: skip
    assert rows["live"]["closed_at"] is None
    assert rows["closed"]["created_at"] == _iso(ODD)


def test_endings_say_why_and_how_late(path: Path) -> None:
    rows = _rows(path, "endings")
    assert rows.keys() == {"closed", "error"}, "a deadline that nobody has recorded is not an ending on record"
    assert (rows["closed"]["status"], rows["closed"]["cause"]) == ("closed", "stopped")
    assert (rows["error"]["status"], rows["error"]["cause"]) == ("error", "exception")
    assert rows["closed"]["closed_at"] == _iso(ODD + 2 * SECOND + 1)
    assert "it broke" not in str(rows), "what is private stands in no view"


def test_durations_are_exact_and_from_the_events_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("DELETE FROM sessions")
        conn.commit()
    rows = _rows(path, "durations")
    assert rows["closed"]["duration_s"] == 2.000001
    assert rows["error"]["created_at"] == _iso(T0)
