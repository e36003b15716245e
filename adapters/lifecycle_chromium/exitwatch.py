"""Being told that a process has exited: a pidfd on Linux, a kqueue on macOS, and polling where there is neither.

Measured on Linux: a thread waiting on a pidfd wakes 0.5 ms after the process was killed (research/browser.md §2).
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

__all__ = ["POLL_S", "ExitWatch", "open_pidfd"]

#: How often a process is looked at where the system can't tell of its end.
POLL_S: Final = 0.05


class ExitWatch:
    """Watches one process. `fileno()` becomes readable when it has exited, and stays so.

    *is_alive* says whether *pid* still means the process that is to be watched. It is asked after the watch is set, so
    a pid that was reused before counts as exited. A zombie has exited. Use from one thread; `close()` when done.
    """

    def __init__(self, pid: int, is_alive: Callable[[], bool]) -> None:
        fd = _system_watch(pid)
        self._poller: _Poller | None = None
        if fd is not None and not is_alive():
            os.close(fd)
            fd = None
            self._fd = _readable()
        elif fd is not None:
            self._fd = fd
        else:
            self._poller = _Poller(is_alive)
            self._fd = self._poller.fd

    def fileno(self) -> int:
        """Readable (select, poll) once the process has exited."""
        return self._fd

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether the process has exited, waiting up to *timeout_s* (None: as long as it takes)."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if self._fd >= 0:
            if self._poller is not None:
                self._poller.stop()
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_pidfd(pid: int) -> int | None:
    """A pidfd of *pid*, or None where the system has none.

    Raises:
        ProcessLookupError: There is no such process.
    """
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (OSError, AttributeError):  # before Linux 5.3, or forbidden by a container's system-call filter
        return None


def _system_watch(pid: int) -> int | None:
    """A descriptor that becomes readable when *pid* exits; None where the system has no such thing."""
    try:
        if sys.platform == "darwin":
            return _kqueue(pid)
        return open_pidfd(pid)
    except ProcessLookupError:
        return _readable()


if sys.platform == "darwin":

    def _kqueue(pid: int) -> int:
        queue = select.kqueue()
        watch = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        try:
            queue.control([watch], 0)
            return os.dup(queue.fileno())
        finally:
            queue.close()


def _readable() -> int:
    """A descriptor that is readable from the start."""
    reader, writer = os.pipe()
    os.close(writer)
    return reader


class _Poller:
    """A thread that looks every `POLL_S` and closes the writing end of a pipe when the process is gone."""

    def __init__(self, is_alive: Callable[[], bool]) -> None:
        self._is_alive = is_alive
        self._stopped = threading.Event()
        self.fd, self._writer = os.pipe()
        self._thread = threading.Thread(target=self._run, name="exit-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._is_alive() and not self._stopped.wait(POLL_S):
            pass
        with contextlib.suppress(OSError):
            os.close(self._writer)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
