"""A log in numbers: how many sessions ended how, how long they lived, how late their endings were recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from html import escape
from typing import TYPE_CHECKING, Final, Unpack

from lifecycle.audit.words import duration
from lifecycle.core import ENDED, ENDINGS, view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lifecycle.core import SessionView
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
    """Some of the sessions: how many, in which status, and the median duration of those that have ended."""

    sessions: int
    by_status: Mapping[str, int]
    median: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers of the sessions asked for. Labels are `name=value`, the most frequent first; days are UTC, oldest first.

    `durations` are of sessions that have ended; `lateness` is how long after its moment an ending was recorded, where
    it is. `unreadable`: so many streams of the log can't be read typed, and count nowhere.
    """

    sessions: int
    by_status: Mapping[str, int]
    by_cause: Mapping[str, int]
    durations: Percentiles
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
            ("recorded after", str(self.lateness)),
        ]
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{escape(said)}</td></tr>" for name, said in pairs
        )
        return f"<table>{rows}</table>"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def stats(
    log: EventLog, now: int, progress: Callable[[int, int], None] | None = None, **asked: Unpack[Filters]
) -> Stats:
    """Numbers of the sessions that *asked* describes, as a reader sees them at *now* (µs).

    Reads every session asked for, and every ending in the log; *progress* hears how many of the sessions are done.

    Raises:
        InvalidConfig: As SessionIndex.list.
    """
    late = dict(_lateness(log))
    total = log.sessions.count(now=now, **asked)
    views: list[SessionView] = []
    after: str | None = None
    while True:
        page = log.sessions.list(now=now, limit=_CHUNK, after=after, **asked)
        views += [view(session, now) for session in page]
        if progress is not None:
            progress(len(views), max(total, len(views)))
        if len(page) < _CHUNK:
            return _numbers(views, late, len(log.sessions.unreadable()))
        after = page[-1].session_id


def _lateness(log: EventLog) -> Iterable[tuple[str, timedelta]]:
    cursor = None
    while True:
        page = log.read_all(cursor, limit=_CHUNK, types=ENDINGS)
        for row in page.events:
            yield row.stream, timedelta(microseconds=row.recorded_at - row.at)
        if page.caught_up:
            return
        cursor = page.cursor


def _numbers(views: Sequence[SessionView], late: Mapping[str, timedelta], unreadable: int) -> Stats:
    labels: dict[str, list[SessionView]] = {}
    days: dict[date, list[SessionView]] = {}
    for one in views:
        days.setdefault(one.created_at.date(), []).append(one)
        for name, value in one.labels.items():
            labels.setdefault(f"{name}={value}", []).append(one)
    frequent = sorted(labels.items(), key=lambda item: (-len(item[1]), item[0]))
    return Stats(
        sessions=len(views),
        by_status=_frequency(one.status.value for one in views),
        by_cause=_frequency(one.cause.value for one in views if one.cause),
        durations=_percentiles(one.duration for one in views if one.status in ENDED),
        lateness=_percentiles(late[one.session_id] for one in views if one.session_id in late),
        by_label={name: _group(found) for name, found in frequent},
        by_day={day: _group(days[day]) for day in sorted(days)},
        unreadable=unreadable,
    )


def _group(views: Sequence[SessionView]) -> Group:
    ended = _percentiles(one.duration for one in views if one.status in ENDED)
    return Group(len(views), _frequency(one.status.value for one in views), ended.p50)


def _frequency(words: Iterable[str]) -> dict[str, int]:
    """Most frequent first, then by name."""
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


def _percentiles(values: Iterable[timedelta]) -> Percentiles:
    ordered = sorted(values)
    if not ordered:
        return Percentiles(0, None, None, None, None)

    def at(percent: int) -> timedelta:
        return ordered[-(-len(ordered) * percent // 100) - 1]

    return Percentiles(len(ordered), at(50), at(90), at(99), ordered[-1])
