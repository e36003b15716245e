"""Why a session ended, or lives: one paragraph in words, and the facts that it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final

from lifecycle.audit.account import Account, account, text_of
from lifecycle.audit.detail import by, evidence_text, mapping
from lifecycle.audit.history import Step
from lifecycle.audit.words import ago, duration
from lifecycle.core import Cause, Session, SessionView, deadline, moment, view
from lifecycle.core.deadlines import rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lifecycle.log.port import EventLog

__all__ = ["Why", "why"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The answer: `text` is one paragraph, str() gives it; the rest is what it rests on.

    `status` and `cause` are those of the session's view, `status` is "unreadable" where it has none. `deadline` is what
    it was at the end, or is; `moved_by` the step that set it. `ending` is None as long as no ending is recorded.
    """

    session_id: str
    status: str
    cause: str | None
    text: str
    ending: Step | None
    recorded_after: timedelta | None
    deadline: datetime | None
    deadline_rule: str | None
    moved_by: Step | None
    operations: tuple[Step, ...] = field(default=())
    navigated: Step | None
    clients: tuple[str, ...]

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text)}</p>"


def why(log: EventLog, session_id: str, now: int, *, relative: bool = False) -> Why:
    """Why the session ended, or what it is doing, as a reader sees it at *now*; *relative* adds how long ago.

    Events of a newer version, and histories that can't be read, are told as what they are.

    Raises:
        UnknownSession: Its stream is empty.
    """
    found = account(log, session_id)
    session, live = found.session, found.live
    if session is None or live is None or found.problem is not None:
        return _unreadable(session_id, found)
    seen = view(session, now)
    limit = found.ending if seen.cause in (Cause.IDLE, Cause.MAX_DURATION) else None
    return Why(
        session_id=session_id,
        status=seen.status.value,
        cause=seen.cause.value if seen.cause else None,
        text=_paragraph(found, session, live, seen, now, relative),
        ending=found.ending,
        recorded_after=None if found.ending is None else found.ending.late,
        deadline=moment(deadline(live)),
        deadline_rule=text_of(limit, "rule") if limit else _limit(live),
        moved_by=found.moved,
        operations=tuple(found.operations),
        navigated=found.navigated,
        clients=tuple(found.clients),
    )


def _unreadable(session_id: str, found: Account) -> Why:
    last = found.steps[-1]
    text = (
        f"Session {session_id} can't be read as a session here: {found.problem}. It has {len(found.steps)} events; "
        f"the last is {last.type} at {_at(last.at)}, recorded by {by(last)}."
    )
    if found.ending is not None:
        said = ", ".join(f"{name}={value}" for name, value in found.ending.data.items())
        text += f" An ending stands in it: {found.ending.type} at {_at(found.ending.at)} ({said})."
    return Why(
        session_id=session_id,
        status="unreadable",
        cause=None,
        text=text,
        ending=found.ending,
        recorded_after=None if found.ending is None else found.ending.late,
        deadline=None,
        deadline_rule=None,
        moved_by=None,
        operations=tuple(found.operations),
        navigated=found.navigated,
        clients=tuple(found.clients),
    )


