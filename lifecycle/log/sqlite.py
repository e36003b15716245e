"""SqliteLog: the log in one SQLite file, shared by any number of threads and processes of one machine.

An append, in this order: check and encode the batch; wait for this writer's turn; BEGIN IMMEDIATE; make sure that the
file and its guards are still what was opened; look the ids up (a retry ends here); hold *expected* and the session's
history against the batch; insert; bring `sessions` along; COMMIT, which returns when the events are on disk.
"""

from __future__ import annotations

import os
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from lifecycle.errors import HistoryError, IllegalHistory, InvalidConfig, LogUnavailable
from lifecycle.log.batch import (
    check_expected,
    check_page,
    check_range,
    check_stream,
    check_types,
    prepare,
    project,
    repeated,
    rows,
)
from lifecycle.log.codec import SALT_BYTES
from lifecycle.log.driver import IntegrityError
from lifecycle.log.faults import uncertain
from lifecycle.log.file import LogFile
from lifecycle.log.opening import Options
from lifecycle.log.place import place
from lifecycle.log.port import Appended, Cursor, Page
from lifecycle.log.record import COLUMNS, INSERT, INSERT_PRIVATE, recorded, values
from lifecycle.projections.maintain import Recent, failure_of, known, store
from lifecycle.projections.replay import rebuild
from lifecycle.projections.sessions import SqlSessions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from lifecycle.log.batch import Prepared
    from lifecycle.log.driver import Connection
    from lifecycle.log.port import Expected, NewEvent, Recorded
    from lifecycle.log.versions import Durability, Journal, Synchronous
    from lifecycle.projections import Progress, RebuildReport, SessionIndex

__all__ = ["SqliteLog"]

_STREAM: Final = f"SELECT {COLUMNS} FROM events AS e LEFT JOIN private AS p USING (event_id) WHERE e.stream = ?"
_WHOLE: Final = f"{_STREAM} ORDER BY e.version"
_PART: Final = f"{_STREAM} AND e.version > ? AND e.version <= ? ORDER BY e.version"
_MOST: Final = 2**63 - 1
_LOG: Final = f"SELECT {COLUMNS} FROM events AS e LEFT JOIN private AS p USING (event_id)"
_BY_ID: Final = f"{_LOG} WHERE e.event_id = ?"
#: Positions looked at for one page when *types* filters; bounds how long a read lasts and what it holds.
_SPAN: Final = 10_000
_LONGEST_PAGE: Final = 10_000
#: How often wait() looks. Appends of this process wake it at once.
_LOOK_S: Final = 0.05
_EXIT_WAIT_S: Final = 1.0


def _known_ids(
    ask: Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]], batch: Sequence[Prepared], locator: str
) -> dict[str, Recorded]:
    """Those events of the batch whose ids the log holds, whatever it holds under them."""
    found: dict[str, Recorded] = {}
    for prepared in batch:
        for row in ask(_BY_ID, (prepared.new.event_id,)):
            found[prepared.new.event_id] = recorded(row, locator)
    return found


def _fill(conn: Connection, locator: str, progress: Progress | None = None) -> RebuildReport:
    """Build the read model from the events, in the caller's transaction."""
    (total,) = conn.execute("SELECT count(*) FROM events").fetchone()
    cursor = conn.execute(f"{_LOG} ORDER BY e.stream, e.version")
    return rebuild(conn, (recorded(row, locator) for row in cursor), total, progress)


