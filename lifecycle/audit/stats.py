"""A log in numbers: how many sessions ended how, how long they lived, how late their endings were recorded."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from html import escape
from typing import TYPE_CHECKING, Final, Unpack

from lifecycle.audit.words import duration
from lifecycle.core import ENDED, ENDINGS, moment
from lifecycle.projections.query import duration_us, effective, effective_cause
from lifecycle.projections.walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lifecycle.log.port import EventLog
    from lifecycle.projections.query import Filters

__all__ = ["Group", "Percentiles", "Stats", "stats"]

_CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class Percentiles:
    """By nearest rank: each is a value that occurred. Of *count* values; all None where there are none."""

    count: int
    p50: timedelta | None
    p90: timedelta | None
    p99: timedelta | None
    longest: timedelta | None

    def __str__(self) -> str:
        named = (("p50", self.p50), ("p90", self.p90), ("p99", self.p99), ("max", self.longest))
        return ", ".join(f"{name} {duration(value)}" for name, value in named if value is not None) or "none"


@dataclass(frozen=True, slots=True)
class Group:
    """Some of the sessions: how many, in which status, and how long those that have ended lived: median and sum."""

    sessions: int
    by_status: Mapping[str, int]
    median: timedelta | None
    total: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers of the sessions asked for. Labels are `name=value`, the most frequent first; days are UTC, oldest first.

    `durations` are of sessions that have ended, `total` is their sum; `lateness` is how long after its moment an ending
    was recorded, where it is. `unreadable`: so many sessions can't be read, and count nowhere; sessions.unreadable()
    names them.
    """

    sessions: int
    by_status: Mapping[str, int]
    by_cause: Mapping[str, int]
    durations: Percentiles
    total: timedelta
    lateness: Percentiles
    by_label: Mapping[str, Group] = field(default_factory=dict[str, Group])
    by_day: Mapping[date, Group] = field(default_factory=dict[date, Group])
    unreadable: int

    def _repr_html_(self) -> str:
        pairs = [
            ("sessions", str(self.sessions)),
            ("by status", _counts(self.by_status)),
            ("by cause", _counts(self.by_cause)),
            ("durations", str(self.durations)),
            ("in all", duration(self.total)),
            ("recorded after", str(self.lateness)),
            *([("not counted", f"{self.unreadable} that can't be read here")] if self.unreadable else []),
        ]
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{escape(said)}</td></tr>" for name, said in pairs
        )
        return f"<table>{rows}</table>"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def stats(log: EventLog, now: int, **asked: Unpack[Filters]) -> Stats:
    """Numbers of the sessions that *asked* describes, as a reader sees them at *now* (µs).

    Reads every session asked for, and every ending in the log; of each it keeps a few numbers.

    Raises:
        InvalidConfig: As SessionIndex.list.
    """
    late = dict(_lateness(log))
    every, causes, recorded_after = _Tally(), Counter[str](), array("q")
    labels: dict[str, _Tally] = {}
    days: dict[date, _Tally] = {}
    for session in walk(log.sessions, now=now, **asked):
        status, cause = effective(session, now), effective_cause(session, now)
        lived = duration_us(session, now) if status in ENDED else None
        named = [labels.setdefault(f"{name}={value}", _Tally()) for name, value in session.labels.items()]
        for tally in (every, days.setdefault(moment(session.created_at).date(), _Tally()), *named):
            tally.add(status.value, lived)
        if cause is not None:
            causes[cause.value] += 1
        if (after := late.get(session.session_id)) is not None:
            recorded_after.append(after)
    frequent = sorted(labels.items(), key=lambda item: (-item[1].sessions, item[0]))
    return Stats(
        sessions=every.sessions,
        by_status=_frequent(every.by_status),
        by_cause=_frequent(causes),
        durations=_percentiles(every.lived),
        total=every.total,
        lateness=_percentiles(recorded_after),
        by_label={name: tally.group() for name, tally in frequent},
        by_day={day: days[day].group() for day in sorted(days)},
        unreadable=len(log.sessions.unreadable()),
    )


@dataclass(slots=True)
class _Tally:
    """Sessions, counted as they come by; `lived`: how long those did that have ended, in µs."""

    by_status: Counter[str] = field(default_factory=Counter[str])
    lived: array[int] = field(default_factory=lambda: array("q"))

    @property
    def sessions(self) -> int:
        return self.by_status.total()

    def add(self, status: str, lived: int | None) -> None:
        self.by_status[status] += 1
        if lived is not None:
            self.lived.append(lived)

    @property
    def total(self) -> timedelta:
        return timedelta(microseconds=sum(self.lived))

    def group(self) -> Group:
        return Group(self.sessions, _frequent(self.by_status), _percentiles(self.lived).p50, self.total)


def _lateness(log: EventLog) -> Iterator[tuple[str, int]]:
    cursor = None
    while True:
        page = log.read_all(cursor, limit=_CHUNK, types=ENDINGS)
        for row in page.events:
            yield row.stream, row.recorded_at - row.at
        if page.caught_up:
            return
        cursor = page.cursor


def _frequent(counted: Counter[str]) -> dict[str, int]:
    """Most frequent first, then by name."""
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _percentiles(values: Iterable[int]) -> Percentiles:
    ordered = sorted(values)
    if not ordered:
        return Percentiles(0, None, None, None, None)

    def at(percent: int) -> timedelta:
        return timedelta(microseconds=ordered[-(-len(ordered) * percent // 100) - 1])

    return Percentiles(len(ordered), at(50), at(90), at(99), at(100))
