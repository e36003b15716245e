"""Keeping `sessions` true: what append does to it inside its own transaction, and the replay of one stream."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from lifecycle.core.events import SessionFailed
from lifecycle.core.evolve import Session, evolve, fold
from lifecycle.errors import HistoryError, IllegalHistory, LogTampered
from lifecycle.log.codec import decode
from lifecycle.log.codec import events as typed
from lifecycle.projections.rows import COLUMNS, INSERT, SELECT, from_row, to_row, to_update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lifecycle.log.driver import Connection
    from lifecycle.log.port import Recorded

__all__ = ["Known", "Recent", "as_far", "failure_of", "forget", "known", "label", "mark", "replay", "store"]

_VERSION: Final = COLUMNS.index("version")
_FAILURE: Final = COLUMNS.index("failure_id")

_ONE: Final = f"SELECT {SELECT} FROM sessions AS s WHERE session_id = ?"
#: whether a stream is a session's
_OURS: Final = "SELECT 1 FROM events WHERE stream = ? AND version = 1 AND type LIKE 'session.%'"

#: more than one process has alive at once
_REMEMBERED: Final = 256

#: session, the id of its failed event, whether the stream can be read typed
Known = tuple[Session | None, str | None, bool]


def replay(rows: Iterable[Recorded]) -> Session | None:
    """The session that one stream's *rows*, all of them, amount to; None if they are not a session's.

    Raises:
        HistoryError: They can't be read typed, or are another session's.
    """
    history = tuple(rows)
    if not history or not history[0].type.startswith("session."):
        return None
    session = fold(typed(history))
    if session is not None and session.session_id != history[0].stream:
        raise IllegalHistory(history[0].stream, 1, f"the history of {session.session_id}")
    return session


def as_far(rows: Iterable[Recorded]) -> Session | None:
    """As replay, of the events before the first that can't be read typed: where the session stood in a list."""
    session: Session | None = None
    with suppress(HistoryError):
        for row in rows:
            session = evolve(session, decode(row))
    return session


def failure_of(rows: Iterable[Recorded]) -> str | None:
    """The id of the `failed` event among *rows*: its private part has the error message."""
    return next((row.event_id for row in rows if row.type == SessionFailed.type), None)


def known(conn: Connection, stream: str, head: int, read: Callable[[], Sequence[Recorded]]) -> Known:
    """(session, failure id, readable) of *stream* at version *head*, in the caller's transaction.

    The row is used when it stands at *head*. Otherwise somebody wrote past this library: *read* gives the stream, and
    what it says replaces the row.
    """
    if head == 0:
        return None, None, True
    row = conn.execute(_ONE, (stream,)).fetchone()
    if row is not None and row[_VERSION] == head:
        with suppress(LogTampered):  # a damaged row is replaced as well
            return from_row(row), row[_FAILURE], True
    if row is None and not conn.execute(_OURS, (stream,)).fetchone():
        return None, None, True
    rows = read()
    try:
        session = replay(rows)
    except HistoryError as error:
        mark(conn, stream, str(error))
        return None, None, False
    failure = failure_of(rows)
    forget(conn, stream)
    if session is not None:
        store(conn, None, session, failure)
    return session, failure, True


def store(conn: Connection, before: Session | None, after: Session, failure_id: str | None) -> None:
    """Write the row of the session *after*, which was *before*, in the caller's transaction."""
    written = before is not None and conn.execute(*to_update(before, after, failure_id)).rowcount
    if not written:
        conn.execute(INSERT, to_row(after, failure_id))
        label(conn, after)


class Recent:
    """The sessions this process has last appended to, so that their rows need not be read back each time.

    An entry counts only while the stream's last event still has the hash it was made at: a hash stands for the whole
    history, whoever else has written meanwhile, and whether or not our own transaction came to its end. Those made
    since the last *doubt* are sure to have it.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, Session, str | None]] = {}
        self._sure: set[str] = set()

    def get(self, stream: str, head: int, last_hash: str | None) -> Known | None:
        """The session of *stream* at version *head* with *last_hash*, if it is remembered."""
        entry = self._entries.get(stream)
        # The version too: nothing but the library's own writing makes a hash unlike the one before.
        if entry is None or entry[0] != last_hash or entry[1].version != head:
            return None
        return entry[1], entry[2], True

    def sure(self, stream: str) -> tuple[str, Session, str | None] | None:
        """(hash of the last event, session, failure id) of *stream*, if nobody can have written to it since."""
        return self._entries.get(stream) if stream in self._sure else None

    def doubt(self) -> None:
        """Somebody else has written, or our last transaction did not come to its end."""
        self._sure.clear()

    def put(self, stream: str, last_hash: str, session: Session, failure_id: str | None) -> None:
        """Remember the session of *stream* at *last_hash*."""
        self._entries.pop(stream, None)
        self._entries[stream] = (last_hash, session, failure_id)
        self._sure.add(stream)
        if len(self._entries) > _REMEMBERED:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            self._sure.discard(oldest)


def label(conn: Connection, session: Session) -> None:
    """Enter *session* in the index of labels. (In Python: json_each in a trigger needs a trusted schema.)"""
    if session.labels:
        entries = ((name, value, session.created_at, session.session_id) for name, value in session.labels.items())
        # An entry may be there already where somebody took the row alone, and must not keep events from being written.
        conn.executemany("INSERT OR IGNORE INTO session_labels VALUES (?, ?, ?, ?)", entries)


def forget(conn: Connection, stream: str) -> None:
    """Take *stream* out of the read model."""
    conn.execute("DELETE FROM session_labels WHERE session_id = ?", (stream,))  # a scan, and hardly ever
    conn.execute("DELETE FROM sessions WHERE session_id = ?", (stream,))
    conn.execute("DELETE FROM unreadable WHERE stream = ?", (stream,))


def mark(conn: Connection, stream: str, reason: str) -> None:
    """Note that *stream* can't be read typed; it is left out of lists from now on."""
    forget(conn, stream)
    conn.execute("INSERT INTO unreadable (stream, reason) VALUES (?, ?)", (stream, reason))
