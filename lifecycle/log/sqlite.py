"""SqliteLog: the log in one SQLite file, shared by any number of threads and processes of one machine.

An append, in this order: check and encode the batch; wait for this writer's turn; BEGIN IMMEDIATE; make sure that the
file and its guards are still what was opened; look the ids up (a retry ends here); hold *expected* and the session's
history against the batch; insert; bring `sessions` along; COMMIT, which returns when the events are on disk. Where
nobody else has written since this log's last commit, what that left is remembered, and nothing is asked.
"""

from __future__ import annotations

import os
import time
import weakref
from contextlib import closing, suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lifecycle.core.events import SessionFailed
from lifecycle.errors import (
    HistoryError,
    IllegalHistory,
    InvalidConfig,
    LogUnavailable,
    LogUnsuitable,
    SealedLog,
    UnknownSession,
    WrongVersion,
)
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
from lifecycle.log.loading import FACT, load
from lifecycle.log.material import Material, SqlMaterial
from lifecycle.log.opening import Options
from lifecycle.log.place import place
from lifecycle.log.port import Appended, Cursor, Expectation, Page
from lifecycle.log.receipts import STREAM, LogForgotten
from lifecycle.log.record import COLUMNS, INSERT, INSERT_PRIVATE, NAMES, WIDTH, recorded, values
from lifecycle.log.schema import broken
from lifecycle.projections.maintain import Recent, known, store
from lifecycle.projections.replay import Rebuild
from lifecycle.projections.sessions import SqlSessions
from lifecycle.projections.table import ended

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from lifecycle.core.evolve import Session
    from lifecycle.log.batch import Prepared
    from lifecycle.log.driver import Connection
    from lifecycle.log.port import Expected, NewEvent, Recorded
    from lifecycle.log.versions import Durability, Journal, Synchronous
    from lifecycle.projections import Progress, RebuildReport, SessionIndex

__all__ = ["SqliteLog"]

_KEEP: Final = "INSERT OR REPLACE INTO tree (level, number, hash) VALUES (?, ?, ?)"
_ENDED: Final = (
    f"SELECT coalesce(max(version), 0), count(*) FILTER (WHERE {ended('type')}) FROM events WHERE stream = ?"
)
_FORGET: Final = "DELETE FROM private WHERE event_id IN (SELECT event_id FROM events WHERE stream = ?)"
_FORGOTTEN: Final = (
    "SELECT 1 FROM events WHERE stream = 'log' AND type = 'log.forgotten' AND instr(data, '\"' || ? || '\"') > 0"
)
_LIVES: Final = "SELECT session_id FROM sessions WHERE released = 0 UNION ALL SELECT stream FROM unreadable"
_STREAM: Final = f"SELECT {COLUMNS} FROM events AS e LEFT JOIN private AS p USING (event_id) WHERE e.stream = ?"
_WHOLE: Final = f"{_STREAM} ORDER BY e.version"
_PART: Final = f"{_STREAM} AND e.version > ? AND e.version <= ? ORDER BY e.version"
_MOST: Final = 2**63 - 1
_ID: Final = NAMES.index("event_id")
_HASH: Final = NAMES.index("hash")
_BODY, _SALT = WIDTH, WIDTH + 1
_FACTS: Final = f"SELECT {FACT} FROM events AS e WHERE e.stream = ? AND e.version > ? ORDER BY e.version"
_LOG: Final = f"SELECT {COLUMNS} FROM events AS e LEFT JOIN private AS p USING (event_id)"
_NEWEST: Final = "SELECT coalesce(max(position), 0) FROM events"
_BY_ID: Final = f"{_LOG} WHERE e.event_id = ?"
#: Positions looked at for one page when *types* filters; bounds how long a read lasts and what it holds.
_SPAN: Final = 10_000
_LONGEST_PAGE: Final = 10_000
#: How often wait() looks. Appends of this process wake it at once.
_LOOK_S: Final = 0.05
_EXIT_WAIT_S: Final = 1.0


#: What an append has to know, in one look: position and seal of the log, head of the stream, and one id already there.
_STATE: Final = (
    "SELECT (SELECT coalesce(max(position), 0) FROM events), EXISTS (SELECT 1 FROM events WHERE type = 'log.sealed'),"
    " EXISTS (SELECT 1 FROM events WHERE event_id = ?), last.version, last.hash FROM (SELECT 1) LEFT JOIN"
    " (SELECT version, hash FROM events WHERE stream = ? ORDER BY version DESC LIMIT 1) AS last"
)
#: ids looked up at once; SQLite has long allowed 999 parameters
_IDS: Final = 500


