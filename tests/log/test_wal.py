"""How a log survives: which journal mode it gets and why, and a write-ahead log that stays short."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from lifecycle.errors import LogUnsuitable
from lifecycle.log import ANY, SqliteLog
from lifecycle.log import versions as gate
from lifecycle.log.checkpoint import WAL_LIMIT_BYTES
from lifecycle.log.driver import sqlite3
from lifecycle.log.versions import filesystem, loses_commits
from lifecycle.testing.log_contract import everything
from lifecycle.testing.log_samples import annotated, begin, new
from tests.log.support import foreign, ours, run_child

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.log.versions import Journal, Synchronous


@pytest.mark.parametrize(
    ("version", "loses"),
    [
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 44, 9), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_the_versions_with_the_wal_reset_bug(version: tuple[int, ...], loses: bool) -> None:
    """sqlite.org/wal.html#walresetbug: fixed in 3.51.3, and in 3.50.7 and 3.44.6 of the older lines."""
    assert loses_commits(version) is loses


@pytest.mark.parametrize(
    ("journal", "synchronous", "level"),
    [("wal", "FULL", "FULL"), ("wal", "NORMAL", "NORMAL"), ("delete", "FULL", "EXTRA"), ("delete", "NORMAL", "NORMAL")],
)
def test_durability_is_what_sqlite_says_it_is(
    tmp_path: Path, journal: Journal, synchronous: Synchronous, level: Synchronous
) -> None:
    with SqliteLog(tmp_path / "log.db", journal=journal, synchronous=synchronous) as log:
        found = log.durability
        assert (found.journal, found.synchronous, found.sqlite_version) == (journal, level, sqlite3.sqlite_version)
        assert found.why
        assert found.survives_power_loss is (level != "NORMAL")
        conn = ours(log)
        assert conn.execute("PRAGMA journal_mode").fetchone() == (journal,)
        assert conn.execute("PRAGMA synchronous").fetchone() == ({"NORMAL": 1, "FULL": 2, "EXTRA": 3}[level],)
        assert conn.execute("PRAGMA trusted_schema").fetchone() == (0,)
        assert conn.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)


@pytest.mark.parametrize("affected", [True, False])
def test_the_reason_names_the_bug_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, affected: bool) -> None:
    def loses(_version: tuple[int, ...]) -> bool:
        return affected

    monkeypatch.setattr(gate, "loses_commits", loses)
    with SqliteLog(tmp_path / "log.db") as log:
        assert log.durability.journal == "wal"
        assert ("has the WAL-reset bug" in log.durability.why) is affected


@pytest.mark.parametrize("made", ["wal", "delete"])
@pytest.mark.parametrize("asked", ["wal", "delete", None])
def test_a_log_keeps_the_mode_it_was_made_with(tmp_path: Path, made: Journal, asked: Journal | None) -> None:
    SqliteLog(tmp_path / "log.db", journal=made).close()
    with SqliteLog(tmp_path / "log.db", journal=asked) as log:
        assert log.durability.journal == made
        begin(log, "s-1")


def test_the_filesystem_is_recognised(tmp_path: Path) -> None:
    assert filesystem("/proc") == "proc"
    assert filesystem(str(tmp_path)) not in (None, "proc")
    assert filesystem(str(tmp_path / "nowhere")) is None


def test_on_a_network_filesystem_there_is_no_wal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteLog(tmp_path / "old.db", journal="wal").close()

    def remote(_path: str) -> str:
        return "nfs4"

    monkeypatch.setattr(gate, "filesystem", remote)
    with SqliteLog(tmp_path / "log.db") as log:
        assert (log.durability.journal, log.durability.synchronous) == ("delete", "EXTRA")
        assert "nfs4" in log.durability.why
    with pytest.raises(LogUnsuitable, match="WAL needs shared memory, which nfs4 does not have"):
        SqliteLog(tmp_path / "new.db", journal="wal")
    with pytest.raises(LogUnsuitable, match="is in WAL mode"):
        SqliteLog(tmp_path / "old.db")
    with SqliteLog(tmp_path / "old.db", read_only=True) as log:
        assert everything(log) == []


def _size(path: Path) -> int:
    return os.stat(f"{path}-wal").st_size


def test_the_write_ahead_log_stays_short_under_many_writers(memory_dir: Path) -> None:
    """Three processes append 24 MB between them, a reader reads along; left to SQLite it grew without bound."""
    path = memory_dir / "log.db"
    code = """
    import sys
    from lifecycle.log import SqliteLog
    from lifecycle.testing.log_samples import annotated, begin, new
    with SqliteLog(sys.argv[1]) as log:
        begin(log, sys.argv[2])
        for n in range(500):
            log.append(sys.argv[2], [new(annotated(n=n, text="x" * 15_000))], expected=n + 2)
    """
    with SqliteLog(path) as log:
        begin(log, "s-1")
        writers = [threading.Thread(target=run_child, args=(code, path, f"w-{n}")) for n in range(3)]
        for writer in writers:
            writer.start()
        largest, cursor = 0, None
        while any(writer.is_alive() for writer in writers):
            cursor = log.read_all(cursor, limit=50).cursor
            largest = max(largest, _size(path))
        assert len(everything(log, 1000)) == 2 + 3 * 502
        assert WAL_LIMIT_BYTES < largest < 1.25 * WAL_LIMIT_BYTES
        assert path.stat().st_size > 20_000_000, "what was cut off is in the file"


def test_a_foreign_reader_puts_the_cut_off_but_stops_nobody(memory_dir: Path) -> None:
    path = memory_dir / "log.db"

    def grow(count: int) -> None:
        for _ in range(count):
            log.append("s-1", [new(annotated(text="x" * 15_000))], expected=ANY)

    with SqliteLog(path, synchronous="NORMAL") as log:
        begin(log, "s-1")
        with foreign(path) as conn:
            conn.execute("BEGIN")
            conn.execute("SELECT count(*) FROM events").fetchone()
            grow(1200)
            assert _size(path) > 1.5 * WAL_LIMIT_BYTES
            conn.execute("ROLLBACK")
        grow(1200)
        assert _size(path) < 1.25 * WAL_LIMIT_BYTES
        assert log.head("s-1") == 2402
