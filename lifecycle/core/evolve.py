"""A session as its events left it: evolve takes one event, fold a whole history. Nothing else makes a Session."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypedDict

from lifecycle.core.deadlines import deadline, rule
from lifecycle.core.events import (
    EVENTS,
    Cause,
    Config,
    Event,
    Labels,
    Limits,
    ProcessIdentity,
    SessionAccessed,
    SessionClosed,
    SessionCreated,
    SessionExtended,
    SessionFailed,
    SessionOperation,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
)
from lifecycle.core.frozen import FrozenDict
from lifecycle.core.machine import LOOKUP
from lifecycle.core.states import LIVE, State, Trigger
from lifecycle.errors import IllegalHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "ENDINGS",
    "Session",
    "draft",
    "evolve",
    "fold",
    "initial",
    "leads_to",
    "pass_notes",
    "pass_over",
    "restored",
    "step",
    "trigger_of",
]

#: Before the first event there is no session.
initial: Final = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the history of one session amounts to. Times are µs since the epoch, UTC."""

    session_id: str
    version: int
    status: State
    created_at: int
    last_at: int
    last_accessed_at: int
    limits: Limits
    config: Config = field(default_factory=Config)
    labels: Labels = field(default_factory=FrozenDict[str, str])
    keep_alive: bool = False
    owner: ProcessIdentity
    keeper: ProcessIdentity | None = None
    keeper_id: str | None = None
    ownership: str | None = None
    browser: ProcessIdentity | None = None
    browser_version: str | None = None
    started_at: int | None = None
    closed_at: int | None = None
    extended_until: int | None = None
    cause: Cause | None = None
    error_type: str | None = None
    error_message: str | None = None
    released: bool = False


_FIELDS: Final = tuple(one.name for one in fields(Session))
_values: Final = attrgetter(*_FIELDS)
_PUTS: Final[tuple[Callable[[Session, Any], None], ...]] = tuple(getattr(Session, name).__set__ for name in _FIELDS)
_set: Final = object.__setattr__
_KNOWN: Final = frozenset(EVENTS)

_TRIGGERS: Final[dict[str, Trigger]] = {
    SessionStarted.type: Trigger.START,
    SessionClosed.type: Trigger.CLOSE,
    SessionFailed.type: Trigger.FAIL,
    SessionTimedOut.type: Trigger.EXPIRE,
    SessionReleased.type: Trigger.RELEASE,
}


def trigger_of(event_type: str) -> Trigger:
    """The trigger an event of *event_type* stands for; every type without one of its own is a note.

    `session.created` has none: it begins a history and can't follow anything.
    """
    return _TRIGGERS.get(event_type, Trigger.NOTE)


def leads_to(event_type: str) -> State:
    """The one state that events of this type lead to, from wherever they are legal."""
    (only,) = {after for (_, trigger), after in LOOKUP.items() if trigger is trigger_of(event_type)}
    return only


#: what ends a session: the event's type, and the field of its data that holds the cause
ENDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {SessionClosed.type: "cause", SessionFailed.type: "cause", SessionTimedOut.type: "rule"}
)

#: type of an event -> (before, after) of every move that it can make: the lookup, by type. `created` makes none.
_MOVES: Final = {
    cls.type: tuple(
        (before, after)
        for (before, trigger), after in LOOKUP.items()
        if trigger is trigger_of(cls.type) and cls is not SessionCreated
    )
    for cls in EVENTS
}


def evolve(session: Session | None, event: Event) -> Session:
    """The session after *event*; accepts exactly what decide emits.

    Raises:
        IllegalHistory: The event can't follow this history; it names the version it would have had.
    """
    if session is None:
        return _created(event)
    after = draft(session)
    step(after, event)
    return after


def restored(values: Iterable[Any]) -> Session:
    """The Session whose fields are *values*, in their order: as its constructor makes it, in half the time."""
    made = object.__new__(Session)
    for put, value in zip(_PUTS, values, strict=True):
        put(made, value)
    return made


def draft(session: Session) -> Session:
    """A copy of *session* for step; dataclasses.replace takes several times as long."""
    return restored(_values(session))


def step(session: Session, event: Event) -> None:
    """Bring *session*, a draft that only the caller has, past *event*; when it raises, *session* is as it was.

    Raises:
        IllegalHistory: As evolve.
    """
    version = session.version + 1
    if type(event) not in _KNOWN:
        raise IllegalHistory(session.session_id, version, f"{type(event).__qualname__} is not an event of this library")
    before = session.status
    # By identity: hashing a member of an Enum runs Python code, and costs more than all of this.
    status: State | None = None
    for source, after in _MOVES[event.type]:
        if source is before:
            status = after
            break
    if status is None:
        raise IllegalHistory(session.session_id, version, f"{event.type} can't follow in state {before}")
    if wrong := _wrong(session, event):
        raise IllegalHistory(session.session_id, version, f"{event.type} at {event.at}: {wrong}")
    changes = _changes(session, event)
    _set(session, "version", version)
    _set(session, "status", status)
    _set(session, "last_at", event.at)
    for name, value in changes.items():
        _set(session, name, value)


