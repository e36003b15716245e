"""Every error this library raises on purpose: one root, split by whose fault it is.

    LifecycleError
    ├── UsageError                  yours: the call was wrong, nothing was done
    │   ├── InvalidConfig           an argument is out of range, unknown or contradictory
    │   ├── IllegalCommand          the state machine does not allow this here
    │   ├── AlreadyStarted          start() twice
    │   ├── ClientClosed            a session of a client that is closed
    │   ├── NotStarted              use before start()
    │   ├── UnknownSession          no session of that id in this log
    │   ├── AmbiguousSession        the beginning of an id that several sessions have
    │   ├── ForkedSession           use of a session's handle in a forked child
    │   ├── NoGate                  the session's browser was launched by somebody else: no URL leads to it
    │   ├── WrongThread             Playwright's sync API can't be used from here
    │   ├── MissingExtra            an optional part of the library is not installed
    │   └── LogUnsuitable           the file can't serve as our log
    │       ├── NotALog             some other file
    │       ├── NewerLog            written by a newer version of this library
    │       └── ReadOnlyLog         can be read but not written
    │           └── SealedLog       closed for good; it goes on in another file
    ├── SessionEnded                the session is over; carries the ending
    │   ├── SessionTimedOut         its deadline passed
    │   ├── SessionStopped          somebody stopped it
    │   └── BrowserLost             its browser, or the keeper of its browser, is gone
    ├── WorldError                  the world's: may work later or elsewhere
    │   ├── ActionFailed            an operation on the page did not succeed; carries its result
    │   ├── BrowserNotFound         no usable browser on this machine
    │   ├── LaunchFailed            the browser did not start
    │   ├── TooManySessions         no place under the client's max_sessions (later there may be one)
    │   ├── KeeperUnavailable       the keeper process did not start or does not answer
    │   ├── ViewerUnavailable       the live view can't be shown
    │   ├── NoRecording             there is no video of the session, or not yet
    │   ├── SinkUnavailable         where events are forwarded to does not take them now
    │   ├── SinkRefused             where events are forwarded to will not have one
    │   ├── LogUnavailable          the log can't be reached or written now (retry is safe)
    │   │   ├── LogClosed           this object of it never can again; open the log anew
    │   │   └── NotRecorded         an operation was performed, and only its record is missing; carries its result
    │   └── WrongVersion            another writer was first (load again, decide again)
    └── HistoryError                the record: what is stored can't be used as it is
        ├── EventIdReused           this event id stands in the log with other content
        ├── UnknownEventType        written by something we do not know
        ├── FutureSchema            an event of a newer version than we know
        ├── MalformedEvent          a stored event does not have its type's shape
        ├── IllegalHistory          a stored history breaks the transition table
        ├── BadCheckpoint           a checkpoint is forged, cut, or signed with another key
        ├── BadExport               an exported file is cut or changed
        └── LogTampered             the append-only schema or a hash chain is broken

Each error keeps its fields as attributes, can be pickled, and says in `retryable` whether the same call can help when
it is repeated (after WrongVersion: load and decide again). After SessionEnded it can't: a new session may, where the
work done so far bears to be done again. InvalidConfig is a ValueError too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifecycle.core.view import SessionView
    from lifecycle.results import ExecutionResult

__all__ = [
    "ActionFailed",
    "AlreadyStarted",
    "AmbiguousSession",
    "BadCheckpoint",
    "BadExport",
    "BrowserLost",
    "BrowserNotFound",
    "ClientClosed",
    "EventIdReused",
    "ForkedSession",
    "FutureSchema",
    "HistoryError",
    "IllegalCommand",
    "IllegalHistory",
    "InvalidConfig",
    "KeeperUnavailable",
    "LaunchFailed",
    "LifecycleError",
    "LogClosed",
    "LogTampered",
    "LogUnavailable",
    "LogUnsuitable",
    "MalformedEvent",
    "MissingExtra",
    "NewerLog",
    "NoGate",
    "NoRecording",
    "NotALog",
    "NotRecorded",
    "NotStarted",
    "ReadOnlyLog",
    "SealedLog",
    "SessionEnded",
    "SessionStopped",
    "SessionTimedOut",
    "SinkRefused",
    "SinkUnavailable",
    "TooManySessions",
    "UnknownEventType",
    "UnknownSession",
    "UsageError",
    "ViewerUnavailable",
    "WorldError",
    "WrongThread",
    "WrongVersion",
]


#: a log without a locator, as one in memory is
_NAMELESS: Final = "this log"


def _rebuild(cls: type[LifecycleError], args: tuple[Any, ...], fields: dict[str, Any]) -> LifecycleError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(fields)
    return error


class LifecycleError(Exception):
    """Root of the tree drawn at the top of this file."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        # Subclasses build their sentence from keyword fields; the default would call them with the sentence.
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


