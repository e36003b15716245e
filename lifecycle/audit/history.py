"""The history of one session as its log holds it, event by event, typed or not.

Raw on purpose: a stream with an event that this version does not know still has a history to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lifecycle.errors import UnknownSession
from lifecycle.log.canonical import parse
from lifecycle.log.receipts import STREAM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lifecycle.log.port import Cursor, EventLog, Recorded

__all__ = ["Step", "history", "rows_of", "step", "steps", "who_acted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event. Times are µs since the epoch; `offset_us` counts from the session's first event.

    `cursor` is its place in the whole log, from which subscribe() goes on.

    `data` holds the public fields and those private ones that were not forgotten; `forgotten`: there were more.
    """

    session_id: str
    cursor: Cursor
    version: int
    event_id: str
    type: str
    schema_version: int
    at: int
    offset_us: int
    recorded_at: int
    actor: str
    writer: str
    correlation_id: str | None
    causation_id: str | None
    data: Mapping[str, Any]
    forgotten: bool
    hash: str

    @property
    def name(self) -> str:
        """The type without its family: `created`, `closed`."""
        return self.type.removeprefix("session.")

    @property
    def late_us(self) -> int:
        """How long after its moment the event was recorded; what an ending's promise is measured by."""
        return self.recorded_at - self.at

    @property
    def late(self) -> timedelta:
        """The same."""
        return timedelta(microseconds=self.late_us)


def history(log: EventLog, session_id: str) -> tuple[Step, ...]:
    """The steps of a session, oldest first; or those of the log's own stream, of which there may be none.

    Raises:
        UnknownSession: The session's stream is empty.
    """
    return steps(log.read(STREAM) if session_id == STREAM else rows_of(log, session_id))


def rows_of(log: EventLog, session_id: str) -> tuple[Recorded, ...]:
    """The events of a session as they are stored, oldest first; UnknownSession where there are none."""
    if not (rows := log.read(session_id)):
        raise UnknownSession(session_id, log.locator)
    return rows


def steps(rows: Iterable[Recorded]) -> tuple[Step, ...]:
    """The steps that *rows*, the events of one session from its first, are."""
    found = list(rows)
    return tuple(step(row, found[0].at) for row in found)


def step(row: Recorded, first_at: int) -> Step:
    """The step that *row* is, in a session whose first event was at *first_at*."""
    return Step(
        session_id=row.stream,
        cursor=row.position,
        version=row.version,
        event_id=row.event_id,
        type=row.type,
        schema_version=row.schema_version,
        at=row.at,
        offset_us=row.at - first_at,
        recorded_at=row.recorded_at,
        actor=row.actor,
        writer=row.writer,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        data={**_fields(row.data), **_fields(row.private)},
        forgotten=row.private_sha256 is not None and row.private is None,
        hash=row.hash,
    )


def _fields(text: str | None) -> dict[str, Any]:
    """The fields in a stored text; one that is no JSON object is shown as it is."""
    if text is None:
        return {}
    try:
        return parse(text)
    except ValueError:
        return {"unreadable": text}


def who_acted(found: Iterable[Step]) -> dict[tuple[str, str], int]:
    """(actor, writer) -> how many of the steps are theirs, in the order of their first act."""
    counted: dict[tuple[str, str], int] = {}
    for step in found:
        who = (step.actor, step.writer)
        counted[who] = counted.get(who, 0) + 1
    return counted
