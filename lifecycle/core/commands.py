"""The orders a session takes. `decide` turns each into events, or refuses it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lifecycle.core.events import (
    MAX_WORD,
    ClosedCause,
    Evidence,
    FailedCause,
    Note,
    SessionCreated,
    SessionReleased,
    SessionStarted,
)
from lifecycle.core.frozen import FrozenDict

__all__ = ["COMMANDS", "Close", "Command", "Create", "Expire", "Extend", "Fail", "Record", "Release", "Start"]


#: in bytes of UTF-8, so that an ending with both texts and full evidence stays below the log's 64 KiB for one event
_MESSAGE_BYTES: Final = 4096
_LAST_WORDS_BYTES: Final = 12_288


def _plain(text: str) -> str:
    """*text* as it can be written: what UTF-8 does not have and control characters become replacement characters."""
    kept = "".join(char if char >= " " or char in "\t\n\r" else "\ufffd" for char in text)
    return kept.encode(errors="replace").decode()


def _fitted(limit_bytes: int, *, tail: bool = False) -> BeforeValidator:
    """Texts cut to their beginning, or to their end (*tail*); other types are left for pydantic to refuse."""

    def fit(value: object) -> object:
        if not isinstance(value, str):
            return value
        encoded = _plain(value[-limit_bytes:] if tail else value[:limit_bytes]).encode()
        if len(value) <= limit_bytes and len(encoded) <= limit_bytes:
            return encoded.decode()
        room = limit_bytes - len("…".encode())
        kept = (encoded[-room:] if tail else encoded[:room]).decode(errors="ignore")
        return f"…{kept}" if tail else f"{kept}…"

    return BeforeValidator(fit)


_Word = Annotated[str, _fitted(MAX_WORD), Field(strict=True)]
_Message = Annotated[str, _fitted(_MESSAGE_BYTES), Field(strict=True)]
_LastWords = Annotated[str, _fitted(_LAST_WORDS_BYTES, tail=True), Field(strict=True)]


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
    evidence: Evidence = Field(default_factory=FrozenDict[str, Any])


class Fail(_Order):
    """End with an error.

    The texts are the world's: no ending may be lost because they are too long or can't be written, so they are cut
    (the message to its beginning, last words to their end) and what can't be written is replaced.
    """

    name = "fail"

    cause: FailedCause
    error_type: _Word | None = None
    error_message: _Message | None = None
    last_words: _LastWords | None = None
    evidence: Evidence = Field(default_factory=FrozenDict[str, Any])


class Expire(_Order):
    """End if the deadline has passed; otherwise nothing happens."""

    name = "expire"

    evidence: Evidence = Field(default_factory=FrozenDict[str, Any])


class Release(_Order):
    """The browser of an ended session is confirmed gone. A second one is accepted, nothing happens."""

    name = "release"

    event: SessionReleased


Command = Create | Start | Record | Extend | Close | Fail | Expire | Release

COMMANDS: Final[tuple[type[_Order], ...]] = (Create, Start, Record, Extend, Close, Fail, Expire, Release)
