"""Append-only logs of events: the port every log implements, one in memory, one in a SQLite file.

The two logs are loaded when they are first asked for: each imports its read model from lifecycle.projections, which
imports from here; and importing SQLite's wrapper costs more than the rest together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.log.codec import decode, events
from lifecycle.log.locate import open_log
from lifecycle.log.port import ANY, EXISTS, NO_STREAM, Appended, Cursor, EventLog, Expected, NewEvent, Page, Recorded

if TYPE_CHECKING:
    from lifecycle.log.memory import MemoryLog
    from lifecycle.log.sqlite import SqliteLog

__all__ = [
    "ANY",
    "EXISTS",
    "NO_STREAM",
    "Appended",
    "Cursor",
    "EventLog",
    "Expected",
    "MemoryLog",
    "NewEvent",
    "Page",
    "Recorded",
    "SqliteLog",
    "decode",
    "events",
    "open_log",
]


def __getattr__(name: str) -> Any:
    if name == "MemoryLog":
        from lifecycle.log.memory import MemoryLog

        return MemoryLog
    if name == "SqliteLog":
        from lifecycle.log.sqlite import SqliteLog

        return SqliteLog
    raise AttributeError(name)
