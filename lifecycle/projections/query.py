"""What a list asks for, checked once for every index; when a session matches it, and where it stands in an order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, get_args

from lifecycle.core.deadlines import deadline, rule
from lifecycle.core.events import MAX_LABELS, Cause, ClosedCause, FailedCause, TimeoutRule
from lifecycle.core.states import LIVE, State
from lifecycle.errors import InvalidConfig
from lifecycle.log.canonical import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from lifecycle.core.evolve import Session
    from lifecycle.log.port import Recorded

__all__ = [
    "CAUSES",
    "ORDERS",
    "VISITS",
    "Filters",
    "Order",
    "Query",
    "by_duration",
    "checked",
    "duration_us",
    "effective",
    "effective_cause",
    "fold_case",
    "is_text",
    "rank",
]

Order = Literal["newest", "oldest", "longest", "shortest"]
ORDERS: Final[tuple[str, ...]] = get_args(Order)

#: status -> the causes with which a session gets it
CAUSES: Final[dict[State, tuple[Cause, ...]]] = {
    State.CLOSED: get_args(ClosedCause),
    State.ERROR: get_args(FailedCause),
    State.TIMED_OUT: get_args(TimeoutRule),
}

#: types of the events that say which URLs a session visited
VISITS: Final = ("session.navigated", "session.tab_opened")

#: the largest integer that SQLite holds
_MOST: Final = 2**63 - 1
#: what SQLite's lower() does
_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class Filters(TypedDict, total=False):
    """What sessions are asked for; None asks for nothing. SessionIndex.list says what each means."""

    status: str | Collection[str] | None
    cause: str | Collection[str] | None
    labels: Mapping[str, str] | None
    since: int | None
    until: int | None
    ended_since: int | None
    ended_until: int | None
    longer_us: int | None
    shorter_us: int | None
    owner: str | None
    actor: str | None
    correlation_id: str | None
    url: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A checked question; None for what is not asked. Texts that are looked for inside others are in lower case."""

    now: int
    statuses: tuple[State, ...] | None
    causes: tuple[Cause, ...] | None
    labels: dict[str, str]
    since: int | None
    until: int | None
    ended_since: int | None
    ended_until: int | None
    longer_us: int | None
    shorter_us: int | None
    owner: tuple[str | None, int | None] | None
    actor: str | None
    correlation_id: str | None
    url: str | None
    error: str | None

    def matches(self, session: Session, rows: Callable[[], Sequence[Recorded]]) -> bool:
        """Whether *session*, whose history *rows* gives, is one of those asked for."""
        return (
            (self.statuses is None or effective(session, self.now) in self.statuses)
            and (self.causes is None or effective_cause(session, self.now) in self.causes)
            and self.labels.items() <= session.labels.items()
            and (self.since is None or session.created_at >= self.since)
            and (self.until is None or session.created_at < self.until)
            and (self.ended_since is None or _ended_at(session) >= self.ended_since)
            and (self.ended_until is None or _ended_at(session) < self.ended_until)
            and (self.longer_us is None or duration_us(session, self.now) >= self.longer_us)
            and (self.shorter_us is None or duration_us(session, self.now) < self.shorter_us)
            and (self.owner is None or _owned(session, *self.owner))
            and (self.error is None or self.error in fold_case(_error(session)))
            and (self.actor is None or any(row.actor == self.actor for row in rows()))
            and (self.correlation_id is None or any(row.correlation_id == self.correlation_id for row in rows()))
            and (self.url is None or any(self.url in url for url in _visited(rows())))
        )


def effective(session: Session, now: int) -> State:
    """The status a reader sees at *now*: at or past the deadline a live session is timed_out."""
    if session.status in LIVE and now >= deadline(session):
        return State.TIMED_OUT
    return session.status


def effective_cause(session: Session, now: int) -> Cause | None:
    """The cause a reader sees at *now*: that of the ending, or the limit that a live session has reached."""
    if session.status in LIVE and now >= deadline(session):
        return rule(session)
    return session.cause


def duration_us(session: Session, now: int) -> int:
    """How long the session lived, as a reader sees it at *now*."""
    until = session.closed_at
    if until is None:
        until = min(deadline(session), max(now, session.last_at))
    return until - session.created_at


def _ended_at(session: Session) -> int:
    """When a session that a reader sees as ended did so."""
    return deadline(session) if session.closed_at is None else session.closed_at


def by_duration(order: str) -> bool:
    """Whether *order* goes by duration, else it goes by creation."""
    return order in ("longest", "shortest")