class SqliteLog:
    """An EventLog in the SQLite file at *path*.

    *create*: make the file when it is missing or empty. *read_only*: never write to it. *synchronous*: FULL keeps an
    acknowledged append through a power cut; NORMAL only through the death of every process, and is faster. *journal*
    applies when the file is made: None lets lifecycle.log.versions choose. *clock* gives recorded_at in µs since the
    epoch. *timeout_s* is how long a call waits in the writers' queue, and again for locks of foreign programs.

    Threads may share it. After a fork the child gets connections of its own, at its first use.

    Raises:
        LogUnsuitable: Not a place for a log, not a log, or a newer one.
        LogTampered: Its record's guards are not what this library made.
        LogUnavailable: It can't be opened now.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        read_only: bool = False,
        synchronous: Synchronous = "FULL",
        journal: Journal | None = None,
        clock: Callable[[], int] | None = None,
        timeout_s: float = 30,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise InvalidConfig("synchronous", synchronous, "FULL or NORMAL")
        if journal not in (None, "wal", "delete"):
            raise InvalidConfig("journal", journal, "wal, delete, or None to let the library choose")
        # inf, nan and negative numbers all mean "do not wait" to SQLite, and it counts in 32 bits of ms.
        if type(timeout_s) not in (int, float) or not 0 < timeout_s <= 86_400:
            raise InvalidConfig("timeout_s", timeout_s, "seconds, above 0 and at most 86400")
        self._clock = clock or (lambda: time.time_ns() // 1000)
        self._recent = Recent()
        self._waiters: list[SimpleQueue[None]] = []
        options = Options(
            place(path),
            create=create and not read_only,
            read_only=read_only,
            synchronous=synchronous,
            journal=journal,
            timeout_s=timeout_s,
        )
        self._file = LogFile(options, _fill)
        # For those who never close it: when it is forgotten, and at exit, where nothing may wait for long.
        weakref.finalize(self, self._file.close, _EXIT_WAIT_S)
        self._sessions = SqlSessions(self._file.ask_derived, self.read, self._rebuild)

    @property
    def locator(self) -> str:
        """`sqlite:` and the absolute path: lifecycle.log.open_log opens it in any process of this machine."""
        return self._file.locator

    @property
    def runtime_dir(self) -> Path:
        """The directory `LOGNAME.d` beside the file, for what is not part of the record; made with mode 0700."""
        return self._file.runtime_dir()

    @property
    def durability(self) -> Durability:
        """Journal mode, synchronous, SQLite's version, and why."""
        return self._file.durability

    @property
    def sessions(self) -> SessionIndex:
        """The sessions, kept in the same transaction as the events."""
        return self._sessions

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        """As EventLog.append."""
        batch = prepare(stream, events)
        try:
            appended = self._file.writing.run(lambda conn: self._append(conn, stream, batch, expected))
        except LogUnavailable as error:
            # The disk may have taken the commit and failed afterwards: what stands in the log decides.
            if error.__cause__ is not None and uncertain(error.__cause__) and (stands := self._stands(stream, batch)):
                return replace(stands, duplicate=False)
            raise
        if not appended.duplicate:
            for waiter in tuple(self._waiters):
                waiter.put(None)
        return appended

    def _append(self, conn: Connection, stream: str, batch: Sequence[Prepared], expected: Expected) -> Appended:
        def ask(sql: str, given: Sequence[Any]) -> list[Any]:
            return conn.execute(sql, given).fetchall()

        if again := repeated(stream, batch, _known_ids(ask, batch, self.locator)):
            return again
        last = conn.execute(
            "SELECT version, hash FROM events WHERE stream = ? ORDER BY version DESC LIMIT 1", (stream,)
        ).fetchone()
        head, prev = last or (0, None)
        check_expected(stream, expected, head)
        session, failure, readable = self._recent.get(stream, head, prev) or known(
            conn, stream, head, lambda: self._recorded(ask(_WHOLE, (stream,)))
        )
        after = project(stream, session, batch, head) if readable else None
        (position,) = conn.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
        made = rows(
            stream,
            batch,
            head=head,
            prev=prev,
            position=position,
            clock=self._clock,
            salt=lambda: os.urandom(SALT_BYTES),
        )
        try:
            for row in made:
                conn.execute(INSERT, values(row))
                if row.private is not None:
                    conn.execute(INSERT_PRIVATE, (row.event_id, row.private_salt, row.private))
        except IntegrityError as error:
            # Only on a stream that evolve can't judge: the guards know endings by themselves.
            raise IllegalHistory(stream, head + 1, str(error).removeprefix("lifecycle: ")) from error
        if after is not None and after is not session:
            failure = failure_of(made) or failure
            store(conn, session, after, failure)
            self._recent.put(stream, made[-1].hash, after, failure)
        return Appended(made[-1].version, made[-1].position)

    def _stands(self, stream: str, batch: Sequence[Prepared]) -> Appended | None:
        try:
            found = _known_ids(self._file.ask, batch, self.locator)
            # Read back from memory proves nothing about the disk: only a sync that succeeds does.
            return repeated(stream, batch, found) if found and self._file.writing.sync() else None
        except (LogUnavailable, HistoryError):
            return None

    def read(self, stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        """As EventLog.read."""
        check_stream(stream)
        check_range(after, until)
        last = _MOST if until is None else until
        found = self._file.ask(_PART, (stream, after, last))
        return self._recorded(found)

    def read_all(self, after: Cursor | None = None, *, limit: int, types: Collection[str] | None = None) -> Page:
        """As EventLog.read_all; a page never holds more than 10,000 events."""
        start = check_page(after, limit)
        check_types(types)
        limit = min(limit, _LONGEST_PAGE)
        ((newest,),) = self._file.ask("SELECT coalesce(max(position), 0) FROM events", ())
        if newest <= start:
            return Page((), after, caught_up=True)
        end = newest if types is None else min(newest, start + max(limit, _SPAN))
        wanted = "" if types is None else f" AND e.type IN ({', '.join('?' * len(types))})"
        found = self._file.ask(
            f"{_LOG} WHERE e.position > ? AND e.position <= ?{wanted} ORDER BY e.position LIMIT ?",
            (start, end, *(types or ()), limit + 1),
        )
        events = self._recorded(found[:limit])
        if len(found) > limit:
            return Page(events, events[-1].position, caught_up=False)
        return Page(events, Cursor(end), caught_up=end == newest)

    def last(self, limit: int) -> tuple[Recorded, ...]:
        """As EventLog.last."""
        check_page(None, limit)
        found = self._file.ask(f"{_LOG} ORDER BY e.position DESC LIMIT ?", (limit,))
        return self._recorded(found[::-1])

    def head(self, stream: str) -> int:
        """As EventLog.head."""
        check_stream(stream)
        ((version,),) = self._file.ask("SELECT coalesce(max(version), 0) FROM events WHERE stream = ?", (stream,))
        return int(version)

    def wait(self, cursor: Cursor | None, timeout_s: float) -> bool:
        """As EventLog.wait; another process's append is seen within 50 ms."""
        until = time.monotonic() + timeout_s
        # Not a Condition: its lock is taken in Python code, where an interrupt can lose it for good.
        waiter: SimpleQueue[None] = SimpleQueue()
        self._waiters.append(waiter)
        try:
            while True:
                ((newest,),) = self._file.ask("SELECT coalesce(max(position), 0) FROM events", ())
                left = until - time.monotonic()
                if newest > (cursor or 0) or left <= 0:
                    return bool(newest > (cursor or 0))
                with suppress(Empty):
                    waiter.get(timeout=min(left, _LOOK_S))
        finally:
            self._waiters.remove(waiter)

    def close(self) -> None:
        """As EventLog.close."""
        self._file.close()
        for waiter in tuple(self._waiters):
            waiter.put(None)

    def __enter__(self) -> SqliteLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recorded(self, found: Sequence[Sequence[Any]]) -> tuple[Recorded, ...]:
        return tuple(recorded(row, self.locator) for row in found)

    def _rebuild(self, progress: Progress | None) -> RebuildReport:
        return self._file.writing.run(lambda conn: _fill(conn, self.locator, progress))
