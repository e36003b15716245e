"""FakeBrowser: browsers without Chromium, seen through by the production keeper logic, in this process.

It passes the same BrowserContract as the real host, so that what is tested on it holds for the other.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from lifecycle.client.keeping import Kept, record_gone
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import SystemClock, Uuid7
from lifecycle.core import Fail, ProcessIdentity, Session
from lifecycle.core.events import Cause, SessionReleased, SessionStarted
from lifecycle.errors import BrowserNotFound, KeeperUnavailable, LaunchFailed
from lifecycle.ports import Exit, Found, Plan, Receipts, Remains

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.core import Close, Config
    from lifecycle.core.events import CookiesSaved, Evidence
    from lifecycle.log.port import EventLog
    from lifecycle.ports import Clock, Ids, PageConnection

__all__ = ["FakeBrowser", "NoPages", "PretendedBrowser"]

#: A wait without an end is made of these.
_LONG_S = 3600.0
#: How long an owner leaves it to the keeper to record a failed launch.
_FAILED_WAIT_S = 30.0
_HERE = ProcessIdentity(host="fake", boot_id="fake", pid=1, started=0)


class _KeeperGone(BaseException):
    """Unwinds a session's thread as a killed keeper would: nothing more is recorded."""


class PretendedBrowser:
    """One pretended browser: runs until it is asked to close, killed, or made to end from outside."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._exit: Exit | None = None
        self._changed = threading.Condition()
        self.profile = True
        self.deaf = False  # does not answer a request to close
        self.keeper_gone = False
        self.external = False
        self.cookies: CookiesSaved | None = None
        self.kept = Receipts()
        self.on_exit: Callable[[], None] = lambda: None

    def end(self, exit: Exit) -> None:
        """End as if from outside: by itself with `Exit(code=0)`, killed with `Exit(signal=9)`."""
        with self._changed:
            if self._exit is None:
                self._exit = exit
                self._changed.notify_all()
        self.on_exit()

    @property
    def running(self) -> bool:
        """Whether anything of it still runs."""
        return self._exit is None

    def exit(self, timeout_s: float) -> Exit | None:
        if self.keeper_gone:
            raise _KeeperGone
        with self._changed:
            if self._exit is None and timeout_s:
                self._clock.wait_for(self._changed, lambda: self._exit is not None, timeout_s)
            return self._exit

    @property
    def ours(self) -> bool:
        return not self.external

    def ask_to_close(self) -> None:
        if not self.deaf:
            self.end(Exit(code=0))

    def kill(self) -> None:
        self.end(Exit(signal=9))

    def save_cookies(self) -> CookiesSaved | None:
        """What the test wants to have been saved."""
        saved, self.cookies = self.cookies, None
        return saved

    def finish(self) -> None:
        """Nothing is kept of a browser that is none."""

    def receipts(self, timeout_s: float) -> Receipts:
        """What the test wants to have been kept."""
        return self.kept

    def clients(self) -> tuple[str, ...]:
        return ()

    def clean_up(self) -> bool:
        if not self.keeper_gone:
            self.profile = False
        return True


class _FakeTalk:
    """Starting and Talk of one session."""

    cdp_url = look_url = "ws://fake/"
    folder = None

    def __init__(self, session_id: str, clock: Clock) -> None:
        self.session_id = session_id
        self.kept: Kept | None = None
        self.failed: str | None = None
        self.up = False
        self.released = False
        self.gone = False
        self._clock = clock
        self._changed = threading.Condition()

    def tell(self, *, up: bool = False, released: bool = False) -> None:
        """Have those who wait know."""
        with self._changed:
            self.up, self.released = self.up or up, self.released or released
            self._changed.notify_all()

    def result(self) -> _FakeTalk:
        with self._changed:
            while not self.up:
                self._clock.wait_for(self._changed, lambda: self.up, _LONG_S)
        if self.failed is not None:
            self.wait_released(_FAILED_WAIT_S)
            raise LaunchFailed(self.session_id, self.failed)
        if self.gone:
            raise KeeperUnavailable("the fake keeper is gone")
        return self

    def look(self) -> None:
        if self.kept is not None:
            self.kept.look()

    def end(self, command: Close | Fail) -> None:
        if self.kept is not None:
            self.kept.end(command)

    def cdp(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        raise KeeperUnavailable("a pretended browser speaks no CDP")

    def wait_released(self, timeout_s: float) -> bool:
        with self._changed:
            return self._clock.wait_for(self._changed, lambda: self.released, timeout_s) and not self.gone


class NoPages:
    """lifecycle.ports.Pages of browsers that are pretended: a session starts as with pages, and has none."""

    def check(self) -> None:
        """Any thread will do."""

    def warm(self) -> Callable[[], None]:
        """No driver is started."""
        return lambda: None

    def hold(self) -> Callable[[], None]:
        """No driver is kept."""
        return lambda: None

    def connect(self, cdp_url: str, tabs: object, folder: object, limit_s: float | None = None) -> PageConnection:
        """There is nothing to connect to."""
        raise KeeperUnavailable(
            "a pretended browser has no page; give the client `pages` of your own, or a real browser"
        )

    def is_driver_error(self, error: BaseException) -> bool:
        """There is no driver."""
        return False


class FakeBrowser:
    """A host for pretended browsers: `browsers`, by the ids of their sessions.

    `fail_launch`, the text of a reason, and `missing` make the starts that follow go wrong.

    Args:
        clock: What its keeper reads; default: the clock of its client.
        grace_s: Between asking a browser to close and killing it.
    """

    def __init__(self, *, clock: Clock | None = None, ids: Ids | None = None, grace_s: float = 0.2) -> None:
        self.fail_launch: str | None = None
        self.missing = False
        self.browsers: dict[str, PretendedBrowser] = {}
        self._clock = clock or SystemClock()
        self._given = clock is not None
        self._ids = ids or Uuid7()
        self._grace_s = grace_s
        self._keeper = 1
        self._alive: set[str] = set()
        self._talks: dict[str, _FakeTalk] = {}
        self._lost: dict[str, Callable[[], None]] = {}
        self._orphaned: Evidence | None = None
        self._lock = threading.Lock()

    def use_clock(self, clock: Clock) -> None:
        """Have its keeper read *clock*, unless a clock was given."""
        if not self._given:
            self._clock = clock

    def prepare(self, config: Config, browser_path: str | None, log: EventLog) -> Found:
        """Pretend to find a browser."""
        if self.missing:
            raise BrowserNotFound("the fake host was told to have no browser")
        keeper_id = f"fake-{self._keeper}"
        self._alive.add(keeper_id)
        return Found(keeper_id=keeper_id, keeper=_HERE, browser_path="/fake/browser", browser="chromium")

    def start(self, plan: Plan, log: EventLog, on_keeper_lost: Callable[[], None]) -> _FakeTalk:
        """Bring the session up in a thread of its own."""
        talk = _FakeTalk(plan.session_id, self._clock)
        with self._lock:
            self._talks[plan.session_id] = talk
            self._lost[plan.session_id] = on_keeper_lost
        self._clock.start("fake-keeper", lambda: self._see_through(plan, log, talk))
        return talk

    def _see_through(self, plan: Plan, log: EventLog, talk: _FakeTalk) -> None:
        recorder = Recorder(log, self._clock, self._ids, actor="keeper", writer="fake-keeper")
        try:
            try:
                browser = self.browsers[plan.session_id] = self.launch(plan.session_id)
            except LaunchFailed as error:
                talk.failed = error.reason
                self._fail(recorder, plan.session_id, error.reason)
                return
            kept = talk.kept = Kept(
                recorder.load(plan.session_id),
                recorder,
                browser,
                on_released=lambda: talk.tell(released=True),
                grace_s=self._grace_s,
            )
            browser.on_exit = kept.look
            talk.failed = kept.begin(SessionStarted(ownership="launched", browser=_HERE, browser_version="fake/1"))
            talk.tell(up=True)
            if self._orphaned is not None:
                kept.owner_gone(self._orphaned)
            kept.run()
        except _KeeperGone:
            return
        finally:
            talk.tell(up=True, released=talk.failed is not None)

    def launch(self, session_id: str) -> PretendedBrowser:
        """A new pretended browser.

        Raises:
            LaunchFailed: It does not come up.
        """
        if self.fail_launch is not None:
            raise LaunchFailed(session_id, self.fail_launch)
        return PretendedBrowser(self._clock)

    def _fail(self, recorder: Recorder, session_id: str, reason: str) -> None:
        failed = Fail(cause=Cause.LAUNCH_FAILED, error_type="Fake", error_message=reason)
        record_gone(recorder, session_id, failed, SessionReleased(how="never_started"))

    def attach(self, session: Session, log: EventLog) -> _FakeTalk:
        """The same line as the owner's."""
        talk = self._talks.get(session.session_id)
        if talk is None or talk.gone:
            raise KeeperUnavailable(f"the fake keeper of {session.session_id} is gone")
        return talk

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        """Whether lose_keeper() was not called since; whoever owns a session without a keeper lives."""
        return session.keeper_id is None or session.keeper_id in self._alive

    def browser_died(self, session: Session, log: EventLog) -> bool:
        """Whether it has ended, and not with its keeper."""
        browser = self.browsers.get(session.session_id)
        return browser is not None and not browser.running and self.keeper_alive(session, log) is True

    def end(self, session: Session, log: EventLog) -> Remains:
        """End the pretended browser from outside."""
        if session.keeper_id is None:
            return Remains(how="left_running", profile_removed=False, evidence={})
        browser = self.browsers.get(session.session_id)
        ran = browser is not None and browser.running
        if browser is not None:
            browser.end(Exit(signal=9))
            browser.profile = False
        how = "killed" if browser is not None else "never_started"
        return Remains(how=how, profile_removed=True, evidence={"by": "fake", "processes_found": int(ran)})

    def drop_keeper(self, session: Session, log: EventLog) -> bool:
        """The pretended keeper always answers."""
        return False

    def done(self, log: EventLog) -> None:
        """The pretended keeper costs nothing."""

    def identity(self) -> ProcessIdentity:
        """The pretended process."""
        return _HERE

    def owner_gone(self) -> None:
        """Pretend that the owner's process has died."""
        self._orphaned = {"leash": "fake"}
        for talk in list(self._talks.values()):
            if talk.kept is not None:
                talk.kept.owner_gone(self._orphaned)

    def forget(self, session_id: str) -> None:
        """Drop what is remembered of a session that is over, for runs of very many."""
        with self._lock:
            for known in (self.browsers, self._talks, self._lost):
                known.pop(session_id, None)

    def lose_keeper(self, beside: Callable[[Callable[[], None]], object] = lambda call: call()) -> None:
        """Pretend that the keeper was killed: it records nothing more, and its browsers end with their pipes.

        *beside* calls what the owner does about it.
        """
        self._alive.clear()
        self._keeper += 1
        with self._lock:
            talks, lost = list(self._talks.values()), dict(self._lost)
        for talk in talks:
            if talk.released:
                continue
            talk.gone = True
            if (browser := self.browsers.get(talk.session_id)) is not None:
                browser.keeper_gone = True
                browser.end(Exit(signal=9))
            talk.tell(up=True, released=True)
            beside(lost[talk.session_id])
