"""One session as its client holds it, without pages: start, attach, look, end. Blocking; both twins stand on it."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from lifecycle import crash
from lifecycle.client import recording, redact, replay, viewing
from lifecycle.client.causes import ended_error, ending_for, not_started
from lifecycle.client.cookies import cookies_of, read
from lifecycle.client.endings import Once
from lifecycle.client.reconcile import RELEASE_WAIT_S, finish, reconcile
from lifecycle.client.request import file_of
from lifecycle.core import Close, Create, Extend, Fail, Record, Session, SessionView, deadline, view
from lifecycle.core.events import (
    Cause,
    SessionAccessed,
    SessionAnnotated,
    SessionCreated,
    SessionOperation,
    TabClosed,
    TabOpened,
)
from lifecycle.core.states import LIVE, State
from lifecycle.errors import (
    AlreadyStarted,
    ForkedSession,
    IllegalCommand,
    InvalidConfig,
    KeeperUnavailable,
    LaunchFailed,
    LifecycleError,
    LogUnavailable,
    NoGate,
    NotStarted,
)
from lifecycle.log.paged import paged
from lifecycle.ports import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from os import PathLike
    from pathlib import Path

    from pydantic import JsonValue

    from lifecycle.client.cookies import Cookies
    from lifecycle.client.endings import Endings
    from lifecycle.client.guard import Guard
    from lifecycle.client.recorder import Recorder
    from lifecycle.client.replay import Recording
    from lifecycle.client.request import Request
    from lifecycle.core import Command
    from lifecycle.ports import BrowserHost, Starting, Talk

__all__ = ["Handle", "waiting_s"]

#: How long attaching waits for a session that is still being started by its owner.
_ATTACH_WAIT_S: Final = 10.0
#: How long a driver's error waits for the keeper's word on what became of the browser.
_VERDICT_WAIT_S: Final = 2.0
#: The same for the error of a driver that the script has connected by itself: most of those concern only the script.
_GLANCE_S: Final = 0.3
_CDP_WAIT_S: Final = 10.0
#: The longest wait for an ending at once: the wall clock, and with it the deadline, may step meanwhile.
_NAP_S: Final = 1.0
#: Steps of the way to a wrong value that an error names; data may be nested deeply.
_PATH: Final = 8
#: An append of an ending that takes longer makes us ask whether our keeper still answers.
_APPEND_WAIT_S: Final = 1.0


def waiting_s(timeout_s: object) -> float:
    """How long *timeout_s* lets somebody wait; None is for ever.

    Raises:
        InvalidConfig: It is no number.
    """
    if timeout_s is None:
        return math.inf
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or math.isnan(timeout_s):
        raise InvalidConfig("timeout_s", timeout_s, "must be seconds, or None to wait as long as it takes")
    return timeout_s


class Gateless:
    """The Talk of a session without a keeper, which another process has attached to its browser: nobody to talk to."""

    cdp_url = look_url = ""
    folder = None

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id

    def look(self) -> None:
        """The owner finds in the log what there is to find."""

    def end(self, command: Close | Fail) -> None:
        """There is nobody who could."""

    def cdp(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Refused: there is no way to the browser."""
        raise NoGate(self._session_id, method)

    def wait_released(self, timeout_s: float) -> bool:
        """Nobody to wait for."""
        return False


