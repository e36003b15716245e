"""Histories that this version can't read in full, or at all: written past the library, as a newer one may."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from lifecycle.log import SqliteLog
from lifecycle.log.driver import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["opener", "plant"]

_ROW = (
    "INSERT INTO events SELECT (SELECT coalesce(max(position), 0) FROM events) + 1, ?, ?,"
    " (SELECT coalesce(max(version), 0) FROM events WHERE stream = ?) + 1, ?, ?, ?, ?, 'eve', 'client@desk:9',"
    " NULL, NULL, ?, NULL, ?"
)


def plant(path: Path, stream: str, event_type: str, data: Any, *, at: int, schema_version: int = 1) -> None:
    """Write an event at the end of *stream*."""
    text = data if isinstance(data, str) else json.dumps(data)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        name = f"planted-{conn.execute('SELECT count(*) FROM events').fetchone()[0]}"
        conn.execute(_ROW, (name, stream, stream, event_type, schema_version, at, at, text, "0" * 64))


def opener(path: Path) -> Callable[[Callable[[], int]], SqliteLog]:
    """Makes the log of a Writer."""
    return lambda clock: SqliteLog(path, synchronous="NORMAL", clock=clock)
