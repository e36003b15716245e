"""What a command does to a session at a given time: events, or a refusal that names what would be legal.

Order of the rules: the deadline first (whatever is asked at or after it, the answer is `timed_out`, stamped with the
deadline), then the Machine, then what a second ending or a second release means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from lifecycle.core.commands import Close, Command, Create, Expire, Extend, Fail, Record, Release, Start
from lifecycle.core.deadlines import deadline, rule
from lifecycle.core.events import (
    MAX_TIME,
    Event,
    SessionAccessed,
    SessionClosed,
    SessionExtended,
    SessionFailed,
    SessionTimedOut,
)
from lifecycle.core.machine import fire, legal
from lifecycle.core.states import ENDED, LIVE, Trigger
from lifecycle.errors import IllegalCommand

if TYPE_CHECKING:
    from lifecycle.core.events import Evidence, Note
    from lifecycle.core.evolve import Session

__all__ = ["decide"]

#: what the deadline does not turn into a timeout
_UNTIMED: Final = (Create, Release)


def decide(session: Session | None, command: Command, now: int) -> tuple[Event, ...]:
    """The events that *command* causes at *now* (µs since the epoch); () when it is accepted and changes nothing.

    *now* is a reading of the caller's clock; a clock that runs behind the history counts as the history's last time.

    Raises:
        IllegalCommand: The table does not allow it; it names the state, the command and what is legal there.
    """
    if type(now) is not int:  # a clock in float seconds would pass for 1970
        raise TypeError(f"now is µs since the epoch as int, not {now!r}")
    earliest = session.last_at if session else 0
    if now < earliest:
        now = earliest
    elif now > MAX_TIME:
        now = MAX_TIME
    if session is None:
        if isinstance(command, Create):
            return (_at(now, command.event),)
        raise IllegalCommand(session_id=None, state="not created", command=_named(command), legal=legal(None))
    if session.status in LIVE and not isinstance(command, _UNTIMED) and now >= (ends := deadline(session)):
        fire(session.status, Trigger.EXPIRE, session.session_id)
        return (SessionTimedOut(at=ends, rule=rule(session), evidence=_found(command)),)
    match command:
        case Create():
            raise IllegalCommand(
                session_id=session.session_id, state=session.status, command="create", legal=legal(session.status)
            )
        case Start(event=event):
            fire(session.status, Trigger.START, session.session_id)
            return (_at(now, event),)
        case Record(event=event):
            fire(session.status, Trigger.NOTE, session.session_id, _named(command))
            return (_noted(session, event, now),)
        case Extend(by_us=by_us):
            fire(session.status, Trigger.NOTE, session.session_id, _named(command))
            return (SessionExtended(at=now, until=min(now + by_us, MAX_TIME)),)
        case Close(cause=cause, evidence=evidence):
            if session.status in ENDED:
                return ()
            fire(session.status, Trigger.CLOSE, session.session_id)
            return (SessionClosed(at=now, cause=cause, evidence=evidence),)
        case Fail(cause=cause, evidence=evidence):
            fire(session.status, Trigger.FAIL, session.session_id)
            return (
                SessionFailed(
                    at=now,
                    cause=cause,
                    error_type=command.error_type,
                    error_message=command.error_message,
                    last_words=command.last_words,
                    evidence=evidence,
                ),
            )
        case Expire():
            return ()  # ended already, or too early
        case Release(event=event):
            fire(session.status, Trigger.RELEASE, session.session_id)
            return () if session.released else (_at(now, event),)
    assert_never(command)


def _at(now: int, event: Event, **changed: object) -> Event:
    return event.model_copy(update={"at": now, **changed})


def _noted(session: Session, event: Note, now: int) -> Event:
    """*event* at *now*; an access is no later than that, and no earlier than the session."""
    if isinstance(event, SessionAccessed):
        return _at(now, event, last_at=min(max(event.last_at, session.created_at), now))
    return _at(now, event)


def _named(command: Command) -> str:
    """What *command* is called in a refusal, and as what a timeout found: a note says of what."""
    match command:
        case Record(event=event):
            return f"{command.name}/{event.type}"
        case Extend():
            return f"{command.name}/{SessionExtended.type}"
        case _:
            return command.name


def _found(command: Command) -> Evidence:
    """What the late command wanted to record: it stands in the timeout's evidence."""
    match command:
        case Close(cause=cause, evidence=evidence):
            return {**evidence, "found": f"{command.name}/{cause}"}
        case Fail(cause=cause, error_type=error_type, evidence=evidence):
            error = {"error_type": error_type} if error_type else {}
            return {**evidence, **error, "found": f"{command.name}/{cause}"}
        case Expire(evidence=evidence):
            return evidence
        case _:
            return {"found": _named(command)}
