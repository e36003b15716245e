"""The owner's own watch over its sessions: the last cord, for a keeper that is hung or gone.

A daemon thread that wakes once a second while there is something to watch. A session unexpired at D + 2 s is expired
from here, and an ended one whose browser was not released within the bound is finished from here, whatever the state of
the keeper.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from lifecycle.client.reconcile import RELEASE_WAIT_S, reconcile
from lifecycle.core import deadline
from lifecycle.core.states import LIVE
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from lifecycle.client.recorder import Recorder
    from lifecycle.core import Session
    from lifecycle.ports import BrowserHost

__all__ = ["Guard"]

_LATE_US: Final = 2_000_000
_NAP_S: Final = 1.0


class Guard:
    """Watches the sessions this process has started until each is released."""

    def __init__(self, recorder: Recorder, host: BrowserHost) -> None:
        self._recorder = recorder.lenient()
        self._host = host
        self._watched: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._running = self._stopped = False
        #: the keeper is gone, and that is not recorded of all its sessions
        self._keeper_lost = False

    def watch(self, session: Session) -> None:
        """Watch *session* from now on."""
        with self._lock:
            self._watched[session.session_id] = session
            first, self._running = not self._running, True
        if first:
            try:
                self._recorder.clock.start("lifecycle-guard", self._run)
            except BaseException:
                self._running = False  # no thread to be had: the next session tries again
                raise

    def watched(self) -> list[Session]:
        """What is not released yet, as it was last seen."""
        with self._lock:
            return list(self._watched.values())

    def released(self, session_id: str) -> None:
        """There is nothing more to watch over of this session."""
        with self._lock:
            self._watched.pop(session_id, None)

    def keeper_lost(self) -> None:
        """The keeper of the watched sessions is gone: put them right now, or as soon as the log takes it."""
        self._keeper_lost = False
        try:
            reconcile(self.watched(), self._recorder, self._host, patient=False)
        except Exception as error:
            self._keeper_lost = True
            logger.warning("keeper_lost_not_recorded", error=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Stop watching."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _nap(self) -> bool:
        """Sleep; whether there is still something to wake up for."""
        with self._changed:
            return not self._recorder.clock.wait_for(self._changed, lambda: self._stopped, _NAP_S)

    def _run(self) -> None:
        while self._nap():
            if self._keeper_lost:
                self.keeper_lost()
            for session in self.watched():
                try:
                    self._look(session)
                except Exception as error:  # the last cord holds, whatever goes wrong: in a second it looks again
                    why = f"{type(error).__name__}: {error}"
                    logger.warning("guard_failed", session_id=session.session_id, error=why)
            with self._lock:
                if not self._watched:  # this thread holds the client and its log, which nobody need close
                    self._running = False
                    return

    def _look(self, remembered: Session) -> None:
        now = self._recorder.clock.now()
        if not self._due(remembered, now):
            return
        session = self._recorder.load(remembered.session_id)
        if session.released:
            self.released(session.session_id)
            return
        with self._lock:
            self._watched[session.session_id] = session
        if self._due(session, now):
            self._host.drop_keeper(session, self._recorder.log)
            reconcile([session], self._recorder, self._host, patient=False)

    def _due(self, session: Session, now: int) -> bool:
        """Whether the keeper's time is up: D + 2 s while it lives, the release bound once it has ended.

        A session without a keeper has nobody to wait for then.
        """
        if session.status in LIVE:
            return now >= deadline(session) + _LATE_US
        return session.keeper_id is None or now >= (session.closed_at or 0) + int(RELEASE_WAIT_S * 1e6)