class UsageError(LifecycleError):
    """The call was wrong; nothing was done."""


def _shown(value: object) -> str:
    try:
        shown = repr(value)
    except Exception:  # an int of more than 4300 digits has no repr, and a foreign object's may raise anything
        return f"<{type(value).__name__}>"
    return shown if len(shown) <= 80 else f"{shown[:60]}… ({len(shown)} characters)"


class InvalidConfig(UsageError, ValueError):
    """An argument is out of range, unknown, or contradicts another; `argument` names it."""

    def __init__(self, argument: str, value: object, allowed: str) -> None:
        self.argument = argument
        self.allowed = allowed
        super().__init__(f"{argument}={_shown(value)}: {allowed}")


class IllegalCommand(UsageError):
    """The transition table does not allow *command* in *state*; `legal` lists what it does allow."""

    def __init__(self, *, session_id: str | None, state: str, command: str, legal: Iterable[str]) -> None:
        self.session_id = session_id
        self.state = state
        self.command = command
        self.legal = tuple(sorted(legal))
        who = f"session {session_id}" if session_id else "a session"
        options = ", ".join(self.legal) or "nothing"
        super().__init__(f"{command} is not legal for {who}, which is {state}; legal there: {options}")


class AlreadyStarted(UsageError):
    """start() was called a second time; make a new Session instead."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {session_id} has been started before; make a new Session")


class ClientClosed(UsageError):
    """The Client is drained or closed; make a new one."""

    def __init__(self) -> None:
        super().__init__("this Client is closed, and starts no session any more; make a new Client")


class NotStarted(UsageError):
    """The session has no browser yet: call start() or enter the `with` block first."""

    def __init__(self, session_id: str, what: str) -> None:
        self.session_id = session_id
        self.what = what
        super().__init__(f"{what} needs a started session; call start() on session {session_id} or use `with`")


class UnknownSession(UsageError):
    """No session of that id stands in this log; `log` is its locator, or says that it has none."""

    def __init__(self, session_id: str, log: str | None) -> None:
        self.session_id = session_id
        self.log = log or _NAMELESS
        shown = session_id if len(session_id) <= 64 else f"{session_id[:40]}… ({len(session_id)} characters)"
        short = "; of an id the first four characters are needed at least" if len(session_id) < 4 else ""
        super().__init__(f"no session {shown!r} in {self.log}{short}")


class AmbiguousSession(UsageError):
    """Several sessions' ids begin like this; `candidates` are the first of them. Give more of the one that is meant."""

    def __init__(self, prefix: str, candidates: Iterable[str], *, more: bool = False) -> None:
        self.prefix = prefix
        self.candidates = tuple(candidates)
        self.more = more
        listed = ", ".join(self.candidates) + (", and more" if more else "")
        super().__init__(f"{prefix!r} is the beginning of several sessions' ids: {listed}")


class ForkedSession(UsageError):
    """A forked child inherited this handle; the session belongs to its parent process."""

    def __init__(self, what: str, owner_pid: int) -> None:
        self.what = what
        self.owner_pid = owner_pid
        super().__init__(
            f"{what} belongs to process {owner_pid} and can't be used in a forked child; "
            f"make a Client here and attach by session id"
        )


class NoGate(UsageError):
    """The session was attached to a browser that somebody else launched: it has no keeper, and so no gate."""

    def __init__(self, session_id: str, what: str) -> None:
        self.session_id = session_id
        self.what = what
        super().__init__(
            f"{what} needs a gate, and session {session_id} has none: it was attached to a browser that somebody else "
            f"launched. From here its status can be seen, and it can be stopped, extended, touched and annotated"
        )


