"""What there is to see now: the newest frame and the newest state, for any number of viewers at once.

Nothing is queued. A viewer that is slow gets the newest frame when it is ready for one and never those in between, so
what it costs in memory is one frame, whatever it does.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["FRAMES_AHEAD", "Scene", "Seat"]

#: Frames that a viewer may have been sent and not yet have shown.
FRAMES_AHEAD: Final = 2


@dataclass(slots=True, eq=False)
class Seat:
    """One viewer: what it was given last, and what it has not shown yet."""

    frame: int = 0
    state: int = 0
    unseen: int = 0
    told_all: bool = field(default=False)


class Scene:
    """Thread-safe. `on_audience` is called when `watched` may have changed."""

    def __init__(self) -> None:
        self.on_audience: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._seats: set[Seat] = set()
        self._frame: bytes | None = None
        self._frames = 0
        self._state: dict[str, Any] = {}
        self._states = 0
        self._closed = False

    @property
    def watched(self) -> bool:
        """Whether anybody is looking."""
        with self._changed:
            return bool(self._seats)

    def show(self, **changes: Any) -> None:
        """Bring the state up to date; viewers hear of it when something is different."""
        with self._changed:
            after = {**self._state, **changes}
            if after != self._state:
                self._state = after
                self._states += 1
                self._changed.notify_all()

    def show_frame(self, jpeg: bytes | None, at: float = 0) -> None:
        """The newest frame; None takes the picture away."""
        with self._changed:
            self._frame = jpeg
            self._frames += 1
            self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """Nothing more will be shown: every viewer gets the last state. False when one hasn't within *timeout_s*."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._seats, timeout_s)

    @contextmanager
    def seat(self, limit: int) -> Generator[Seat | None]:
        """A place for one viewer; None when *limit* have one."""
        seat = Seat()
        with self._changed:
            free = len(self._seats) < limit
            if free:
                self._seats.add(seat)
            first = free and len(self._seats) == 1
        if first:
            self.on_audience()
        try:
            yield seat if free else None
        finally:
            with self._changed:
                self._seats.discard(seat)
                last = free and not self._seats
                self._changed.notify_all()
            if last:
                self.on_audience()

    def seen(self, seat: Seat) -> None:
        """The viewer has shown one of the frames it was sent."""
        with self._changed:
            seat.unseen = max(0, seat.unseen - 1)
            self._changed.notify_all()

    def leave(self, seat: Seat) -> None:
        """The viewer is gone: its next() returns None."""
        with self._changed:
            seat.told_all = True
            self._changed.notify_all()

    def next(self, seat: Seat, now_ms: Callable[[], int]) -> str | bytes | None:
        """Wait for what the viewer should be sent next: state as JSON, or a frame. None when that was all."""
        with self._changed:
            self._changed.wait_for(lambda: self._news(seat))
            if seat.told_all:
                return None
            if seat.state != self._states:
                seat.state = self._states
                return json.dumps({**self._state, "now_ms": now_ms()})
            if self._closed:
                return None
            seat.frame = self._frames
            seat.unseen += 1
            return self._frame

    def _news(self, seat: Seat) -> bool:
        if seat.told_all or self._closed or seat.state != self._states:
            return True
        return self._frame is not None and seat.frame != self._frames and seat.unseen < FRAMES_AHEAD
