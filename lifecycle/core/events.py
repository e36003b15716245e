"""The facts of a session's life, one frozen model a type. What is not here can't be recorded.

An event's `at` is µs since the Unix epoch (UTC) and is stamped by `decide`; everything else is its data. Fields marked
PRIVATE (URLs, messages, paths) are stored apart and can be forgotten later, so each of them may be None.
Type names and schema versions are stable for ever; a changed shape is a new schema_version and a step in upcast.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "EVENTS",
    "EVENT_TYPES",
    "MAX_TIME",
    "NOTES",
    "PRIVATE",
    "Cause",
    "ClientConnected",
    "ClientDisconnected",
    "ClosedCause",
    "Config",
    "CookiesLoaded",
    "CookiesSaved",
    "Event",
    "Evidence",
    "FailedCause",
    "Instant",
    "Limits",
    "Note",
    "PageCrashed",
    "ProcessIdentity",
    "SessionAccessed",
    "SessionAnnotated",
    "SessionClosed",
    "SessionCreated",
    "SessionExtended",
    "SessionFailed",
    "SessionNavigated",
    "SessionOperation",
    "SessionReleased",
    "SessionStarted",
    "SessionTimedOut",
    "TabClosed",
    "TabOpened",
    "TimeoutRule",
    "private_fields",
]

#: The last instant that can be recorded, in µs since the epoch (June 2255): the largest integer that every JSON reader
#: holds exactly (RFC 7493), which the canonical form of an event relies on.
MAX_TIME: Final = 2**53 - 1

#: µs since the Unix epoch, UTC
Instant = Annotated[int, Field(ge=0, le=MAX_TIME, strict=True)]
Microseconds = Annotated[int, Field(ge=0, le=MAX_TIME, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]

PRIVATE: Final = "private"
_Url = Annotated[str, Field(max_length=4096), PRIVATE]
_Path = Annotated[str, Field(max_length=4096), PRIVATE]
_Text = Annotated[str, Field(max_length=16_384), PRIVATE]
_Word = Annotated[str, Field(max_length=256)]

#: what was seen that proves a cause: flat, small, no secrets; times and durations are µs and say so in their name
Evidence = Annotated[dict[_Word, Annotated[str, Field(max_length=1024)] | int | bool | None], Field(max_length=32)]


class Cause(StrEnum):
    """Why a session ended. The set is closed; there is no `unknown`."""

    STOPPED = "stopped"
    EXITED = "exited"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    OWNER_EXITED = "owner_exited"
    BROWSER_CLOSED = "browser_closed"
    LAUNCH_FAILED = "launch_failed"
    BROWSER_CRASHED = "browser_crashed"
    BROWSER_LOST = "browser_lost"
    KEEPER_LOST = "keeper_lost"
    EXCEPTION = "exception"
    IDLE = "idle"
    MAX_DURATION = "max_duration"


ClosedCause = Literal[
    Cause.STOPPED, Cause.EXITED, Cause.INTERRUPTED, Cause.CANCELLED, Cause.OWNER_EXITED, Cause.BROWSER_CLOSED
]
FailedCause = Literal[
    Cause.LAUNCH_FAILED, Cause.BROWSER_CRASHED, Cause.BROWSER_LOST, Cause.KEEPER_LOST, Cause.EXCEPTION
]
TimeoutRule = Literal[Cause.IDLE, Cause.MAX_DURATION]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ProcessIdentity(_Frozen):
    """A process that can't be confused with another: pids are reused, start times and boots are not."""

    host: _Word
    boot_id: _Word
    pid_namespace: _Word | None = None
    pid: Count
    started: Count  # clock ticks since boot on Linux, seconds since the epoch elsewhere


class Config(_Frozen):
    """What the browser is asked to be."""

    headless: bool = True
    viewport_width: Annotated[int, Field(ge=1, le=16_384)] | None = None
    viewport_height: Annotated[int, Field(ge=1, le=16_384)] | None = None
    browser: Literal["chromium", "chrome", "named"] | None = None  # named: browser_path in the event says which


class Limits(_Frozen):
    """How long a session may live; durations in µs. No idle limit when idle_timeout_us is None."""

    idle_timeout_us: Annotated[int, Field(ge=1_000_000, strict=True)] | None
    max_duration_us: Annotated[int, Field(ge=1_000_000, strict=True)]


class Event(_Frozen):
    """Base of all events; never recorded itself."""

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1

    at: Instant = 0


class SessionCreated(Event):
    type = "session.created"

    session_id: _Word
    config: Config = Field(default_factory=Config)
    browser_path: _Path | None = None
    browser_args: tuple[_Text, ...] | None = None
    limits: Limits
    labels: dict[str, str] = Field(default_factory=dict)
    keep_alive: bool = False
    owner: ProcessIdentity
    keeper: ProcessIdentity | None = None
    keeper_id: _Word | None = None


