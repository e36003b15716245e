"""Client and Session, synchronous. The order of every operation stands in handle.py; here are blocks and pages."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Never, Self

from lifecycle.client import adapters
from lifecycle.client.handle import Handle, ended_error, ending_for
from lifecycle.client.request import refuse_unknown, request
from lifecycle.client.shared import Shared
from lifecycle.core import LIVE, SessionView
from lifecycle.core.deadlines import microseconds
from lifecycle.core.events import SessionAnnotated
from lifecycle.errors import InvalidConfig, MalformedEvent, NotStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike
    from types import TracebackType

    from pydantic import JsonValue

    from lifecycle.client.reconcile import Reconciled
    from lifecycle.client.request import Request
    from lifecycle.client.sessions import Sessions
    from lifecycle.core.deadlines import Minutes
    from lifecycle.log.port import EventLog
    from lifecycle.ports import BrowserHost, Clock, Ids, PageConnection, Pages

__all__ = ["Client", "Session"]


class Client:
    """Sessions on one log. Cheap to make, safe to share between threads; needs no closing.

    Args:
        log: Path of a log file, a locator such as `sqlite:/abs/path`, or an EventLog. Default: $LIFECYCLE_LOG, else one
            file in the platform's user data directory.
        browser: Where browsers run; default: Chromium on this machine, in a keeper of this process.
        pages: What makes pages; default: Playwright.
        clock, ids: For tests.
        actor: Who acts, for the history; default: the user's name.

    Raises:
        LogUnsuitable: The file is not a log of ours, newer than this library, or can't be written.
        LogTampered: Its append-only rules are damaged.
        LogUnavailable: It can't be reached.
    """

    def __init__(
        self,
        log: str | PathLike[str] | EventLog | None = None,
        *,
        browser: BrowserHost | None = None,
        pages: Pages | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        actor: str | None = None,
    ) -> None:
        self._shared = Shared(log, browser, clock, ids, actor)
        self._drivers = Drivers(pages)

    @property
    def log(self) -> EventLog:
        """The log that this client reads and writes."""
        return self._shared.log

    @property
    def sessions(self) -> Sessions:
        """The sessions of the log: list, count, get."""
        return self._shared.sessions

    def Session(  # the reference page's spelling: it reads as the class it returns
        self,
        session_id: str | None = None,
        *,
        headless: bool = True,
        timeout_minutes: Minutes | None = None,
        idle_timeout_minutes: Minutes | None = None,
        max_duration_minutes: Minutes | None = None,
        viewport_width: int | None = None,
        viewport_height: int | None = None,
        browser: str | PathLike[str] | None = None,
        browser_args: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        keep_alive: bool = False,
        page: bool = True,
        **unknown: Never,
    ) -> Session:
        """A new session, not started yet; or with *session_id* alone, the way to one that lives already.

        Args:
            session_id: Attach to this session; leaving the block detaches and leaves it running.
            headless: False opens a window, which needs a display.
            timeout_minutes: Another name for idle_timeout_minutes.
            idle_timeout_minutes: Minutes (fractions too) or timedelta without access; default 3.
            max_duration_minutes: Minutes or timedelta for the whole life; default 15.
            viewport_width, viewport_height: Pixels, 1 to 16384, both or neither.
            browser: "chromium", "chrome" or the path of a binary; default: what `lifecycle doctor` shows.
            browser_args: More command line arguments for the browser, each starting with `--`.
            labels: Plain, searchable texts; never put secrets here.
            keep_alive: Leaving the block, or the end of this process, leaves the session running until its deadline.
            page: False starts no Playwright driver while the browser comes up.

        Raises:
            InvalidConfig: Names the argument, its value and what is allowed. Nothing was started.
            UnknownSession: No session of that id in this log.
        """
        self._shared.check_fork()
        refuse_unknown(unknown)
        given = request(
            headless=headless,
            timeout_minutes=timeout_minutes,
            idle_timeout_minutes=idle_timeout_minutes,
            max_duration_minutes=max_duration_minutes,
            viewport_width=viewport_width,
            viewport_height=viewport_height,
            browser=browser,
            browser_args=browser_args,
            labels=labels,
            keep_alive=keep_alive,
            page=page,
        )
        if session_id is None:
            return _made(self._shared, self._drivers, self._shared.recorder.ids.new(), given)
        changed = [
            name
            for name, (value, default) in {
                "headless": (headless, True),
                "timeout_minutes": (timeout_minutes, None),
                "idle_timeout_minutes": (idle_timeout_minutes, None),
                "max_duration_minutes": (max_duration_minutes, None),
                "viewport_width": (viewport_width, None),
                "browser": (browser, None),
                "browser_args": (tuple(browser_args), ()),
                "labels": (labels, None),
                "keep_alive": (keep_alive, False),
            }.items()
            if value != default
        ]
        if changed:
            raise InvalidConfig(changed[0], "…", "a session that is attached to by id has its configuration already")
        return _made(self._shared, self._drivers, self.sessions.resolve(session_id), None)

    def reconcile(self) -> list[Reconciled]:
        """Record the true ending of every session whose keeper is gone, and end what is left of its browser.

        Runs by itself before a Client's first start(); idempotent. Returns what was put right.
        """
        return self._shared.reconcile()

    def close(self) -> None:
        """Let go of the log. Sessions that run are not ended; neither this nor `with` is needed."""
        self._shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Drivers:
    """The adapter that makes pages, found when it is first needed."""

    def __init__(self, pages: Pages | None) -> None:
        self._pages = pages

    def get(self) -> Pages:
        """The adapter."""
        if self._pages is None:
            self._pages = adapters.default_pages()
        return self._pages

    def raised(self, error: BaseException) -> bool:
        """Whether *error* is the driver's; not if no driver was ever used."""
        return self._pages is not None and self._pages.is_driver_error(error)


