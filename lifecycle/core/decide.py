"""What a command does to a session at a given time: events, or a refusal that names what would be legal.

Order of the rules: the deadline first (whatever is asked at or after it, the answer is `timed_out`, stamped with the
deadline), then the Machine, then what a second ending or a second release means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

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


def decide(session: Session | None, command: Command, now: int) -> tuple[Event, ...]:
    """The events that *command* causes at *now* (µs since the epoch); () when it is accepted and changes nothing.

    *now* is a reading of the caller's clock; a clock that runs behind the history counts as the history's last time.

    Raises:
        IllegalCommand: The table does not allow it; it names the state, the command and what is legal there.
    """
    if session is None:
        if isinstance(command, Create):
            return (command.event.model_copy(update={"at": min(now, MAX_TIME)}),)
        raise IllegalCommand(session_id=None, state="not created", command=command.name, legal=legal(None))
    now = min(max(now, session.last_at), MAX_TIME)
    if session.status in LIVE and not isinstance(command, Create | Release) and now >= deadline(session):
        fire(session.status, Trigger.EXPIRE, session.session_id)
        evidence = _found(command)
        return (SessionTimedOut(at=deadline(session), rule=rule(session), evidence=evidence),)
    match command:
        case Create():
            raise IllegalCommand(
                session_id=session.session_id, state=session.status, command="create", legal=legal(session.status)
            )
        case Start(event=event):
            fire(session.status, Trigger.START, session.session_id)
            return (event.model_copy(update={"at": now}),)
        case Record(event=event):
            fire(session.status, Trigger.NOTE, session.session_id)
            return (_noted(event, now),)
        case Extend(by_us=by_us):
            fire(session.status, Trigger.NOTE, session.session_id)
            return (SessionExtended(at=now, until=min(now + by_us, MAX_TIME)),)
        case Close(cause=cause, evidence=evidence):
            if session.status in ENDED:
                return ()
            fire(session.status, Trigger.CLOSE, session.session_id)
            return (SessionClosed(at=now, cause=cause, evidence=evidence),)
        case Fail():
            fire(session.status, Trigger.FAIL, session.session_id)
            return (SessionFailed(at=now, **command.model_dump()),)
        case Expire():
            return ()  # ended already, or too early
        case Release(event=event):
            fire(session.status, Trigger.RELEASE, session.session_id)
            return () if session.released else (event.model_copy(update={"at": now}),)
    assert_never(command)


def _noted(event: Note, now: int) -> Event:
    if isinstance(event, SessionAccessed):
        return event.model_copy(update={"at": now, "last_at": min(event.last_at, now)})
    return event.model_copy(update={"at": now})


def _found(command: Command) -> Evidence:
    """What the late command wanted to record: it stands in the timeout's evidence."""
    match command:
        case Close(cause=cause, evidence=evidence) | Fail(cause=cause, evidence=evidence):
            return {**evidence, "found": f"{command.name}/{cause}"}
        case Expire(evidence=evidence):
            return dict(evidence)
        case _:
            return {"found": command.name}
