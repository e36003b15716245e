"""A clock that stands still until it is moved."""

from __future__ import annotations

import threading

__all__ = ["ManualClock"]


class ManualClock:
    """Wall and monotonic time under a test's control. µs since the epoch; starts in 2026."""

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

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        with self._lock:
            self._now += round(seconds * 1e6)
            self._monotonic_us += round(seconds * 1e6)

    def step(self, seconds: float) -> None:
        """Set the wall clock, forward or back; the monotonic clock does not notice."""
        with self._lock:
            self._now += round(seconds * 1e6)
