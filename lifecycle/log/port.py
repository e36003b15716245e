"""EventLog: what the library asks of a log, whatever stores it. Every log passes lifecycle.testing's LogContract.

A log holds streams of events: versions 1..n without gaps in each, and a position for every event in the whole log.
It enforces order, idempotency and at most one ending; what is legal in between is the core's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NewType, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lifecycle.core.events import Event
    from lifecycle.core.evolve import Session
    from lifecycle.projections import SessionIndex

__all__ = [
    "ANY",
    "EXISTS",
    "NO_STREAM",
    "Appended",
    "Cursor",
    "EventLog",
    "Expectation",
    "Expected",
    "NewEvent",
    "Page",
    "Recorded",
]

#: The place of an event in the whole log: ordered, opaque, and only meaningful to the log that gave it.
Cursor = NewType("Cursor", int)


class Expectation(Enum):
    """What a writer may expect of a stream besides a version."""

    NO_STREAM = "no stream"
    EXISTS = "exists"
    ANY = "any"


NO_STREAM = Expectation.NO_STREAM
EXISTS = Expectation.EXISTS
ANY = Expectation.ANY

#: The stream's version as the writer knows it, or NO_STREAM, EXISTS, ANY.
Expected = int | Expectation


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event on its way into the log. The writer makes event_id (UUIDv7 text) once and keeps it for every retry."""

    event_id: str
    event: Event
    actor: str
    writer: str
    correlation_id: str | None = None
    causation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event as the log holds it. `data` and `private` are canonical JSON text; `hash` chains the stream's events.

    `at` and `recorded_at` are µs since the epoch: when it happened by the rules, and when the log took it.
    `private` is None when there are no private fields or they have been forgotten; `private_salt` goes with it.
    """

    position: Cursor
    stream: str
    version: int
    event_id: str
    type: str
    schema_version: int
    at: int
    recorded_at: int
    actor: str
    writer: str
    correlation_id: str | None
    causation_id: str | None
    data: str
    private_sha256: str | None
    hash: str
    private: str | None = field(default=None, repr=False)
    private_salt: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a batch stands: version and position of its last event. `duplicate` says it had been appended before.

    A batch's versions and positions follow each other without gaps, so those of its first event are len - 1 lower.
    """

    version: int
    position: Cursor
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Events in log order; `cursor` continues after them; `caught_up` says that nothing more was there.

    A page may be empty although more is there, when *types* left nothing of what was looked at: go on from `cursor`.
    """

    events: tuple[Recorded, ...]
    cursor: Cursor | None
    caught_up: bool


class EventLog(Protocol):
    """An append-only log of streams. Safe to use from several threads; every call may block on I/O.

    A log for real browsers is opened by their keeper too, in a process of its own. It has a `locator`, and besides it
    `runtime_dir`, the Path of a directory of this machine that belongs to the log alone: keepers put their files there.
    """

    @property
    def locator(self) -> str | None:
        """Text from which another process opens the same log, such as `sqlite:/abs/path`; None if it can't.

        Other schemes are entry points of the group `lifecycle.logs`, called with the whole text and keyword arguments.
        """
        ...

    @property
    def sessions(self) -> SessionIndex:
        """The sessions as the log's events left them: derived, kept up to date by append, and rebuildable."""
        ...

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        """Write *events* to the end of *stream*, all or none.

        Returns when the write is durable. Appending ids that stand in the stream already, with the same content,
        writes nothing and returns their positions. A session's stream has the session's id as its name; events of
        the `session.` types are also held against the core's evolve before anything is written.

        Raises:
            WrongVersion: *expected* does not hold; load again and decide again.
            EventIdReused: An id stands in the log with other content or elsewhere, or twice in the batch.
            IllegalHistory: A second ending, anything but `released` after one, or whatever else evolve refuses.
            InvalidConfig: An event that can't be recorded (64 KiB, 64 levels, NaN, ids), or an empty batch.
            LogUnavailable: Nothing was acknowledged; repeating with the same ids is safe.
            ReadOnlyLog: The log can't be written here.
        """
        ...

    def read(self, stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        """The events of *stream* with after < version <= until, oldest first; () for an unknown stream."""
        ...

    def load(self, stream: str, since: Session | None = None) -> Session | None:
        """The session that the events of *stream* amount to: the core's fold of them; None for an unknown stream.

        *since* is what it was earlier: then only events after its version are read. Private texts are looked at as far
        as a Session holds them.

        Raises:
            HistoryError: The stream can't be read typed, or is not a session's.
        """
        ...

    def read_all(self, after: Cursor | None = None, *, limit: int, types: Collection[str] | None = None) -> Page:
        """Up to *limit* events of the whole log after the cursor, in log order."""
        ...

    def last(self, limit: int) -> tuple[Recorded, ...]:
        """The last *limit* events of the whole log, oldest first."""
        ...

    def head(self, stream: str) -> int:
        """The version of the last event of *stream*, 0 for an unknown stream."""
        ...

    def wait(self, cursor: Cursor | None, timeout_s: float) -> bool:
        """Block until something stands after *cursor* (True) or *timeout_s* has passed (False). Only a hint."""
        ...

    def close(self) -> None:
        """Let go of files and connections. Idempotent; other calls raise LogClosed afterwards."""
        ...