class Handle:
    """What one client holds of one session. Thread-safe; belongs to the process that made it."""

    def __init__(
        self, recorder: Recorder, host: BrowserHost, session_id: str, request: Request | None, *, page: bool
    ) -> None:
        self.recorder = recorder
        self._lenient = recorder.lenient()  # what a newer version has added to the history keeps nobody from ending it
        self.host = host
        self.session_id = session_id
        self.request = request
        self.page = page
        self.last: Session | None = None
        self.last_view: SessionView | None = None
        self._talk: Talk | None = None
        self._guard: Guard | None = None
        self._begun = False
        self._windowless = False  # a window was asked for, and there is no display
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._endings: Endings | None = None
        self._on_end: Once | None = None
        self.given_up = False  # by somebody who waits for its start no longer

    def on_end(self, endings: Endings, call: Callable[[SessionView], object]) -> None:
        """Have *call* called once with the ending; to be said before begin() or attach()."""
        self._endings, self._on_end = endings, Once(self.session_id, call)

    def _begin_once(self) -> None:
        self.check_fork()
        with self._lock:
            if self._begun:
                raise AlreadyStarted(self.session_id)
            self._begun = True
        if self._endings is not None and self._on_end is not None:
            self._endings.watch(self.session_id, self._on_end)

    @contextmanager
    def _beginning(self) -> Generator[None]:
        """One start; where it is refused with nothing recorded, there has been none, and it may be tried again."""
        try:
            self._begin_once()
            yield
        except (AlreadyStarted, ForkedSession):
            raise
        except LifecycleError as error:
            if self.last is None or (self.attached and isinstance(error, LogUnavailable)):
                if self._endings is not None:
                    self._endings.forget(self.session_id)
                self._talk = None
                self._begun = False
            raise

    @property
    def untouched(self) -> bool:
        """Whether start() has not been called, or was refused with nothing recorded."""
        return not self._begun

    def tell(self) -> None:
        """Make the call for on_end now, if the session is known to have ended and nobody else has made it."""
        ending = self.last_view
        if self._endings is None or self._on_end is None or ending is None or self.forked:
            return
        if ending.status not in LIVE:
            self._endings.forget(self.session_id)
            self._on_end(ending)

    def wait_ended(self, timeout_s: float | None) -> SessionView | None:
        """The ending, waited for; None when it has not come after *timeout_s*."""
        self.status()
        clock, log = self.recorder.clock, self.recorder.log
        left = waiting_s(timeout_s)
        while True:
            newest = log.last(1)
            session, now = self.load(), self.view()
            if now.status not in LIVE:
                return now
            if left <= 0:
                return None
            # At the deadline it has ended, written down or not.
            nap = min(_NAP_S, left, max(0.001, (deadline(session) - clock.now()) / 1e6))
            began = clock.monotonic()
            woken = log.wait(newest[0].position if newest else None, nap)
            left -= clock.monotonic() - began if woken else nap

    @property
    def attached(self) -> bool:
        """Whether the session is somebody else's, reached by id."""
        return self.request is None

    @property
    def forked(self) -> bool:
        """Whether this is a copy in a forked child."""
        return os.getpid() != self._pid

    def check(self, what: str) -> Talk:
        """The line to the keeper of a started session; refuses forks and sessions not started."""
        self.check_fork()
        if self._talk is None:
            raise NotStarted(self.session_id, what)
        return self._talk

    def check_fork(self) -> None:
        """Refuse use in a forked child."""
        if self.forked:
            raise ForkedSession(f"session {self.session_id}", self._pid)

    def load(self) -> Session:
        """The session as the log has it now."""
        self.last = self.recorder.load(self.session_id)
        return self.last

    def view(self) -> SessionView:
        """The session as a reader sees it now."""
        self.last_view = view(self.load(), self.recorder.clock.now())
        return self.last_view

    def status(self) -> SessionView:
        """The same for a user, who may have forgotten to start, or have forked."""
        self.check_fork()
        if self.last is None and not self.attached:
            raise NotStarted(self.session_id, "status()")
        return self.view()

    def cdp_url(self) -> str:
        """Where CDP clients connect, while the session lives."""
        return self._gate("cdp_url()").cdp_url

    def viewer_url(self) -> str:
        """Where the live view is, started if it isn't there, while the session lives."""
        talk = self._gate("viewer_url()")
        return viewing.show(self.session_id, self.recorder.log.locator, talk.look_url).url()

    def _gate(self, what: str) -> Talk:
        talk = self.check(what)
        self._live_or_raise()
        if not talk.cdp_url:
            raise NoGate(self.session_id, what)
        return talk

    def endpoint(self) -> str:
        """What connects our own pages, while the session lives; empty where they have the browser already."""
        talk = self.check("page")
        self._live_or_raise()
        self.check_pages()
        return talk.cdp_url

    @property
    def pageless(self) -> bool:
        """Whether no page can be had from here: the browser is another process's, and has no gate."""
        return self.attached and self._gateless

    @property
    def _gateless(self) -> bool:
        return self._talk is not None and not self._talk.cdp_url

    def check_pages(self) -> None:
        """Refuse a page where there can be none."""
        if self.pageless:
            raise NoGate(self.session_id, "page")

    def replay(self) -> Recording:
        """The recording, once the session has ended."""
        self.check_fork()
        if self.last is None and not self.attached:
            raise NotStarted(self.session_id, "replay()")
        return replay.find(self.recorder, self.session_id)

    @property
    def folder(self) -> Path | None:
        """Where the session's pages may put downloads and traces."""
        return None if self._talk is None else self._talk.folder

    def tabs(self) -> list[str]:
        """Ids of the tabs that are open, oldest first, as the keeper has recorded them."""
        tabs: dict[str, None] = {}
        for row in paged(self.recorder.log, self.session_id):
            if row.type == TabOpened.type:
                tabs[json.loads(row.data)["tab"]] = None
            elif row.type == TabClosed.type:
                tabs.pop(json.loads(row.data)["tab"], None)
        return list(tabs)

    def begin(self, guard: Guard, waited_us: int | None = None) -> Starting:
        """Find a browser, record `created`, hand the session to the keeper. Finish with `begun`.

        *waited_us*: how long it was waited for a place, where there is a limit.

        Raises:
            AlreadyStarted, BrowserNotFound, KeeperUnavailable, LogUnavailable: Nothing was started.
        """
        with self._beginning():
            return self._begin(guard, waited_us)

    def _begin(self, guard: Guard, waited_us: int | None) -> Starting:
        request = self.request
        assert request is not None  # attach() is the way for sessions reached by id
        config = viewing.possible(request.config)
        self._windowless = config != request.config
        request.make_downloads_dir()
        recorded = recording.order(request.record, self.recorder.log, self.session_id)
        found = self.host.prepare(config, request.browser_path, self.recorder.log)
        crash.point("client.prepared")
        unknown = {"headless": None} if found.browser in ("external", "attached") else {}
        created = SessionCreated(
            session_id=self.session_id,
            config=request.config.model_copy(update={"browser": found.browser, **unknown}),
            browser_path=found.browser_path,
            browser_args=request.browser_args or None,
            cookie_file=request.cookie_file,
            user_data_dir=request.user_data_dir,
            downloads_dir=request.downloads_dir,
            recording=None if recorded is None else recorded.path,
            recording_limit_bytes=None if recorded is None else recorded.limit_bytes,
            limits=request.limits,
            labels=request.labels,
            keep_alive=request.keep_alive,
            waited_us=waited_us,
            owner=self.host.identity(),
            keeper=found.keeper,
            keeper_id=found.keeper_id,
        )
        try:
            self.last = self.recorder.create(Create(event=created))
            crash.point("client.created")
            guard.watch(self.last)
            self._guard = guard
        except BaseException as error:
            found.unused()
            with suppress(LifecycleError):  # it may stand there, though who wrote it was interrupted
                self.load()
            self.give_up(error)
            raise
        plan = Plan(
            session_id=self.session_id,
            keeper_id=found.keeper_id,
            config=config.model_copy(update={"browser": found.browser}),
            browser_path=found.browser_path,
            browser_args=request.browser_args,
            cdp_url=request.cdp_url,
            cookie_file=request.cookie_file,
            user_data_dir=request.user_data_dir,
            downloads_dir=request.downloads_dir,
            extra_http_headers=request.extra_http_headers,
            proxy=request.proxy,
            keep_alive=request.keep_alive,
            recording=recorded,
        )
        try:
            starting = self.host.start(plan, self.recorder.log, guard.keeper_lost)
            crash.point("client.handed_over")
            return starting
        except BaseException as error:
            self.give_up(error)
            raise

    def begun(self, starting: Starting) -> None:
        """Wait until the session is active.

        Raises:
            LaunchFailed: The browser did not come up.
            SessionEnded: Somebody ended the session meanwhile.
            KeeperUnavailable: The keeper went away meanwhile.
        """
        try:
            self._talk = starting.result()
        except KeeperUnavailable:
            reconcile([self.load()], self._lenient, self.host)
            raise
        crash.point("client.told")
        self._live_or_raise()
        if self._windowless:
            viewing.in_place_of_a_window(self.session_id, self.recorder.log.locator, self._talk.look_url)

    def attach(self) -> None:
        """Reach a session that lives already; counts as access.

        Raises:
            SessionEnded: It is over.
            KeeperUnavailable: Its keeper can't be reached from here.
        """
        with self._beginning():
            self._attach()

    def _attach(self) -> None:
        clock = self.recorder.clock
        until = clock.monotonic() + _ATTACH_WAIT_S
        while (session := self.load()).status is State.CREATED and clock.monotonic() < until:
            clock.sleep(0.02)
        self._live_or_raise()
        try:
            gateless = session.keeper_id is None
            self._talk = Gateless(self.session_id) if gateless else self.host.attach(session, self.recorder.log)
        except KeeperUnavailable:
            reconcile([session], self._lenient, self.host)  # where it is gone, nobody has written that down yet
            self._live_or_raise()
            raise
        self._note(Record(event=SessionAccessed(last_at=self.recorder.clock.now(), by="attach")))

    def reach(self) -> None:
        """Have a line to the keeper, without coming as a guest.

        Raises:
            KeeperUnavailable: There is none.
        """
        self._talk = self.host.attach(self._lenient.load(self.session_id), self.recorder.log)

    def _live_or_raise(self) -> None:
        now = self.view()
        if now.status not in LIVE:
            raise ended_error(now)

    def get_cookies(self) -> Cookies:
        """All cookies of the session's browser, as cookie files hold them."""
        found = self._cdp(self.check("get_cookies()"), "Storage.getCookies", {})
        return cookies_of(found["cookies"])

    def set_cookies(self, cookies: list[dict[str, Any]] | None, cookie_file: str | PathLike[str] | None) -> None:
        """Set cookies given as objects or as a file, exactly one of the two."""
        talk = self.check("set_cookies()")
        if (cookies is None) == (cookie_file is None):
            raise InvalidConfig("cookies", "…", "give either cookies or cookie_file")
        if cookie_file is not None:
            path = file_of("cookie_file", cookie_file)
            found = read(path)
            if found is None:
                raise InvalidConfig("cookie_file", str(path), "there is no such file")
            checked = found[0].cookies
        else:
            try:
                checked = cookies_of(list[object](cookies or []))
            except (ValueError, TypeError) as error:
                raise InvalidConfig("cookies", "…", f"{error}; allowed is a list of cookie objects") from None
        self._cdp(talk, "Storage.setCookies", {"cookies": checked})

    def _cdp(self, talk: Talk, method: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return talk.cdp(method, params, _CDP_WAIT_S)
        except KeeperUnavailable:
            self._live_or_raise()
            raise

    def touch(self) -> None:
        """Count as access now."""
        self.check("touch()")
        self._note(Record(event=SessionAccessed(last_at=self.recorder.clock.now(), by="api")))

    def extend(self, by_us: int) -> None:
        """Live at least *by_us* from now."""
        self.check("extend()")
        self._note(Extend(by_us=by_us))

    def annotate(self, name: str, data: Mapping[str, JsonValue] | None) -> None:
        """Record an embedder's own fact."""
        self.check("annotate()")
        if data is not None and not isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] # users
            raise InvalidConfig("data", data, "must be a mapping of names to JSON values")
        try:
            event = SessionAnnotated(name=name, data=dict(data) if data else None)
        except ValidationError as error:
            wrong = error.errors()[0]
            if wrong["loc"][0] == "name":
                raise InvalidConfig("name", name, f"must be text of 1 to 256 characters: {wrong['msg']}") from None
            where = ".".join(map(str, wrong["loc"][:_PATH]))
            raise InvalidConfig("data", data, f"must be JSON values; {where}: {wrong['msg']}") from None
        self._note(Record(event=event))

    def operated(self, event: SessionOperation) -> None:
        """Record an operation on the page.

        Raises:
            SessionEnded: The session is over.
        """
        self._note(Record(event=event))

    def _note(self, command: Command) -> None:
        try:
            outcome = self.recorder.execute(self.session_id, command)
        except IllegalCommand:
            raise ended_error(self.view()) from None
        self.last = outcome.session
        if self._talk is not None:
            self._talk.look()
        if outcome.timed_out:
            raise ended_error(self.view())

    def verdict(self, wait_s: float = _VERDICT_WAIT_S) -> SessionView:
        """The session after giving its keeper time to say what became of the browser."""
        clock = self.recorder.clock
        until = clock.monotonic() + wait_s
        while (now := self._end_view()).status in LIVE and clock.monotonic() < until:
            if self._talk is not None:
                self._talk.look()
            clock.sleep(0.01)
        return now

    def unreachable(self, error: Exception) -> LifecycleError:
        """What to raise in place of a driver's *error*, with which no connection to the browser came about."""
        now = self.verdict()
        if now.status not in LIVE:
            return ended_error(now)
        keeper = self.last.keeper if self.last is not None else None
        return KeeperUnavailable(
            f"the browser of session {self.session_id} can't be reached ({redact.message(str(error))}), and it "
            f"has not ended: its keeper{f', process {keeper.pid},' if keeper else ''} hangs or has too much to do. "
            f"Try again, or call stop(), which ends it in any case, as its deadline does ({now.deadline:%H:%M:%S} UTC)"
        )

    def _end_view(self) -> SessionView:
        self.last = self._lenient.load(self.session_id)
        if self.last.released and self._guard is not None:
            self._guard.released(self.session_id)
        self.last_view = view(self.last, self.recorder.clock.now())
        return self.last_view

    def end(self, command: Close | Fail) -> SessionView:
        """End the session, or find it ended; returns when its browser is gone, or after the bound of DESIGN §6.

        Raises:
            LogUnavailable: The log refuses the ending. The keeper ends the browser and goes on offering it.
        """
        if self._talk is not None and self._gateless:
            self._talk.look()  # without a keeper nobody else has seen yet whether the browser is there
        crash.point("client.ending")
        try:
            if self._browser_died():
                self.verdict()  # what ended the session was that, and it is about to be written down
            self._execute_ending(command)
        except LogUnavailable:
            if self._talk is not None:
                self._talk.end(command)
            raise
        except LifecycleError:
            raise
        except BaseException:
            # Ctrl-C, or what a signal's handler raises, in the middle of it: written or not, this one is the last word.
            self._execute_ending(command)
            raise
        crash.point("client.ended")
        self.settle()
        crash.point("client.settled")
        return self._end_view()

    def leave(
        self,
        error: BaseException | None,
        *,
        driver: Callable[[BaseException], bool],
        connected: Callable[[], bool | None],
    ) -> BaseException | None:
        """End or detach as the block is left with *error*; the error that should take its place, if any.

        Args:
            driver: Whether an error came from a driver.
            connected: Whether the driver still thinks that it is connected to the browser; None if it isn't ours to
                ask. Asked only where it matters: it takes the driver's time.
        """
        replaced: BaseException | None = None
        try:
            if error is not None and driver(error):
                # The browser may be gone under the script, and its keeper is writing down why at this moment.
                # One that closes itself takes its pages first: connected still, and gone a moment later.
                now = self.verdict(_VERDICT_WAIT_S if connected() is False else _GLANCE_S)
                replaced = ended_error(now) if now.status not in LIVE else None
        finally:  # also when that is interrupted: a block that is left has ended its session
            if not (self.attached or (self.request is not None and self.request.keep_alive)):
                self._end_with(error)
        return replaced

    def _end_with(self, error: BaseException | None) -> None:
        try:
            self.end(ending_for(error))
        except Exception as ending:
            if error is None:
                raise
            with suppress(Exception):  # one that takes none, as a frozen dataclass does not
                error.add_note(f"while ending session {self.session_id}: {ending}")

    def give_up(self, error: BaseException, starting: Starting | None = None) -> None:
        """start() failed or was interrupted: whatever was begun ends now."""
        if self.last is None or self.attached:
            return
        self._end_view()
        if starting is not None and self._talk is None and self.last.started_at is not None:
            with suppress(LifecycleError):  # as its keeper says at this moment: it takes the ending from there
                self._talk = starting.result()
        if self.last.status in LIVE:  # past its deadline too: nobody may have written that down yet
            self.end(not_started(error) if isinstance(error, LaunchFailed) else ending_for(error))
        else:
            self.settle()

    def _execute_ending(self, command: Close | Fail) -> None:
        # Our own keeper may hold the write lock, stopped in the middle of an append: the log would wait for it long.
        appended = threading.Condition()
        done = False

        def watch() -> None:
            with appended:
                if self.recorder.clock.wait_for(appended, lambda: done, _APPEND_WAIT_S):
                    return
            self._drop_keeper()

        with suppress(RuntimeError):  # no more threads to be had: the ending matters more than who looks after it
            self.recorder.clock.start("lifecycle-append", watch)
        try:
            self._lenient.execute(self.session_id, command)
        except IllegalCommand:
            return  # ended already, by somebody else: that ending counts
        finally:
            with appended:
                done = True
                appended.notify()

    def _drop_keeper(self) -> None:
        if self.last is not None and not self.attached:
            self.host.drop_keeper(self.last, self.recorder.log)

    def settle(self) -> None:
        """Wait until the ended session's browser is gone; past the bound, end it from here."""
        try:
            self._settle()
        finally:
            if self._gateless and not self.attached:
                self.host.done(self.recorder.log)  # such a session has a host of its own

    def _settle(self) -> None:
        clock = self.recorder.clock
        until = clock.monotonic() + RELEASE_WAIT_S
        talk = self._talk
        if talk is not None:
            talk.look()
        while not (session := self._lenient.load(self.session_id)).released and clock.monotonic() < until:
            if session.status in LIVE:
                return  # extended or not ended at all; nothing to wait for
            if session.keeper_id is None:
                break  # whoever ends it lets go of it
            if talk is None:
                if self._keeper_alive(session) is False:
                    break
                clock.sleep(0.02)
            elif not talk.wait_released(0.25) and self._keeper_alive(session) is False:
                break
        if session.released or session.status in LIVE or self._keeper_alive(session) is None:
            return  # of a browser out of reach nothing is claimed
        if not self.attached:
            self.host.drop_keeper(session, self.recorder.log)
        try:
            finish(session, self._lenient, self.host)
        except OSError as error:
            raise KeeperUnavailable(f"the browser of session {self.session_id} can't be ended: {error}") from error

    def _browser_died(self) -> bool:
        if self.last is None:
            return False
        with suppress(OSError):  # as below; then it is stopped, which it was told to be
            return self.host.browser_died(self.last, self.recorder.log)
        return False

    def _keeper_alive(self, session: Session) -> bool | None:
        try:
            return self.host.keeper_alive(session, self.recorder.log)
        except OSError:  # such as no descriptor left: the keeper has its own, and was told over a line that stands
            return None

    def stop(self) -> SessionView | None:
        """End with closed/stopped; None before start. Idempotent in every state."""
        self.check_fork()
        if not self._begun:
            return None
        try:
            return self.end(Close(cause=Cause.STOPPED))
        except LifecycleError:
            if self.last is None:
                return None  # start() failed before anything was recorded
            raise

    def __repr__(self) -> str:
        state = self.last_view.status if self.last_view else "not started"
        return f"<Session {self.session_id} {state}>"
