"""Client(max_sessions=): how many sessions a log's browsers may be, and who is next when there is no place.

The queue is a lock file in the log's runtime directory. flock(2) serves who came first, across processes, and forgets
whoever is killed. The one at its head waits until a session has given up its place, and leaves the queue once its own
`created` stands in the log: so nobody counts the same free place twice. A session holds its place from `created` until
its browser is confirmed gone, or should be.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from lifecycle.client.reconcile import RELEASE_WAIT_S
from lifecycle.core import deadline
from lifecycle.errors import InvalidConfig, LogUnavailable, TooManySessions
from lifecycle.log.turnstile import wait_in_line

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from lifecycle.client.recorder import Recorder
    from lifecycle.core import Session
    from lifecycle.log.port import EventLog

__all__ = ["Places", "check", "check_seconds"]

_LOOK_S: Final = 0.1
#: How often the head of the queue looks for sessions whose keeper is gone.
_RECONCILE_S: Final = 1.0


def check(max_sessions: object, max_wait_s: object) -> None:
    """Raise InvalidConfig unless these are a number of sessions, or None for no limit, and one of seconds."""
    check_seconds("max_wait_s", max_wait_s)
    if max_sessions is None:
        return
    if isinstance(max_sessions, bool) or not isinstance(max_sessions, int) or max_sessions < 1:
        raise InvalidConfig("max_sessions", max_sessions, "must be a whole number from 1, or None for no limit")


def check_seconds(argument: str, value: object) -> None:
    """Raise InvalidConfig unless *value* is a number of seconds that somebody may want to wait."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
        raise InvalidConfig(argument, value, "must be seconds, from 0 to 86400")


class Places:
    """At most *most* sessions of one log at a time; *tidy* puts right what dead keepers hold. Thread-safe."""

    def __init__(self, recorder: Recorder, most: int, max_wait_s: float, tidy: Callable[[], object]) -> None:
        self._recorder = recorder
        self._most = most
        self._max_wait_s = max_wait_s
        self._tidy = tidy

    @contextmanager
    def turn(self, given_up: Callable[[], bool]) -> Generator[int]:
        """A free place, to be taken inside the block by writing `created`; how long it was waited for, in µs.

        Raises:
            TooManySessions: There was none in time, or *given_up*.
        """
        clock = self._recorder.clock
        began = clock.monotonic()
        until = began + self._max_wait_s

        def left() -> float:
            return 0.0 if given_up() else until - clock.monotonic()

        def full() -> TooManySessions:
            return TooManySessions(self._most, len(self._held()), clock.monotonic() - began)

        queue = _queue(self._recorder.log)
        with queue.head(left) as first:
            if not first or not self._free(left):
                raise full()
            yield round((clock.monotonic() - began) * 1e6)

    def _held(self) -> list[Session]:
        now = self._recorder.clock.now()
        return [session for session in self._recorder.log.sessions.live() if _holds(session, now)]

    def _free(self, left: Callable[[], float]) -> bool:
        """Wait at the head of the queue for a place; False when there was none in time."""
        log, clock = self._recorder.log, self._recorder.clock
        tidied = -_RECONCILE_S
        while True:
            newest = log.last(1)
            if len(self._held()) < self._most:
                return True
            if clock.monotonic() - tidied >= _RECONCILE_S:
                tidied = clock.monotonic()
                self._tidy()
                continue
            if (rest := left()) <= 0:
                return False
            log.wait(newest[0].position if newest else None, min(_LOOK_S, rest))


def _holds(session: Session, now: int) -> bool:
    """Whether the browser of one not released may still be there: one out of reach does not hold its place for ever."""
    ended = deadline(session) if session.closed_at is None else session.closed_at
    return now < ended + RELEASE_WAIT_S * 1e6


class _FileQueue:
    """A queue of all processes: who waits, waits in the kernel for the lock on the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def head(self, left: Callable[[], float]) -> Generator[bool]:
        """Be at the head of the queue inside the block; False when it did not come to that in time.

        Raises:
            LogUnavailable: Its file can't be made or opened.
        """
        # Opened anew by each who waits: a lock belongs to what was opened, and threads queue like processes.
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LogUnavailable(f"the queue for a place, {self._path}: {error.strerror}") from error
        ours = True
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                ours = False  # the descriptor is the waiting thread's, unless the lock comes
                ours = wait_in_line(fd, left, "lifecycle-places")
            yield ours
        finally:
            if ours:
                with suppress(OSError):
                    fcntl.flock(fd, fcntl.LOCK_UN)  # by name: a forked child may hold a copy of the descriptor
                os.close(fd)


class _LocalQueue:
    """A queue of this process's threads, for a log that no other process can open."""

    def __init__(self) -> None:
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def head(self, left: Callable[[], float]) -> Generator[bool]:
        """As _FileQueue.head."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
        try:
            with self._changed:
                while (first := self._waiting[0] is ticket) is False and (rest := left()) > 0:
                    self._changed.wait(min(_LOOK_S, rest))
            yield first
        finally:
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()


_local: WeakKeyDictionary[EventLog, _LocalQueue] = WeakKeyDictionary()
_locals = threading.Lock()


def _queue(log: EventLog) -> _FileQueue | _LocalQueue:
    runtime: Path | None = getattr(log, "runtime_dir", None)
    if runtime is not None:
        return _FileQueue(runtime / "places")
    with _locals:
        return _local.setdefault(log, _LocalQueue())
