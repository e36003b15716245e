"""MemoryLog with one bug planted, for each promise that a log makes; rules and contract find every one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lifecycle.core.events import SessionAccessed
from lifecycle.errors import LogUnavailable
from lifecycle.log.memory import MemoryLog
from lifecycle.log.port import ANY, Appended, Cursor, Page

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lifecycle.log.port import Expected, NewEvent, Recorded


class ForgetsTheExpectation(MemoryLog):
    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        return super().append(stream, events, expected=ANY)


class WritesHalfABatch(MemoryLog):
    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        said = super().append(stream, events[:1], expected=expected)
        return Appended(said.version + len(events) - 1, Cursor(said.position + len(events) - 1), said.duplicate)


class WritesAndThenFails(MemoryLog):
    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        said = super().append(stream, events, expected=expected)
        if len(events) > 1:
            raise LogUnavailable("the answer got lost")
        return said


class AppendsARetryAgain(MemoryLog):
    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        if any(new.event_id in self._ids for new in events):
            events = [replace(new, event_id=f"{new.event_id}-again-{len(self._log)}") for new in events]
        return super().append(stream, events, expected=expected)


class SaysTheWrongPosition(MemoryLog):
    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        said = super().append(stream, events, expected=expected)
        return Appended(said.version, Cursor(said.position + 1), said.duplicate)


class LosesTheActor(MemoryLog):
    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        return super().append(stream, [replace(new, actor="somebody") for new in events], expected=expected)


class ForgetsAccesses(MemoryLog):
    """An index that does not follow the events."""

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        before = self._sessions.peek(stream)
        said = super().append(stream, events, expected=expected)
        if before is not None and isinstance(events[-1].event, SessionAccessed):
            self._sessions.put(before)
        return said


class RewritesHistory(MemoryLog):
    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        said = super().append(stream, events, expected=expected)
        self._log[0] = replace(self._log[0], recorded_at=self._log[0].recorded_at + 1)
        return said


class SkipsAnEvent(MemoryLog):
    """A tailing reader that misses what stands on a page's edge."""

    def read_all(self, after: Cursor | None = None, *, limit: int, types: Collection[str] | None = None) -> Page:
        page = super().read_all(after, limit=limit, types=types)
        if page.caught_up or page.cursor is None:
            return page
        return Page(page.events, Cursor(page.cursor + 1), caught_up=False)


class ReadsOneTooMany(MemoryLog):
    def read(self, stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        return super().read(stream, max(after - 1, 0), until)


BROKEN: tuple[type[MemoryLog], ...] = (
    ForgetsTheExpectation,
    WritesHalfABatch,
    WritesAndThenFails,
    AppendsARetryAgain,
    SaysTheWrongPosition,
    LosesTheActor,
    ForgetsAccesses,
    RewritesHistory,
    SkipsAnEvent,
    ReadsOneTooMany,
)
