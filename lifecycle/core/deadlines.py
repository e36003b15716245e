"""Time rules: limits from what the user gave, and the deadline as a function of the history only."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from lifecycle.core.events import MAX_TIME, Cause, Limits, TimeoutRule
from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from lifecycle.core.evolve import Session

__all__ = [
    "DEFAULT_IDLE",
    "DEFAULT_MAX",
    "MAX_MINUTES",
    "Minutes",
    "deadline",
    "limits",
    "microseconds",
    "minutes",
    "rule",
]

DEFAULT_IDLE: Final = 3
DEFAULT_MAX: Final = 15
#: 100 years: far past any use, and created_at + this stays below MAX_TIME
MAX_MINUTES: Final = 52_560_000
_MINUTE: Final = 60_000_000
_SECOND: Final = 1_000_000

Minutes = int | float | timedelta


def deadline(session: Session) -> int:
    """When the session times out by itself, µs since the epoch; it never moves back as events are added.

    max(min(created_at + max_duration, last_accessed_at + idle_timeout), extended_until), and never past MAX_TIME.
    """
    # Compared by hand, in less than half the time that min and max take: whatever is decided or folded asks for it.
    at = session.created_at + session.limits.max_duration_us
    idle = session.limits.idle_timeout_us
    if idle is not None and session.last_accessed_at + idle < at:
        at = session.last_accessed_at + idle
    until = session.extended_until
    if until is not None and until > at:
        at = until
    return at if at < MAX_TIME else MAX_TIME


def rule(session: Session) -> TimeoutRule:
    """Which of the two limits sets the deadline: idle or max_duration, the latter where they meet."""
    idle = session.limits.idle_timeout_us
    longest = session.created_at + session.limits.max_duration_us
    return Cause.MAX_DURATION if idle is None or longest <= session.last_accessed_at + idle else Cause.IDLE


def microseconds(argument: str, value: object) -> int:
    """A user's duration, in minutes or as timedelta, as µs.

    Raises:
        InvalidConfig: Not a number or timedelta, not finite, below one second or above 100 years.
    """
    allowed = f"allowed are minutes from 1/60 (one second) to {MAX_MINUTES} (100 years), or a timedelta of that length"
    if isinstance(value, timedelta):
        exact = value // timedelta(microseconds=1)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidConfig(argument, value, allowed)
    elif isinstance(value, int):
        exact = value * _MINUTE
    else:
        exact = round(value * _MINUTE) if abs(value) <= MAX_MINUTES else 0  # NaN is not; 0 is refused below
    if not _SECOND <= exact <= MAX_MINUTES * _MINUTE:
        raise InvalidConfig(argument, value, allowed)
    return exact


def minutes(us: int) -> int | float:
    """µs as minutes; whole numbers stay int."""
    whole, rest = divmod(us, _MINUTE)
    return us / _MINUTE if rest else whole


def limits(
    *,
    timeout_minutes: Minutes | None = None,
    idle_timeout_minutes: Minutes | None = None,
    max_duration_minutes: Minutes | None = None,
) -> Limits:
    """Validated limits; None means the default (idle 3 minutes, max duration 15).

    timeout_minutes is another name for idle_timeout_minutes. An idle timeout above the default maximum lifts the
    maximum to it; above a maximum that was given it is refused.

    Raises:
        InvalidConfig: A value out of range, both names of the idle timeout, or idle above a given maximum.
    """
    if timeout_minutes is not None and idle_timeout_minutes is not None:
        raise InvalidConfig(
            "timeout_minutes", timeout_minutes, "is another name for idle_timeout_minutes; give one of the two"
        )
    name = "idle_timeout_minutes" if timeout_minutes is None else "timeout_minutes"
    given_idle = idle_timeout_minutes if timeout_minutes is None else timeout_minutes
    idle = DEFAULT_IDLE * _MINUTE if given_idle is None else microseconds(name, given_idle)
    if max_duration_minutes is None:
        return Limits(idle_timeout_us=idle, max_duration_us=max(idle, DEFAULT_MAX * _MINUTE))
    longest = microseconds("max_duration_minutes", max_duration_minutes)
    if idle > longest:
        if given_idle is not None:
            raise InvalidConfig(name, given_idle, f"must not exceed max_duration_minutes, which is {minutes(longest)}")
        idle = longest  # the default idle timeout gives way to a shorter maximum that was asked for
    return Limits(idle_timeout_us=idle, max_duration_us=longest)
