"""A browser that the host launches by itself, kept from before its launch: the host of one session.

1. prepare() finds the client's keeper, as for every external browser;
2. `created` is durable, and only then start() has the browser launched;
3. its endpoint goes to the keeper, which watches it from then on: over a connection of its own, so that what the
   host thinks of its browser does not matter. A launch that fails is failed/launch_failed, in the host's words.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lifecycle.client import redact
from lifecycle.client.reconcile import finish
from lifecycle.core import Fail
from lifecycle.core.events import Cause
from lifecycle.errors import IllegalCommand
from lifecycle.ports import Remains

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.client.recorder import Recorder
    from lifecycle.core import Config, ProcessIdentity, Session
    from lifecycle.log.port import EventLog
    from lifecycle.ports import BrowserHost, Found, Plan, Starting, Talk

__all__ = ["LaunchedHost"]


class LaunchedHost:
    """lifecycle.ports.BrowserHost of one session: *launch* starts the browser and returns its CDP endpoint.

    Everything else is the client's own host's. *launch* is called in a thread that may wait; what it raises comes out
    of the session's start().
    """

    def __init__(self, recorder: Recorder, host: BrowserHost, launch: Callable[[], str]) -> None:
        self._recorder = recorder
        self._host = host
        self._launch = launch
        self._never_started = False
        self._unused: Callable[[], object] = lambda: None

    def prepare(self, config: Config, browser_path: str | None, log: EventLog) -> Found:
        """Make sure that a keeper runs."""
        found = self._host.prepare(config.model_copy(update={"browser": "external"}), None, log)
        self._unused = found.unused
        return found

    def start(self, plan: Plan, log: EventLog, on_keeper_lost: Callable[[], None]) -> Starting:
        """Have the browser launched, and hand it to the keeper."""
        try:
            cdp_url = self._launch()
        except BaseException as error:
            self._unused()  # the keeper does not get the session
            if isinstance(error, Exception):
                self._failed(plan.session_id, error)
            raise
        return self._host.start(replace(plan, cdp_url=cdp_url), log, on_keeper_lost)

    def _failed(self, session_id: str, error: Exception) -> None:
        self._never_started = True
        text = redact.message(str(error))
        failed = Fail(cause=Cause.LAUNCH_FAILED, error_type=type(error).__qualname__[:256], error_message=text or None)
        with contextlib.suppress(IllegalCommand):  # somebody has ended it meanwhile
            self._recorder.execute(session_id, failed)
        finish(self._recorder.load(session_id), self._recorder, self)

    def attach(self, session: Session, log: EventLog) -> Talk:
        """As the client's own host; so are the others."""
        return self._host.attach(session, log)

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        """Whether the session's keeper lives."""
        return self._host.keeper_alive(session, log)

    def browser_died(self, session: Session, log: EventLog) -> bool:
        """As the client's own host."""
        return self._host.browser_died(session, log)

    def end(self, session: Session, log: EventLog) -> Remains:
        """Let go of it: the browser is not ours to end."""
        if self._never_started:
            return Remains(how="never_started", profile_removed=False, evidence={})
        return self._host.end(session, log)

    def drop_keeper(self, session: Session, log: EventLog) -> bool:
        """End the session's keeper where it does not answer."""
        return self._host.drop_keeper(session, log)

    def done(self, log: EventLog) -> None:
        """This session has let go; the client has not."""

    def identity(self) -> ProcessIdentity:
        """This process."""
        return self._host.identity()