def _paragraph(found: Account, session: Session, live: Session, seen: SessionView, now: int, relative: bool) -> str:
    sentences = [
        _standing(session, seen, now, relative),
        _reason(found, live, seen),
        _recording(found, seen),
        _deadline(found, live, seen, now),
        _doing(found, session),
        _remains(found, session, seen),
        _not_weighed(found),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _standing(session: Session, seen: SessionView, now: int, relative: bool) -> str:
    if seen.closed_at is None:
        since = session.created_at if session.started_at is None else session.started_at
        when = f"{_at(since)} ({ago(moment(since), moment(now))})" if relative else _at(since)
        what = (
            "is ordered, and its browser is not running yet, since" if session.started_at is None else "is active since"
        )
        return f"Session {session.session_id} {what} {when}; it has lived for {duration(seen.duration)}."
    ended = _at_moment(seen.closed_at) + (f" ({ago(seen.closed_at, moment(now))})" if relative else "")
    return (
        f"Session {session.session_id} is {seen.status} ({seen.cause}) since {ended}, after {duration(seen.duration)}."
    )


def _reason(found: Account, live: Session, seen: SessionView) -> str:
    if seen.cause is None:
        if seen.closed_at is not None and found.ending is not None:
            return f"A newer version of this library ended it, with {found.ending.type}; this one can't say more."
        return ""
    said = _REASONS[seen.cause](found, live)
    if (evidence := _evidence(found)) and seen.cause not in _SAID_ALREADY:
        said += f" The evidence: {evidence_text(evidence)}."
    return said


#: causes whose sentence holds all of the evidence
_SAID_ALREADY: Final = (Cause.CANCELLED,)


def _who(found: Account) -> str:
    return "somebody" if found.ending is None else by(found.ending)


def _stopped(found: Account, _: Session) -> str:
    if _evidence(found).get("by") == "drain":
        return f"{_who(found)} let go of its sessions, and this one had not come to its end in the time it was left."
    return f"{_who(found)} stopped it: its block came to its end, or stop() was called."


def _exited(found: Account, _: Session) -> str:
    return f"Its script ({_who(found)}) left the block by SystemExit with 0 or None."


def _interrupted(found: Account, _: Session) -> str:
    return f"Its script ({_who(found)}) was interrupted: KeyboardInterrupt, as by Ctrl-C, left the block."


def _cancelled(found: Account, _: Session) -> str:
    what = _evidence(found).get("exception", "a cancellation")
    return f"Its task or generator ({_who(found)}) was cancelled: {what} left the block."


def _owner_exited(found: Account, live: Session) -> str:
    owner = live.owner
    return f"The process that had started it, pid {owner.pid} on {owner.host}, was gone."


def _browser_closed(found: Account, live: Session) -> str:
    return f"{_browser(live)} quit by itself with exit code 0, as when a window is closed or a client asks it to."


def _launch_failed(found: Account, _: Session) -> str:
    words = text_of(found.ending, "last_words") if found.ending else ""
    last = f" Its last words: {_line(words).rstrip('.')}." if words else ""
    return f"The browser did not start{_error(found)}.{last}"


def _browser_crashed(found: Account, live: Session) -> str:
    return f"{_browser(live)} died, and nobody here had asked it to{_error(found)}."


def _browser_lost(found: Account, live: Session) -> str:
    return f"{_browser(live)} can't be reached any more; it is not ours, so how it exited can't be seen{_error(found)}."


def _keeper_lost(found: Account, live: Session) -> str:
    keeper = f"pid {live.keeper.pid} on {live.keeper.host}, " if live.keeper else ""
    if error := _error(found):
        return f"The keeper that watched over it, {keeper}failed, and ended it{error}."
    return f"The keeper that watched over it, {keeper}was found gone by {_who(found)} while the session still lived."


def _exception(found: Account, _: Session) -> str:
    return f"An exception left the block of its script ({_who(found)}){_error(found)}."


def _idle(_: Account, live: Session) -> str:
    if _promised(live):
        return "It had reached the time to which it had been extended, and nobody extended it further."
    idle = live.limits.idle_timeout_us or 0
    return (
        f"Nobody had used it for {_span(idle)}, its idle timeout; the last access was at {_at(live.last_accessed_at)}."
    )


def _max_duration(_: Account, live: Session) -> str:
    if _promised(live):
        return "It had reached the time to which it had been extended, and nobody extended it further."
    return f"It had lived for {_span(live.limits.max_duration_us)}, the longest that it was allowed to."


_REASONS: Final[Mapping[Cause, Callable[[Account, Session], str]]] = {
    Cause.STOPPED: _stopped,
    Cause.EXITED: _exited,
    Cause.INTERRUPTED: _interrupted,
    Cause.CANCELLED: _cancelled,
    Cause.OWNER_EXITED: _owner_exited,
    Cause.BROWSER_CLOSED: _browser_closed,
    Cause.LAUNCH_FAILED: _launch_failed,
    Cause.BROWSER_CRASHED: _browser_crashed,
    Cause.BROWSER_LOST: _browser_lost,
    Cause.KEEPER_LOST: _keeper_lost,
    Cause.EXCEPTION: _exception,
    Cause.IDLE: _idle,
    Cause.MAX_DURATION: _max_duration,
}


def _promised(live: Session) -> bool:
    """Whether an extension, and not a limit, makes the deadline."""
    return live.extended_until is not None and live.extended_until == deadline(live)


def _limit(live: Session) -> str:
    return "extended" if _promised(live) else rule(live).value


def _evidence(found: Account) -> dict[str, Any]:
    return {} if found.ending is None else mapping(found.ending.data, "evidence")


def _error(found: Account) -> str:
    if found.ending is None:
        return ""
    error_type, message = text_of(found.ending, "error_type"), text_of(found.ending, "error_message")
    forgotten = " (its message was forgotten)" if found.ending.forgotten and error_type else ""
    said = ": ".join(part for part in (error_type, _line(message)) if part)
    return f": {said}{forgotten}" if said else ""


def _browser(live: Session) -> str:
    which = f", pid {live.browser.pid} on {live.browser.host}," if live.browser else ""
    return f"The browser{which}"


def _recording(found: Account, seen: SessionView) -> str:
    if found.ending is not None:
        return f"It was recorded {_late(found.ending.late_us)}, by {by(found.ending)}."
    if seen.closed_at is not None:
        return "Nobody has recorded that yet: whoever reads works it out from the deadline."
    return ""


def _late(us: int) -> str:
    if us < 0:
        return "by a clock that had been set back meanwhile"
    return f"{duration(timedelta(microseconds=us))} later"


_BECAUSE: Final = {
    "idle": "by its idle timeout",
    "max_duration": "by its longest duration",
    "extended": "by an extension",
}


def _deadline(found: Account, live: Session, seen: SessionView, now: int) -> str:
    ends = deadline(live)
    limit = _BECAUSE[_limit(live)]
    if seen.closed_at is None:
        said = f"Its deadline is {_at(ends)} ({limit}), in {duration(timedelta(microseconds=ends - now))};"
    elif seen.cause in (Cause.IDLE, Cause.MAX_DURATION):
        said = f"Its deadline was that moment ({limit});"
    else:
        said = f"Its deadline was {_at(ends)} ({limit}), {duration(moment(ends) - seen.closed_at)} later;"
    moved = found.moved
    if moved is None:
        return f"{said} nothing tells who set it."
    if moved is found.steps[0]:
        return f"{said} it stood so from its creation by {by(moved)}."
    return f"{said} the last to move it was {by(moved)} with {moved.name} at {_at(moved.at)}."


def _doing(found: Account, session: Session) -> str:
    told: list[str] = []
    if found.navigated is not None:
        url = text_of(found.navigated, "url") or "an address that was forgotten"
        told.append(f"its page was {_line(url)}, since {_at(found.navigated.at)}")
    if found.crashed is not None:
        told.append(f"a page had crashed at {_at(found.crashed.at)}")
    if found.operations:
        count = "operation was" if len(found.operations) == 1 else "operations were"
        told.append(f"the last {count} {', then '.join(map(_operation, found.operations))}")
    if found.clients:
        told.append(f"connected {'was' if len(found.clients) == 1 else 'were'} {', '.join(map(_line, found.clients))}")
    elif session.started_at is not None:
        told.append("no client was connected")
    return f"{_capital('; '.join(told))}." if told else ""


def _operation(step: Step) -> str:
    error = text_of(step, "error_type")
    how = "ok" if step.data.get("ok") is True else f"failed{f' with {error}' if error else ''}"
    target = text_of(step, "target")
    return f"{text_of(step, 'kind')}{f' of {_line(target)}' if target else ''} ({how}) at {_at(step.at)}"


def _remains(found: Account, session: Session, seen: SessionView) -> str:
    if seen.closed_at is None:
        return ""
    step = found.released
    if step is None:
        return "That its browser is gone is not recorded."
    ended_at = session.closed_at if session.closed_at is not None else step.at
    how = _HOW.get(text_of(step, "how"), text_of(step, "how"))
    return f"{_capital(how)}, {duration(timedelta(microseconds=step.at - ended_at))} after the end."


_HOW: Final = {
    "graceful": "the browser closed when it was asked to",
    "killed": "the browser's processes were killed or found dead",
    "detached": "the browser was disconnected from and left to whoever runs it",
    "never_started": "no browser had been started",
    "left_running": "the browser was left running, as it is somebody else's",
}


def _not_weighed(found: Account) -> str:
    if not found.unknown:
        return ""
    types = ", ".join(sorted({step.type for step in found.unknown}))
    return f"Not weighed here, since a newer version of this library wrote them: {len(found.unknown)} × {types}."


def _span(us: int) -> str:
    return duration(timedelta(microseconds=us))


def _at(us: int) -> str:
    return _at_moment(moment(us))


def _at_moment(at: datetime) -> str:
    """To the millisecond, in UTC."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(text: str) -> str:
    """The beginning of *text* on one line."""
    words = " ".join(text.split())
    return words if len(words) <= 200 else f"{words[:199]}…"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
