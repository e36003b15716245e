"""LogFile: an open log file, the one way to read from it and the one way to write to it.

Locks, always in this order: the turnstile (threads, then processes), the writing connection's lock, SQLite's. Reading
takes the reading connection's lock only. Every access asks first whether the path still leads to the file that was
opened: SQLite would go on writing to an unlinked file, and acknowledge it.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from lifecycle.errors import LogTampered, LogUnavailable, ReadOnlyLog
from lifecycle.log import forks
from lifecycle.log.checkpoint import Checkpoints, truncate
from lifecycle.log.connection import durability
from lifecycle.log.driver import DatabaseError, IntegrityError, SqliteError
from lifecycle.log.faults import busy, translate
from lifecycle.log.notice import notice
from lifecycle.log.opening import RETRY_S, Options, open_file, turn, turnstile
from lifecycle.log.place import make_directory
from lifecycle.log.schema import broken, check, derive, stale

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from lifecycle.log.driver import Connection
    from lifecycle.log.place import Place
    from lifecycle.projections import RebuildReport

__all__ = ["LogFile"]

#: How long a fork waits for threads that are inside SQLite.
_FORK_WAIT_S: Final = 2.0


class LogFile:
    """An open log file. *fill* rebuilds the read model inside a transaction, when it is missing or behind."""

    def __init__(self, options: Options, fill: Callable[[Connection, str], RebuildReport]) -> None:
        self.changed = threading.Condition()
        self._writer: Connection | None
        self._reader: Connection | None
        self._options = options
        self._fill = fill
        self._closed = False
        self._underived = False
        #: SQLite's schema_version, which counts every change, when the guards were last found whole
        self._cookie: int | None = None
        self._checkpoints = Checkpoints(options.place, options.timeout_s)
        self._turnstile = turnstile(options)
        self._fresh()
        self._held: list[threading.Lock] = []
        opened = open_file(options, self._turnstile, self._lifted)
        self._reader = opened.conn
        self._identity = opened.identity
        self.durability = opened.durability
        forks.register(self)
        try:
            self._repair()
        except BaseException:
            self.close()
            raise

    def _fresh(self) -> None:
        """No connections, and locks that nobody holds."""
        self._lifted = [False]
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._writer = None
        self._reader = None

    @property
    def place(self) -> Place:
        return self._options.place

    @property
    def locator(self) -> str:
        return self._options.place.locator

    def runtime_dir(self) -> Path:
        """The directory beside the file, made with mode 0700 when it is missing and may be made."""
        if not self._options.read_only:
            make_directory(self.place)
        return self.place.runtime_dir

    def _connect(self) -> Connection:
        """One more connection to the file that was opened first."""
        conn = self._options.connect(self._lifted)
        try:
            self._in_place()
            durability(conn, self._options.synchronous)
        except BaseException:
            conn.close()
            raise
        return conn

    def _in_place(self) -> None:
        if self.place.identity() != self._identity:
            raise LogUnavailable(f"{self.locator}: the file was removed or replaced while it was open; open it again")

    def _usable(self) -> None:
        if self._closed:
            raise LogUnavailable(f"{self.locator}: the log has been closed")

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one SELECT. No cursor and no transaction stay open behind it.

        Raises:
            LogUnavailable, LogTampered, NotALog: As lifecycle.log.faults reads SQLite's error.
        """
        began = time.monotonic()
        while True:
            with self._read_lock:
                self._usable()
                self._in_place()
                try:
                    if self._reader is None:
                        self._reader = self._connect()
                    return self._reader.execute(sql, values).fetchall()
                except (SqliteError, UnicodeDecodeError) as error:
                    waited = time.monotonic() - began
                    if not busy(error) or waited > self._options.timeout_s:
                        self._reader = _fit(self._reader, error)
                        raise translate(error, self.locator, waited_s=waited) from error
            time.sleep(RETRY_S)

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

        *lift* lets it change the read model's tables. What is raised in the block rolls it back.

        Raises:
            LogUnavailable: The turn did not come, somebody kept the file locked, the disk refused, the file is gone.
            ReadOnlyLog: It can't be written here.
            LogTampered: The guards have been changed since it was opened.
        """
        self._usable()
        if self._options.read_only:
            raise ReadOnlyLog(self.locator, "was opened for reading only")
        with turn(self._turnstile, self._options), self._write_lock:
            self._usable()
            self._in_place()
            began = time.monotonic()
            try:
                if self._writer is None:
                    self._writer = self._connect()
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
                self._writer = _fit(self._writer, error)
                raise translate(error, self.locator, waited_s=time.monotonic() - began) from error
            finally:
                # Twice: a second interrupt may hit the first rollback, and a transaction left open locks everybody out.
                try:
                    self._settle()
                finally:
                    self._settle()
            if self.durability.journal == "wal":
                self._checkpoints.after_commit(conn)

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

    def _repair(self) -> None:
        """On opening: build the read model again when it is missing or behind the events."""
        reader = self._reader
        assert reader is not None
        try:
            if not broken(reader) and not stale(reader):
                return
        except SqliteError as error:
            raise translate(error, self.locator) from error
        try:
            with self.transaction():
                pass
        except ReadOnlyLog:
            self._underived = True

    def _refill(self, conn: Connection, why: str) -> None:
        report = self._fill(conn, self.locator)
        notice("log.read_model_rebuilt", log=self.locator, why=why, sessions=report.sessions, events=report.events)

    def sync(self) -> bool:
        """Have everything that stands in the log brought to the disk; whether that worked."""
        try:
            with turn(self._turnstile, self._options), self._write_lock:
                self._usable()
                conn = self._connect()
                try:
                    return self.durability.journal != "wal" or truncate(conn)
                finally:
                    conn.close()
        except (SqliteError, LogUnavailable):
            return False

    def close(self) -> None:
        """Let go of everything, once the calls that are under way have ended; idempotent."""
        self._closed = True
        with self._write_lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
        with self._read_lock:
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.close()
        self._turnstile.close()

    def before_fork(self) -> None:
        """Keep our threads out of SQLite while the process is copied, or its mutexes stay locked in the child."""
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


def _fit(conn: Connection | None, error: BaseException) -> Connection | None:
    """*conn*, unless *error* makes it unfit for further use: then it is closed."""
    if conn is None or isinstance(error, IntegrityError) or busy(error):
        return conn
    with suppress(SqliteError):
        conn.close()
    return None
