"""LogFile: an open log file: its reading and its writing side, its guards, and what a fork does to them.

Locks, always in this order: the turnstile (threads, then processes), the writing side's, SQLite's. Reading takes the
reading side's lock only.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lifecycle.errors import InvalidConfig, LogTampered, LogUnavailable, ReadOnlyLog
from lifecycle.log import forks
from lifecycle.log.driver import SqliteError, sqlite3
from lifecycle.log.faults import needs_writing, translate
from lifecycle.log.handle import Handle
from lifecycle.log.notice import notice
from lifecycle.log.opening import Options, open_file, turnstile
from lifecycle.log.place import make_directory, make_file
from lifecycle.log.private_copy import PrivateCopy
from lifecycle.log.reading import Reading
from lifecycle.log.schema import broken, check, derive, stale
from lifecycle.log.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    from lifecycle.log.driver import Connection
    from lifecycle.log.opening import Opened
    from lifecycle.log.place import Place
    from lifecycle.log.turnstile import Turnstile
    from lifecycle.projections import Progress, RebuildReport

__all__ = ["LogFile"]

T = TypeVar("T")

#: How long a fork waits for threads that are inside SQLite.
_FORK_WAIT_S: Final = 2.0
#: threads that work ahead of a reader, and how many answers may wait for it
_WORKERS: Final = 2
_AHEAD: Final = 4
#: pages copied between two looks at the progress
_PAGES: Final = 2000


class LogFile:
    """An open log file. *fill* rebuilds the read model inside a transaction, when it is missing or behind."""

    def __init__(self, options: Options, fill: Callable[[Connection], RebuildReport]) -> None:
        self._handle = Handle(options)
        self._fill = fill
        self._underived = False
        self._copy: PrivateCopy | None = None
        #: SQLite's schema_version, which counts every change, when the guards were last found whole
        self._cookie: int | None = None
        self._kept_out: tuple[bool, bool] = (False, False)
        queue = turnstile(options)
        self.writing = Writing(self._handle, queue, self._guarded, self._committed)
        self._reading = Reading(self._handle)
        self.ask = self._reading.ask
        self.look = self._reading.look
        forks.register(self)
        try:
            with self._reading.lock:
                self._handle.usable()
                opened = self._open(options, queue)
                self._handle.identity = opened.identity
                self._reading.conn = opened.conn
            self.durability = opened.durability
            self._repair(opened.conn)
        except BaseException:
            self.close()
            raise

    def _open(self, options: Options, queue: Turnstile) -> Opened:
        try:
            return open_file(options, queue)
        except LogUnavailable as error:
            if not options.read_only or not needs_writing(error.__cause__):
                raise
        self._copy = PrivateCopy(options.place)
        self._handle.options = replace(options, copy=self._copy.path)
        return open_file(self._handle.options, queue)

    @property
    def copied(self) -> bool:
        """Whether a private copy is read, which shows what stood in the file when it was opened."""
        return self._copy is not None

    @property
    def locator(self) -> str:
        return self._handle.locator

    def runtime_dir(self) -> Path:
        """The directory beside the file, made with mode 0700 when it is missing and may be made."""
        options = self._handle.options
        if not options.read_only:
            make_directory(options.place)
        return options.place.runtime_dir

    def ask_derived(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As ask, for a question to the read model; one that somebody dropped meanwhile is built again."""
        if self._underived:
            raise ReadOnlyLog(self.locator, "has no read model of its sessions, and it can't be built without writing")
        try:
            return self.ask(sql, values)
        except LogTampered as error:
            if "no such" not in str(error.__cause__):
                raise
            self.writing.run(_nothing)
            return self.ask(sql, values)

    def stream(self, sql: str) -> Generator[tuple[Any, ...]]:
        """The rows of one SELECT one by one, on a connection of its own that sees the log as it stood at the first.

        The write-ahead log can't be cut before the last of them.
        """
        self._handle.usable()
        try:
            with closing(self._handle.connect()) as conn:
                yield from conn.execute(sql)
        except (SqliteError, UnicodeDecodeError) as error:
            raise translate(error, self.locator) from error

    def ahead(self, sql: str, given: Iterable[Sequence[Any]]) -> Generator[Any]:
        """The one value of *sql* for each of the parameters, in their order; a few are worked out ahead of the reader.

        On threads and connections of their own: while SQLite works, it holds no lock of Python's.
        """
        rest = iter(given)
        first = list(islice(rest, _AHEAD))
        if len(first) <= 1:
            yield from (self.ask(sql, values)[0][0] for values in first)
            return
        idle: SimpleQueue[Connection] = SimpleQueue()

        def work(values: Sequence[Any]) -> Any:
            conn = idle.get()
            try:
                return conn.execute(sql, values).fetchone()[0]
            except (SqliteError, UnicodeDecodeError) as error:
                raise translate(error, self.locator) from error
            finally:
                idle.put(conn)

        self._handle.usable()
        with ExitStack() as opened:
            try:
                for _ in range(_WORKERS):
                    idle.put(opened.enter_context(closing(self._handle.connect())))
            except SqliteError as error:
                raise translate(error, self.locator) from error
            pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="lifecycle-ahead")
            opened.callback(pool.shutdown, cancel_futures=True)  # before the connections are closed
            pending = deque(pool.submit(work, values) for values in first)
            while pending:
                found = pending.popleft().result()
                pending.extend(pool.submit(work, values) for values in islice(rest, 1))
                yield found

    def aside(self, work: Callable[[Connection], T]) -> T:
        """What *work* makes of a connection of its own, for reading; it leaves no transaction open."""
        self._handle.usable()
        try:
            with closing(self._handle.connect()) as conn:
                return work(conn)
        except (SqliteError, UnicodeDecodeError) as error:
            raise translate(error, self.locator) from error

    def _guarded(self, conn: Connection) -> int:
        """The schema's cookie, once its guards are known to be whole and its read model to be there."""
        (cookie,) = conn.execute("PRAGMA schema_version").fetchone()
        if cookie != self._cookie:
            check(conn, self.locator)
            if broken(conn):
                self.writing.lift(conn)
                derive(conn)
                self._refill(conn, "missing")
            elif stale(conn):
                self._refill(conn, "behind the events")
            (cookie,) = conn.execute("PRAGMA schema_version").fetchone()
        return int(cookie)

    def _committed(self, cookie: int) -> None:
        self._cookie = cookie

    def _repair(self, conn: Connection) -> None:
        """On opening: build the read model again when it is missing or behind the events."""
        try:
            if not broken(conn) and not stale(conn):
                return
        except (SqliteError, UnicodeDecodeError) as error:
            raise translate(error, self.locator) from error
        try:
            self.writing.run(_nothing)
        except ReadOnlyLog:
            self._underived = True

    def _refill(self, conn: Connection, why: str) -> None:
        report = self._fill(conn)
        notice("log.read_model_rebuilt", log=self.locator, why=why, sessions=report.sessions, events=report.events)

    def backup(self, to: Place, progress: Progress | None) -> None:
        """Copy the file as it stands now to the new file *to*."""
        try:
            if to.check(create=True):
                raise InvalidConfig("to", to.path, "a file that is not there yet")
            make_file(to)
        except OSError as error:
            raise InvalidConfig("to", to.path, f"a file that can be made: {error.strerror}") from error
        try:
            with closing(self._handle.connect()) as source, closing(sqlite3.connect(to.path)) as target:
                source.execute("BEGIN")  # so that what others write meanwhile does not make it begin again
                source.execute("SELECT 1 FROM events LIMIT 1").fetchall()

                def told(_status: int, left: int, total: int) -> None:
                    if progress is not None:
                        progress(total - left, total)

                source.backup(target, pages=_PAGES, progress=told)
        except BaseException as error:
            with suppress(OSError):
                os.unlink(to.path)
            if isinstance(error, SqliteError):
                raise translate(error, self.locator) from error
            raise

    def close(self, timeout_s: float = -1) -> None:
        """Let go of everything, once the calls that are under way have ended, or *timeout_s* is over; idempotent."""
        self._handle.closed = True
        self.writing.close(timeout_s)
        self._reading.close(timeout_s)
        if self._copy is not None:
            self._copy.remove()

    def before_fork(self) -> None:
        """Close the connections, once the calls that are under way have ended, and let nobody open them again."""
        until = time.monotonic() + _FORK_WAIT_S
        written = read = False
        with suppress(SqliteError):
            written = self.writing.before_fork(_FORK_WAIT_S)
            read = self._reading.before_fork(max(until - time.monotonic(), 0))
        self._kept_out = (written, read)

    def after_fork_in_parent(self) -> None:
        written, read = self._kept_out
        if written:
            self.writing.lock.release()
        if read:
            self._reading.lock.release()

    def after_fork_in_child(self) -> None:
        self.writing.after_fork()
        self._reading.after_fork()
        if all(self._kept_out):
            self._handle.pid = os.getpid()
        else:
            forks.poison(self._handle.identity)


def _nothing(_conn: Connection) -> None:
    """A transaction without work: what it begins with is wanted, that the guards and the read model are looked at."""