def _created(event: Event) -> Session:
    if type(event) is not SessionCreated:
        found = event.type if type(event) in _KNOWN else type(event).__qualname__
        raise IllegalHistory("(none)", 1, f"the first event is {found}, expected session.created")
    return Session(
        session_id=event.session_id,
        version=1,
        status=State.CREATED,
        created_at=event.at,
        last_at=event.at,
        last_accessed_at=event.at,
        limits=event.limits,
        config=event.config,
        labels=event.labels,
        keep_alive=event.keep_alive,
        owner=event.owner,
        keeper=event.keeper,
        keeper_id=event.keeper_id,
    )


def _wrong(session: Session, event: Event) -> str | None:
    """Which rule of order or time *event* breaks, if any (docs/reference/state-machine.md, Time)."""
    if session.released:
        return "nothing follows session.released"
    if event.at < session.last_at:
        return f"is before the last event's {session.last_at}"
    if session.status in LIVE:
        ends = deadline(session)
        if isinstance(event, SessionTimedOut):
            if event.at != ends or event.rule != rule(session):
                return f"the deadline is {ends} by {rule(session)}"
        elif event.at >= ends:
            return f"is not before the deadline {ends}"
    if isinstance(event, SessionAccessed) and not session.created_at <= event.last_at <= event.at:
        return f"last access {event.last_at} is not between the session's creation and the event"
    if isinstance(event, SessionExtended) and event.until <= event.at:
        return f"extends only to {event.until}"
    return None


class _Changes(TypedDict, total=False):
    started_at: int
    closed_at: int
    last_accessed_at: int
    extended_until: int
    ownership: str
    keeper: ProcessIdentity | None
    browser: ProcessIdentity | None
    browser_version: str | None
    cause: Cause
    error_type: str | None
    error_message: str | None
    released: bool


def _changes(session: Session, event: Event) -> _Changes:
    match event:
        case SessionAccessed(last_at=last_at):
            return {"last_accessed_at": max(session.last_accessed_at, last_at)}
        case SessionOperation():
            return {"last_accessed_at": event.at}
        case SessionStarted():
            return {
                "started_at": event.at,
                "last_accessed_at": event.at,
                "ownership": event.ownership,
                "keeper": event.keeper or session.keeper,
                "browser": event.browser,
                "browser_version": event.browser_version,
            }
        case SessionExtended(until=until):
            return {"last_accessed_at": event.at, "extended_until": max(until, session.extended_until or until)}
        case SessionClosed(cause=cause) | SessionTimedOut(rule=cause):
            return {"closed_at": event.at, "cause": cause}
        case SessionFailed():
            return {
                "closed_at": event.at,
                "cause": event.cause,
                "error_type": event.error_type,
                "error_message": event.error_message,
            }
        case SessionReleased():
            return {"released": True}
        case _:  # the other notes change nothing but version and last_at
            return {}


def pass_notes(session: Session, count: int, last_at: int, last_accessed_at: int) -> None:
    """Bring *session*, a draft that only the caller has, past *count* notes that change nothing but these times."""
    _set(session, "version", session.version + count)
    _set(session, "last_at", last_at)
    _set(session, "last_accessed_at", last_accessed_at)


def pass_over(session: Session, event_type: str, at: int) -> Session:
    """The session after an event of *event_type* at *at* that this version can't read: what the table says of it alone.

    Only for ending a session whose history a newer version has written to. It holds because what a newer version adds
    may not move the deadline: that takes a new version of the log itself, which older libraries refuse to open.

    Raises:
        IllegalHistory: An event of that type can't follow.
    """
    trigger = trigger_of(event_type)
    status = LOOKUP.get((session.status, trigger))
    if status is None or session.released:
        raise IllegalHistory(
            session.session_id, session.version + 1, f"{event_type} can't follow in state {session.status}"
        )
    ended = status is not session.status and status not in LIVE
    return replace(
        session,
        version=session.version + 1,
        status=status,
        last_at=at,
        closed_at=at if ended else session.closed_at,
        released=trigger is Trigger.RELEASE,
    )


def fold(events: Iterable[Event], session: Session | None = initial) -> Session | None:
    """The session after *events*, oldest first; None when there are none.

    Raises:
        IllegalHistory: As evolve.
    """
    # One copy for the whole history: evolve's own, made once, and nobody sees it in between.
    own: Session | None = None
    for event in events:
        if own is None:
            own = evolve(session, event)
        else:
            step(own, event)
    return session if own is None else own
