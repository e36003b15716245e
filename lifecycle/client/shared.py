"""What a client and its sessions share, for both twins: log, recorder, host, guard; opened and checked once."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from lifecycle.client import adapters, places
from lifecycle.client.endings import Endings
from lifecycle.client.guard import Guard
from lifecycle.client.handle import Handle
from lifecycle.client.origin import origin
from lifecycle.client.questions import Questions
from lifecycle.client.reconcile import Reconciled, reconcile_log
from lifecycle.client.recorder import Recorder
from lifecycle.client.replay import find
from lifecycle.client.request import attaching, request
from lifecycle.client.sessions import Sessions
from lifecycle.client.system import SystemClock, Uuid7, default_log, writer_name
from lifecycle.core import LIVE, Cause, Close
from lifecycle.errors import ClientClosed, ForkedSession, InvalidConfig, KeeperUnavailable
from lifecycle.log.locate import open_log
from lifecycle.ports import Clocked

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from lifecycle.client.origin import Origin
    from lifecycle.client.replay import Recording
    from lifecycle.client.request import Request, SessionConfig
    from lifecycle.log.port import EventLog
    from lifecycle.ports import BrowserHost, Clock, Ids, Starting

__all__ = ["MAX_WAIT_S", "Hosting", "Shared", "part"]

#: How long a start waits for a place, unless said otherwise.
MAX_WAIT_S: Final = 60.0

#: Makes a host for one session, from what records its events and from the client's own host.
Hosting: TypeAlias = "Callable[[Recorder, BrowserHost], BrowserHost]"


class Shared:
    """One client's working parts. Thread-safe; belongs to the process that made it."""

    def __init__(
        self,
        log: str | PathLike[str] | EventLog | None,
        browser: BrowserHost | None,
        clock: Clock | None,
        ids: Ids | None,
        origin: Origin,
        max_sessions: int | None,
        max_wait_s: float,
    ) -> None:
        part("browser", browser, "prepare", "a host for browsers; the session takes the browser itself")
        part("clock", clock, "wait_for", "a clock as lifecycle.ports.Clock has it")
        part("ids", ids, "new", "a maker of ids: something with new()")
        places.check(max_sessions, max_wait_s)
        self.host = browser or adapters.default_host()  # before the log: what is refused leaves no file behind
        self.log: EventLog
        if log is None or isinstance(log, str | os.PathLike):
            self.log, self._opened = open_log(default_log() if log is None else log), True
        else:
            part("log", log, "read_all", "a path, a locator such as sqlite:/abs/path, or an EventLog")
            self.log, self._opened = log, False
        for clocked in (self.log, self.host):
            if clock is not None and isinstance(clocked, Clocked):
                clocked.use_clock(clock)
        self.recorder = Recorder(
            self.log,
            clock or SystemClock(),
            ids or Uuid7(),
            actor=origin.actor,
            writer=writer_name("client"),
            correlation_id=origin.correlation_id,
            causation_id=origin.causation_id,
        )
        self._lenient = self.recorder.lenient()  # one memory for all who see sessions to their end
        self._places = (
            None if max_sessions is None else places.Places(self.recorder, max_sessions, max_wait_s, self.reconcile)
        )
        self._closing = False
        self.guard = Guard(self._lenient, self.host)
        self.endings = Endings(self._lenient)
        self.sessions = Sessions(self.recorder)
        self.questions = Questions(self.recorder, self.sessions)
        self._closed = False
        self._reconciled = False
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this is a copy in a forked child."""
        return os.getpid() != self._pid

    @property
    def closed(self) -> bool:
        """Whether the client was closed, which ends what waits for news; the log may be somebody else's, and open."""
        return self._closed

    def check_fork(self) -> None:
        """Refuse use in a forked child."""
        if self.forked:
            raise ForkedSession("this Client", self._pid)

    def handle(self, session_id: str | None, config: SessionConfig, new_id: str | None = None) -> Handle:
        """A new session's handle (with *new_id*, if it has one already), or one for the session of that id.

        Raises:
            InvalidConfig, UnknownSession: As Client.Session.
        """
        self.check_fork()
        recorder = self.recorder.by(origin(config, self.recorder.origin))
        if session_id is None:
            given = request(config)
            made = Handle(recorder, self.host, new_id or recorder.ids.new(), given, page=given.page)
        else:
            page = attaching(config)
            made = Handle(recorder, self.host, self.sessions.resolve(session_id), None, page=page)
        if (call := config.get("on_end")) is not None:
            made.on_end(self.endings, call)
        return made

    def handle_on(self, host: Hosting, request: Request, new_id: str | None = None, **ids: str | None) -> Handle:
        """A new session's handle, on a host of its own."""
        recorder = self.recorder.by(origin(ids, self.recorder.origin))
        made = host(recorder, self.host)
        return Handle(recorder, made, new_id or recorder.ids.new(), request, page=request.page)

    def begin(self, handle: Handle) -> Starting:
        """Begin *handle*'s session, and watch over it from here."""
        self.check_open()
        self._before_first_start()
        if self._places is None:
            return handle.begin(self.guard)
        with self._places.turn(lambda: handle.given_up or self._closing) as waited_us:
            self.check_open()
            return handle.begin(self.guard, waited_us)

    def check_open(self) -> None:
        """Refuse a start once the client is being closed.

        Raises:
            ClientClosed: It is.
        """
        if self._closing:
            raise ClientClosed

    def drain(self, drain_s: float) -> None:
        """Start nothing any more, leave this client's sessions *drain_s* to end, and end the others."""
        places.check_seconds("drain_s", drain_s)
        self.check_fork()
        self._closing = True
        clock = self.recorder.clock
        until = clock.monotonic() + drain_s
        while ours := self._running():
            if (left := until - clock.monotonic()) <= 0:
                with ThreadPoolExecutor(min(len(ours), 16), thread_name_prefix="lifecycle-drain") as threads:
                    list(threads.map(self._end, ours))
                return
            last = self.log.last(1)
            if self._running():
                self.log.wait(last[0].position if last else None, min(left, 0.25))

    def _running(self) -> list[str]:
        found = (self._lenient.load(session.session_id) for session in self.guard.watched() if not session.keep_alive)
        return [session.session_id for session in found if session.status in LIVE]

    def _end(self, session_id: str) -> None:
        handle = Handle(self.recorder, self.host, session_id, None, page=False)
        with suppress(KeeperUnavailable):  # the log decides; the line only saves waiting
            handle.reach()
        handle.end(Close(cause=Cause.STOPPED, evidence={"by": "drain"}))

    def _before_first_start(self) -> None:
        with self._lock:
            due, self._reconciled = not self._reconciled, True
        if due:
            try:
                self.reconcile()
            except BaseException:
                self._reconciled = False  # it is still to be done, by the next start
                raise

    def replay(self, session_id: str) -> Recording:
        """The recording of an ended session."""
        self.check_fork()
        return find(self.recorder, self.sessions.resolve(session_id))

    def reconcile(self) -> list[Reconciled]:
        """Put right every session whose keeper is gone."""
        self.check_fork()
        return reconcile_log(self.sessions.unreleased, self._lenient, self.host)

    def __repr__(self) -> str:
        if self._closed:
            return "closed"
        held = len(self.guard.watched())
        return f"on {self.log.locator or type(self.log).__name__}, {held} session{'' if held == 1 else 's'} of its own"

    def close(self) -> None:
        """Start nothing any more, stop watching, and close the log if it was opened here."""
        self._closing = self._closed = True
        self.guard.close()
        self.endings.close()
        if not self.forked:
            self.host.done(self.log)
        if self._opened:
            self.log.close()


def part(name: str, given: object, method: str, allowed: str) -> None:
    """Refuse a working part that can't be one; None stands for the default.

    Raises:
        InvalidConfig: It has no such method.
    """
    if given is not None and not callable(getattr(given, method, None)):
        raise InvalidConfig(name, given, f"must be {allowed}")
