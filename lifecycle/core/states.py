"""States, triggers and THE TABLE: what is legal in a session's life. Nothing else decides it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["ENDED", "LIVE", "TABLE", "State", "Trigger"]


class State(StrEnum):
    """Where a session stands; equals and prints as its plain word."""

    CREATED = "created"
    ACTIVE = "active"
    CLOSED = "closed"
    ERROR = "error"
    TIMED_OUT = "timed_out"


class Trigger(StrEnum):
    """What moves a session, or is recorded in it."""

    START = "start"
    NOTE = "note"
    CLOSE = "close"
    FAIL = "fail"
    EXPIRE = "expire"
    RELEASE = "release"


LIVE: Final = (State.CREATED, State.ACTIVE)
ENDED: Final = (State.CLOSED, State.ERROR, State.TIMED_OUT)

#: (trigger, from, to); to = None leaves the state as it is.
TABLE: Final[tuple[tuple[Trigger, tuple[State, ...], State | None], ...]] = (
    (Trigger.START, (State.CREATED,), State.ACTIVE),
    (Trigger.NOTE, LIVE, None),
    (Trigger.CLOSE, LIVE, State.CLOSED),
    (Trigger.FAIL, LIVE, State.ERROR),
    (Trigger.EXPIRE, LIVE, State.TIMED_OUT),
    (Trigger.RELEASE, ENDED, None),
)
