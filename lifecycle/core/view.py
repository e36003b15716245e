"""SessionView: what status(), get and list return, derived from a Session at a given time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from lifecycle.core.deadlines import deadline, minutes, rule
from lifecycle.core.events import Cause, Labels
from lifecycle.core.states import LIVE, State
from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from lifecycle.core.evolve import Session

__all__ = ["SessionView", "instant", "moment", "view"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(at: int) -> datetime:
    """µs since the epoch as an aware UTC datetime, exactly."""
    return _EPOCH + timedelta(microseconds=at)


def instant(at: datetime, argument: str = "at") -> int:
    """An aware datetime as µs since the epoch, exactly; negative before 1970.

    Raises:
        InvalidConfig: The datetime is naive; it names *argument*. (An InvalidConfig is a ValueError.)
    """
    if at.utcoffset() is None:
        raise InvalidConfig(argument, at, "needs a time zone, as datetime.now(UTC) has")
    return (at - _EPOCH) // timedelta(microseconds=1)


class SessionView(BaseModel):
    """A session as it stood when it was asked for. Datetimes are UTC-aware; it does not change by itself.

    A frozen pydantic model: `model_dump(mode="json")` gives it as JSON, and `model_validate` takes that back.

    `duration` runs from `created_at` to `closed_at`, the time of the ending, whichever it is; until then it grows.
    `deadline` is when it times out unless it is used or extended before; its limits are minutes, None where there is
    none. `error` is the type and message of an exception or a failed start. `version` counts its events. Of a browser
    that was there already some fields are None, for unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    session_id: str
    status: State
    created_at: datetime
    started_at: datetime | None
    closed_at: datetime | None
    last_accessed_at: datetime
    timeout_minutes: int | float | None
    idle_timeout_minutes: int | float | None
    max_duration_minutes: int | float
    duration: timedelta
    deadline: datetime
    cause: Cause | None
    error: str | None
    headless: bool | None
    viewport_width: int | None
    viewport_height: int | None
    browser: str | None
    browser_version: str | None
    keep_alive: bool
    labels: Labels
    version: int

    def __repr__(self) -> str:
        """What people ask first: id, status, cause, how long, labels."""
        cause = f" ({self.cause})" if self.cause else ""
        labels = "".join(f" {name}={value!r}" for name, value in sorted(self.labels.items()))
        return f"<Session {self.session_id} {self.status}{cause} after {self.duration}{labels}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Every field that has a value, for a notebook."""
        given = {**dict(self), "labels": " ".join(f"{name}={text}" for name, text in sorted(self.labels.items()))}
        shown = ((name, _shown(value)) for name, value in given.items() if value not in (None, ""))
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{escape(text)}</td></tr>" for name, text in shown
        )
        return f"<table>{rows}</table>"


def _shown(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def view(session: Session, now: int) -> SessionView:
    """*session* as a reader sees it at *now* (µs): past its deadline it is timed out, written down or not."""
    now = max(now, session.last_at)
    ends = deadline(session)
    status, cause, closed_at = session.status, session.cause, session.closed_at
    if status in LIVE and now >= ends:
        status, cause, closed_at = State.TIMED_OUT, rule(session), ends
    until = now if closed_at is None else closed_at
    idle = session.limits.idle_timeout_us
    idle_minutes = None if idle is None else minutes(idle)
    return SessionView(
        session_id=session.session_id,
        status=status,
        created_at=moment(session.created_at),
        started_at=None if session.started_at is None else moment(session.started_at),
        closed_at=None if closed_at is None else moment(closed_at),
        last_accessed_at=moment(session.last_accessed_at),
        timeout_minutes=idle_minutes,
        idle_timeout_minutes=idle_minutes,
        max_duration_minutes=minutes(session.limits.max_duration_us),
        duration=timedelta(microseconds=until - session.created_at),
        deadline=moment(ends),
        cause=cause,
        error=_error(session),
        headless=session.config.headless,
        viewport_width=session.config.viewport_width,
        viewport_height=session.config.viewport_height,
        browser=session.config.browser,
        browser_version=session.browser_version,
        keep_alive=session.keep_alive,
        labels=session.labels,
        version=session.version,
    )


def _error(session: Session) -> str | None:
    if session.error_type and session.error_message:
        return f"{session.error_type}: {session.error_message}"
    return session.error_type or session.error_message
