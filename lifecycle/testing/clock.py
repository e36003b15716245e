"""A clock that stands still until it is moved."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lifecycle.client.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ManualClock"]


class ManualClock(SystemClock):
    """Wall time under a test's control, µs since the epoch; starts in 2026.

    Waits take real time, and move only the monotonic clock.
    """

    def __init__(self, now: int = 1_790_000_000_000_000) -> None:
        self._now = now
        self._monotonic_us = 0
        self._lock = threading.Lock()

    def now(self) -> int:
        """The wall clock, µs since the epoch."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """The monotonic clock, seconds."""
        with self._lock:
            return self._monotonic_us / 1e6

    def sleep(self, seconds: float) -> None:
        """Block the thread; the wall clock stands still."""
        super().sleep(seconds)
        self._waited(seconds)

    def wait_for(self, changed: threading.Condition, true: Callable[[], bool], timeout_s: float) -> bool:
        """Block the thread as SystemClock does; the wall clock stands still."""
        found = super().wait_for(changed, true, timeout_s)
        if not found:
            self._waited(timeout_s)
        return found

    def _waited(self, seconds: float) -> None:
        with self._lock:
            self._monotonic_us += round(seconds * 1e6)

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        with self._lock:
            self._now += round(seconds * 1e6)
            self._monotonic_us += round(seconds * 1e6)

    def step(self, seconds: float) -> None:
        """Set the wall clock, forward or back; the monotonic clock does not notice."""
        with self._lock:
            self._now += round(seconds * 1e6)
