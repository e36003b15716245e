"""What a list asks for, checked once for every index; and when a session matches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lifecycle.core.deadlines import deadline
from lifecycle.core.states import LIVE, State
from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lifecycle.core.evolve import Session

__all__ = ["Query", "checked", "effective", "is_text"]


#: the largest integer that SQLite holds
_MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Query:
    """A checked question; statuses is None for all of them."""

    now: int
    statuses: tuple[State, ...] | None
    labels: dict[str, str]
    since: int | None
    until: int | None

    def matches(self, session: Session) -> bool:
        """Whether *session* is one of those asked for."""
        return (
            (self.statuses is None or effective(session, self.now) in self.statuses)
            and self.labels.items() <= session.labels.items()
            and (self.since is None or session.created_at >= self.since)
            and (self.until is None or session.created_at < self.until)
        )


def effective(session: Session, now: int) -> State:
    """The status a reader sees at *now*: at or past the deadline a live session is timed_out."""
    if session.status in LIVE and now >= deadline(session):
        return State.TIMED_OUT
    return session.status


def checked(
    *,
    now: int,
    status: str | Collection[str] | None,
    labels: Mapping[str, str] | None,
    since: int | None,
    until: int | None,
    limit: int | None = None,
) -> Query:
    """The question, or InvalidConfig naming what is wrong with it."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise InvalidConfig("limit", limit, "a whole number from 1, or None for all")
    for argument, value in (("now", now), ("since", since), ("until", until)):
        if value is not None and (type(value) is not int or not -_MOST <= value <= _MOST):
            raise InvalidConfig(argument, value, "µs since the epoch")
    wanted = _labels(labels)
    return Query(now, _statuses(status), wanted, since, until)


def _labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    try:
        wanted = dict(labels or {})
    except (TypeError, ValueError):  # not a mapping, whatever its type says
        raise InvalidConfig("labels", labels, "a mapping of text to text") from None
    if not all(is_text(text) for item in wanted.items() for text in item):
        raise InvalidConfig("labels", labels, "a mapping of text to text")
    return wanted


def is_text(value: object) -> bool:
    """Whether it is text that can stand in a log at all; a lone surrogate is not."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return isinstance(value, str)


def _statuses(status: str | Collection[str] | None) -> tuple[State, ...] | None:
    if status is None:
        return None
    try:
        names = (status,) if isinstance(status, str) else tuple(status)
        return tuple(sorted({State(name) for name in names}))
    except (TypeError, ValueError):
        raise InvalidConfig("status", status, f"one or several of {', '.join(State)}") from None
