"""Rebuild of the SQL read model: every stream replayed, compared with its row, and the row mended where it differs.

`rebuild` goes through the streams in portions, each read in one short transaction beside the writers, who go on
meanwhile: append keeps true whatever has been compared already. Only a stream whose row differs is looked at again
under the writers' lock, and mended there. Interrupted, it has mended some rows and broken none.
"""

from __future__ import annotations

import json
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from lifecycle.errors import HistoryError, LogTampered
from lifecycle.log.atomic import replace_file
from lifecycle.log.loading import FACT, load
from lifecycle.projections import RebuildReport
from lifecycle.projections.maintain import store
from lifecycle.projections.rows import COLUMNS, SELECT, from_row, to_row

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from lifecycle.core.evolve import Session
    from lifecycle.log.driver import Connection
    from lifecycle.projections import Progress

__all__ = ["Rebuild", "mend"]

_NAMES: Final = ", ".join(COLUMNS)
#: events read in one transaction; whole streams, so the last one may make it more
_PORTION: Final = 5000
#: what a row holds besides the Session
_BESIDE: Final = (COLUMNS.index("deadline"), COLUMNS.index("failure_id"))
_LABELS: Final = COLUMNS.index("labels")

_FIELDS: Final = f"e.stream, CASE WHEN e.type = 'session.failed' THEN e.event_id END, {FACT}"
_AFTER: Final = f"SELECT {_FIELDS} FROM events AS e WHERE e.stream > ? ORDER BY e.stream, e.version"
_ONE: Final = f"SELECT {_FIELDS} FROM events AS e WHERE e.stream = ? ORDER BY e.version"
_LAST: Final = "SELECT coalesce(max(version), 0) FROM events WHERE stream = ?"
_ROWS: Final = f"SELECT {_NAMES} FROM sessions WHERE session_id > ? AND session_id <= ?"
_ROW: Final = f"SELECT {SELECT} FROM sessions AS s WHERE s.session_id = ?"
_SAID: Final = "SELECT stream, reason FROM unreadable WHERE stream > ? AND stream <= ?"
_LABELLED: Final = "SELECT 1 FROM session_labels WHERE name = ? AND value = ? AND created_at = ? AND session_id = ?"
_UNLABEL: Final = "DELETE FROM session_labels WHERE name = ? AND value = ? AND created_at = ? AND session_id = ?"
_INDEXED: Final = (
    "SELECT l.name, l.value, l.created_at, l.session_id, s.labels FROM session_labels AS l"
    " LEFT JOIN sessions AS s ON s.session_id = l.session_id AND s.created_at = l.created_at"
)
#: behind every name of a stream
_END: Final = "\U0010ffff"


@dataclass(slots=True)
class _Replayed:
    """What one stream's events amount to."""

    stream: str
    session: Session | None = None
    failure_id: str | None = None
    unreadable: str | None = None
    events: int = 0

    def row(self) -> tuple[Any, ...] | None:
        return None if self.session is None else to_row(self.session, self.failure_id)


def _replayed(rows: Iterable[tuple[Any, ...]]) -> Generator[_Replayed]:
    """The streams of *rows*, which _FIELDS gave, in order of stream and version."""
    for stream, group in groupby(rows, key=itemgetter(0)):
        one = _Replayed(stream)
        facts = _facts(one, group)
        with suppress(StopIteration):
            try:
                one.session = load(stream, facts)
            except HistoryError as error:
                one.unreadable = str(error)
        for _ in facts:
            continue  # counted, and its failure found, whatever came before
        yield one


def _facts(one: _Replayed, group: Iterator[tuple[Any, ...]]) -> Generator[Any]:
    for row in group:
        one.events += 1
        if one.events == 1 and isinstance(row[2], str) and not row[2].startswith("session."):
            one.events += sum(1 for _ in group)
            return  # not a session's
        if row[1] is not None:
            one.failure_id = row[1]
        yield row[2:]


@dataclass(slots=True)
class _State:
    """How far a rebuild has come."""

    first: str | None
    after: str = ""
    sessions: int = 0
    events: int = 0
    differing: list[str] = field(default_factory=list[str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])


