"""The writers' queue: one process at a time goes to SQLite, in the order they came.

SQLite's own busy handler sleeps and tries again, so under contention the lucky win and the unlucky wait 700 ms
(research/perf.md §1). flock(2) queues in the kernel, is freed when its holder dies, whatever killed it, and stands on a
file of its own: the database's locks are SQLite's business.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Turnstile", "TurnstileTimeout", "Waiter", "wait_in_line"]

#: How often a waiting caller asks for how long it still would.
_LOOK_S: Final = 0.1
#: How long a waiting thread stays for the next wait.
_STAYS_S: Final = 1.0
#: How often a caller looks for the lock where no thread is left to wait for it.
_POLL_S: Final = 0.01
#: How many threads may wait for one file though their callers have given up; flock can't be called off.
_LEFT_BEHIND: Final = 4


class TurnstileTimeout(Exception):
    """The queue did not move for as long as the caller would wait; it says for how long, and for whom."""

    def __init__(self, waited_s: float, whom: str) -> None:
        super().__init__(f"waited {waited_s:.1f} s for {whom}")


class Turnstile:
    """A queue on the lock file *path*, for the threads of this process and for all processes. Not reentrant.

    *opener* makes or opens the file for reading and writing and gives its descriptor.
    """

    def __init__(self, path: str, opener: Callable[[], int]) -> None:
        self._path = path
        self._opener = opener
        # A reentrant lock knows its owner: releasing it in another thread raises, so that may be tried at any time.
        self._threads = threading.RLock()
        self._holder: int | None = None
        self._fd: int | None = None
        self._identity = (0, 0)
        self._waiter: Waiter | None = None
        self._closed = False

    def acquire(self, timeout_s: float) -> None:
        """Wait for this caller's turn. Whatever it raises, release may be called afterwards, and has to be.

        Raises:
            TurnstileTimeout: The turn did not come within *timeout_s*.
            OSError: The lock file can't be made or locked.
        """
        began = time.monotonic()
        if not self._threads.acquire(timeout=timeout_s):
            raise TurnstileTimeout(time.monotonic() - began, "other threads of this process")
        self._holder = threading.get_ident()
        while True:
            if self._fd is None:
                self._fd = self._opener()
                self._identity = _identity(os.fstat(self._fd))
            fd = self._fd
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._queue(fd, began, timeout_s)
            if self._in_place():
                return
            self._drop()  # somebody removed the file: whoever comes next queues at another one

    def release(self) -> None:
        """Let the next one go. Nothing happens in a thread whose turn it is not; may be repeated after an interrupt."""
        if self._holder == threading.get_ident():
            if self._fd is not None:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            if self._closed:
                self._drop()
            self._holder = None
        try:  # noqa: SIM105 # suppress() is as many calls as all the rest
            self._threads.release()
        except RuntimeError:
            pass  # not ours

    def _in_place(self) -> bool:
        try:
            return _identity(os.stat(self._path)) == self._identity
        except FileNotFoundError:
            return False

    def _queue(self, fd: int, began: float, timeout_s: float) -> None:
        """Block in the kernel's queue, but not for ever.

        A holder may be stopped (SIGSTOP) for good.
        """
        arrived = False
        waiter = self._waiter = self._waiter or Waiter("lifecycle-writers-queue")
        try:
            arrived = waiter.wait(fd, lambda: began + timeout_s - time.monotonic())
        finally:
            if not arrived:
                self._fd = self._waiter = None
        if not arrived:
            raise TurnstileTimeout(time.monotonic() - began, "other processes that are writing")

    def _drop(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with suppress(OSError):
                os.close(fd)

    def after_fork(self) -> None:
        """In a forked child: let go of the parent's lock. Closing our copy of the descriptor takes nothing from it."""
        self._threads = threading.RLock()
        self._holder = None
        self._waiter = None
        self._drop()

    def close(self) -> None:
        """Close the lock file, now or when the turn that is under way ends; idempotent."""
        self._closed = True
        if self._threads.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._threads.release()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


#: the threads whose callers have given up, and for which file they wait; in a forked child they are all dead
_left_behind: dict[threading.Thread, tuple[int, int]] = {}


def _crowded(fd: int) -> bool:
    """Whether as many threads as may be wait already for the file of *fd*, for nobody."""
    for thread in list(_left_behind):
        if not thread.is_alive():
            _left_behind.pop(thread, None)
    return list(_left_behind.values()).count(_identity(os.fstat(fd))) >= _LEFT_BEHIND


class Waiter:
    """A thread called *name* that blocks in the kernel's queue for a lock while its caller may give up.

    flock has no timeout. The thread stays for the next wait, since making one costs more than the wait of a writer, and
    ends when none has come for a while. For one caller at a time, and for no more once a wait has not come to its end.
    Where no thread can be had, or a stopped holder keeps too many of them for nobody, the caller looks for the lock by
    itself, which is not served in order.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._guard = threading.Lock()
        #: told to go, and told that it is there: plain locks, which wait without running any Python code
        self._asked = threading.Lock()
        self._arrived = threading.Lock()
        self._asked.acquire()
        self._arrived.acquire()
        self._fd: int | None = None
        self._thread: threading.Thread | None = None
        self._runs = False
        self._holds = False
        self._abandoned = False

    def wait(self, fd: int, left: Callable[[], float]) -> bool:
        """Block until the lock on *fd* is held, while *left* gives seconds; whether it is.

        When the caller gives up or is interrupted, *fd* is not its own any more: it is unlocked and closed, by the
        thread if the lock comes later.
        """
        arrived = False
        try:
            with self._guard:
                runs, self._runs = self._runs, True
                self._fd = fd
                self._holds = False
            if runs:
                self._asked.release()
            elif not self._started(fd):
                arrived = _polled(fd, left)
                return arrived
            while not arrived and (rest := left()) > 0:
                arrived = self._arrived.acquire(timeout=min(_LOOK_S, rest))
            return arrived
        finally:
            if not arrived:
                self._abandon(fd)

    def _started(self, fd: int) -> bool:
        self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        try:
            if _crowded(fd):
                self._runs = False
            else:
                self._thread.start()
        except RuntimeError:  # no thread is left for now
            self._runs = False
        return self._runs

    def _abandon(self, fd: int) -> None:
        with self._guard:
            self._abandoned = True
            ours = self._holds or not self._runs
            if not ours and self._thread is not None:
                _left_behind[self._thread] = _identity(os.fstat(fd))
        if ours:
            _let_go(fd)
        with suppress(RuntimeError):  # interrupted before it was told
            self._asked.release()

    def _serve(self) -> None:
        while True:
            fd = self._fd
            if fd is None:  # abandoned when the lock had been handed over
                return
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX)
            with self._guard:
                if self._abandoned:
                    break
                self._holds, self._fd = True, None
            self._arrived.release()
            while not self._asked.acquire(timeout=_STAYS_S):
                with self._guard:
                    if self._fd is None:
                        self._runs = False
                        return
        _let_go(fd)


def _polled(fd: int, left: Callable[[], float]) -> bool:
    """Look for the lock on *fd* again and again, while *left* gives seconds; whether it is held now."""
    while (rest := left()) > 0:
        time.sleep(min(_POLL_S, rest))
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def wait_in_line(fd: int, left: Callable[[], float], name: str) -> bool:
    """As Waiter.wait, once."""
    return Waiter(name).wait(fd, left)


def _let_go(fd: int) -> None:
    # Unlocked by name: a forked child may hold a copy of the descriptor, and closing ours would not free it.
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)
