"""on_end: whoever wants to hear of a session's end is called once, as soon as the log has the ending.

One thread for all sessions of a client, woken by the log; it is there while somebody waits.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from lifecycle.client.redact import said
from lifecycle.core import ENDINGS, view
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.client.recorder import Recorder
    from lifecycle.core import SessionView
    from lifecycle.log.port import Cursor

__all__ = ["Endings", "Once"]

_NAP_S: Final = 0.5
_PAGE: Final = 500


class Once:
    """A callback that is called with an ending once, by whoever comes first; the others wait until it has been.

    What it raises is logged: an ending can't be refused.
    """

    def __init__(self, session_id: str, call: Callable[[SessionView], object]) -> None:
        self._session_id = session_id
        self._call = call
        self._called = False
        self._lock = threading.RLock()  # the callback may well stop the session

    def __call__(self, ending: SessionView) -> None:
        with self._lock:
            if self._called:
                return
            self._called = True
            try:
                self._call(ending)
            except Exception as error:
                logger.warning(
                    "on_end_failed",
                    session_id=self._session_id,
                    error=f"{type(error).__name__}: {said(error)}",
                    exc_info=True,
                )


class Endings:
    """Watches for the endings of the sessions that it was given. Thread-safe."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder.lenient()
        self._calls: dict[str, Once] = {}
        self._lock = threading.Lock()
        self._running = self._stopped = False

    def watch(self, session_id: str, call: Once) -> None:
        """Call *call* when the session ends; to be said before it can have ended.

        Raises:
            LogUnavailable: The log can't be read.
        """
        last = self._recorder.log.last(1)
        after = last[0].position if last else None
        with self._lock:
            self._calls[session_id] = call
            first, self._running = not self._running, True
        if first:
            try:
                self._recorder.clock.start("lifecycle-endings", lambda: self._run(after))
            except BaseException:
                self._running = False  # no thread to be had: the next session tries again
                raise

    def forget(self, session_id: str) -> None:
        """Somebody else has made the call."""
        with self._lock:
            self._calls.pop(session_id, None)

    def close(self) -> None:
        """Call nobody any more."""
        self._stopped = True

    def _wanted(self) -> bool:
        with self._lock:
            self._running = bool(self._calls) and not self._stopped
            return self._running

    def _run(self, after: Cursor | None) -> None:
        log = self._recorder.log
        while self._wanted():
            try:
                page = log.read_all(after, limit=_PAGE, types=ENDINGS)
                for row in page.events:
                    self._ended(row.stream)
                after = page.cursor
                if page.caught_up:
                    log.wait(after, _NAP_S)
            except Exception as error:  # whatever it is, sessions that come later are to be heard of
                if self._stopped:
                    return
                logger.warning("endings_not_read", error=str(error))
                self._recorder.clock.sleep(_NAP_S)

    def _ended(self, session_id: str) -> None:
        with self._lock:
            call = self._calls.pop(session_id, None)
        if call is None:
            return
        try:
            call(view(self._recorder.load(session_id), self._recorder.clock.now()))
        except (Exception, SystemExit) as error:  # the latter would end this thread alone, and silently
            logger.warning("on_end_failed", session_id=session_id, error=f"{type(error).__name__}: {said(error)}")