class WrongThread(UsageError):
    """Playwright's synchronous API can't be used from this thread."""


class MissingExtra(UsageError):
    """*what* needs libraries that are installed with an extra; `extra` names it."""

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(f"{what} needs the extra {extra!r}: pip install 'session-lifecycle[{extra}]'")


class LogUnsuitable(UsageError):
    """The file can't serve as a log of ours; `locator` names it, or says that it has none."""

    def __init__(self, locator: str | None, reason: str) -> None:
        self.locator = locator or _NAMELESS
        self.reason = reason
        super().__init__(f"{self.locator}: {reason}")


class NotALog(LogUnsuitable):
    """The file is something else; it was left untouched."""


class NewerLog(LogUnsuitable):
    """The file was written by a newer version of this library; it was left untouched."""


class ReadOnlyLog(LogUnsuitable):
    """The log can be read here but not written."""


class SealedLog(ReadOnlyLog):
    """The log was closed for good: it can be read and verified for ever, and nothing is added to it."""

    def __init__(self, locator: str) -> None:
        super().__init__(locator, "is sealed: nothing is added to it any more; use the log that follows it")


class SessionEnded(LifecycleError):
    """The session is over. `view` is its last view, with status, cause and closed_at."""

    def __init__(self, view: SessionView) -> None:
        self.view = view
        self.session_id = view.session_id
        cause = f" ({view.cause})" if view.cause else ""
        when = f" at {view.closed_at.isoformat()}" if view.closed_at else ""
        super().__init__(f"session {view.session_id} is {view.status}{cause}{when}")


class SessionTimedOut(SessionEnded):
    """The session's deadline passed."""


class SessionStopped(SessionEnded):
    """Somebody stopped the session."""


class BrowserLost(SessionEnded):
    """The session's browser, or the keeper that owned it, is gone."""


class WorldError(LifecycleError):
    """The world's doing: may work later, or elsewhere."""


class ActionFailed(WorldError):
    """An operation on the page did not succeed; `result` says how, its `reason` in a word for programs.

    The session is active all the same. The error's own text is fit for the log, into which it gets when it leaves the
    block; where `result.message` says more, it stands beside it as a note.
    """

    def __init__(self, result: ExecutionResult) -> None:
        self.result = result
        super().__init__(f"{result.action.kind} failed: {result.summary}")
        if result.message != result.summary:
            self.add_note(result.message)


class BrowserNotFound(WorldError):
    """No usable browser on this machine; the message says what to install."""


class LaunchFailed(WorldError):
    """The browser did not start; `last_words` holds the end of what it printed."""

    def __init__(self, session_id: str, reason: str, last_words: str | None = None) -> None:
        self.session_id = session_id
        self.reason = reason
        self.last_words = last_words
        tail = f"; its last words: {last_words}" if last_words else ""
        super().__init__(f"the browser of session {session_id} did not start: {reason}{tail}")


class TooManySessions(WorldError):
    """There was no place for a session under the client's max_sessions; nothing was started.

    `limit` is that number, `running` how many sessions had a place at the end of the wait, `waited_s` how long it was.
    """

    retryable = True

    def __init__(self, limit: int, running: int, waited_s: float) -> None:
        self.limit = limit
        self.running = running
        self.waited_s = waited_s
        super().__init__(
            f"no place for a session: {running} run on this log, at most {limit} may (waited {waited_s:.1f} s)"
        )


class KeeperUnavailable(WorldError):
    """The keeper process did not start, or does not answer."""

    retryable = True


class ViewerUnavailable(WorldError):
    """The process that serves a session's live view did not start; the session itself goes on."""

    retryable = True

    def __init__(self, session_id: str, reason: str) -> None:
        self.session_id = session_id
        self.reason = reason
        super().__init__(f"the live view of session {session_id} can't be shown: {reason}")


class NoRecording(WorldError):
    """There is no video of the session: `reason` says why, or that it is not whole yet."""

    def __init__(self, session_id: str, reason: str) -> None:
        self.session_id = session_id
        self.reason = reason
        super().__init__(f"no recording of session {session_id}: {reason}")


