"""MemoryLog: the port's whole behaviour in one process's memory. For tests and simulation; gone with the process."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError, LogClosed, LogUnavailable, SealedLog
from lifecycle.log.batch import (
    check_expected,
    check_page,
    check_range,
    check_stream,
    check_types,
    prepare,
    project,
    repeated,
)
from lifecycle.log.batch import (
    rows as rows_of_batch,
)
from lifecycle.log.codec import SALT_BYTES
from lifecycle.log.loading import fact, load
from lifecycle.log.port import Appended, Cursor, Page
from lifecycle.log.receipts import STREAM, LogSealed
from lifecycle.log.record import recorded
from lifecycle.projections.memory import MemorySessions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Sequence

    from lifecycle.core.evolve import Session
    from lifecycle.log.port import Expected, NewEvent, Recorded
    from lifecycle.ports import Clock
    from lifecycle.projections import SessionIndex

__all__ = ["MemoryLog"]


def _system() -> int:
    return time.time_ns() // 1000


class MemoryLog:
    """An EventLog in memory.

    Args:
        clock: Gives recorded_at, µs since the epoch; default: the clock of its client.
        salt: Gives 16 random bytes.
        rows: What stands in it from the beginning, in log order, as another log gave it.
        keep: Called with each batch of rows before it counts; what it raises leaves the log as it was, and is told as
            LogUnavailable. With *rows* it makes a log of anything that can keep rows.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int] | None = None,
        salt: Callable[[], bytes] = lambda: os.urandom(SALT_BYTES),
        rows: Iterable[Recorded] = (),
        keep: Callable[[Sequence[Recorded]], object] = lambda batch: None,
    ) -> None:
        self._clock = clock or _system
        self._given = clock is not None
        self._salt = salt
        self._changed = threading.Condition()
        self._log: list[Recorded] = []
        self._streams: dict[str, list[Recorded]] = {}
        self._ids: dict[str, Recorded] = {}
        self._sessions = MemorySessions(self._open, self._streams)
        self._closed = False
        self._keep = _told(keep)
        self._take(list(rows))
        if self._log:
            self._sessions.rebuild()

    @property
    def locator(self) -> str | None:
        """None: no other process can open it."""
        return None

    @property
    def sessions(self) -> SessionIndex:
        """The sessions of this log."""
        return self._sessions

    def use_clock(self, clock: Clock) -> None:
        """Take recorded_at from *clock*, unless a clock was given."""
        if not self._given:
            self._clock = clock.now

    @contextmanager
    def _open(self) -> Generator[None]:
        with self._changed:
            if self._closed:
                raise LogClosed("the log has been closed")
            yield

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        """As EventLog.append; durable means until the process ends."""
        batch = prepare(stream, events)
        with self._open():
            known = {new.event_id: self._ids[new.event_id] for new in events if new.event_id in self._ids}
            if again := repeated(stream, batch, known):
                return again
            before = self._streams.get(stream, [])
            check_expected(stream, expected, len(before))
            if any(row.type == LogSealed.type for row in self._streams.get(STREAM, ())):
                raise SealedLog("the log in memory")
            session = project(stream, self._sessions.peek(stream), batch, len(before))
            rows = rows_of_batch(
                stream,
                batch,
                head=len(before),
                prev=before[-1].hash if before else None,
                position=len(self._log),
                clock=self._clock,
                salt=self._salt,
            )
            made = [recorded(row, "the log in memory") for row in rows]
            self._keep(made)
            self._take(made)
            if session is not None:
                self._sessions.put(session)
            self._changed.notify_all()
            return Appended(made[-1].version, made[-1].position)

    def _take(self, rows: Sequence[Recorded]) -> None:
        for row in rows:
            self._streams.setdefault(row.stream, []).append(row)
            self._log.append(row)
            self._ids[row.event_id] = row

    def read(self, stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        """As EventLog.read."""
        check_stream(stream)
        check_range(after, until)
        with self._open():
            found = self._streams.get(stream, [])
            return tuple(found[max(after, 0) : len(found) if until is None else max(until, 0)])

    def load(self, stream: str, since: Session | None = None) -> Session | None:
        """As EventLog.load."""
        return load(stream, map(fact, self.read(stream, since.version if since else 0)), since)

    def read_all(self, after: Cursor | None = None, *, limit: int, types: Collection[str] | None = None) -> Page:
        """As EventLog.read_all."""
        start = check_page(after, limit)
        check_types(types)
        with self._open():
            found: list[Recorded] = []
            cursor = start
            for row in self._log[start:]:
                if len(found) == limit:
                    return Page(tuple(found), Cursor(cursor), caught_up=False)
                cursor = row.position
                if types is None or row.type in types:
                    found.append(row)
            return Page(tuple(found), Cursor(cursor) if cursor else after, caught_up=True)

    def last(self, limit: int) -> tuple[Recorded, ...]:
        """As EventLog.last."""
        check_page(None, limit)
        with self._open():
            return tuple(self._log[-limit:])

    def head(self, stream: str) -> int:
        """As EventLog.head."""
        check_stream(stream)
        with self._open():
            return len(self._streams.get(stream, ()))

    def wait(self, cursor: Cursor | None, timeout_s: float) -> bool:
        """As EventLog.wait."""
        with self._open():
            longest = min(max(timeout_s, 0), threading.TIMEOUT_MAX)
            self._changed.wait_for(lambda: self._closed or len(self._log) > (cursor or 0), longest)
            if self._closed:
                raise LogClosed("the log has been closed")
            return len(self._log) > (cursor or 0)

    def __enter__(self) -> MemoryLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """As EventLog.close; its events are gone when nobody holds it any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _told(keep: Callable[[Sequence[Recorded]], object]) -> Callable[[Sequence[Recorded]], None]:
    """*keep*, whose failures are told in the port's words: whoever writes knows then that the same may be repeated."""

    def kept(batch: Sequence[Recorded]) -> None:
        try:
            keep(batch)
        except LifecycleError:
            raise
        except Exception as error:
            raise LogUnavailable(f"the rows could not be kept: {type(error).__name__}: {error}") from error

    return kept
