"""Laws of what a reader sees: a SessionView taken at a moment, and the one the same reader had before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle.core import moment

if TYPE_CHECKING:
    from lifecycle.core import SessionView
    from lifecycle.testing.laws.facts import Findings
    from lifecycle.testing.told import Told

__all__ = ["Look"]

_ENDED = ("closed", "error", "timed_out")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at *now* (µs by the reader's clock) of a session whose history says *told*."""

    told: Told
    now: int
    view: SessionView
    earlier: Look | None = None


def _duration_us(view: SessionView) -> int:
    return round(view.duration.total_seconds() * 1_000_000)


def stepped_back(it: Look) -> Findings:
    if it.now < it.told.last_at:
        yield it.view.duration.total_seconds() >= 0 or f"a duration of {it.view.duration}"
        expected = it.told.status_at(it.told.last_at)
        yield it.view.status == expected or f"status {it.view.status} at {it.now}, {expected} at the last event"


def as_told(it: Look) -> Findings:
    expected = it.told.duration_us(it.now)
    seen = _duration_us(it.view)
    yield seen == expected or f"duration {seen} µs at {it.now}, the events say {expected}"
    status = it.told.status_at(it.now)
    yield it.view.status == status or f"status {it.view.status} at {it.now}, the events say {status}"
    ended = it.told.ended_by(it.now)
    closed_at = None if ended is None else moment(ended)
    yield it.view.closed_at == closed_at or f"closed_at {it.view.closed_at}, the events say {closed_at}"


def duration_grows(it: Look) -> Findings:
    if it.earlier is not None and it.earlier.now <= it.now:
        yield it.view.duration >= it.earlier.view.duration or (
            f"duration fell from {it.earlier.view.duration} to {it.view.duration}"
        )


def duration_rests(it: Look) -> Findings:
    if it.earlier is not None and it.earlier.view.status in _ENDED:
        yield it.view.duration == it.earlier.view.duration or (
            f"duration of the ended session went from {it.earlier.view.duration} to {it.view.duration}"
        )
        yield it.view.status == it.earlier.view.status or (
            f"the {it.earlier.view.status} session became {it.view.status}"
        )


def timed_out_lasts_to_the_deadline(it: Look) -> Findings:
    yield it.view.duration.total_seconds() >= 0 or f"a duration of {it.view.duration}"
    if it.view.status == "timed_out":
        lasted = it.view.deadline - it.view.created_at
        yield it.view.duration == lasted or f"timed out after {it.view.duration}, the deadline is after {lasted}"


def deadline_as_told(it: Look) -> Findings:
    expected = moment(it.told.deadline)
    yield it.view.deadline == expected or f"deadline {it.view.deadline}, the events say {expected}"
