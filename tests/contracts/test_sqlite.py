"""SqliteLog keeps the contract of every log, in each of its journal modes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lifecycle.log import SqliteLog
from lifecycle.log.driver import sqlite3
from lifecycle.testing.log_contract import LogContract, disk_full
from lifecycle.testing.log_samples import T0, fresh_id

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lifecycle.log.port import EventLog
    from lifecycle.log.versions import Journal


class SqliteContract(LogContract):
    def __init__(self, directory: Path, journal: Journal) -> None:
        self._directory = directory
        self._journal: Journal = journal

    def log(self) -> EventLog:
        return SqliteLog(self._directory / f"{fresh_id('log')}.db", journal=self._journal)

    def again(self, log: EventLog) -> EventLog:
        assert isinstance(log, SqliteLog)
        return SqliteLog(log.locator.removeprefix("sqlite:"))

    def full(self, log: EventLog) -> AbstractContextManager[None]:
        return disk_full()

    def plant(self, log: EventLog, stream: str, event_type: str, schema_version: int, data: str) -> bool:
        assert log.locator is not None
        with closing(sqlite3.connect(log.locator.removeprefix("sqlite:"), isolation_level=None)) as conn:
            conn.execute(
                "INSERT INTO events SELECT (SELECT max(position) FROM events) + 1, ?, ?,"
                " (SELECT max(version) FROM events WHERE stream = ?) + 1, ?, ?, ?, ?, 'x', 'x', NULL, NULL, ?, NULL, ?",
                (fresh_id(), stream, stream, event_type, schema_version, T0, T0, data, "0" * 64),
            )
        return True


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("check", LogContract.checks())
def test_sqlite_log_keeps_the_contract(check: str, journal: Journal, tmp_path: Path) -> None:
    getattr(SqliteContract(tmp_path, journal), check)()
