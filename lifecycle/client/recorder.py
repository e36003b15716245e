"""Load -> decide -> append: how every command reaches the log, from the client, the keeper and reconcile alike."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lifecycle.client.origin import Origin
from lifecycle.core import Create, Session, decide, evolve, fold, view
from lifecycle.core.events import SessionTimedOut
from lifecycle.core.evolve import pass_over
from lifecycle.errors import FutureSchema, LogUnavailable, UnknownEventType, UnknownSession, WrongVersion
from lifecycle.log.codec import decode
from lifecycle.log.port import NO_STREAM, NewEvent
from lifecycle.telemetry import append_failed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifecycle.core import Command, Event, SessionView
    from lifecycle.log.port import EventLog, Expected, Recorded
    from lifecycle.ports import Clock, Ids

__all__ = ["Outcome", "Recorder"]

_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did: the session after it and the events it caused, () when nothing changed."""

    session: Session
    events: tuple[Event, ...]

    @property
    def timed_out(self) -> bool:
        """Whether the command came at or after the deadline and recorded the timeout instead."""
        return any(isinstance(event, SessionTimedOut) for event in self.events)


class Recorder:
    """Runs commands against one log for one actor. Thread-safe.

    Its events carry *correlation_id* and *causation_id*, or those with which the session began when it has neither:
    so what a keeper finds out by itself belongs to the same request as the session. Sessions that were loaded are
    remembered, so that the next command reads only what came since; not those that hold something private. With
    *lenient*, events of a newer version of this library are passed over: for whoever must see a session to its end.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        ids: Ids,
        *,
        actor: str,
        writer: str,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        lenient: bool = False,
    ) -> None:
        self.log = log
        self.clock = clock
        self.ids = ids
        self.origin = Origin(actor, correlation_id, causation_id)
        self.writer = writer
        self._lenient = lenient
        self._known: OrderedDict[str, tuple[Session, Origin | None]] = OrderedDict()
        self._lock = threading.Lock()

    def lenient(self) -> Recorder:
        """The same, lenient; with a memory of its own, unless it is lenient already."""
        return self if self._lenient else self._like(self.origin, lenient=True)

    def by(self, origin: Origin) -> Recorder:
        """The same for *origin*."""
        return self if origin == self.origin else self._like(origin, lenient=False)

    def _like(self, origin: Origin, *, lenient: bool) -> Recorder:
        return Recorder(
            self.log,
            self.clock,
            self.ids,
            actor=origin.actor,
            writer=self.writer,
            correlation_id=origin.correlation_id,
            causation_id=origin.causation_id,
            lenient=lenient,
        )

    def load(self, session_id: str) -> Session:
        """The session as its events have it now.

        Raises:
            UnknownSession: No such stream.
            HistoryError: The stream can't be read typed, or breaks the table.
        """
        with self._lock:
            known, began = self._known.get(session_id) or (None, None)
        session = self._replay(session_id, known)
        if session is None:
            raise UnknownSession(session_id, self.log.locator)
        self._remember(session, began)
        return session

    def _replay(self, session_id: str, known: Session | None) -> Session | None:
        try:
            return self.log.load(session_id, known)
        except (UnknownEventType, FutureSchema):
            if not self._lenient:  # only who must see it to its end
                raise
        return _passing_over(self.log.read(session_id, after=known.version if known else 0), known)

    def _began(self, session_id: str) -> Origin:
        """The origin of the session's first event, which never changes."""
        with self._lock:
            known, began = self._known.get(session_id) or (None, None)
        if began is None:
            first = next(iter(self.log.read(session_id, until=1)), None)
            if first is None:  # a reader that lags behind the load before it: the same command may be repeated
                raise LogUnavailable(
                    f"the log does not show the first event of {session_id}, which it has shown before"
                )
            began = Origin(first.actor, first.correlation_id, first.causation_id)
            if known is not None:
                self._remember(known, began)
        return began

    def view(self, session_id: str) -> SessionView:
        """The session as a reader sees it now."""
        return view(self.load(session_id), self.clock.now())

    def create(self, command: Create) -> Session:
        """Begin a session's history.

        Raises:
            WrongVersion: The id is taken.
        """
        (event,) = decide(None, command, self.clock.now())
        session = evolve(None, event)
        self._append(session.session_id, [self._new(event, self.origin)], NO_STREAM)
        self._remember(session, self.origin)
        return session

    def receipt(self, event: Event) -> NewEvent:
        """*event*, which concerns the whole log, stamped with the time and on its way into it."""
        return self._new(event.model_copy(update={"at": self.clock.now()}), self.origin)

    def execute(self, session_id: str, command: Command) -> Outcome:
        """Run *command*; a lost race is run again on what the winner left. Durable on return.

        Raises:
            IllegalCommand: Not legal in the session's state; nothing was written.
            UnknownSession, HistoryError: As load.
            LogUnavailable: Nothing was acknowledged.
        """
        while True:
            session = self.load(session_id)
            events = decide(session, command, self.clock.now())
            if not events:
                return Outcome(session, ())
            after = fold(events, session)
            assert after is not None  # a fold that began with a session ends with one
            began = self._began(session_id)
            try:
                self._append(session_id, [self._new(event, began) for event in events], session.version)
            except WrongVersion:
                continue
            self._remember(after, began)
            return Outcome(after, events)

    def _append(self, session_id: str, events: list[NewEvent], expected: Expected) -> None:
        try:
            self.log.append(session_id, events, expected=expected)
        except WrongVersion:
            raise
        except Exception as error:
            append_failed(error)
            raise

    def _new(self, event: Event, began: Origin) -> NewEvent:
        origin = self.origin.within(began)
        return NewEvent(
            event_id=self.ids.new(),
            event=event,
            actor=origin.actor,
            writer=self.writer,
            correlation_id=origin.correlation_id,
            causation_id=origin.causation_id,
        )

    def _remember(self, session: Session, began: Origin | None) -> None:
        with self._lock:
            if session.error_message is not None:  # private: any process may have it forgotten, and tells nobody
                self._known.pop(session.session_id, None)
                return
            current, known = self._known.get(session.session_id) or (None, None)
            if current is not None and current.version > session.version:
                session = current
            self._known[session.session_id] = session, began or known
            self._known.move_to_end(session.session_id)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _passing_over(rows: Iterable[Recorded], session: Session | None) -> Session | None:
    for row in rows:
        try:
            session = evolve(session, decode(row))
        except (UnknownEventType, FutureSchema):
            if session is None:
                raise
            session = pass_over(session, row.type, row.at)
    return session
