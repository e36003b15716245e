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
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Turnstile", "TurnstileTimeout"]


class TurnstileTimeout(Exception):
    """The queue did not move for as long as the caller would wait; `waited_s` says how long that was."""

    def __init__(self, waited_s: float, whom: str) -> None:
        self.waited_s = waited_s
        self.whom = whom
        super().__init__(f"waited {waited_s:.1f} s for {whom}")


class Turnstile:
    """A queue on the lock file *path*, for the threads of this process and for all processes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._fd: int | None = None

    @contextmanager
    def turn(self, timeout_s: float) -> Generator[None]:
        """Wait for this caller's turn and hold it.

        Raises:
            TurnstileTimeout: It did not come within *timeout_s*.
            OSError: The lock file can't be made or locked.
        """
        began = time.monotonic()
        if not self._threads.acquire(timeout=timeout_s):
            raise TurnstileTimeout(time.monotonic() - began, "other threads of this process")
        try:
            fd = self._open()
            try:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._queue(fd, began + timeout_s - time.monotonic())
                yield
            finally:
                if self._fd == fd:  # else it was given to the helper, or closed by a fork
                    fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def _open(self) -> int:
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        return self._fd

    def _queue(self, fd: int, timeout_s: float) -> None:
        """Block in the kernel's queue, but not for ever.

        flock has no timeout, and a holder may be stopped (SIGSTOP) for good. A helper thread blocks instead; when this
        caller gives up or is interrupted, the helper keeps the descriptor and closes it once its turn comes, which
        frees the lock again.
        """
        state = {"abandoned": False}
        guard = threading.Lock()
        arrived = threading.Event()

        def wait() -> None:
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX)
            with guard:
                if state["abandoned"]:
                    os.close(fd)
                else:
                    arrived.set()

        began = time.monotonic()
        threading.Thread(target=wait, name="lifecycle-writers-queue", daemon=True).start()
        try:
            arrived.wait(timeout_s)
        finally:
            with guard:
                if not arrived.is_set():
                    state["abandoned"] = True
                    self._fd = None
        if state["abandoned"]:
            raise TurnstileTimeout(time.monotonic() - began, "other processes that are writing")

    def after_fork(self) -> None:
        """In a forked child: let go of the parent's lock. Closing our copy of the descriptor takes nothing from it."""
        self._threads = threading.Lock()
        self.close()

    def close(self) -> None:
        """Close the lock file; it is opened again when needed."""
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = None
