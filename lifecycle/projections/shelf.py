"""What is known of sessions that may go on later, put away so that memory need not hold them all.

It lies in SQLite's own temporary database: a file that SQLite makes once its cache is full, where temporary files are
made. Only this user can read it; on POSIX it has no name either, and is gone with the process.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lifecycle.errors import LogUnavailable
from lifecycle.log.driver import SqliteError, sqlite3
from lifecycle.projections.rows import COLUMNS, from_row, to_row

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from lifecycle.core.evolve import Session
    from lifecycle.log.driver import Connection

__all__ = ["Kept", "Shelf"]

_FAILURE_ID: Final = COLUMNS.index("failure_id")
_SEEN: Final = ("seen_version", "seen_hash")
_TABLE: Final = f"CREATE TABLE shelf ({', '.join((*COLUMNS, 'body', *_SEEN))}, PRIMARY KEY (session_id))"
_MARKS: Final = ", ".join("?" * (len(COLUMNS) + 1 + len(_SEEN)))
_PUT: Final = f"INSERT OR REPLACE INTO shelf VALUES ({_MARKS})"
#: a power of two; 4 MB
_SLOTS: Final = 1 << 22


class Kept(NamedTuple):
    """A session as far as it was followed; *version* and *hash* are those of the last event that was seen."""

    session: Session
    failure_id: str | None
    version: int
    hash: str


class Shelf:
    """Sessions by their ids. No database is made before the first is put here, and close() ends it.

    Raises:
        LogUnavailable: By every method: no room, or no place, for temporary files.
    """

    def __init__(self) -> None:
        self._conn: Connection | None = None
        #: 1 where an id was put here whose hash has this place: most of the others need not be looked for
        self._put = bytearray()

    def put(self, sessions: Iterable[Kept]) -> None:
        """Keep these, in place of what was known of them."""
        with _explained():
            if self._conn is None:
                self._conn, self._put = _made(), bytearray(_SLOTS)
            self._conn.executemany(_PUT, map(self._row, sessions))

    def get(self, session_id: str) -> Kept | None:
        """What is known of this one; it stays here."""
        if self._conn is None or not self._put[hash(session_id) % _SLOTS]:
            return None
        with _explained():
            found = self._conn.execute("SELECT * FROM shelf WHERE session_id = ?", (session_id,)).fetchone()
        return None if found is None else _kept(found)

    def drop(self, session_id: str) -> None:
        """Know nothing more of this one."""
        if self._conn is not None:
            with _explained():
                self._conn.execute("DELETE FROM shelf WHERE session_id = ?", (session_id,))

    def ids(self) -> list[str]:
        """The ids of all."""
        if self._conn is None:
            return []
        with _explained():
            return [name for (name,) in self._conn.execute("SELECT session_id FROM shelf")]

    def all(self, at_a_time: int) -> Iterator[list[Kept]]:
        """All, so many at a time. Nothing may be put here or dropped meanwhile."""
        if self._conn is None:
            return
        with _explained():
            rows = self._conn.execute("SELECT * FROM shelf ORDER BY rowid")
            while batch := rows.fetchmany(at_a_time):
                yield [*map(_kept, batch)]

    def _row(self, kept: Kept) -> tuple[Any, ...]:
        session = kept.session
        self._put[hash(session.session_id) % _SLOTS] = 1
        body = None if session.error_message is None else json.dumps({"error_message": session.error_message})
        return (*to_row(session, kept.failure_id), body, kept.version, kept.hash)

    def close(self) -> None:
        """Give the room back; the shelf is empty then."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()


def _made() -> Connection:
    conn = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    try:
        conn.execute("PRAGMA journal_mode = OFF")  # nobody wants it back
        conn.execute(_TABLE)
        conn.execute("BEGIN")  # never committed, so never written before it has to be
    except BaseException:
        conn.close()
        raise
    return conn


@contextmanager
def _explained() -> Generator[None]:
    try:
        yield
    except SqliteError as error:
        raise LogUnavailable(f"a temporary file, for sessions that verify has to remember: {error}") from error


def _kept(row: tuple[Any, ...]) -> Kept:
    *listed, version, hashed = row
    return Kept(from_row(listed), row[_FAILURE_ID], version, hashed)