def _any_known(conn: Connection, batch: Sequence[Prepared]) -> bool:
    """Whether the log holds the id of any event of the batch."""
    ids = [prepared.new.event_id for prepared in batch]
    return any(
        conn.execute(f"SELECT 1 FROM events WHERE event_id IN ({', '.join('?' * len(some))}) LIMIT 1", some).fetchone()
        for some in (ids[first : first + _IDS] for first in range(0, len(ids), _IDS))
    )


def _known_ids(
    ask: Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]], batch: Sequence[Prepared], locator: str
) -> dict[str, Recorded]:
    """Those events of the batch whose ids the log holds, whatever it holds under them."""
    found: dict[str, Recorded] = {}
    for prepared in batch:
        for row in ask(_BY_ID, (prepared.new.event_id,)):
            found[prepared.new.event_id] = recorded(row, locator)
    return found


class _Doubt(Exception):
    """By what is remembered a batch is refused, which the log has to be asked about."""


class _Standing(NamedTuple):
    """What an append follows: the log's last position, and of its stream the last version and hash, and the session."""

    position: int
    head: int
    prev: str | None
    session: Session | None
    failure: str | None
    readable: bool = True
    sealed: bool = False


class SqliteLog:
    """An EventLog in the SQLite file at *path*.

    *create*: make the file when it is missing or empty. *read_only*: never write to it; where SQLite would have to
    write beside it and may not, a private copy is read, which shows what stood there. *synchronous*: FULL keeps an
    acknowledged append through a power cut; NORMAL only through the death of every process, and is faster. *journal*
    applies when the file is made: None lets lifecycle.log.versions choose. *clock* gives recorded_at in µs since the
    epoch. *timeout_s* is how long a call waits in the writers' queue, and again for locks of foreign programs.
    *damaged*, with *read_only*: also where its guards are not whole, as verify reads it.

    Threads may share it. After a fork the child gets connections of its own, at its first use.

    Raises:
        InvalidConfig: An argument, or *damaged* without *read_only*.
        LogUnsuitable: Not a place for a log, not a log, or a newer one; or this user may not read it, or not write it.
        LogTampered: Its record's guards are not what this library made; not with *damaged*.
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
        damaged: bool = False,
    ) -> None:
        if damaged and not read_only:
            raise InvalidConfig("damaged", damaged, "only with read_only=True; nothing is added to a damaged log")
        if synchronous not in ("FULL", "NORMAL"):
            raise InvalidConfig("synchronous", synchronous, "FULL or NORMAL")
        if journal not in (None, "wal", "delete"):
            raise InvalidConfig("journal", journal, "wal, delete, or None to let the library choose")
        # inf, nan and negative numbers all mean "do not wait" to SQLite, and it counts in 32 bits of ms.
        if type(timeout_s) not in (int, float) or not 0 < timeout_s <= 86_400:
            raise InvalidConfig("timeout_s", timeout_s, "seconds, above 0 and at most 86400")
        self._clock = clock or (lambda: time.time_ns() // 1000)
        self._recent = Recent()
        #: the last one, where nobody else can have written since; None where the log has to be asked
        self._position: int | None = None
        self._waiters: list[SimpleQueue[None]] = []
        options = Options(
            place(path),
            create=create and not read_only,
            read_only=read_only,
            synchronous=synchronous,
            journal=journal,
            timeout_s=timeout_s,
            damaged=damaged,
        )
        self._file = LogFile(options)
        # For those who never close it: when it is forgotten, and at exit, where nothing may wait for long.
        weakref.finalize(self, self._file.close, _EXIT_WAIT_S)
        self._sessions = SqlSessions(self._file.ask_derived, self.read, self._rebuild, self._file.ahead)

    @property
    def locator(self) -> str:
        """`sqlite:` and the absolute path: lifecycle.log.open_log opens it in any process of this machine."""
        return self._file.locator

    @property
    def runtime_dir(self) -> Path:
        """The directory `LOGNAME.d` beside the file, for what is not part of the record; made with mode 0700."""
        return self._file.runtime_dir()

    @property
    def copied(self) -> bool:
        """Whether a private copy is read, since SQLite would have to write beside the file: then nothing new comes."""
        return self._file.copied

    @property
    def durability(self) -> Durability:
        """Journal mode, synchronous, SQLite's version, and why."""
        return self._file.durability

    @property
    def sessions(self) -> SessionIndex:
        """The sessions, kept in the same transaction as the events."""
        return self._sessions

    @property
    def material(self) -> Material:
        """What an audit looks at besides the port."""
        return SqlMaterial(self._file.ask, self._file.look, self._file.ask_aside, self.locator)

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        """As EventLog.append."""
        batch = prepare(stream, events)

        run = self._file.writing.run
        try:
            try:
                appended = run(lambda conn: self._append(conn, stream, batch, expected))
            except _Doubt:
                appended = run(lambda conn: self._append(conn, stream, batch, expected, ask_all=True))
        except LogUnavailable as error:
            # The disk may have taken the commit and failed afterwards: what stands in the log decides.
            if error.__cause__ is not None and uncertain(error.__cause__) and (stands := self._stands(stream, batch)):
                return replace(stands, duplicate=False)
            raise
        if not appended.duplicate:
            self._tell()
        return appended

    def _append(
        self, conn: Connection, stream: str, batch: Sequence[Prepared], expected: Expected, *, ask_all: bool = False
    ) -> Appended:
        if ask_all or not self._file.writing.alone:
            self._position = None
            self._recent.doubt()
        if ask_all:
            return self._look(conn, stream, batch, expected, every_id=True)
        sure = None if self._position is None else self._recent.sure(stream)
        try:
            if self._position is None or sure is None:
                return self._look(conn, stream, batch, expected)
            prev, last, failed = sure
            standing = _Standing(self._position, last.version, prev, last, failed)
            return self._write(conn, stream, batch, expected, standing)
        except (WrongVersion, HistoryError, SealedLog) as error:
            if sure is None and len(batch) == 1:
                raise
            raise _Doubt from error  # a batch that stands in the log already, perhaps, or a part of it

    def _look(
        self, conn: Connection, stream: str, batch: Sequence[Prepared], expected: Expected, *, every_id: bool = False
    ) -> Appended:
        """Append after what stands in the log; without *every_id* only the first one is looked up beforehand."""

        def ask(sql: str, given: Sequence[Any]) -> list[Any]:
            return conn.execute(sql, given).fetchall()

        position, sealed, there, version, prev = conn.execute(_STATE, (batch[0].new.event_id, stream)).fetchone()
        if (there or (every_id and _any_known(conn, batch[1:]))) and (
            again := repeated(stream, batch, _known_ids(ask, batch, self.locator))
        ):
            return again
        head = version or 0
        check_expected(stream, expected, head)
        session, failure, readable = self._recent.get(stream, head, prev) or known(
            conn, stream, head, lambda: self._recorded(ask(_WHOLE, (stream,)))
        )
        if sealed and batch[0].new.event.type != LogForgotten.type:
            raise SealedLog(self.locator)
        standing = _Standing(position, head, prev, session, failure, readable, sealed)
        return self._write(conn, stream, batch, expected, standing)

    def _write(
        self, conn: Connection, stream: str, batch: Sequence[Prepared], expected: Expected, standing: _Standing
    ) -> Appended:
        position, head, prev, session, failure, readable, sealed = standing
        check_expected(stream, expected, head)
        after = project(stream, session, batch, head) if readable else None
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
            conn.executemany(INSERT, [row[:WIDTH] for row in made])
            hidden = [(row[_ID], row[_SALT], row[_BODY]) for row in made if row[_BODY] is not None]
            if hidden:
                conn.executemany(INSERT_PRIVATE, hidden)
        except IntegrityError as error:
            # Only on a stream that evolve can't judge: the guards know endings by themselves.
            raise IllegalHistory(stream, head + 1, str(error).removeprefix("lifecycle: ")) from error
        if after is not None and after is not session:
            for new, _ in batch:
                failure = new.event_id if new.event.type == SessionFailed.type else failure
            store(conn, session, after, failure)
            self._recent.put(stream, made[-1][_HASH], after, failure)
        # Counts once the transaction is on disk: after one that is not, the next finds itself not alone.
        self._position = None if sealed or stream == STREAM else position + len(batch)
        return Appended(head + len(batch), Cursor(position + len(batch)))

    def keep_tree(self, hashes: Mapping[tuple[int, int], bytes]) -> None:
        """Store hashes of the Merkle tree by (level, number), for the next checkpoint to go on from."""
        rows = [(level, number, hashed) for (level, number), hashed in sorted(hashes.items())]
        if rows:
            self._file.writing.run(lambda conn: conn.executemany(_KEEP, rows))

    def forget(self, session_id: str, receipt: Callable[[int, int], NewEvent]) -> bool:
        """Delete what is private in a session's events; whether it was overwritten on the disk too.

        *receipt* makes the event of it, from the last version and the number of rows; both in one transaction. False:
        somebody reads the log at this moment, and old pages stay in the write-ahead log until this is called again.

        Raises:
            UnknownSession: No such session.
            LogUnsuitable: It has not ended.
            As append.
        """

        def act(conn: Connection) -> None:
            through, ended = conn.execute(_ENDED, (session_id,)).fetchone()
            if not through or session_id == STREAM:
                raise UnknownSession(session_id, self.locator)
            if not ended:
                raise LogUnsuitable(self.locator, f"session {session_id} has not ended; stop it, then forget it")
            rows = conn.execute(_FORGET, (session_id,)).rowcount
            new = receipt(through, rows)
            if rows or not conn.execute(_FORGOTTEN, (session_id,)).fetchone():
                self._append(conn, STREAM, prepare(STREAM, [new]), Expectation.ANY)

        self._file.writing.run(act)
        self._tell()
        return self._file.writing.sync()

    def seal(self, receipt: NewEvent) -> None:
        """Close the log for good: *receipt* is its last event but for what may still be forgotten.

        Raises:
            LogUnsuitable: A session lives, or can't be read.
            As append.
        """

        def act(conn: Connection) -> None:
            if broken(conn):
                raise LogUnavailable(f"{self.locator}: the list of its sessions is being built; try again")
            if lives := conn.execute(_LIVES).fetchall():
                names = ", ".join(name for (name,) in lives[:3])
                raise LogUnsuitable(
                    self.locator, f"{len(lives)} sessions are not released or can't be read, such as {names}; stop them"
                )
            self._append(conn, STREAM, prepare(STREAM, [receipt]), Expectation.ANY)

        self._file.complete()
        self._file.writing.run(act)
        self._tell()

    def restore(self, rows: Sequence[Recorded]) -> None:
        """Write events as another log held them, hashes and all; they follow what is there.

        The caller has proved the chain. The read model is empty until rebuild(), or until the log is opened again.

        Raises:
            LogUnsuitable: The first one's position is not the next.
            IllegalHistory: The guards refuse one.
            As append.
        """

        def act(conn: Connection) -> None:
            (position,) = conn.execute(_NEWEST).fetchone()
            if position != rows[0].position - 1:
                raise LogUnsuitable(self.locator, f"somebody else has written to it: {position} events")
            for table in ("sessions", "session_labels", "unreadable"):
                conn.execute(f"DELETE FROM {table}")  # an empty list is built again by whoever opens the log next
            for row in rows:
                try:
                    conn.execute(INSERT, values(row))
                    if row.private is not None:
                        conn.execute(INSERT_PRIVATE, (row.event_id, row.private_salt, row.private))
                except IntegrityError as error:
                    reason = str(error).removeprefix("lifecycle: ")
                    raise IllegalHistory(row.stream, row.version, reason) from error
            self._position = None

        self._file.writing.run(act)

    def backup(self, path: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy the log as it stands now into the new file *path*; writers go on meanwhile.

        Raises:
            InvalidConfig: There is such a file.
            LogUnavailable, LogTampered: As reading; nothing is left at *path*.
        """
        self._file.backup(place(path), progress)

    def _tell(self) -> None:
        for waiter in tuple(self._waiters):
            waiter.put(None)

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

    def load(self, stream: str, since: Session | None = None) -> Session | None:
        """As EventLog.load."""
        check_stream(stream)
        first = since.version if since else 0

        def fold(conn: Connection) -> Session | None:
            with closing(conn.execute(_FACTS, (stream, first))) as facts:
                return load(stream, facts, since)

        return self._file.look(fold)

    def read_all(self, after: Cursor | None = None, *, limit: int, types: Collection[str] | None = None) -> Page:
        """As EventLog.read_all; a page never holds more than 10,000 events."""
        start = check_page(after, limit)
        check_types(types)
        limit = min(limit, _LONGEST_PAGE)
        ((newest,),) = self._file.ask(_NEWEST)
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
        found = self._file.ask(f"{_LOG} ORDER BY e.position DESC LIMIT ?", (min(limit, _MOST),))
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
                ((newest,),) = self._file.ask(_NEWEST)
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
        self._tell()

    def __enter__(self) -> SqliteLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recorded(self, found: Sequence[Sequence[Any]]) -> tuple[Recorded, ...]:
        return tuple(recorded(row, self.locator) for row in found)

    def _rebuild(self, progress: Progress | None, resume: bool) -> RebuildReport:
        self._file.writing.run(lambda conn: None)  # whether it may write
        if built := self._file.complete(progress):
            return built  # of nothing, so there was nothing to compare with
        kept = self.runtime_dir / "rebuild.json"
        return self._file.aside(lambda conn: Rebuild(conn, self._file.writing.run, progress, kept, resume=resume).run())
