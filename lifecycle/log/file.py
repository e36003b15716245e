"""LogFile: the file, its two connections, and the one way to read from it and the one way to write to it.

Locks, always in this order: the turnstile (threads, then processes), the writing connection's lock, SQLite's. Reading
takes the reading connection's lock only. Every access asks first whether the path still leads to the file that was
opened: SQLite would go on writing to an unlinked file, and acknowledge it.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from lifecycle.errors import LogTampered, LogUnavailable, LogUnsuitable, ReadOnlyLog
from lifecycle.log import forks
from lifecycle.log.connection import connect, durability, set_journal
from lifecycle.log.driver import DatabaseError, IntegrityError, SqliteError
from lifecycle.log.faults import busy, translate
from lifecycle.log.notice import notice
from lifecycle.log.place import make_directory, make_file, place
from lifecycle.log.schema import broken, check, derive, is_blank, migrate, stale
from lifecycle.log.turnstile import Turnstile, TurnstileTimeout
from lifecycle.log.versions import choose, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from lifecycle.log.driver import Connection
    from lifecycle.log.versions import Durability, Journal, Synchronous
    from lifecycle.projections import RebuildReport

__all__ = ["WAL_LIMIT_BYTES", "LogFile"]

#: The write-ahead log is checkpointed and cut when it is longer than this.
WAL_LIMIT_BYTES: Final = 4 * 1024 * 1024
#: How long a checkpoint waits for readers before it is put off.
_CHECKPOINT_WAIT_MS: Final = 50
_RETRY_S: Final = 0.01
#: How long a fork waits for threads that are inside SQLite.
_FORK_WAIT_S: Final = 2.0


class LogFile:
    """An open log file. *fill* rebuilds the read model inside a transaction, when it is missing or behind."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool,
        read_only: bool,
        synchronous: Synchronous,
        journal: Journal | None,
        timeout_s: float,
        fill: Callable[[Connection, str], RebuildReport],
    ) -> None:
        self.place = place(path)
        self.changed = threading.Condition()
        self._create = create and not read_only
        self._read_only = read_only
        self._synchronous: Synchronous = synchronous
        self._timeout_s = timeout_s
        self._fill = fill
        self._closed = False
        self._underived = False
        #: schema_version of SQLite (it counts every change of the schema) when the guards were last found whole
        self._cookie: int | None = None
        self._wal_limit = WAL_LIMIT_BYTES
        self._turnstile = Turnstile(f"{self.place.runtime_dir}/writers")
        self._fresh()
        self.durability = self._open(journal)
        forks.register(self)
        self._repair()

    def _fresh(self) -> None:
        """No connections, and locks that nobody holds."""
        self._lifted = [False]
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._writer: Connection | None = None
        self._reader: Connection | None = None

    @property
    def locator(self) -> str:
        return self.place.locator

    def runtime_dir(self) -> Path:
        """The directory beside the file, made with mode 0700 when it is missing."""
        make_directory(self.place)
        return self.place.runtime_dir

    def _open(self, journal: Journal | None) -> Durability:
        """Open, make or refuse the file; the first opening of a file may meet locks that no timeout covers."""
        until = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._try_open(journal)
            except SqliteError as error:
                if not busy(error) or time.monotonic() > until:
                    raise translate(error, self.locator, waited_s=self._timeout_s) from error
                time.sleep(_RETRY_S)

    def _try_open(self, journal: Journal | None) -> Durability:
        if not self.place.check(create=self._create):
            self._make(journal)
        conn = self._connect()
        try:
            self._identity = self.place.identity()
            if is_blank(conn):  # its making was interrupted, or is under way
                if not self._create:
                    raise LogUnsuitable(self.locator, "the database is empty")
                conn.close()
                self._make(journal)
                conn = self._connect()
                self._identity = self.place.identity()
            check(conn, self.locator)
            found = durability(conn, self._synchronous)
            why = explain(self.place, found.journal, asked=journal, writing=not self._read_only)
        except BaseException:
            conn.close()
            raise
        self._reader = conn
        return found.because(why)

    def _make(self, journal: Journal | None) -> None:
        """Make the file and its schema, once among all processes that try."""
        mode = choose(self.place, journal)
        with self._turn():
            make_file(self.place)
            lifted = [True]
            conn = connect(self.place, read_only=False, timeout_s=self._timeout_s, lifted=lifted)
            try:
                if is_blank(conn):
                    set_journal(conn, mode)
                    durability(conn, self._synchronous)
                    conn.execute("BEGIN IMMEDIATE")
                    migrate(conn)
                    conn.execute("COMMIT")
            finally:
                conn.close()

    def _connect(self) -> Connection:
        return connect(self.place, read_only=self._read_only, timeout_s=self._timeout_s, lifted=self._lifted)

    def _reopened(self) -> Connection:
        """One more connection to the file that was opened first."""
        conn = self._connect()
        try:
            self._in_place()
            durability(conn, self._synchronous)
        except BaseException:
            conn.close()
            raise
        return conn

    def _repair(self) -> None:
        """Build the read model again when it is missing or behind the events."""
        try:
            assert self._reader is not None
            if not broken(self._reader) and not stale(self._reader):
                return
        except SqliteError as error:
            raise translate(error, self.locator) from error
        try:
            with self.transaction():
                pass
        except ReadOnlyLog:
            self._underived = True

    def _in_place(self) -> None:
        if self.place.identity() != self._identity:
            raise LogUnavailable(f"{self.locator}: the file was removed or replaced while it was open; open it again")

    def _usable(self) -> None:
        if self._closed:
            raise LogUnavailable(f"{self.locator}: the log has been closed")

    @contextmanager
    def _turn(self) -> Generator[None]:
        """This writer's turn in the queue of all writers."""
        try:
            make_directory(self.place)
            with self._turnstile.turn(self._timeout_s):
                yield
        except TurnstileTimeout as error:
            raise LogUnavailable(f"{self.locator}: {error}") from error

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one SELECT. No cursor and no transaction stay open behind it.

        Raises:
            LogUnavailable, LogTampered, NotALog: As lifecycle.log.faults reads SQLite's error.
        """
        until = time.monotonic() + self._timeout_s
        while True:
            with self._read_lock:
                self._usable()
                self._in_place()
                try:
                    if self._reader is None:
                        self._reader = self._reopened()
                    return self._reader.execute(sql, values).fetchall()
                except (SqliteError, UnicodeDecodeError) as error:
                    if not busy(error) or time.monotonic() > until:
                        self._reader = _discard(self._reader, error)
                        raise translate(error, self.locator, waited_s=self._timeout_s) from error
            time.sleep(_RETRY_S)

    def ask_derived(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As ask, for a question to the read model; one that somebody dropped meanwhile is built again."""
        if self._underived:
            raise ReadOnlyLog(self.locator, "has no read model of its sessions, and it can't be built without writing")
        try:
            return self.ask(sql, values)
        except LogTampered as error:
            if "no such" not in str(error.__cause__):
                raise
            with self.transaction():
                pass
            return self.ask(sql, values)

    @contextmanager
    def transaction(self, *, lift: bool = False) -> Generator[Connection]:
        """A write transaction on a log whose guards are whole; committed, and on disk, when the block ends normally.

        Raises:
            LogUnavailable: The turn did not come, somebody kept the file locked, the disk refused, the file is gone.
            ReadOnlyLog: It can't be written here.
            LogTampered: The guards have been changed since it was opened.
        """
        self._usable()
        if self._read_only:
            raise ReadOnlyLog(self.locator, "was opened for reading only")
        with self._turn(), self._write_lock:
            self._usable()
            self._in_place()
            began = time.monotonic()
            try:
                if self._writer is None:
                    self._writer = self._reopened()
                conn = self._writer
                if conn.in_transaction:  # an interrupt left it so
                    conn.rollback()
                conn.execute("BEGIN IMMEDIATE")
                cookie = self._guarded(conn)
                self._lifted[0] = lift
                yield conn
                self._in_place()
                conn.execute("COMMIT")
                self._cookie = cookie
            except (SqliteError, UnicodeDecodeError) as error:
                self._settle()
                self._writer = _discard(self._writer, error)
                raise translate(error, self.locator, waited_s=time.monotonic() - began) from error
            finally:
                # Twice: a second interrupt may hit the first rollback, and a transaction left open locks everybody out.
                try:
                    self._settle()
                finally:
                    self._settle()
            self._checkpoint(conn)

    def _settle(self) -> None:
        self._lifted[0] = False
        if self._writer is not None and self._writer.in_transaction:
            with suppress(DatabaseError):
                self._writer.rollback()

    def _guarded(self, conn: Connection) -> int:
        """The schema's cookie, once its guards are known to be whole and its read model to be there."""
        (cookie,) = conn.execute("PRAGMA schema_version").fetchone()
        if cookie != self._cookie:
            check(conn, self.locator)
            self._lifted[0] = True
            if broken(conn):
                derive(conn)
                self._refill(conn, "missing")
            elif stale(conn):
                self._refill(conn, "behind the events")
            self._lifted[0] = False
            (cookie,) = conn.execute("PRAGMA schema_version").fetchone()
        return int(cookie)

    def _refill(self, conn: Connection, why: str) -> None:
        report = self._fill(conn, self.locator)
        notice("log.read_model_rebuilt", log=self.locator, why=why, sessions=report.sessions, events=report.events)

    def _checkpoint(self, conn: Connection) -> None:
        """Bring the write-ahead log into the file and cut it, when it is long. Still this writer's turn.

        TRUNCATE holds the write lock, which keeps the WAL-reset bug away (lifecycle.log.versions), but falls back to
        a checkpoint that does not when it can't get it; so it is only tried when nobody has it.
        """
        if self.durability.journal != "wal":
            return
        try:
            size = os.stat(f"{self.place.path}-wal").st_size
        except OSError:
            return
        if size < self._wal_limit:
            return
        left = size
        with suppress(SqliteError):
            conn.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_WAIT_MS}")
            conn.execute("BEGIN IMMEDIATE")
            conn.execute("ROLLBACK")
            (kept, _, _) = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            left = size if kept else 0
        with suppress(SqliteError):
            conn.execute(f"PRAGMA busy_timeout = {int(self._timeout_s * 1000)}")
        # A reader in another program kept it: try again when as much has come on top.
        self._wal_limit = left + WAL_LIMIT_BYTES

    def sync(self) -> bool:
        """Have everything that stands in the log brought to the disk; whether that worked."""
        try:
            with self._turn(), self._write_lock:
                self._usable()
                conn = self._reopened()
                try:
                    if self.durability.journal != "wal":
                        return True
                    (kept, _, _) = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    return not kept
                finally:
                    conn.close()
        except (SqliteError, LogUnavailable):
            return False

    def close(self) -> None:
        """Let go of everything; idempotent."""
        self._closed = True
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        with self._read_lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        self._turnstile.close()

    def before_fork(self) -> None:
        """Keep this process's threads out of SQLite while the process is copied, or its mutexes stay locked."""
        until = time.monotonic() + _FORK_WAIT_S
        self._held = [
            lock
            for lock in (self._write_lock, self._read_lock)
            if lock.acquire(timeout=max(until - time.monotonic(), 0))
        ]

    def after_fork_in_parent(self) -> None:
        for lock in self._held:
            lock.release()

    def after_fork_in_child(self) -> None:
        forks.immortal(self._writer)
        forks.immortal(self._reader)
        self.changed = threading.Condition()
        self._turnstile.after_fork()
        self._fresh()


def _discard(conn: Connection | None, error: BaseException) -> Connection | None:
    """*conn*, unless *error* makes it unfit for further use: then closed, and None."""
    if conn is None or isinstance(error, IntegrityError) or busy(error):
        return conn
    with suppress(SqliteError):
        conn.close()
    return None