class Rebuild:
    """One rebuild. *conn* is its own connection, *write* runs a transaction under the writers' lock.

    *kept* is the file in which an interrupted one leaves how far it came, for one with *resume* to go on from.
    """

    def __init__(
        self,
        conn: Connection,
        write: Callable[[Callable[[Connection], list[str]]], list[str]],
        progress: Progress | None,
        kept: Path,
        *,
        resume: bool,
    ) -> None:
        self._conn = conn
        self._write = write
        self._progress = progress
        self._kept = kept
        first = conn.execute("SELECT hash FROM events WHERE position = 1").fetchone()
        self._state = _State(first[0] if first else None)
        if resume:
            with suppress(OSError, ValueError, TypeError):
                state = _State(**json.loads(kept.read_text("utf-8")))
                self._state = state if state.first == self._state.first else self._state

    def run(self) -> RebuildReport:
        """Replay, compare and mend everything, from where it stands."""
        state = self._state
        begun = state.events
        try:
            while self._portion():
                continue
            self._strangers()
        except BaseException:
            if state.events > begun:
                with suppress(OSError):
                    replace_file(self._kept, json.dumps(asdict(state)).encode())
            raise
        self._kept.unlink(missing_ok=True)
        return RebuildReport(state.sessions, state.events, tuple(sorted(set(state.differing))), state.unreadable)

    def _portion(self) -> bool:
        """One more portion; whether more may follow."""
        state, conn = self._state, self._conn
        found: list[_Replayed] = []
        events = 0
        conn.execute("BEGIN")
        try:
            with closing(conn.execute(_AFTER, (state.after,))) as rows:
                for one in _replayed(rows):
                    found.append(one)
                    events += one.events
                    if events >= _PORTION:
                        break
            last = found[-1].stream if events >= _PORTION else _END
            stored = {row[0]: row for row in conn.execute(_ROWS, (state.after, last))}
            said = dict(conn.execute(_SAID, (state.after, last)).fetchall())
            suspects = [one.stream for one in found if not self._same(one, stored, said)]
            (total,) = conn.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
        finally:
            conn.execute("COMMIT")
        known = {one.stream for one in found if one.session is not None or one.unreadable is not None}
        suspects += sorted((stored.keys() | said.keys()) - known - set(suspects))
        if suspects:
            replayed = {one.stream: one for one in found}
            state.differing += self._write(
                lambda conn: [name for name in suspects if mend(conn, name, replayed.get(name))]
            )
        state.sessions += sum(one.session is not None for one in found)
        state.unreadable |= {one.stream: one.unreadable for one in found if one.unreadable is not None}
        state.events += events
        state.after = last
        if self._progress is not None:
            self._progress(state.events, max(total, state.events))
        return last != _END

    def _same(self, one: _Replayed, stored: dict[str, tuple[Any, ...]], said: dict[str, str]) -> bool:
        if stored.get(one.stream) != one.row() or said.get(one.stream) != one.unreadable:
            return False
        labels = {} if one.session is None else one.session.labels
        return all(
            self._conn.execute(_LABELLED, (name, value, one.session.created_at, one.stream)).fetchone()
            for name, value in labels.items()
            if one.session is not None
        )

    def _strangers(self) -> None:
        """Take entries out of the index of labels that no session has."""
        with closing(self._conn.execute(_INDEXED)) as rows:
            wrong = [row[:4] for row in rows if row[4] is None or json.loads(row[4]).get(row[0]) != row[1]]

        def remove(conn: Connection) -> list[str]:
            for name, value, created_at, session_id in wrong:
                row = conn.execute(_ROW, (session_id,)).fetchone()
                if row is None or row[3] != created_at or json.loads(row[_LABELS]).get(name) != value:
                    conn.execute(_UNLABEL, (name, value, created_at, session_id))
            return []

        if wrong:
            self._write(remove)


def mend(conn: Connection, stream: str, one: _Replayed | None = None) -> bool:
    """Make the row of *stream* what its events say; whether it was another session's, and not only spelled so.

    *one* is what they said a moment ago, if that is known.
    """
    if one is None or (one.events,) != conn.execute(_LAST, (stream,)).fetchone():
        with closing(conn.execute(_ONE, (stream,))) as rows:
            one = next(_replayed(rows), _Replayed(stream))
    old = conn.execute(_ROW, (stream,)).fetchone()
    differs = not _equal(old, one)
    if one.session is not None:
        entries = [(name, value, one.session.created_at, stream) for name, value in one.session.labels.items()]
        differs = differs or not all(conn.execute(_LABELLED, entry).fetchone() for entry in entries)
    conn.execute("DELETE FROM sessions WHERE session_id = ?", (stream,))
    conn.execute("DELETE FROM unreadable WHERE stream = ?", (stream,))
    if one.unreadable is not None:
        conn.execute("INSERT INTO unreadable (stream, reason) VALUES (?, ?)", (stream, one.unreadable))
    elif one.session is not None:
        store(conn, None, one.session, one.failure_id)
    return differs


def _equal(old: tuple[Any, ...] | None, one: _Replayed) -> bool:
    row = one.row()
    if old is None or row is None:
        return old is row
    if any(old[column] != row[column] for column in _BESIDE):
        return False
    try:
        # A row has no message of its own.
        return from_row((*old[:-1], None)) == from_row((*row, None))
    except LogTampered:
        return False
