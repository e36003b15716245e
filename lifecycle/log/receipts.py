"""Receipts of acts that concern a whole log. They stand in the stream `log`, which is no session's.

They are events like any other: chained, covered by checkpoints, and never changed. No session can have the id `log`,
and no other stream can hold them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from lifecycle.core.events import MAX_TEXT, MAX_TIME, Event, SessionId

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RECEIPTS", "STREAM", "LogCheckpointed", "LogContinued", "LogForgotten", "LogSealed", "is_receipt"]

#: the stream of a log's own receipts
STREAM: Final = "log"

_Count = Annotated[int, Field(ge=0, le=MAX_TIME, strict=True)]
_Note = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, strict=True)]


class LogForgotten(Event):
    """The private fields of a session were deleted, of its events up to a version."""

    type = "log.forgotten"

    session_id: SessionId
    through_version: Annotated[int, Field(ge=1, le=MAX_TIME, strict=True)]
    rows: _Count


class LogCheckpointed(Event):
    """A checkpoint of the log was signed; `note` is its text."""

    type = "log.checkpointed"

    note: _Note


class LogSealed(Event):
    """Nothing lives in the log, and nothing will be added but receipts of what is forgotten.

    `following` is the one log that goes on, as a path from the directory of this one; None: none does.
    """

    type = "log.sealed"

    sessions: _Count
    following: Annotated[str, Field(min_length=1, max_length=4096, strict=True)] | None = None


class LogContinued(Event):
    """The log goes on where a sealed one ended, whose last checkpoint `note` is. The first event, if it is there."""

    type = "log.continued"

    note: _Note


#: stable type name -> class
RECEIPTS: Final[Mapping[str, type[Event]]] = MappingProxyType(
    {cls.type: cls for cls in (LogForgotten, LogCheckpointed, LogSealed, LogContinued)}
)


def is_receipt(event_type: str) -> bool:
    """Whether events of this type, known or not, belong into the stream `log`."""
    return event_type.startswith("log.")