def rank(session: Session, order: str, now: int) -> tuple[int, str]:
    """What *order* sorts by; descending for newest and longest."""
    return duration_us(session, now) if by_duration(order) else session.created_at, session.session_id


def fold_case(text: str) -> str:
    """*text* with A to Z as a to z: what SQLite's lower() gives."""
    return text.translate(_LOWER)


def _owned(session: Session, host: str | None, pid: int | None) -> bool:
    return (host is None or session.owner.host == host) and (pid is None or session.owner.pid == pid)


def _error(session: Session) -> str:
    return ": ".join(part for part in (session.error_type, session.error_message) if part)


def _visited(rows: Sequence[Recorded]) -> list[str]:
    bodies = (parse(row.private) for row in rows if row.type in VISITS and row.private is not None)
    return [fold_case(str(body["url"])) for body in bodies if body.get("url") is not None]


def checked(
    *,
    now: int,
    order: str = "newest",
    limit: int | None = None,
    status: str | Collection[str] | None = None,
    cause: str | Collection[str] | None = None,
    labels: Mapping[str, str] | None = None,
    since: int | None = None,
    until: int | None = None,
    ended_since: int | None = None,
    ended_until: int | None = None,
    longer_us: int | None = None,
    shorter_us: int | None = None,
    owner: str | None = None,
    actor: str | None = None,
    correlation_id: str | None = None,
    url: str | None = None,
    error: str | None = None,
) -> Query:
    """The question, or InvalidConfig naming what is wrong with it."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise InvalidConfig("limit", limit, "a whole number from 1, or None for all")
    if order not in ORDERS:
        raise InvalidConfig("order", order, f"one of {', '.join(ORDERS)}")
    times = (
        ("now", now),
        ("since", since),
        ("until", until),
        ("ended_since", ended_since),
        ("ended_until", ended_until),
        ("longer_us", longer_us),
        ("shorter_us", shorter_us),
    )
    for argument, value in times:
        if value is not None and (type(value) is not int or not -_MOST <= value <= _MOST):
            raise InvalidConfig(argument, value, "µs, since the epoch where it is a moment")
    texts = (("owner", owner), ("actor", actor), ("correlation_id", correlation_id), ("url", url), ("error", error))
    for argument, text in texts:
        if text is not None and not (is_text(text) and text):
            raise InvalidConfig(argument, text, "text that is not empty")
    statuses = _several("status", status, State)
    if error is not None:  # nothing else has one, and so the index by status leads
        statuses = _among((State.ERROR,), statuses)
    if ended_since is not None or ended_until is not None:
        statuses = _among(tuple(CAUSES), statuses)
    return Query(
        now=now,
        statuses=statuses,
        causes=_several("cause", cause, Cause),
        labels=_labels(labels),
        since=since,
        until=until,
        ended_since=ended_since,
        ended_until=ended_until,
        longer_us=longer_us,
        shorter_us=shorter_us,
        owner=None if owner is None else _owner(owner),
        actor=actor,
        correlation_id=correlation_id,
        url=None if url is None else fold_case(url),
        error=None if error is None else fold_case(error),
    )


def _among(those: tuple[State, ...], asked: tuple[State, ...] | None) -> tuple[State, ...]:
    return those if asked is None else tuple(state for state in those if state in asked)


def _owner(text: str) -> tuple[str | None, int | None]:
    """HOST, HOST:PID, or PID."""
    host, colon, pid = text.rpartition(":")
    if not pid.isascii() or not pid.isdigit() or len(pid) > 18:
        return text, None
    return (host if colon else None), int(pid)


def _labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    try:
        wanted = dict(labels or {})
    except (TypeError, ValueError):  # not a mapping, whatever its type says
        raise InvalidConfig("labels", labels, "a mapping of text to text") from None
    if not all(is_text(text) for item in wanted.items() for text in item):
        raise InvalidConfig("labels", labels, "a mapping of text to text")
    if len(wanted) > MAX_LABELS:
        raise InvalidConfig("labels", labels, f"at most {MAX_LABELS}, which is as many as a session has")
    return wanted


def is_text(value: object) -> bool:
    """Whether it is text that can stand in a log at all; a lone surrogate is not."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return isinstance(value, str)


def _several(argument: str, value: str | Collection[str] | None, kind: Any) -> tuple[Any, ...] | None:
    if value is None:
        return None
    try:
        names = (value,) if isinstance(value, str) else tuple(value)
        return tuple(sorted({kind(name) for name in names}))
    except (TypeError, ValueError):
        raise InvalidConfig(argument, value, f"one or several of {', '.join(kind)}") from None
