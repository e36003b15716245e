"""LogFile: an open log file: its reading and its writing side, its guards, and what a fork does to them.

A read model that is missing or behind is built beside the writers, portion by portion. Until it is whole, the view
`sessions_view` is missing, by which every process knows; appends keep true what is there already, and whoever asks for
sessions builds it first.

Locks, always in this order: the turnstile (threads, then processes), the writing side's, SQLite's. Reading takes the
reading side's lock only.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lifecycle.errors import InvalidConfig, LogTampered, LogUnavailable, ReadOnlyLog
from lifecycle.log import forks
from lifecycle.log.driver import SqliteError, sqlite3
from lifecycle.log.faults import full, needs_writing, translate
from lifecycle.log.handle import Handle
from lifecycle.log.notice import notice
from lifecycle.log.opening import Options, open_file, turnstile
from lifecycle.log.place import make_directory, make_file
from lifecycle.log.private_copy import PrivateCopy
from lifecycle.log.reading import Reading
from lifecycle.log.schema import broken, check, derive, stale
from lifecycle.log.writing import Writing
from lifecycle.projections.replay import Rebuild
from lifecycle.projections.table import VIEWS

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

#: there when the read model is whole
_SIGN: Final = "sessions_view"

#: How long a fork waits for threads that are inside SQLite.
_FORK_WAIT_S: Final = 2.0
#: threads that work ahead of a reader, and how many answers may wait for it
_WORKERS: Final = 2
_AHEAD: Final = 4
#: pages copied between two looks at the progress
_PAGES: Final = 2000


class LogFile:
    """An open log file."""

    def __init__(self, options: Options) -> None:
        self._handle = Handle(options)
        #: SQLite's schema_version when the read model was last found whole
        self._whole: int | None = None
        self._copy: PrivateCopy | None = None
        #: SQLite's schema_version, which counts every change, when the guards were last found whole
        self._cookie: int | None = None
        #: what was kept out of SQLite for a fork; the reading sides that others have beside ours, and who may add one
        self._kept_out: dict[Writing | Reading, bool] = {}
        self._others: set[Reading] = set()
        self._adding = threading.RLock()  # reentrant: collecting a generator that was left gives its side back
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
            with suppress(ReadOnlyLog):  # then whoever asks for sessions is told
                self.complete()
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
        whole = False
        while True:
            try:
                found, cookie = self.look(lambda conn: (conn.execute(sql, values).fetchall(), _cookie(conn)))
            except LogTampered as error:
                if whole or "no such" not in str(error.__cause__):
                    raise
            else:
                if cookie == self._whole:  # as it was, so it was whole when it was asked
                    return found
            try:
                whole = self.complete() is None
            except ReadOnlyLog as error:
                why = "has no read model of its sessions, and it can't be built without writing"
                raise ReadOnlyLog(self.locator, why) from error

    @contextmanager
    def _another(self) -> Generator[Reading]:
        """One more reading side, which forks know of like the first."""
        made = Reading(self._handle)
        with self._adding:
            self._others.add(made)
        try:
            yield made
        finally:
            made.close(0)  # nobody uses it any more; a fork that holds it has closed it
            with self._adding:
                self._others.discard(made)

    def ask_aside(self, sql: str) -> list[tuple[Any, ...]]:
        """As ask, on a connection of its own: nobody has to wait for it."""
        with self._another() as other:
            return other.ask(sql)

    def ahead(self, sql: str, given: Iterable[Sequence[Any]]) -> Generator[Any]:
        """The one value of *sql* for each of the parameters, in their order; a few are worked out ahead of the reader.

        On threads and connections of their own: while SQLite works, it holds no lock of Python's.
        """
        rest = iter(given)
        first = list(islice(rest, _AHEAD))
        if len(first) <= 1:
            yield from (self.ask(sql, values)[0][0] for values in first)
            return
        idle: SimpleQueue[Reading] = SimpleQueue()

        def work(values: Sequence[Any]) -> Any:
            other = idle.get()
            try:
                return other.ask(sql, values)[0][0]
            finally:
                idle.put(other)

        with ExitStack() as opened:
            for _ in range(_WORKERS):
                idle.put(opened.enter_context(self._another()))
            pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="lifecycle-ahead")
            opened.callback(pool.shutdown, cancel_futures=True)  # before the connections are closed
            pending = deque(pool.submit(work, values) for values in first)
            while pending:
                found = pending.popleft().result()
                pending.extend(pool.submit(work, values) for values in islice(rest, 1))
                yield found

    def aside(self, work: Callable[[Connection], T]) -> T:
        """What *work* makes of a connection of its own, for reading; it leaves no transaction open."""
        with self._another() as other, other.held() as conn:
            return work(conn)

    def _guarded(self, conn: Connection) -> int:
        """The schema's cookie, once its guards are known to be whole, and the tables of its read model to be there."""
        cookie = _cookie(conn)
        if cookie == self._cookie:
            return cookie
        check(conn, self.locator)
        return self._begin(conn)

    def _committed(self, cookie: int) -> None:
        self._cookie = cookie

    def _begin(self, conn: Connection) -> int:
        """Where the read model is not whole: have its tables there and its sign away; the schema's cookie then."""
        lacks = broken(conn)
        if lacks and lacks != [_SIGN]:
            self.writing.lift(conn)
            derive(conn)
        elif lacks or not stale(conn):
            return _cookie(conn)
        self.writing.lift(conn)
        conn.execute(f"DROP VIEW {_SIGN}")
        return _cookie(conn)

    def complete(self, progress: Progress | None = None) -> RebuildReport | None:
        """Build the read model, beside the writers, where it is not whole; None where it is.

        Raises:
            ReadOnlyLog, LogUnavailable: It is not, and can't be built.
        """
        if self.look(self._found_whole):
            return None
        while True:
            report = self._build(progress)
            notice("log.read_model_rebuilt", log=self.locator, sessions=report.sessions, events=report.events)
            # What is behind even now was tampered with, and stays so.
            if self.look(lambda conn: self._found_whole(conn, though_behind=True)):
                return report

    def _build(self, progress: Progress | None) -> RebuildReport:
        begun = self.writing.run(self._begin)
        kept = self.runtime_dir() / "rebuild.json"
        report = self.aside(lambda conn: Rebuild(conn, self._mend, progress, kept, resume=False).run())
        self.writing.run(lambda conn: self._end(conn, begun))
        return report

    def _found_whole(self, conn: Connection, *, though_behind: bool = False) -> bool:
        cookie = _cookie(conn)  # before: a change in between makes it another one
        if broken(conn) or (stale(conn) and not though_behind):
            return False
        self._whole = cookie
        return True

    def _mend(self, work: Callable[[Connection], list[str]]) -> list[str]:
        self.writing.run(work)
        return []  # whatever is missing differs, and nobody wants to know

    def _end(self, conn: Connection, begun: int) -> None:
        """Say that the read model is whole, unless somebody has said so, or taken it away, since *begun*."""
        if _cookie(conn) == begun and broken(conn) == [_SIGN]:
            self.writing.lift(conn)
            conn.execute(VIEWS[_SIGN])

    def backup(self, to: Place, progress: Progress | None) -> None:
        """Copy the file as it stands now to the new file *to*."""
        try:
            if to.check(create=True):
                raise InvalidConfig("to", to.path, "a file that is not there yet")
            make_file(to)
        except OSError as error:
            raise InvalidConfig("to", to.path, f"a file that can be made: {error.strerror}") from error
        try:
            with self._another() as other, other.held() as source, closing(sqlite3.connect(to.path)) as target:
                source.execute("BEGIN")  # so that what others write meanwhile does not make it begin again
                source.execute("SELECT 1 FROM events LIMIT 1").fetchall()

                def told(_status: int, left: int, total: int) -> None:
                    if progress is not None:
                        progress(total - left, total)

                try:
                    source.backup(target, pages=_PAGES, progress=told)
                except SqliteError as error:
                    if full(error):  # the copy's disk; the log is only read
                        raise translate(error, to.locator) from error
                    raise
        except BaseException:
            with suppress(OSError):
                os.unlink(to.path)
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
        self._adding.acquire()
        self._kept_out = dict.fromkeys((self.writing, self._reading, *self._others), False)
        with suppress(SqliteError):
            for side in self._kept_out:
                self._kept_out[side] = side.before_fork(max(until - time.monotonic(), 0))

    def after_fork_in_parent(self) -> None:
        sides, self._kept_out = self._kept_out, {}
        for side, kept_out in sides.items():
            if kept_out:
                side.lock.release()
        with suppress(RuntimeError):  # an interrupt came before it was taken
            self._adding.release()

    def after_fork_in_child(self) -> None:
        for side in self._kept_out:
            side.after_fork()
        self._others.clear()
        self._adding = threading.RLock()
        if self._kept_out and all(self._kept_out.values()):
            self._handle.pid = os.getpid()
        else:
            forks.poison(self._handle.identity)


def _cookie(conn: Connection) -> int:
    """SQLite's schema_version, which counts every change of the schema."""
    (cookie,) = conn.execute("PRAGMA schema_version").fetchone()
    return int(cookie)
