"""The facts of a session's life, one frozen model a type. What is not here can't be recorded.

An event's `at` is µs since the Unix epoch (UTC) and is stamped by `decide`; everything else is its data. Fields marked
PRIVATE (URLs, messages, paths) are stored apart and can be forgotten later, so each of them may be None.
Type names and schema versions are stable for ever; a changed shape is a new schema_version and a step in upcast.py.

Nothing is coerced and nothing is cut: a value that is not of the field's type, too long, or not representable in
canonical JSON (NUL, lone surrogates, NaN, integers past 2^53) is refused when the event is made. What is accepted can't
be changed afterwards, the dicts in it included.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from lifecycle.core.frozen import FrozenDict, freeze

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "EVENTS",
    "EVENT_TYPES",
    "LABEL_NAME",
    "MAX_DATA",
    "MAX_DEPTH",
    "MAX_EVIDENCE",
    "MAX_LABEL",
    "MAX_LABELS",
    "MAX_TEXT",
    "MAX_TIME",
    "MAX_URL",
    "MAX_WORD",
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
    "Labels",
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
    "SessionId",
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

#: in characters
MAX_WORD: Final = 256
MAX_URL: Final = 4096
MAX_TEXT: Final = 16_384
MAX_LABEL: Final = 1024
#: how many a session may carry
MAX_LABELS: Final = 64
LABEL_NAME: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,63}$"
#: in characters of all keys and texts together, plus one for each value
MAX_DATA: Final = 16_384
MAX_EVIDENCE: Final = 4096
#: levels of dicts and lists
MAX_DEPTH: Final = 32

PRIVATE: Final = "private"


def _writable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain lone surrogates; it can't be written as UTF-8") from None
    return text


def _size(value: JsonValue, depth: int = 1) -> int:
    """The size of *value* in the sense of MAX_DATA; refuses what canonical JSON can't hold."""
    if isinstance(value, str):
        return 1 + len(_writable(value))
    if isinstance(value, int) and not -MAX_TIME <= value <= MAX_TIME:
        raise ValueError(f"integers must be from {-MAX_TIME} to {MAX_TIME}; give larger ones as text")
    if isinstance(value, dict | list) and depth > MAX_DEPTH:
        raise ValueError(f"must not be nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return 1 + sum(len(_writable(key)) + _size(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return 1 + sum(_size(item, depth + 1) for item in value)
    return 1


def _data(value: dict[str, JsonValue]) -> JsonValue:
    if (size := _size(value)) > MAX_DATA:
        raise ValueError(f"holds {size} characters, at most {MAX_DATA} are allowed")
    return freeze(value)


def _evidence(value: dict[str, Any]) -> dict[str, Any]:
    # An ending must fit into the log whatever it was told: 32 proofs of full length would not.
    if value and (size := _size(value)) > MAX_EVIDENCE:
        raise ValueError(f"holds {size} characters, at most {MAX_EVIDENCE} are allowed")
    return FrozenDict(value)


def _session_id(value: str) -> str:
    if value == "log":
        raise ValueError("must not be 'log': that stream holds the acts that concern the whole log")
    return value


#: µs since the Unix epoch, UTC
Instant = Annotated[int, Field(ge=0, le=MAX_TIME, strict=True)]
_Microseconds = Annotated[int, Field(ge=0, le=MAX_TIME, strict=True)]
_Count = Annotated[int, Field(ge=0, le=MAX_TIME, strict=True)]
_Flag = Annotated[bool, Field(strict=True)]

_Url = Annotated[str, Field(max_length=MAX_URL, strict=True), AfterValidator(_writable), PRIVATE]
_Path = Annotated[str, Field(max_length=4096, strict=True), AfterValidator(_writable), PRIVATE]
_Text = Annotated[str, Field(max_length=MAX_TEXT, strict=True), AfterValidator(_writable), PRIVATE]
_Word = Annotated[str, Field(max_length=MAX_WORD, strict=True), AfterValidator(_writable)]
_Name = Annotated[str, Field(min_length=1, max_length=MAX_WORD, strict=True), AfterValidator(_writable)]
_Key = Annotated[str, Field(strict=True)]
_Integer = Annotated[int, Field(ge=-MAX_TIME, le=MAX_TIME, strict=True)]

#: also part of file names: the profile's directory, the endpoint
SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", strict=True), AfterValidator(_session_id)]

_LabelKey = Annotated[str, Field(pattern=LABEL_NAME, strict=True)]
_LabelValue = Annotated[str, Field(max_length=MAX_LABEL, strict=True), AfterValidator(_writable)]
Labels = Annotated[dict[_LabelKey, _LabelValue], Field(max_length=MAX_LABELS), AfterValidator(FrozenDict)]

_Line = Annotated[str, Field(max_length=1024, strict=True), AfterValidator(_writable)]
_Proof = _Line | _Integer | _Flag | None

#: what was seen that proves a cause: flat, small, no secrets; times and durations are µs and say so in their name
Evidence = Annotated[dict[_Word, _Proof], Field(max_length=32), AfterValidator(_evidence)]

#: room for what decide adds when a command came too late
_LateEvidence = Annotated[dict[_Word, _Proof], Field(max_length=34), AfterValidator(FrozenDict)]


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
    pid: _Count
    started: _Count  # clock ticks since boot on Linux, seconds since the epoch elsewhere


class Config(_Frozen):
    """What the browser is asked to be."""

    headless: _Flag | None = True  # None: unknown, the browser was there already
    viewport_width: Annotated[int, Field(ge=1, le=16_384, strict=True)] | None = None
    viewport_height: Annotated[int, Field(ge=1, le=16_384, strict=True)] | None = None
    browser: Literal["chromium", "chrome", "named", "external", "attached"] | None = None  # named: see browser_path
    user_agent: _Line | None = None
    locale: _Word | None = None
    timezone: _Word | None = None
    proxy: _Line | None = None  # without user name and password
    extra_http_headers: Annotated[tuple[_Word, ...], Field(max_length=64)] = ()  # their names; values may be secrets


class Limits(_Frozen):
    """How long a session may live; durations in µs. No idle limit when idle_timeout_us is None."""

    idle_timeout_us: Annotated[int, Field(ge=1_000_000, le=MAX_TIME, strict=True)] | None
    max_duration_us: Annotated[int, Field(ge=1_000_000, le=MAX_TIME, strict=True)]


class Event(_Frozen):
    """Base of all events; never recorded itself."""

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1

    at: Instant = 0


class SessionCreated(Event):
    """A session was ordered: its configuration, its limits and who owns it. Its browser does not run yet."""

    type = "session.created"

    session_id: SessionId
    config: Config = Field(default_factory=Config)
    browser_path: _Path | None = None  # the binary
    browser_args: Annotated[tuple[_Text, ...], Field(max_length=256)] | None = None  # those that were given
    cookie_file: _Path | None = None
    user_data_dir: _Path | None = None  # a profile of the user's own
    downloads_dir: _Path | None = None
    recording: _Path | None = None  # where the video goes
    recording_limit_bytes: _Count | None = None
    limits: Limits
    labels: Labels = Field(default_factory=FrozenDict[str, str])
    keep_alive: _Flag = False  # it outlives its owner
    waited_us: _Microseconds | None = None  # for a place, where the client has a limit
    owner: ProcessIdentity  # the process that started it
    keeper: ProcessIdentity | None = None
    keeper_id: _Word | None = None  # in the names of its lock and of what it printed


class SessionStarted(Event):
    """The browser runs: launched by us, attached (launched by somebody else), or external (reached by its CDP URL)."""

    type = "session.started"

    ownership: Literal["launched", "attached", "external"]
    attached_to: Literal["browser", "context"] | None = None  # what was given, where somebody else launched it
    keeper: ProcessIdentity | None = None  # where it is not that of `created`
    browser: ProcessIdentity | None = None  # its main process, where it is ours
    browser_version: _Word | None = None  # what it says of itself
    browser_path: _Path | None = None  # where it is not that of `created`
    profile: _Path | None = None
    window: _Flag | None = None  # whether one was opened, where headless=False asked for it and there was a display


class SessionAccessed(Event):
    """Somebody used the session. Coalesced: last_at is the latest access known, which may be before `at`."""

    type = "session.accessed"

    last_at: Instant
    by: Literal["gate", "api", "attach"]


class ClientConnected(Event):
    """A client came to the browser through the gate. `client` is the label it gave."""

    type = "session.client_connected"

    client: _Word
    identity: ProcessIdentity | None = None  # where it is known, which it is not to our gate


class ClientDisconnected(Event):
    """A client left."""

    type = "session.client_disconnected"

    client: _Word
    identity: ProcessIdentity | None = None  # where it is known, which it is not to our gate


class SessionOperation(Event):
    """An execute, observe or scrape was carried out; it counts as access. `target` is redacted."""

    type = "session.operation"

    kind: _Word  # `observe`, `scrape`, or the action's type
    ok: _Flag
    took_us: _Microseconds
    target: _Text | None = None  # what it was done to: a selector, a redacted URL
    error_type: _Word | None = None
    error_message: _Text | None = None


class SessionExtended(Event):
    """The session was promised life until `until`, whatever its limits say; it counts as access."""

    type = "session.extended"

    until: Instant


class SessionNavigated(Event):
    """A tab went to another document, whoever made it. `url` is redacted."""

    type = "session.navigated"

    tab: _Word  # the target's id in CDP
    url: _Url | None = None


class TabOpened(Event):
    """A tab was opened."""

    type = "session.tab_opened"

    tab: _Word  # the target's id in CDP
    url: _Url | None = None


class TabClosed(Event):
    """A tab was closed."""

    type = "session.tab_closed"

    tab: _Word  # the target's id in CDP


class PageCrashed(Event):
    """A tab's renderer crashed; the browser lives."""

    type = "session.page_crashed"

    tab: _Word  # the target's id in CDP


class SessionAnnotated(Event):
    """Something the embedder wants to stand in the history."""

    type = "session.annotated"

    name: _Name
    data: Annotated[dict[_Key, JsonValue], AfterValidator(_data), PRIVATE] | None = None


class CookiesLoaded(Event):
    """Cookies were read from a file into the browser: how many, the sha256 of the file, or why not."""

    type = "session.cookies_loaded"

    count: _Count | None = None
    sha256: _Word | None = None  # of the file's bytes
    why_not: _Word | None = None
    path: _Path | None = None


class CookiesSaved(Event):
    """Cookies were written to a file while the session lived; what is saved at the end is a receipt of `released`."""

    type = "session.cookies_saved"

    count: _Count | None = None
    sha256: _Word | None = None  # of the file's bytes
    why_not: _Word | None = None
    path: _Path | None = None


class SessionClosed(Event):
    """The session ended normally."""

    type = "session.closed"

    cause: ClosedCause
    evidence: Evidence = Field(default_factory=FrozenDict[str, Any])


class SessionFailed(Event):
    """The session ended with an error."""

    type = "session.failed"

    cause: FailedCause
    error_type: _Word | None = None
    error_message: _Text | None = None
    last_words: _Text | None = None  # the end of what the browser printed
    evidence: Evidence = Field(default_factory=FrozenDict[str, Any])


class SessionTimedOut(Event):
    """The deadline passed; `at` is the deadline itself, however late it was noticed."""

    type = "session.timed_out"

    rule: TimeoutRule
    evidence: _LateEvidence = Field(default_factory=FrozenDict[str, Any])


class SessionReleased(Event):
    """The browser is confirmed gone (or was never ours to end). The last event of a session.

    graceful: it closed when it was asked to, or had quit by itself. killed: it did not, or was dead. detached: it was
    only disconnected, or is lost. left_running: it goes on, as whoever launched it wants. never_started: there was
    none.
    """

    type = "session.released"

    how: Literal["graceful", "killed", "detached", "never_started", "left_running"]
    exit_code: _Integer | None = None  # the browser's
    signal: _Count | None = None  # what ended it, where a signal did
    took_us: _Microseconds = 0
    profile_removed: _Flag = False  # never of a profile of the user's own
    receipts: Evidence = Field(default_factory=FrozenDict[str, Any])
    recording: _Path | None = None  # where the video is
    clients: Annotated[tuple[_Word, ...], Field(max_length=1024)] = ()  # who was still connected
    evidence: Evidence = Field(default_factory=FrozenDict[str, Any])


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
EVENT_TYPES: Final[Mapping[str, type[Event]]] = MappingProxyType({cls.type: cls for cls in EVENTS})


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