class SinkUnavailable(WorldError):
    """`sink`, to which events are forwarded, does not take them now: `reason` says why. Nothing is lost by it.

    `after_s`: when it asked to be tried again, in seconds from now; None when it did not say.
    """

    retryable = True

    def __init__(self, sink: str, reason: str, after_s: float | None = None) -> None:
        self.sink = sink
        self.reason = reason
        self.after_s = after_s
        super().__init__(f"{sink} does not take events now: {reason}")


class SinkRefused(WorldError):
    """`sink` will not have the event `event_id`: `reason` is its answer, `said` the beginning of its text.

    Everything before that event was taken, nothing after it was sent: order is kept.
    """

    def __init__(self, sink: str, reason: str, event_id: str, said: str = "") -> None:
        self.sink = sink
        self.reason = reason
        self.event_id = event_id
        self.said = said
        super().__init__(f"{sink} refused event {event_id}: {reason}{f': {said}' if said else ''}")


class LogUnavailable(WorldError):
    """The log can't be reached or written now. Nothing was acknowledged; the same call is safe to repeat."""

    retryable = True


class LogClosed(LogUnavailable):
    """The log was closed, its file was removed or replaced, or its process forked in the middle of using it.

    To repeat the call is safe, and of no use: the log has to be opened again.
    """

    retryable = False


class NotRecorded(LogUnavailable):
    """An operation on the page was performed, and the log did not take that: to repeat it is to perform it twice.

    `result` says how it went, `why` what kept the log from taking it.
    """

    retryable = False

    def __init__(self, result: ExecutionResult, why: str) -> None:
        self.result = result
        self.why = why
        how = "was performed" if result.success else f"failed ({result.summary})"
        super().__init__(f"{result.action.kind} {how}, and that could not be recorded: {why}")


class WrongVersion(WorldError):
    """Another writer was first: load the stream again and decide again."""

    retryable = True

    def __init__(self, stream: str, expected: int | str, actual: int) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        super().__init__(f"stream {stream} is at version {actual}, expected {expected}")


class HistoryError(LifecycleError):
    """What is stored can't be used as it is."""


class EventIdReused(HistoryError):
    """The event id stands in the log already, with other content or in another place."""

    def __init__(self, event_id: str, detail: str) -> None:
        self.event_id = event_id
        self.detail = detail
        super().__init__(f"event id {event_id} is in the log already: {detail}")


class UnknownEventType(HistoryError):
    """The stream holds an event of a type this version does not know."""

    def __init__(self, event_type: str) -> None:
        self.event_type = event_type
        super().__init__(f"unknown event type {event_type!r}; read the stream raw, or upgrade")


class FutureSchema(HistoryError):
    """The stream holds an event of a newer schema version than this library knows."""

    def __init__(self, event_type: str, schema_version: int, known: int) -> None:
        self.event_type = event_type
        self.schema_version = schema_version
        self.known = known
        super().__init__(
            f"event {event_type} has schema version {schema_version}, this library knows up to {known}; upgrade"
        )


class MalformedEvent(HistoryError):
    """A stored event does not have the shape of its type."""

    def __init__(self, event_type: str, reason: str) -> None:
        self.event_type = event_type
        self.reason = reason
        super().__init__(f"event {event_type} is malformed: {reason}")


class IllegalHistory(HistoryError):
    """A stored history breaks the transition table; `version` is the first event that does."""

    def __init__(self, session_id: str, version: int, reason: str) -> None:
        self.session_id = session_id
        self.version = version
        self.reason = reason
        super().__init__(f"history of session {session_id}, version {version}: {reason}")


class BadCheckpoint(HistoryError):
    """A checkpoint can't be trusted: not in the form of one, or not signed with the key that was given."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the checkpoint can't be trusted: {reason}")


class BadExport(HistoryError):
    """An exported file is not as it was written; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        self.reason = reason
        super().__init__(f"line {line} of the export: {reason}")


class LogTampered(HistoryError):
    """The append-only schema or a hash chain is broken; `found` and `expected` say how."""

    def __init__(self, locator: str, where: str, *, expected: str, found: str) -> None:
        self.locator = locator
        self.where = where
        self.expected = expected
        self.found = found
        super().__init__(f"{locator}: {where}: expected {expected}, found {found}")
