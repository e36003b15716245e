"""What a timeline shows, whatever draws it: one row for each session, and the stretch of time they cover."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lifecycle.audit.account import account
from lifecycle.core import LIVE, view

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lifecycle.audit.history import Step
    from lifecycle.log.port import EventLog

__all__ = ["Row", "Timeline", "timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One session; times are µs. `ended` is when it ended, as a reader sees it; `until` where its bar stops.

    `recorded`: when its ending was written down. `status` is "unreadable" where the history can't be read typed.
    """

    session_id: str
    status: str
    cause: str | None
    labels: Mapping[str, str]
    created: int
    started: int | None
    ended: int | None
    until: int
    released: int | None
    recorded: int | None
    deadline: int | None
    steps: tuple[Step, ...]

    @property
    def last(self) -> int:
        """The end of all that is drawn."""
        return max(self.until, self.released or 0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows, oldest first, as a reader sees them at `now` (µs). A notebook shows it.

    *align* lets every session begin at zero, to compare those that ran far apart.
    """

    rows: tuple[Row, ...]
    now: int
    align: bool = False

    @property
    def span_us(self) -> int:
        """From the first beginning to the last end."""
        if self.align:
            return max((row.last - row.created for row in self.rows), default=0)
        return max((row.last for row in self.rows), default=0) - self.began

    @property
    def began(self) -> int:
        """Where the line of time begins."""
        return min((row.created for row in self.rows), default=0)

    def start_of(self, row: Row) -> int:
        """The moment that is drawn at the left edge in *row*."""
        return row.created if self.align else self.began

    def text(self, width: int = 100) -> str:
        """Lines for a terminal of so many columns."""
        from lifecycle.audit.timeline.text import text

        return text(self, width)

    def svg(self) -> str:
        """A picture, light or dark as the reader's system is; hovering over a mark shows the event."""
        from lifecycle.audit.timeline.svg import svg

        return svg(self)

    def html(self) -> str:
        """A page of its own that holds the picture, and needs nothing else."""
        from lifecycle.audit.timeline.svg import html

        return html(self)

    def trace(self) -> dict[str, Any]:
        """The same in the Trace Event Format, as JSON: ui.perfetto.dev and chrome://tracing open it."""
        from lifecycle.audit.timeline.trace import trace

        return trace(self)

    def _repr_html_(self) -> str:
        return self.svg()


def timeline(log: EventLog, session_ids: Iterable[str], now: int, *, align: bool = False) -> Timeline:
    """The timeline of these sessions as a reader sees them at *now*; each once, by their creation.

    Raises:
        UnknownSession: One of the streams is empty.
    """
    rows = sorted(
        (_row(log, session_id, now) for session_id in dict.fromkeys(session_ids)),
        key=lambda row: (row.created, row.session_id),
    )
    return Timeline(tuple(rows), now, align)


def _row(log: EventLog, session_id: str, now: int) -> Row:
    found = account(log, session_id)
    first, last = found.steps[0], found.steps[-1]
    common: dict[str, Any] = {
        "session_id": session_id,
        "created": first.at,
        "released": None if found.released is None else found.released.at,
        "recorded": None if found.ending is None else found.ending.recorded_at,
        "steps": found.steps,
    }
    session = found.session
    if session is None or found.problem is not None:
        ended = None if found.ending is None else found.ending.at
        until = ended or last.at
        nothing: dict[str, Any] = {"cause": None, "labels": {}, "started": None, "deadline": None}
        return Row(status="unreadable", ended=ended, until=until, **nothing, **common)
    seen = view(session, now)
    until = session.created_at + seen.duration // timedelta(microseconds=1)
    return Row(
        status=seen.status.value,
        cause=seen.cause.value if seen.cause else None,
        labels=seen.labels,
        started=session.started_at,
        ended=None if seen.status in LIVE else until,
        until=until,
        deadline=session.created_at + (seen.deadline - seen.created_at) // timedelta(microseconds=1),
        **common,
    )
