"""What a log remembers of its own last append counts only while nobody else has written, and nothing was undone."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lifecycle.errors import EventIdReused, IllegalHistory, LogUnavailable, WrongVersion
from lifecycle.log import ANY, SqliteLog
from lifecycle.log.codec import FIRST, check_hash
from lifecycle.log.driver import sqlite3
from lifecycle.testing.log_samples import SECOND, T0, accessed, begin, closed, new

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as made:
        begin(made, "s-1")
        made.append("s-1", [new(accessed(T0 + 2 * SECOND))], expected=2)
        yield made


def _whole(log: SqliteLog) -> None:
    prev = FIRST
    for row in log.read("s-1"):
        check_hash(row, prev)
        prev = row.hash
    assert log.sessions.rebuild().equal


def test_two_logs_take_turns_on_one_session(log: SqliteLog, tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as other:
        for number in range(3, 11):
            writer = log if number % 4 < 2 else other
            writer.append("s-1", [new(accessed(T0 + number * SECOND))], expected=number)
            with pytest.raises(WrongVersion):
                writer.append("s-1", [new(accessed(T0 + number * SECOND))], expected=number)
    _whole(log)


def test_another_log_ends_the_session(log: SqliteLog, tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as other:
        other.append("s-1", [new(closed(T0 + 3 * SECOND))], expected=3)
    with pytest.raises(IllegalHistory):
        log.append("s-1", [new(accessed(T0 + 4 * SECOND))], expected=ANY)
    _whole(log)


def test_what_was_undone_is_not_remembered(log: SqliteLog, tmp_path: Path) -> None:
    """The file is not where it was when the transaction comes to its end, so that it is rolled back.

    Then another log writes at the same version and position, and only the hash tells the two events apart.
    """
    undone = new(accessed(T0 + 3 * SECOND))
    (tmp_path / "log.db").rename(tmp_path / "away.db")
    with pytest.raises(LogUnavailable):
        log.append("s-1", [undone], expected=3)
    (tmp_path / "away.db").rename(tmp_path / "log.db")
    with SqliteLog(tmp_path / "log.db") as other:
        other.append("s-1", [new(accessed(T0 + 4 * SECOND))], expected=3)
    appended = log.append("s-1", [new(accessed(T0 + 5 * SECOND))], expected=4)
    assert (appended.version, appended.position) == (5, 5)
    _whole(log)


def test_a_retry_is_known_whatever_was_expected(log: SqliteLog) -> None:
    event = new(accessed(T0 + 3 * SECOND))
    first = log.append("s-1", [event], expected=3)
    for expected in (3, 4, ANY):
        again = log.append("s-1", [event], expected=expected)
        assert (again.version, again.position, again.duplicate) == (first.version, first.position, True)
    begin(log, "s-2")
    with pytest.raises(EventIdReused):
        log.append("s-2", [event], expected=2)
    _whole(log)


def test_a_batch_that_is_refused_in_its_middle_leaves_nothing(log: SqliteLog, tmp_path: Path) -> None:
    again = log.last(1)[0].event_id
    batch = [new(accessed(T0 + 4 * SECOND)), new(accessed(T0 + 5 * SECOND), again)]
    with SqliteLog(tmp_path / "log.db") as other:  # which has appended nothing: it has to look
        for one, expected in ((log, 3), (other, 3), (other, 17)):
            with pytest.raises(EventIdReused):
                one.append("s-1", batch, expected=expected)
    assert log.head("s-1") == 3
    _whole(log)


def test_a_foreign_program_that_takes_a_guard_away_is_noticed(log: SqliteLog, tmp_path: Path) -> None:
    """Before the next append, though nothing but the schema was written."""
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        conn.execute("DROP TRIGGER events_no_update")
    with pytest.raises(Exception, match="events_no_update is missing"):
        log.append("s-1", [new(accessed(T0 + 3 * SECOND))], expected=3)
