"""The writing side of a log file: one transaction at a time, of all threads and processes.

An interrupt (Ctrl-C, or whatever a signal handler raises) can hit between any two steps, several in a row too. What it
must not do is leave a lock or a transaction behind, which would lock out everybody else. So `_end` may be called at any
time: it gives back what this thread holds and nothing else. It is called whether or not `_begin` got anywhere, twice,
and by the next transaction of the thread if even that was interrupted.
"""

from __future__ import annotations

import inspect
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from lifecycle.errors import LifecycleError, LogUnavailable, ReadOnlyLog
from lifecycle.log import forks
from lifecycle.log.checkpoint import Checkpoints, truncate
from lifecycle.log.connection import guard, lift
from lifecycle.log.driver import DatabaseError, SqliteError
from lifecycle.log.faults import interrupted, refusal, translate
from lifecycle.log.handle import closed, fit
from lifecycle.log.turnstile import TurnstileTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.log.driver import Connection
    from lifecycle.log.handle import Handle
    from lifecycle.log.turnstile import Turnstile

__all__ = ["Writing"]

T = TypeVar("T")


class Writing:
    """Writes to the file of *handle*, in the order of *queue*.

    *guarded* is called at the beginning of a transaction, unless nobody has written since our last one, and makes sure
    that the file may be written to; what it returns is remembered by *committed* once the transaction is on disk.
    """

    def __init__(
        self,
        handle: Handle,
        queue: Turnstile,
        guarded: Callable[[Connection], int],
        committed: Callable[[int], None],
    ) -> None:
        self._handle = handle
        self._queue = queue
        self._guarded = guarded
        self._committed = committed
        # Reentrant ones know their owner: releasing what another thread holds raises instead of releasing it.
        self.lock = threading.RLock()
        self._owner: int | None = None
        #: threads that are in run
        self._inside: set[int] = set()
        self._conn: Connection | None = None
        self._cookie = 0
        #: SQLite's data_version, which tells of every commit but this connection's own: now, and at our last commit
        self._version = 0
        self._seen: int | None = None
        #: whether nothing was written between our last transaction, which came to its end, and this one
        self.alone = False
        self._began = 0.0
        self._lifted = False
        self._checkpoints = Checkpoints(handle.options.place, handle.options.timeout_s)

    def run(self, work: Callable[[Connection], T]) -> T:
        """What *work* returns, its changes being on disk; nothing is changed if it, or this, raises.

        It gets a connection with a write transaction begun, on a log whose guards are whole.

        Raises:
            LogUnavailable: The turn did not come, somebody kept the file locked, the disk refused, the file is gone, or
                this thread is inside another call of run.
            ReadOnlyLog: It can't be written here.
            LogTampered: The guards have been changed since it was opened.
        """
        self._enter()
        try:
            self._inside.add(threading.get_ident())
            conn = self._begin()
            result = work(conn)
            self._commit(conn)
            return result
        except (SqliteError, UnicodeDecodeError) as error:
            raise self._failed(error) from error
        finally:
            try:
                self._end()
            finally:
                self._end()

    def _enter(self) -> None:
        self._handle.usable()
        if self._handle.options.read_only:
            raise ReadOnlyLog(self._handle.locator, "was opened for reading only")
        if threading.get_ident() in self._inside:
            if self._under_way():
                raise LogUnavailable(f"{self._handle.locator}: this thread is in the middle of an append already")
            self._end()  # a storm of interrupts has left it so

    def _under_way(self) -> bool:
        """Whether this thread has come here from inside run, by a signal handler or a callback that appends."""
        frame = inspect.currentframe()
        runs = 0
        while frame is not None:
            runs += frame.f_code is Writing.run.__code__ and frame.f_locals.get("self") is self
            frame = frame.f_back
        return runs > 1  # the one that asks is there too

    def _begin(self) -> Connection:
        handle = self._handle
        try:
            self._queue.acquire(handle.options.timeout_s)
        except TurnstileTimeout as error:
            raise LogUnavailable(f"{handle.locator}: {error}") from error
        except OSError as error:
            raise refusal(error, handle.locator) from error
        self.lock.acquire()
        self._owner = threading.get_ident()
        self._began = time.monotonic()
        if self._conn is None:
            self._conn = handle.connect()
            self._seen = None
        conn = self._conn
        if conn.in_transaction:
            conn.rollback()
        conn.execute("BEGIN IMMEDIATE")
        (self._version,) = conn.execute("PRAGMA data_version").fetchone()
        self.alone = self._version == self._seen
        self._seen = None
        if not self.alone:
            handle.check()
            self._cookie = self._guarded(conn)
        return conn

    def _commit(self, conn: Connection) -> None:
        self._handle.check()
        conn.execute("COMMIT")
        self._seen = self._version
        self._committed(self._cookie)
        self._checkpoints.after_commit(conn)

    def _failed(self, error: Exception) -> BaseException:
        """What to raise for an error of SQLite's; a connection that it spoils is dropped."""
        if interrupted(error):
            return KeyboardInterrupt()
        waited = time.monotonic() - self._began
        if self._owner == threading.get_ident():
            self._rollback()
            self._conn = fit(self._conn, error)
        return translate(error, self._handle.locator, waited_s=waited, writing=True)

    def lift(self, conn: Connection) -> None:
        """Let *conn* change the schema until the transaction is over."""
        self._lifted = True  # first: an interrupt in between must not leave it lifted for good
        lift(conn)

    def _end(self) -> None:
        me = threading.get_ident()
        if me not in self._inside:
            return
        if self._owner == me:
            self._rollback()
            if self._lifted and self._conn is not None:
                guard(self._conn)
            self._lifted = False
            self._owner = None
        try:  # noqa: SIM105 # suppress() is as many calls as all the rest
            self.lock.release()
        except RuntimeError:
            pass  # not ours
        self._queue.release()
        self._inside.discard(me)

    def _rollback(self) -> None:
        if self._conn is not None and self._conn.in_transaction:
            with suppress(DatabaseError):
                self._conn.rollback()

    def sync(self) -> bool:
        """Have everything that stands in the log brought to the disk; whether that worked."""
        try:
            return self.run(_synced)
        except LifecycleError:  # whatever it is, what stands in the log stays
            return False

    def close(self, timeout_s: float) -> None:
        """Close the connection, once the transaction that is under way has ended, or *timeout_s* is over."""
        if self.lock.acquire(timeout=timeout_s):
            try:
                self._conn = closed(self._conn)
            finally:
                self.lock.release()
        self._queue.close()

    def before_fork(self, timeout_s: float) -> bool:
        """Close the connection and keep everybody out; whether that worked in time."""
        if self._owner == threading.get_ident() or not self.lock.acquire(timeout=timeout_s):
            return False
        self._conn = closed(self._conn)
        return True

    def after_fork(self) -> None:
        """In the child: begin anew, and leave alone what the parent left open."""
        forks.immortal(self._conn)
        self._conn = None
        self.lock = threading.RLock()
        self._owner = None
        self._inside = set()
        self._queue.after_fork()


def _synced(conn: Connection) -> bool:
    conn.execute("ROLLBACK")
    done = truncate(conn)
    conn.execute("BEGIN IMMEDIATE")
    return done