class SessionStarted(Event):
    type = "session.started"

    ownership: Literal["launched", "attached", "external"]
    keeper: ProcessIdentity | None = None
    browser: ProcessIdentity | None = None
    browser_version: _Word | None = None
    browser_path: _Path | None = None
    profile: _Path | None = None


class SessionAccessed(Event):
    """Somebody used the session. Coalesced: last_at is the latest access known, which may be before `at`."""

    type = "session.accessed"

    last_at: Instant
    by: Literal["gate", "api", "attach"]


class ClientConnected(Event):
    type = "session.client_connected"

    client: _Word
    identity: ProcessIdentity | None = None


class ClientDisconnected(Event):
    type = "session.client_disconnected"

    client: _Word
    identity: ProcessIdentity | None = None


class SessionOperation(Event):
    type = "session.operation"

    kind: _Word
    ok: bool
    took_us: Microseconds
    target: _Text | None = None
    error_type: _Word | None = None
    error_message: _Text | None = None


class SessionExtended(Event):
    type = "session.extended"

    until: Instant


class SessionNavigated(Event):
    type = "session.navigated"

    tab: _Word
    url: _Url | None = None


class TabOpened(Event):
    type = "session.tab_opened"

    tab: _Word
    url: _Url | None = None


class TabClosed(Event):
    type = "session.tab_closed"

    tab: _Word


class PageCrashed(Event):
    type = "session.page_crashed"

    tab: _Word


class SessionAnnotated(Event):
    """Something the embedder wants to stand in the history."""

    type = "session.annotated"

    name: _Word
    data: dict[str, JsonValue] = Field(default_factory=dict)


class CookiesLoaded(Event):
    type = "session.cookies_loaded"

    count: Count | None = None
    sha256: _Word | None = None
    why_not: _Word | None = None
    path: _Path | None = None


class CookiesSaved(Event):
    type = "session.cookies_saved"

    count: Count | None = None
    sha256: _Word | None = None
    why_not: _Word | None = None
    path: _Path | None = None


class SessionClosed(Event):
    type = "session.closed"

    cause: ClosedCause
    evidence: Evidence = Field(default_factory=dict)


class SessionFailed(Event):
    type = "session.failed"

    cause: FailedCause
    error_type: _Word | None = None
    error_message: _Text | None = None
    last_words: _Text | None = None
    evidence: Evidence = Field(default_factory=dict)


class SessionTimedOut(Event):
    """The deadline passed; `at` is the deadline itself, however late it was noticed."""

    type = "session.timed_out"

    rule: TimeoutRule
    evidence: Evidence = Field(default_factory=dict)


class SessionReleased(Event):
    """The browser is confirmed gone (or was never ours to end). The last event of a session."""

    type = "session.released"

    how: Literal["graceful", "killed", "detached", "never_started", "left_running"]
    exit_code: int | None = None
    signal: Count | None = None
    took_us: Microseconds = 0
    profile_removed: bool = False
    receipts: Evidence = Field(default_factory=dict)
    clients: tuple[_Word, ...] = ()
    evidence: Evidence = Field(default_factory=dict)


#: what the command Record may carry; SessionExtended has a command of its own
Note = (
    SessionAccessed
    | ClientConnected
    | ClientDisconnected
    | SessionOperation
    | SessionNavigated
    | TabOpened
    | TabClosed
    | PageCrashed
    | SessionAnnotated
    | CookiesLoaded
    | CookiesSaved
)

NOTES: Final[tuple[type[Event], ...]] = (
    SessionAccessed,
    ClientConnected,
    ClientDisconnected,
    SessionOperation,
    SessionExtended,
    SessionNavigated,
    TabOpened,
    TabClosed,
    PageCrashed,
    SessionAnnotated,
    CookiesLoaded,
    CookiesSaved,
)

EVENTS: Final[tuple[type[Event], ...]] = (
    SessionCreated,
    SessionStarted,
    *NOTES,
    SessionClosed,
    SessionFailed,
    SessionTimedOut,
    SessionReleased,
)

#: stable type name -> class
EVENT_TYPES: Final[dict[str, type[Event]]] = {cls.type: cls for cls in EVENTS}


def _is_private(annotation: object) -> bool:
    """Whether PRIVATE stands anywhere in *annotation*, as in `tuple[Annotated[str, PRIVATE], ...] | None`."""
    metadata: tuple[object, ...] = getattr(annotation, "__metadata__", ())
    parts: tuple[object, ...] = getattr(annotation, "__args__", ())
    return PRIVATE in metadata or any(_is_private(part) for part in parts)


_PRIVATE_FIELDS: Final = {
    cls.type: frozenset(name for name, field in cls.model_fields.items() if _is_private(field.annotation))
    for cls in EVENTS
}


def private_fields(event_type: str) -> frozenset[str]:
    """Names of the fields of *event_type* that are stored apart, so that they can be forgotten."""
    return _PRIVATE_FIELDS[event_type]
