"""A log to tamper with, and the tools: guards taken off, rows changed, hashes computed anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle.audit.checkpoint import record
from lifecycle.audit.note import SigningKey
from lifecycle.log.codec import FIRST, hash_of
from lifecycle.log.record import COLUMNS, recorded
from lifecycle.log.schema import RECORD
from lifecycle.log.sqlite import SqliteLog
from lifecycle.testing.log_samples import (
    MAX,
    SECOND,
    T0,
    annotated,
    begin,
    closed,
    failed,
    navigated,
    new,
    released,
    timed_out,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from lifecycle.audit.note import Checkpoint

KEY: Final = SigningKey("example.com/test", bytes(range(32)))
_TRIGGERS: Final = tuple(name for name, sql in RECORD.items() if sql.startswith("CREATE TRIGGER"))
_ROWS: Final = f"SELECT {COLUMNS} FROM events AS e LEFT JOIN private AS p USING (event_id)"


def written(path: Path, sessions: int) -> SqliteLog:
    """A log of so many sessions with every kind of ending; each ninth lives."""
    log = SqliteLog(path, synchronous="NORMAL")
    for number in range(sessions):
        name, at = f"s-{number:05}", T0 + number * MAX
        begin(log, name, at, {"n": str(number % 7), "job": "nightly"} if number % 3 else None)
        notes = [navigated(at + SECOND, f"https://example.com/{number}"), annotated(at + SECOND, n=number)]
        if number % 9 == 8:
            log.append(name, [new(note) for note in notes], expected=2)
            continue
        if number % 3 == 0:
            ending = [closed(at + 3 * SECOND), released(at + 4 * SECOND)]
        elif number % 3 == 1:
            ending = [failed(at + 3 * SECOND, f"no price {number}"), released(at + 4 * SECOND)]
        else:
            notes = []
            ending = [timed_out(at), released(at + MAX)]
        log.append(name, [new(event) for event in (*notes, *ending)], expected=2)
    return log


def checkpointed(log: SqliteLog) -> Checkpoint:
    """A checkpoint that is recorded in the log too."""
    return record(log, KEY, new)


@contextmanager
def unguarded(path: Path | str) -> Generator[sqlite3.Connection]:
    """Somebody else's connection, in a transaction, with the triggers away; they are back at the end, to the letter."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        for name in _TRIGGERS:
            conn.execute(f"DROP TRIGGER {name}")
        yield conn
        for name in _TRIGGERS:
            conn.execute(RECORD[name])
        conn.execute("COMMIT")


def rehash(conn: sqlite3.Connection, stream: str) -> None:
    """Compute every hash of *stream* anew, as somebody who knows how would."""
    prev = FIRST
    for row in [recorded(row, "") for row in conn.execute(f"{_ROWS} WHERE e.stream = ? ORDER BY e.version", (stream,))]:
        prev = hash_of(row, prev)
        conn.execute("UPDATE events SET hash = ? WHERE position = ?", (prev, row.position))


def damage(path: Path, at: int, data: bytes) -> None:
    """Write into the closed file itself."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def place_of(path: Path, what: bytes) -> int:
    """Where the text stands in the file, in its first place."""
    found = path.read_bytes().find(what)
    assert found > 0
    return found


def everything(path: Path) -> dict[str, Any]:
    """The bytes and times of the file and what lies beside it; an empty write-ahead log is none."""
    beside = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-journal")]
    found = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in beside if file.exists()}
    return {name: (content, changed) for name, (content, changed) in found.items() if content}
