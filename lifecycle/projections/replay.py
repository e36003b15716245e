"""Rebuild of the SQL read model: every stream replayed into a fresh table, compared with the old one, swapped in.

The caller holds one IMMEDIATE transaction: nobody writes in between, and whatever goes wrong leaves the old rows.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from lifecycle.errors import HistoryError, LogTampered
from lifecycle.projections import RebuildReport
from lifecycle.projections.maintain import failure_of, label, replay
from lifecycle.projections.rows import COLUMNS, INSERT, SELECT, from_row, to_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifecycle.log.driver import Connection
    from lifecycle.log.port import Recorded
    from lifecycle.projections import Progress

__all__ = ["rebuild"]

_NAMES: Final = ", ".join(COLUMNS)
_FRESH: Final = INSERT.replace("INTO sessions", "INTO temp.rebuilt")
_EVERY: Final = 10_000
#: what a row holds besides the Session
_BESIDE: Final = (COLUMNS.index("deadline"), COLUMNS.index("failure_id"))


def rebuild(conn: Connection, rows: Iterable[Recorded], total: int, progress: Progress | None) -> RebuildReport:
    """Replace the read model by what *rows*, ordered by stream and version, say."""
    conn.execute("DROP TABLE IF EXISTS temp.rebuilt")
    conn.execute(f"CREATE TEMP TABLE rebuilt AS SELECT {_NAMES} FROM sessions WHERE 0")
    conn.execute("DELETE FROM session_labels")
    unreadable: dict[str, str] = {}
    sessions = replayed = told = 0
    for stream, group in groupby(rows, key=attrgetter("stream")):
        history = list(group)
        try:
            session = replay(history)
        except HistoryError as error:
            unreadable[stream] = str(error)
        else:
            if session is not None:
                conn.execute(_FRESH, to_row(session, failure_of(history)))
                label(conn, session)
                sessions += 1
        replayed += len(history)
        if progress is not None and (replayed - told >= _EVERY or replayed == total):
            progress(replayed, total)
            told = replayed
    differing = _differing(conn)
    _swap(conn, unreadable)
    return RebuildReport(sessions, replayed, tuple(differing), unreadable)


def _differing(conn: Connection) -> list[str]:
    """Ids whose rows are not the same session. Rows that only spell it differently (an older library's) are equal."""
    conn.execute("CREATE UNIQUE INDEX temp.rebuilt_id ON rebuilt (session_id)")
    same = " AND ".join(f"a.{name} IS b.{name}" for name in COLUMNS)
    suspects = conn.execute(
        f"SELECT a.session_id FROM sessions AS a LEFT JOIN temp.rebuilt AS b USING (session_id) WHERE NOT ({same})"
        " UNION SELECT session_id FROM temp.rebuilt WHERE session_id NOT IN (SELECT session_id FROM sessions)"
    ).fetchall()
    return sorted(name for (name,) in suspects if not _equal(conn, name))


def _equal(conn: Connection, session_id: str) -> bool:
    pair = [
        conn.execute(f"SELECT {SELECT} FROM {table} AS s WHERE s.session_id = ?", (session_id,)).fetchone()
        for table in ("sessions", "temp.rebuilt")
    ]
    if None in pair or any(pair[0][column] != pair[1][column] for column in _BESIDE):
        return False
    try:
        return from_row(pair[0]) == from_row(pair[1])
    except LogTampered:
        return False


def _swap(conn: Connection, unreadable: dict[str, str]) -> None:
    conn.execute("DELETE FROM sessions")
    conn.execute(f"INSERT INTO sessions ({_NAMES}) SELECT {_NAMES} FROM temp.rebuilt")
    conn.execute("DELETE FROM unreadable")
    conn.executemany("INSERT INTO unreadable (stream, reason) VALUES (?, ?)", unreadable.items())
    conn.execute("DROP TABLE temp.rebuilt")