class Session:
    """One browser from creation to end. Made by Client.Session; used as a context manager or with start() and stop().

    Leaving the block ends the session: closed/stopped normally, error/exception with an exception (which propagates),
    closed/exited, /interrupted or /cancelled for SystemExit(0), KeyboardInterrupt and cancellation. A session that was
    attached to, or is keep_alive, is left running.
    """

    def __init__(self, shared: Shared, drivers: Drivers, handle: Handle) -> None:
        self._shared = shared
        self._drivers = drivers
        self._handle = handle
        self._response: SessionView | None = None
        self._connections: dict[int, PageConnection] = {}
        self._give_back: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()

    @property
    def session_id(self) -> str:
        """The session's id, UUIDv7 text; there before start()."""
        return self._handle.session_id

    @property
    def response(self) -> SessionView | None:
        """None before start, then the last view that was taken."""
        return self._response

    def start(self) -> Self:
        """Start the browser, or attach; returns when the session is active.

        Raises:
            AlreadyStarted: A second start().
            BrowserNotFound: No usable browser; nothing was recorded.
            LaunchFailed: The browser did not come up; recorded, nothing runs.
            SessionEnded: Attaching to a session that is over.
            KeeperUnavailable, LogUnavailable: Nothing runs.
        """
        handle = self._handle
        if handle.attached:
            handle.attach()
            self._response = handle.view()
            return self
        self._shared.before_first_start()
        starting = handle.begin(self._shared.guard.keeper_lost)
        try:
            assert handle.last is not None
            assert handle.request is not None
            self._shared.guard.watch(handle.last)
            if handle.request.page:
                self._warm()  # overlaps with the keeper's work
            handle.begun(starting)
        except BaseException as error:
            self._give_up(error)
            raise
        self._response = handle.view()
        return self

    def _warm(self) -> None:
        me = threading.get_ident()
        self._give_back[me] = self._drivers.get().warm()

    def _give_up(self, error: BaseException) -> None:
        """start() failed or was interrupted: whatever was begun ends now."""
        self._close_pages()
        if self._handle.view().status in LIVE:
            self._handle.end(ending_for(error))
        else:
            self._handle.settle()

    def stop(self) -> SessionView | None:
        """End the session; returns the ending that happened, None before start().

        Idempotent in every state: a session that ended in another way keeps that ending. Returns when the browser is
        gone, or after five seconds at the latest.

        Raises:
            LogUnavailable: The log refuses the ending; the browser is ended all the same.
        """
        try:
            ending = self._handle.stop()
        finally:
            self._close_pages()
        self._response = ending or self._response
        return ending

    @property
    def page(self) -> Any:
        """The session's first existing tab as a Playwright Page, connected in the calling thread.

        Raises:
            NotStarted: Before start().
            SessionEnded: The session is over.
            WrongThread: Playwright's sync API can't run in this thread.
        """
        talk = self._handle.check("page")
        me = threading.get_ident()
        connection = self._connections.get(me)
        if connection is None or not connection.connected():
            now = self._handle.view()
            if now.status not in LIVE:
                raise ended_error(now)
            if connection is not None:
                connection.close()
            connection = self._connect(talk.cdp_url)
            with self._lock:
                self._connections[me] = connection
        return connection.page

    def _connect(self, cdp_url: str) -> PageConnection:
        driver = self._drivers.get()
        try:
            return driver.connect(cdp_url)
        except Exception as error:
            if driver.is_driver_error(error) and (now := self._handle.verdict()).status not in LIVE:
                raise ended_error(now) from error
            raise

    def status(self) -> SessionView:
        """The session now, replayed from its events. Not an access."""
        self._handle.check_fork()
        if not self._handle.attached and self._handle.last is None:
            raise NotStarted(self.session_id, "status()")
        self._response = self._handle.view()
        return self._response

    def cdp_url(self) -> str:
        """Where any CDP client connects to this browser. A credential: it is never logged. Not an access.

        Raises:
            NotStarted: Before start().
            SessionEnded: The session is over.
        """
        talk = self._handle.check("cdp_url()")
        now = self.status()
        if now.status not in LIVE:
            raise ended_error(now)
        return talk.cdp_url

    def touch(self) -> None:
        """Count as access now: the idle timeout begins anew."""
        self._handle.touch()

    def extend(self, *, minutes: Minutes) -> SessionView:
        """Live at least *minutes* (or a timedelta) from now; the deadline never moves back.

        Raises:
            SessionTimedOut: The deadline has passed.
            InvalidConfig: Not a duration from one second to 100 years.
        """
        self._handle.extend(microseconds("minutes", minutes))
        return self.status()

    def annotate(self, name: str, data: Mapping[str, JsonValue] | None = None) -> None:
        """Record a fact of your own in the history: never secrets.

        Raises:
            InvalidConfig: The name or data can't be recorded.
            SessionEnded: The session is over.
        """
        try:
            event = SessionAnnotated(name=name, data=dict(data or {}))
        except ValueError as error:
            raise InvalidConfig("annotate", name, f"a name of at most 256 characters and JSON data: {error}") from None
        try:
            self._handle.annotate(event)
        except MalformedEvent as error:
            raise InvalidConfig("annotate", name, error.reason) from None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        handle = self._handle
        if handle.forked:
            return
        replaced: BaseException | None = None
        try:
            if error is not None and self._drivers.raised(error):
                # The browser may be gone under the script, and its keeper is writing down why at this moment.
                alive = self._here_connected()
                now = handle.view() if alive else handle.verdict()
                replaced = ended_error(now) if now.status not in LIVE else None
            if handle.attached or (handle.request and handle.request.keep_alive):
                self._close_pages()
            else:
                self._response = handle.end(ending_for(error))
        except Exception as cleaning:
            if error is None:
                raise
            error.add_note(f"while ending session {handle.session_id}: {cleaning}")
        finally:
            self._close_pages()
        if replaced is not None:
            raise replaced from error

    def _here_connected(self) -> bool:
        connection = self._connections.get(threading.get_ident())
        return connection is not None and connection.connected()

    def _close_pages(self) -> None:
        """Disconnect this thread's page and give its driver back; those of other threads end with the browser."""
        if self._handle.forked:
            return
        me = threading.get_ident()
        with self._lock:
            connection = self._connections.pop(me, None)
            give_back = self._give_back.pop(me, None)
        if connection is not None:
            connection.close()
        if give_back is not None:
            give_back()

    def __repr__(self) -> str:
        state = self._response.status if self._response else "not started"
        return f"<Session {self.session_id} {state}>"


def _made(shared: Shared, drivers: Drivers, session_id: str, given: Request | None) -> Session:
    return Session(shared, drivers, Handle(shared.recorder, shared.host, session_id, given))
