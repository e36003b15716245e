"""Is this log whole? What every attack asks afterwards, through SQLite and the library's own port alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.audit.verify import verify
from lifecycle.errors import LifecycleError
from lifecycle.log import SqliteLog
from lifecycle.log.driver import SqliteError
from lifecycle.testing import check_history
from lifecycle.testing.history import rows
from tests.log.support import foreign

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["looked_at", "whole"]


def looked_at(path: Path, acknowledged: Iterable[str], attempted: Iterable[str] | None = None) -> list[str]:
    """What a look through SQLite alone finds wrong: pages, positions, versions, endings, what was acknowledged."""
    try:
        with foreign(path) as conn:
            # First of all this: it also brings back a hot journal or what the -wal holds.
            found = [f"integrity: {row[0]}" for row in conn.execute("PRAGMA integrity_check") if row[0] != "ok"]
            table = conn.execute(
                "SELECT position, stream, version, event_id, type, json_valid(data), length(hash) FROM events"
                " ORDER BY position"
            ).fetchall()
    except SqliteError as error:
        return [f"integrity: {error}"]
    if [row[0] for row in table] != list(range(1, len(table) + 1)):
        found.append("positions: not 1..n")
    streams: dict[str, list[tuple[int, str]]] = {}
    for _, stream, version, _, kind, valid, size in table:
        streams.setdefault(stream, []).append((version, kind))
        if not valid or size != 64:
            found.append(f"partial: {stream} version {version}")
    for stream, events in streams.items():
        if [version for version, _ in events] != list(range(1, len(events) + 1)):
            found.append(f"versions: {stream} not 1..n")
        if sum(kind in ("session.closed", "session.failed", "session.timed_out") for _, kind in events) > 1:
            found.append(f"endings: {stream} has more than one")
    ids = {row[3] for row in table}
    if gone := set(acknowledged) - ids:
        found.append(f"lost: {len(gone)} acknowledged events")
    if attempted is not None and (strange := ids - set(attempted)):
        found.append(f"strange: {len(strange)} events that nobody wrote")
    return found


def whole(path: Path, acknowledged: Iterable[str], attempted: Iterable[str] | None = None) -> list[str]:
    """The same, then the library's eyes: every law of a history, chains, Merkle tree, read model; it takes the next."""
    if found := looked_at(path, acknowledged, attempted):
        return found
    try:
        with SqliteLog(path) as log:
            found += [f"history: {violation}" for violation in check_history(rows(log))]
            found += [f"verify: {fault}" for fault in verify(log).faults]
            if not log.sessions.rebuild().equal:
                found.append("read model: not what the events say")
    except LifecycleError as error:
        found.append(f"open: {error}")
    return found
