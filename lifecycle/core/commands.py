"""The orders a session takes. `decide` turns each into events, or refuses it."""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from lifecycle.core.events import (
    ClosedCause,
    Evidence,
    FailedCause,
    Note,
    SessionCreated,
    SessionReleased,
    SessionStarted,
)

__all__ = ["COMMANDS", "Close", "Command", "Create", "Expire", "Extend", "Fail", "Record", "Release", "Start"]


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]


class Create(_Order):
    """Begin the history of a session; legal only where there is none."""

    name = "create"

    event: SessionCreated


class Start(_Order):
    """The browser runs."""

    name = "start"

    event: SessionStarted


class Record(_Order):
    """Add one fact that leaves the status as it is."""

    name = "note"

    event: Note


class Extend(_Order):
    """Live at least until now + by_us; limits stay, the deadline never moves back."""

    name = "note"

    by_us: int = Field(gt=0, strict=True)


class Close(_Order):
    """End normally. On an ended session: accepted, nothing happens."""

    name = "close"

    cause: ClosedCause
    evidence: Evidence = Field(default_factory=dict)


class Fail(_Order):
    """End with an error."""

    name = "fail"

    cause: FailedCause
    error_type: str | None = None
    error_message: str | None = None
    last_words: str | None = None
    evidence: Evidence = Field(default_factory=dict)


class Expire(_Order):
    """End if the deadline has passed; otherwise nothing happens."""

    name = "expire"

    evidence: Evidence = Field(default_factory=dict)


class Release(_Order):
    """The browser of an ended session is confirmed gone. A second one is accepted, nothing happens."""

    name = "release"

    event: SessionReleased


Command = Create | Start | Record | Extend | Close | Fail | Expire | Release

COMMANDS: Final[tuple[type[_Order], ...]] = (Create, Start, Record, Extend, Close, Fail, Expire, Release)
