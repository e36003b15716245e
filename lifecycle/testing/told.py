"""What a history amounts to, told a second time: from the sentences of the docs, without decide, evolve or deadline.

A checker that calls the code under test agrees with its bugs; this one shares with the core only the names of events.
It never refuses: of a history that can't be it tells the most likely story, and the invariants say what is wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from lifecycle.log.port import Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle.core import Event

__all__ = ["ENDINGS", "MAY_FOLLOW", "Fact", "Told", "tell", "trigger"]

_LAST_MOMENT: Final = 2**53 - 1

#: what ends a session, and the status it leaves
ENDINGS: Final[Mapping[str, str]] = {
    "session.closed": "closed",
    "session.failed": "error",
    "session.timed_out": "timed_out",
}
_TRIGGERS: Final[Mapping[str, str]] = {
    "session.started": "start",
    "session.closed": "close",
    "session.failed": "fail",
    "session.timed_out": "expire",
    "session.released": "release",
}
#: the table in other words: what may happen in which status
MAY_FOLLOW: Final[Mapping[str, frozenset[str]]] = {
    "created": frozenset({"start", "note", "close", "fail", "expire"}),
    "active": frozenset({"note", "close", "fail", "expire"}),
    "closed": frozenset({"release"}),
    "error": frozenset({"release"}),
    "timed_out": frozenset({"release"}),
}
#: what a rule may look at
_FIELDS: Final = ("session_id", "last_at", "until", "rule", "cause", "name")


def trigger(event_type: str) -> str:
    """The row of the table that an event of this type stands for; `note` for all without a row of their own."""
    return _TRIGGERS.get(event_type, "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One event as it stands in a history. `recorded` is its row, where it comes from a log."""

    stream: str
    version: int
    type: str
    schema_version: int
    at: int
    data: Mapping[str, Any]
    position: int | None = None
    recorded: Recorded | None = field(default=None, repr=False)
    unreadable: str | None = None
    said: Mapping[str, Any] | None = None  # what an annotation carries; None where it is nothing, or was forgotten

    @classmethod
    def of(cls, event: Event, stream: str, version: int) -> Fact:
        """A typed event that stands at *version* of *stream*."""
        data: dict[str, Any] = {name: getattr(event, name) for name in _FIELDS if hasattr(event, name)}
        if (limits := getattr(event, "limits", None)) is not None:
            data["limits"] = {
                "idle_timeout_us": limits.idle_timeout_us,
                "max_duration_us": limits.max_duration_us,
            }
        return cls(
            stream=stream,
            version=version,
            type=event.type,
            schema_version=event.schema_version,
            at=event.at,
            data=data,
            said=getattr(event, "data", None),
        )

    @classmethod
    def read(cls, row: Recorded | Mapping[str, Any]) -> Fact:
        """A row of a log, or a mapping of the same names such as a line of an export."""
        if not isinstance(row, Recorded):
            given: dict[str, Any] = {name: row.get(name) for name in Recorded.__dataclass_fields__}
            given["private_salt"] = _salt(given["private_salt"])
            row = Recorded(**given)
        unreadable: str | None = None
        data: dict[str, Any] = {}
        try:
            found: object = json.loads(row.data)
            if isinstance(found, dict):
                data = cast("dict[str, Any]", found)
            else:
                unreadable = "its data is not a JSON object"
        except (TypeError, ValueError) as error:
            unreadable = f"its data is not JSON: {error}"
        return cls(
            stream=row.stream,
            version=row.version,
            type=row.type,
            schema_version=row.schema_version,
            at=row.at,
            data=data,
            position=row.position,
            recorded=row,
            unreadable=unreadable,
            said=_said(row) if row.type == "session.annotated" else None,
        )


def _said(row: Recorded) -> Mapping[str, Any] | None:
    try:
        found: Any = json.loads(row.private or "{}")
        said: Any = found.get("data")
    except (TypeError, ValueError, AttributeError):  # law 56 says so
        return None
    return cast("dict[str, Any]", said) if isinstance(said, dict) else None


