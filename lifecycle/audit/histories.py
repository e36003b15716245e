"""The part of verify that follows each session through its events, whatever lies between them in the log.

A bounded number of sessions is held in memory, each with a few events that it has not gone through yet. Those that have
not gone on for longest lie on a shelf, as far as they were followed: no event is read twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from lifecycle.core.events import SessionFailed, SessionReleased
from lifecycle.core.evolve import Session, evolve
from lifecycle.core.states import State
from lifecycle.errors import FutureSchema, HistoryError, IllegalHistory, UnknownEventType
from lifecycle.log.codec import FIRST, decode, hash_of
from lifecycle.log.loading import fact_of, load
from lifecycle.log.outline import covers_private
from lifecycle.log.paged import paged
from lifecycle.log.receipts import STREAM, is_receipt
from lifecycle.log.record import NAMES, recorded, values
from lifecycle.projections.maintain import failure_of
from lifecycle.projections.shelf import Kept, Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lifecycle.audit.faults import Faults
    from lifecycle.log.port import EventLog, Recorded

__all__ = ["Histories", "Stream"]

#: streams that are followed in memory at a time
_FOLLOWED: Final = 20_000
#: events of a stream that are held back, to be folded together
_HELD: Final = 32
_STREAM, _EVENT_ID, _TYPE = (NAMES.index(name) for name in ("stream", "event_id", "type"))
_BODY: Final = len(NAMES)


@dataclass(slots=True)
class Stream:
    """What is known of a stream up to here; version and hash are those of the last event that was seen."""

    version: int = 0
    hash: str = FIRST
    session: Session | None = None
    failure_id: str | None = None
    #: rows that session has not gone through yet
    held: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    #: why it can't be followed any further
    broken: HistoryError | None = None
    #: the number of events looked at when the page of its last one began
    touched: int = 0


@dataclass(slots=True)
class Histories:
    """The streams that have not come to their end."""

    log: EventLog
    faults: Faults
    streams: dict[str, Stream] = field(default_factory=dict[str, Stream])
    shelf: Shelf = field(default_factory=Shelf)
    #: streams that hold events of a newer library, and what these are
    newer: dict[str, str] = field(default_factory=dict[str, str])
    #: streams that the read model should say of that they can't be read, and why
    unreadable: dict[str, str] = field(default_factory=dict[str, str])
    page: int = 0

    def clear(self) -> None:
        """Nothing is known of any."""
        self.shelf.close()
        for gone in (self.streams, self.newer, self.unreadable):
            gone.clear()

    def of(self, name: str) -> Stream:
        """The stream that goes on: followed, put away, or at its beginning."""
        stream = self.streams.get(name)
        if stream is None:
            kept = self.shelf.get(name)
            # In this order, or an interrupt between the two would lose it.
            stream = self.streams[name] = Stream() if kept is None else _stream(kept)
            if kept is not None:
                self.shelf.drop(name)
        stream.touched = self.page
        return stream

    def past(self, raw: tuple[Any, ...], stream: Stream) -> bool:
        """Bring *stream* past an event, now or later; whether it has come to its end."""
        stream.held.append(raw)
        if raw[_TYPE] == SessionReleased.type or raw[_STREAM] == STREAM or len(stream.held) >= _HELD:
            self._replay(raw[_STREAM], stream)
            return stream.session is not None and stream.session.released and stream.broken is None
        return False

    def drop(self, name: str) -> None:
        """Follow a stream no longer."""
        del self.streams[name]

    def put_away(self, seen: int) -> None:
        """A page is over, *seen* events were looked at. Hold no more streams than may be held."""
        self.page = seen
        if len(self.streams) <= _FOLLOWED:
            return
        longest = sorted(self.streams.items(), key=lambda one: one[1].touched)
        kept: list[Kept] = []
        for name, stream in longest[: len(longest) - _FOLLOWED // 2]:
            self._replay(name, stream)
            if stream.session is not None and stream.broken is None:
                kept.append(Kept(stream.session, stream.failure_id, stream.version, stream.hash))
        self.shelf.put(kept)
        for one in kept:
            del self.streams[one.session.session_id]

    def catch_up(self) -> None:
        """Bring the streams that are held past all of their events."""
        for name, stream in self.streams.items():
            self._replay(name, stream)

    def names(self) -> list[str]:
        """The streams that have not come to their end, in no order."""
        return [*{*self.streams, *self.shelf.ids()}]

    def sessions(self, at_a_time: int) -> Iterator[list[tuple[str, Stream]]]:
        """The sessions among them that can be read, so many at a time."""
        held = [
            (name, stream)
            for name, stream in self.streams.items()
            if stream.session is not None and name not in self.unreadable
        ]
        for begin in range(0, len(held), at_a_time):
            yield held[begin : begin + at_a_time]
        for batch in self.shelf.all(at_a_time):
            yield [(one.session.session_id, _stream(one)) for one in batch]

    def again(self, name: str, until: int) -> bool:
        """Follow a stream up to the position *until*, read once more; whether all of it is as it was, and sound."""
        stream = Stream(touched=self.page)
        for row in takewhile(lambda row: row.position <= until, paged(self.log, name)):
            if row.version != stream.version + 1 or hash_of(row, stream.hash) != row.hash:
                return False
            stream.version, stream.hash = row.version, row.hash
            stream.held.append((*values(row), row.private, row.private_salt))
            if len(stream.held) >= _HELD:
                self._replay(name, stream)
        if stream.version:
            self.streams[name] = stream
            self.put_away(self.page)
        return stream.broken is None or name in self.newer

    def _replay(self, name: str, stream: Stream) -> None:
        """Follow the stream through the events held back."""
        held, stream.held = stream.held, []
        if stream.broken is None and not self._plain(name, stream, held):
            for raw in held:
                if not self._step(recorded(raw, "log"), stream):
                    return

    def _plain(self, name: str, stream: Stream, held: Sequence[tuple[Any, ...]]) -> bool:
        """Follow it without decoding, if nothing needs a closer look; otherwise nothing has been done."""
        if name == STREAM or any(raw[_BODY] is not None and not covers_private(raw[_TYPE], raw[_BODY]) for raw in held):
            return False
        try:
            session = load(name, map(fact_of, held), stream.session)
        except HistoryError:
            return False
        if session is None or session.session_id != name:
            return False
        stream.session = session
        if session.status is State.ERROR and stream.failure_id is None:
            stream.failure_id = next((raw[_EVENT_ID] for raw in held if raw[_TYPE] == SessionFailed.type), None)
        return True

    def _step(self, row: Recorded, stream: Stream) -> bool:
        """Follow it through one event, decoded; whether it can be followed further."""
        try:
            event = decode(row)
            if row.stream == STREAM or is_receipt(row.type):
                if row.stream != STREAM or not is_receipt(row.type):
                    raise IllegalHistory(row.stream, row.version, f"{row.type} does not belong here")
                return True
            if stream.session is None and not row.type.startswith("session."):
                return True
            stream.session = evolve(stream.session, event)
            if stream.session.session_id != row.stream:
                raise IllegalHistory(row.stream, row.version, f"the history of {stream.session.session_id}")
        except HistoryError as error:
            self._broken(row, stream, error)
            return False
        stream.failure_id = failure_of((row,)) or stream.failure_id
        return True

    def _broken(self, row: Recorded, stream: Stream, error: HistoryError) -> None:
        stream.broken = error
        if isinstance(error, UnknownEventType | FutureSchema):
            self.newer[row.stream] = str(error)
        else:
            self.faults.add(where="events", what="the replay", expected="what the table allows", found=error, row=row)
        if row.stream != STREAM:
            self.unreadable[row.stream] = str(error)


def _stream(kept: Kept) -> Stream:
    return Stream(kept.version, kept.hash, kept.session, kept.failure_id)
