"""The past, in its two senses: what was so at a moment, and what was known then.

As it stood at T: the events whose `at` is T or earlier. As it was known at T: those that the log had recorded by T.
They differ where something was noticed late: a timeout is `at` its deadline to the microsecond, whenever it was
recorded. Both give what a reader sees at T, to whom a session past its deadline is timed out, written down or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Unpack

from lifecycle.core import fold, instant, moment
from lifecycle.errors import HistoryError, InvalidConfig, UnknownSession
from lifecycle.log.codec import events
from lifecycle.log.loading import fact, load
from lifecycle.projections.memory import arrange
from lifecycle.projections.query import by_duration, checked
from lifecycle.projections.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lifecycle.core import Session
    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.projections.query import Filters

__all__ = ["Then", "list_at", "then"]


@dataclass(frozen=True, slots=True)
class Then:
    """A part of a session's history, and the moment (µs) from which it is looked at."""

    rows: tuple[Recorded, ...]
    now: int

    def session(self) -> Session:
        """What the part amounts to.

        Raises:
            HistoryError: It can't be read typed.
        """
        session = fold(events(self.rows))
        assert session is not None  # `then` gives no empty part
        return session


def then(
    log: EventLog,
    session_id: str,
    now: int,
    *,
    at: datetime | int | None = None,
    known_at: datetime | None = None,
) -> Then:
    """The session's history up to *at* (a moment or a version), as far as it was known at *known_at*.

    Raises:
        UnknownSession: There was, or was known, no such session then.
        InvalidConfig: A version that it does not have, a naive datetime.
    """
    rows = log.read(session_id)
    seen_at = now
    where = log.locator or "this log"
    if known_at is not None:
        seen_at = _instant("known_at", known_at)
        where = f"{where}, as it was known at {known_at.isoformat()}"
        rows = tuple(takewhile(lambda row: row.recorded_at <= seen_at, rows))
    if isinstance(at, int):
        if isinstance(at, bool) or not 1 <= at <= len(rows):
            raise InvalidConfig("at", at, f"a time, or a version of the session, which has 1 to {len(rows)}")
        rows = rows[:at]
        seen_at = rows[-1].at
    elif at is not None:
        seen_at = _instant("at", at)
        where = f"{where} at {at.isoformat()}"
        rows = until(rows, seen_at)
    if not rows:
        raise UnknownSession(session_id, where)
    return Then(rows, seen_at)


def until(rows: Sequence[Recorded], at: int) -> tuple[Recorded, ...]:
    """Those of *rows* that had happened at *at*."""
    return tuple(takewhile(lambda row: row.at <= at, rows))


def _instant(argument: str, given: object) -> int:
    if not isinstance(given, datetime):
        raise InvalidConfig(argument, given, "must be a datetime with a time zone")
    return instant(given, argument)


def list_at(
    log: EventLog,
    at: int,
    *,
    order: str = "newest",
    limit: int | None = None,
    after: str | None = None,
    **asked: Unpack[Filters],
) -> list[Session]:
    """The sessions as they stood at *at*; otherwise as SessionIndex.list.

    A session to which nothing has happened since is taken from the index; of the others the events are read. By age it
    looks no further than *limit* asks; by duration at all of them.

    Raises:
        InvalidConfig: As SessionIndex.list; also an *after* that names a session of later.
    """
    query = checked(now=at, order=order, limit=limit, **asked)
    ends = at + 1 if query.until is None else min(at + 1, query.until)
    fixed: Filters = {"labels": query.labels, "since": query.since, "until": ends, "owner": asked.get("owner")}
    mark: Session | None = None
    if after is not None:
        known = log.sessions.get(after)
        mark = _stood(log, known, at)[0] if known is not None and known.created_at <= at else None
        if mark is None:
            raise InvalidConfig("after", after, f"the id of a session that was there at {moment(at).isoformat()}")

    def stood(order: str = "newest", after: str | None = None) -> Iterator[Session]:
        for session in walk(log.sessions, now=at, order=order, after=after, **fixed):
            one, rows = _stood(log, session, at)
            if one is not None and query.matches(one, rows):
                yield one

    if by_duration(order):
        return arrange(stood(), order, at, mark)[:limit]
    return list(islice(stood(order, after), limit))


def _stood(log: EventLog, session: Session, at: int) -> tuple[Session | None, Callable[[], Sequence[Recorded]]]:
    """*session* as it stood at *at*, and what gives its events up to then; None where those can't be read typed."""
    if session.last_at <= at:
        return session, lambda: log.read(session.session_id)
    rows = until(log.read(session.session_id), at)
    try:
        return load(session.session_id, map(fact, rows)), lambda: rows
    except HistoryError:
        return None, lambda: rows  # as the index leaves it out