def _salt(given: object) -> object:
    """Of an export, where bytes are written in hexadecimal digits; what is none fits no private part."""
    if not isinstance(given, str):
        return given
    try:
        return bytes.fromhex(given)
    except ValueError:
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A session as its history tells it. Times in µs since the epoch."""

    session_id: str
    version: int
    status: str
    created_at: int
    last_at: int
    used_at: int
    longest_us: int
    idle_us: int | None
    until: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    cause: str | None = None
    released: bool = False
    hash: str | None = None

    @property
    def live(self) -> bool:
        """Whether no ending stands in the history."""
        return self.ended_at is None

    @property
    def deadline(self) -> int:
        """max(min(created + max duration, last access + idle timeout), extended until)."""
        inner = self.created_at + self.longest_us
        if self.idle_us is not None:
            inner = min(inner, self.used_at + self.idle_us)
        return min(max(inner, self.until), _LAST_MOMENT)

    @property
    def rule(self) -> Literal["idle", "max_duration"]:
        """Which limit is the smaller; max_duration when they meet."""
        if self.idle_us is not None and self.used_at + self.idle_us < self.created_at + self.longest_us:
            return "idle"
        return "max_duration"

    def status_at(self, now: int) -> str:
        """What a reader must see at *now*: past its deadline a session is timed out, written down or not."""
        return "timed_out" if self.live and max(now, self.last_at) >= self.deadline else self.status

    def ended_by(self, now: int) -> int | None:
        """When it ended, as a reader must see it at *now*."""
        if self.ended_at is not None:
            return self.ended_at
        return self.deadline if max(now, self.last_at) >= self.deadline else None

    def duration_us(self, now: int) -> int:
        """ended - created, or min(now, deadline) - created while it lives."""
        ended = self.ended_by(now)
        return (max(now, self.last_at) if ended is None else ended) - self.created_at


def tell(told: Told | None, fact: Fact) -> Told:
    """The story after *fact*, whether or not it may follow."""
    seal = fact.recorded.hash if fact.recorded is not None else None
    if told is None:
        return _begin(fact, seal)
    told = replace(told, version=fact.version, last_at=max(told.last_at, fact.at), hash=seal)
    match fact.type:
        case "session.started":
            status = "active" if told.live else told.status
            return replace(told, status=status, started_at=fact.at, used_at=max(told.used_at, fact.at))
        case "session.accessed":
            return replace(told, used_at=max(told.used_at, _number(fact, "last_at", told.used_at)))
        case "session.operation":
            return replace(told, used_at=max(told.used_at, fact.at))
        case "session.extended":
            until = max(told.until, _number(fact, "until", 0))
            return replace(told, used_at=max(told.used_at, fact.at), until=until)
        case "session.released":
            return replace(told, released=True)
        case kind if kind in ENDINGS and told.live:
            cause = fact.data.get("rule" if kind == "session.timed_out" else "cause")
            return replace(told, status=ENDINGS[kind], ended_at=fact.at, cause=None if cause is None else str(cause))
        case _:
            return told


def _begin(fact: Fact, seal: str | None) -> Told:
    limits = fact.data.get("limits")
    given = cast("dict[str, Any]", limits) if isinstance(limits, dict) else {}
    longest, idle = given.get("max_duration_us"), given.get("idle_timeout_us")
    return Told(
        session_id=str(fact.data.get("session_id", fact.stream)),
        version=fact.version,
        status="created",
        created_at=fact.at,
        last_at=fact.at,
        used_at=fact.at,
        longest_us=longest if isinstance(longest, int) else _LAST_MOMENT,
        idle_us=idle if isinstance(idle, int) else None,
        hash=seal,
    )


def _number(fact: Fact, name: str, otherwise: int) -> int:
    found = fact.data.get(name)
    return found if type(found) is int else otherwise
