"""Client and Session, synchronous. The order of every operation stands in handle.py; here are blocks and pages."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, overload

from pydantic import BaseModel

from lifecycle.client import adapters, operations, orders, proofs
from lifecycle.client.causes import no_driver
from lifecycle.client.origin import origin
from lifecycle.client.shared import MAX_WAIT_S, Shared, part
from lifecycle.core import SessionView
from lifecycle.core.deadlines import microseconds
from lifecycle.errors import InvalidConfig, KeeperUnavailable, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from os import PathLike
    from types import TracebackType

    from pydantic import JsonValue

    from lifecycle.actions import Action
    from lifecycle.audit.carry import Checked, Imported
    from lifecycle.audit.checkpoint import Proof
    from lifecycle.audit.diff import Difference
    from lifecycle.audit.export import Format
    from lifecycle.audit.follow import Follower
    from lifecycle.audit.history import Step
    from lifecycle.audit.into_file import Exported
    from lifecycle.audit.note import Checkpoint
    from lifecycle.audit.retention import Forgotten
    from lifecycle.audit.stats import Stats
    from lifecycle.audit.timeline import Timeline
    from lifecycle.audit.verify import Verification
    from lifecycle.audit.why import Why
    from lifecycle.client.cookies import Cookies
    from lifecycle.client.extract import Fields
    from lifecycle.client.handle import Handle
    from lifecycle.client.questions import After
    from lifecycle.client.reconcile import Reconciled
    from lifecycle.client.replay import Recording
    from lifecycle.client.request import Request, SessionConfig
    from lifecycle.client.sessions import Asked, Sessions
    from lifecycle.client.shared import Hosting
    from lifecycle.core.deadlines import Minutes
    from lifecycle.log.port import EventLog
    from lifecycle.ports import BrowserHost, Clock, Ids, PageConnection, Pages
    from lifecycle.projections import Progress
    from lifecycle.results import ExecutionResult, Observation

__all__ = ["Client", "Session"]

#: between two looks at whether the client is still open; the log wakes us as soon as something comes
_WAIT_S: Final = 0.5

_Model = TypeVar("_Model", bound=BaseModel)


class Client:
    """Sessions on one log. Cheap to make, safe to share between threads; needs no closing.

    As a block, `with Client(…) as client:`, it keeps each thread's Playwright driver from one session to the next, so
    that the second one starts in half the time, and stops it when the block is left.

    Args:
        log: Path of a log file, a locator such as `sqlite:/abs/path`, or an EventLog. Default: $LIFECYCLE_LOG, else one
            file in the platform's user data directory.
        browser: Where browsers run; default: Chromium on this machine, in a keeper of this process.
        pages: What makes pages; default: Playwright.
        playwright: A Playwright that this thread has started already, as sync_playwright() gives it; the sessions of
            this thread use it, since there can be one only.
        clock, ids: For tests.
        actor: Who acts, for the history; default: the user's name.
        correlation_id: What the sessions belong to, such as a request's or a task's id. Every event of a session
            carries it, those of its keeper included.
        causation_id: What caused them, such as a message's id; carried in the same way.
        traceparent: The same two from W3C Trace Context: the whole header is the causation_id, and the trace's id the
            correlation_id unless that is given.
        max_sessions: At most so many sessions on this log at a time, those of other clients and processes included. A
            start that finds no place waits in a queue, which is that of all processes, and is served in order.
        max_wait_s: For so long; then start() raises TooManySessions. 0 does not wait.

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
        playwright: object = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        actor: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
        max_sessions: int | None = None,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        given = origin(
            {
                "actor": actor,
                "correlation_id": correlation_id,
                "causation_id": causation_id,
                "traceparent": traceparent,
            }
        )
        part("pages", pages, "connect", "what makes pages, such as lifecycle_playwright.Pages()")
        if playwright is not None:
            if pages is not None:
                raise InvalidConfig("playwright", "…", "give playwright or pages, not both")
            pages = adapters.load("playwright", playwright)
        self._shared = Shared(log, browser, clock, ids, given, max_sessions, max_wait_s)
        self._drivers = adapters.Drivers(pages, "playwright")

    @property
    def log(self) -> EventLog:
        """The log that this client reads and writes."""
        return self._shared.log

    @property
    def sessions(self) -> Sessions:
        """The sessions of the log: list, count, get, unreadable."""
        return self._shared.sessions

    def session_on(
        self,
        host: Hosting,
        pages: Pages | None,
        request: Request,
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> Session:
        """For adapters: a new session, not started yet, on a browser that *host* has or brings, and *pages* reach.

        Without *pages*, those of the client, by way of the gate.
        """
        self._shared.check_fork()
        handle = self._shared.handle_on(host, request, correlation_id=correlation_id, causation_id=causation_id)
        return Session(self._shared, self._drivers if pages is None else adapters.Drivers(pages, "playwright"), handle)

    def Session(self, session_id: str | None = None, **config: Unpack[SessionConfig]) -> Session:
        """A new session, not started yet; or with *session_id* alone, the way to one that lives already.

        Args:
            session_id: Attach to this session; leaving the block detaches and leaves it running.
            headless: False opens a window; where there is no display it serves the live view instead, and viewer_url()
                tells where. Default True.
            timeout_minutes: Another name for idle_timeout_minutes.
            idle_timeout_minutes: Minutes (fractions too) or timedelta without access; default 3.
            max_duration_minutes: Minutes or timedelta for the whole life; default 15.
            viewport_width, viewport_height: Pixels, 1 to 16384, both or neither.
            browser: "chromium", "chrome" or the path of a binary; default: what `lifecycle doctor` shows.
            browser_args: More command line arguments for the browser, each starting with `--`.
            cdp_url: The CDP endpoint of a browser that runs already. It is kept and recorded like our own, and never
                ended: only disconnected from.
            cookie_file: Cookies are loaded from this file at the start, if it is there, and saved into it at every
                ending and every 30 seconds: a JSON array, a Playwright storage_state, or (read only) a cookies.txt.
            user_data_dir: A persistent profile, kept after the session; one session at a time.
            downloads_dir: Whatever pages download is kept in this directory, whole and under its suggested name, also
                when nobody is connected. Made if it is not there, and never removed.
            user_agent: What the browser calls itself.
            locale: A language tag such as de-DE: the language asked for, and how pages format dates and numbers.
            timezone: An IANA time zone such as Europe/Berlin.
            extra_http_headers: Sent with every request. Their names are recorded, their values are not.
            proxy: scheme://host:port, or a dict with server, username, password, bypass.
            labels: Plain, searchable texts; never put secrets here.
            record: True records a video beside the log (LOGNAME.d/recordings/ID.mp4); or a directory, or the path of a
                new .mp4 file. It is there after the end: replay(). Needs the extra `recording`.
            record_limit_bytes: How large the video may become; there it stops, the session goes on. Default 256 MiB.
            keep_alive: Leaving the block, or the end of this process, leaves the session running until its deadline.
            page: False starts no Playwright driver while the browser comes up.
            on_end: Called once with the ending, a SessionView, whoever ends the session: within moments, in a thread of
                the client's own, where it should not stay long; or by stop() or the end of the block. AsyncSession
                calls it on the loop, and awaits a coroutine.
            actor, correlation_id, causation_id, traceparent: As in Client, for this session alone; beside *session_id*
                for what is done through this object.

        Raises:
            InvalidConfig: Names the argument, its value and what is allowed. Nothing was started.
            MissingExtra: record, without the extra of that name.
            UnknownSession: No session of that id in this log.
        """
        return Session(self._shared, self._drivers, self._shared.handle(session_id, config))

    def history(self, session_id: str) -> tuple[Step, ...]:
        """The events of a session, oldest first, as they are stored; also those that this version does not know.

        With "log" in place of an id: the receipts of what was forgotten, signed and sealed.

        Raises:
            UnknownSession, AmbiguousSession: As sessions.get; so do the other questions.
        """
        return self._shared.questions.history(session_id)

    def why(self, session_id: str) -> Why:
        """Why a session ended, or what it does: str() of it is one paragraph, its fields are what that rests on."""
        return self._shared.questions.why(session_id)

    def stats(self, **asked: Unpack[Asked]) -> Stats:
        """Sessions counted by status, cause, label and day, how long they lived, how late their ends were recorded.

        Takes the filters of sessions.list. Reads every session asked for, and every ending of the log.
        """
        return self._shared.questions.stats(**asked)

    def diff(self, a: str, b: str) -> Difference:
        """Two sessions side by side: which of their fields differ, and where their histories part."""
        return self._shared.questions.diff(a, b)

    def timeline(self, *session_ids: str, align: bool = False) -> Timeline:
        """These sessions along a line of time: text(), svg(), html(), or trace() for Perfetto; a notebook shows it.

        *align* lets each of them begin at zero.
        """
        return self._shared.questions.timeline(session_ids, align=align)

    def subscribe(
        self, session_id: str | None = None, *, after: After = None, types: Collection[str] | None = None
    ) -> Iterator[Step]:
        """Every event of the log (or of one session), each one as it comes, in order and once, whoever wrote it.

        Blocks between events. One session's end with its `released`, those of the log never do; closing the client
        ends both, within half a second.

        Args:
            after: Begin after this cursor, which every step has; after what is there at the call, with "now"; with the
                first event there is, by default. Whoever keeps the cursor of the last step it has dealt with goes on
                from there in another process, and misses nothing.
            types: Only events of these types, such as "closed" or "session.closed".
        """
        return _follow(self._shared, self._shared.questions.follower(session_id, after, types))

    def replay(self, session_id: str) -> Recording:
        """The recording of a session that has ended, whoever ran it; as Session.replay, and UnknownSession."""
        return self._shared.replay(session_id)

    def reconcile(self) -> list[Reconciled]:
        """Record the true ending of every session whose keeper is gone, and end what is left of its browser.

        Runs by itself before a Client's first start(); idempotent. Returns what was put right.
        """
        return self._shared.reconcile()

    def verify(
        self,
        *,
        against: str | PathLike[str] | Checkpoint | None = None,
        public: str | None = None,
        progress: Progress | None = None,
        resume: bool = False,
    ) -> Verification:
        """Hold the whole log against itself: hashes, histories, the list of sessions, the file's rules. Reads only.

        Args:
            against: A checkpoint that was signed before: the file that holds it, with *public*, who signed it (the
                text that `lifecycle key` prints, or a file with it). It alone tells a log that was rewritten with all
                its hashes.
            progress: Called with the number of events looked at, and of all. What it raises interrupts.
            resume: Go on where an interrupted one stopped. Of what was looked at then it looks at the hashes again, and
                at sessions that went on; `Verification.resumed` says how many events that were.

        Raises:
            BadCheckpoint: The checkpoint is forged, cut, or signed with another key.
            InvalidConfig, MissingExtra: No such file or key; the extra `audit` is not installed.
        """
        return proofs.verified(self._shared.recorder, against, public, progress, resume=resume)

    def checkpoint(self, key: str | PathLike[str], *, record: bool = False) -> Checkpoint:
        """What the log holds now, signed with the key in the file *key*; its `text` is for somebody to keep.

        With *record* it becomes an event of the log too.

        Raises:
            InvalidConfig, MissingExtra: No such key; the extra `audit` is not installed.
        """
        return proofs.taken(self._shared.recorder, key, record=record)

    def prove(self, session_id: str, version: int, at: Checkpoint) -> Proof:
        """That event *version* of a session is among those of the checkpoint *at*; its `text` is a C2SP tlog-proof.

        Raises:
            UnknownSession, InvalidConfig: No such event, or it came after the checkpoint.
            BadCheckpoint: The log is not the one of the checkpoint, or not any more.
        """
        return proofs.proved(self._shared.sessions, self._shared.recorder, session_id, version, at)

    def export(
        self, form: Format = "jsonl", *, sessions: Collection[str] | None = None, private: bool = False
    ) -> Iterator[str]:
        """The log as lines of text, each with its end: everything, or some sessions by their ids.

        "jsonl" is the complete record, which import_export() reads; "cloudevents" and "csv" have what is private only
        with *private*.
        """
        return proofs.exported(self._shared.sessions, self._shared.recorder, form, sessions, private=private)

    def export_to(
        self,
        path: str | PathLike[str],
        form: Format = "jsonl",
        *,
        sessions: Collection[str] | None = None,
        private: bool = False,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Write what export() gives into the new file *path*, which is there when it is whole.

        Args:
            resume: Go on with what an interrupted one left in `PATH.part`. What stands there and is not what would be
                written is written anew.
            progress: Called with the number of events written, and of all. What it raises interrupts.

        Raises:
            InvalidConfig: There is such a file, or it can't be written.
        """
        return proofs.exported_to(
            self._shared.sessions,
            self._shared.recorder,
            path,
            form,
            sessions,
            progress,
            private=private,
            resume=resume,
        )

    def import_export(self, file: str | PathLike[str], *, progress: Progress | None = None) -> Imported:
        """Read the "jsonl" export in *file* into this log, which is empty or holds the beginning of it.

        Interrupted, it goes on when it is called again. *progress* is called with the bytes read, and of all.

        Raises:
            BadExport: It is cut or changed; names the line.
            LogUnsuitable: The log holds something else.
        """
        return proofs.imported(self._shared.recorder, file, progress)

    def check(self, file: str | PathLike[str] | None = None) -> Checked:
        """Replay an export, or this log, by today's rules: the first event refused, the first field that differs.

        Raises:
            BadExport, InvalidConfig: The file is cut or changed; there is no such file.
        """
        return proofs.checked(self._shared.recorder, file)

    def backup(self, to: str | PathLike[str]) -> Verification:
        """Copy the log to the new file *to* while it is in use, and verify the copy.

        Raises:
            InvalidConfig: There is such a file, or it can't be made.
        """
        return proofs.backed_up(self._shared.recorder, to)

    def seal(self, key: str | PathLike[str], *, following: str | PathLike[str] | None = None) -> Checkpoint:
        """Close this log for good, signed; the new log *following* begins with that checkpoint.

        Raises:
            LogUnsuitable: A session lives.
        """
        return proofs.sealed(self._shared.recorder, key, following)

    def forget(self, session_id: str) -> Forgotten:
        """Delete what is private in the events of a session that has ended; hashes, status and proofs still hold.

        Raises:
            UnknownSession, LogUnsuitable: No such session; it has not ended.
        """
        return proofs.forgotten(self._shared.sessions, self._shared.recorder, session_id)

    def drain(self, drain_s: float) -> None:
        """Start nothing any more, leave this client's sessions *drain_s* seconds to end by themselves, end the rest.

        The rest ends as closed/stopped, with `by: drain` as evidence; sessions that are keep_alive are left alone.
        """
        self._shared.drain(drain_s)

    def close(self, *, drain_s: float | None = None) -> None:
        """Let go of the log, after drain(*drain_s*) if that is given; neither this nor `with` is needed.

        Without *drain_s*, sessions that run are not ended.
        """
        if drain_s is not None:
            self._shared.drain(drain_s)
        self._shared.close()

    def __repr__(self) -> str:
        return f"<Client {self._shared!r}>"

    def __enter__(self) -> Self:
        self._drivers.kept = {}
        return self

    def __exit__(self, *_: object) -> None:
        kept, self._drivers.kept = self._drivers.kept, None
        for let_go in (kept or {}).values():
            let_go()
        self.close()


def _follow(shared: Shared, follower: Follower) -> Iterator[Step]:
    try:
        while not shared.closed:
            yield from follower.ready()
            if follower.over:
                return
            follower.wait(_WAIT_S)
    except LogUnavailable:
        if not shared.closed:
            raise


class Session:
    """One browser from creation to end. Made by Client.Session; used as a context manager or with start() and stop().

    Leaving the block ends the session: closed/stopped normally, error/exception with an exception (which propagates),
    closed/exited, /interrupted or /cancelled for SystemExit(0), KeyboardInterrupt and cancellation. A session that was
    attached to, or is keep_alive, is left running.
    """

    def __init__(self, shared: Shared, drivers: adapters.Drivers[Pages], handle: Handle) -> None:
        self._shared = shared
        self._drivers = drivers
        self._handle = handle
        self._connections: dict[int, PageConnection] = {}
        self._give_back: dict[int, Callable[[], None]] = {}
        self._hidden = operations.Hidden()
        self._lock = threading.Lock()

    @property
    def session_id(self) -> str:
        """The session's id, UUIDv7 text; there before start()."""
        return self._handle.session_id

    @property
    def response(self) -> SessionView | None:
        """None before start, then the last view that was taken."""
        return self._handle.last_view

    def start(self) -> Self:
        """Start the browser, or attach; returns when the session is active.

        Where it is refused with nothing recorded, it may be called again.

        Raises:
            AlreadyStarted: A second start().
            BrowserNotFound: No usable browser; nothing was recorded.
            LaunchFailed: The browser, or Playwright's driver, did not come up, within half a minute; recorded, nothing
                runs.
            TooManySessions: No place under max_sessions in time; nothing was recorded.
            ClientClosed: The client is drained or closed.
            SessionEnded: Attaching to a session that is over.
            KeeperUnavailable, LogUnavailable: Nothing runs.
        """
        handle = self._handle
        if handle.attached:
            handle.attach()
            return self
        if handle.page:
            self._drivers.get().check()  # before anything is recorded
        starting = self._shared.begin(handle)
        try:
            if handle.page:
                self._warm()  # overlaps with the keeper's work
            handle.begun(starting)
        except BaseException as error:
            try:
                self._close_pages()
            finally:  # also when that is interrupted
                handle.give_up(error, starting)
                handle.tell()
            raise
        return self

    def stop(self) -> SessionView | None:
        """End the session; returns the ending that happened, None before start().

        Idempotent in every state: a session that ended in another way keeps that ending. Returns when the browser is
        gone, or after five seconds at the latest.

        Raises:
            LogUnavailable: The log refuses the ending; the browser is ended all the same.
            KeeperUnavailable: Its keeper is gone, and its browser can't be ended from here now, as where no file
                descriptor is left. The ending is recorded, and the rest is tried again by itself.
        """
        try:
            return self._handle.stop()
        finally:
            self._close_pages()
            self._handle.tell()

    @property
    def page(self) -> Any:
        """The session's first existing tab as a Playwright Page, connected in the calling thread.

        Raises:
            NotStarted: Before start().
            SessionEnded: The session is over.
            KeeperUnavailable: It lives, and no connection to it came about within half a minute.
            WrongThread: Playwright's sync API can't run in this thread.
            NoGate: Another process has attached the session to a browser that somebody else launched.
        """
        self._handle.check("page")
        self._handle.check_pages()
        return self._reach().page

    def _reach(self, limit_s: float | None = None) -> PageConnection:
        """This thread's connection to the browser, made anew, within *limit_s*, where the last one is gone."""
        me = threading.get_ident()
        connection = self._connections.get(me)
        if connection is None or not connection.connected():
            if connection is not None:
                connection.close()
            connection = self._connect(limit_s)
            with self._lock:
                self._connections[me] = connection
        return connection

    def _connect(self, limit_s: float | None) -> PageConnection:
        driver, endpoint = self._drivers.get(), self._handle.endpoint()
        give_back: Callable[[], None] | None = None
        if threading.get_ident() not in self._give_back:  # else it was started for this thread already
            with no_driver(self.session_id, lives=True):
                give_back = driver.warm()
        try:
            return driver.connect(endpoint, self._handle.tabs, self._handle.folder, limit_s)
        except Exception as error:
            if not driver.is_driver_error(error):
                raise
            raise self._handle.unreachable(error) from error
        finally:
            if give_back is not None:
                give_back()

    def execute(
        self, action: Action | Mapping[str, Any] | None = None, *, raise_on_failure: bool = True, **fields: Any
    ) -> ExecutionResult:
        """Do one action in the active tab: an object of lifecycle.actions, a dict, or `type="goto", url=…` as keywords.

        The active tab is the session's first one until goto_new_tab, switch_tab or close_tab choose another; each
        thread has its own. `page` stays the first one. Dialogs are dismissed, unless a handler of yours answers them.
        Recorded as one event, without what was typed. Ends within the action's timeout and a few seconds; a connection
        to the browser that has to be made is given as long, and ten seconds at least.

        Raises:
            InvalidConfig: No such action, or not its fields. Nothing was performed or recorded.
            ActionFailed: It did not succeed; carries the result. Not with raise_on_failure=False.
            MissingExtra: scrape, without the extra of that name.
            NotStarted, WrongThread: As page.
            SessionEnded: The session is over, or ended meanwhile.
            NotRecorded: It was performed and could not be recorded; a LogUnavailable that carries the result.
        """
        order = orders.execute(action, fields, raise_on_failure)
        return operations.checked(self._operate(order), raise_on_failure)

    def observe(self, *, screenshot: bool = False, timeout: int = 15_000) -> Observation:
        """The active tab: url, title, tabs, and what can be acted upon, with ids for execute(); *timeout* in ms.

        An id stays with its element while that is on the page. Only ids of the latest observe() count.

        Raises: as execute().
        """
        seen: Observation = operations.checked(
            self._operate(orders.observe(screenshot=screenshot, timeout=timeout))
        ).data
        return seen

    @overload
    def scrape(
        self,
        *,
        selector: str | None = None,
        only_main_content: bool = False,
        scrape_links: bool = True,
        scrape_images: bool = False,
        timeout: int = 15_000,
    ) -> str: ...
    @overload
    def scrape(
        self, *, response_format: type[_Model], fields: Fields, selector: str | None = None, timeout: int = 15_000
    ) -> _Model: ...
    def scrape(
        self, *, response_format: type[BaseModel] | None = None, fields: Fields | None = None, **options: Any
    ) -> Any:
        """The visible content of the active tab, or of one element, as Markdown; or a pydantic model filled from it.

        Args:
            selector: The one element to look at; default: the page.
            only_main_content: Leave out what stands around the content: menus, headers, footers.
            scrape_links, scrape_images: Keep the URLs of links (default), and of images.
            response_format, fields: A model, and for each of its fields a CSS selector: `"h1"`, an attribute
                (`"a@href"`), or `("li", {…})` for a nested model. A field that is a list takes all matches.
            timeout: ms.

        Raises: as execute(); needs the extra `scrape`, but for models.
        """
        order = orders.scrape(response_format, fields, options)
        return operations.checked(self._operate(order)).data

    def _operate(self, action: Action) -> ExecutionResult:
        operation = operations.Operation(self._handle, action, self._hidden)
        performed = operations.without_page(action)
        connected: bool | None = True
        try:
            connection = self._reach(operations.connecting_s(action)) if performed is None else None
        except KeeperUnavailable as error:
            connection, performed, connected = None, operations.unreachable(error), None
        if connection is not None:
            try:
                performed = connection.operate(action)
                connected = performed.ok or connection.connected()
            except BaseException as error:
                operation.broke(error)
                raise
        assert performed is not None  # by the connection, without it, or not at all
        return operation.finish(performed, connected=connected)

    def status(self) -> SessionView:
        """The session now, replayed from its events. Not an access.

        Raises:
            NotStarted: Before start().
        """
        return self._handle.status()

    def cdp_url(self) -> str:
        """Where any CDP client connects to this browser. A credential: it is never logged. Not an access.

        Raises:
            NotStarted: Before start().
            SessionEnded: The session is over.
            NoGate: Its browser was launched by somebody else, who knows the way to it.
        """
        return self._handle.cdp_url()

    def viewer_url(self) -> str:
        """Where to watch this session in a browser: a page on this machine that is good for looking only.

        A small process serves it, started by the first call; it ends with the session, or with this process. Whoever
        has the URL may look. Neither asking nor looking is an access.

        Raises:
            NotStarted: Before start().
            SessionEnded: The session is over.
            NoGate: As cdp_url().
            ViewerUnavailable: The process did not come up; the session goes on.
        """
        return self._handle.viewer_url()

    def replay(self) -> Recording:
        """The session's video, once it has ended: where it lies, its length, its hash; checked against the history.

        Raises:
            NotStarted: Before start().
            NoRecording: Says why: not ended yet, not recorded, not made, or the file is gone or was changed.
        """
        return self._handle.replay()

    def touch(self) -> None:
        """Count as access now: the idle timeout begins anew.

        Raises:
            SessionEnded: The session is over.
        """
        self._handle.touch()

    def extend(self, *, minutes: Minutes) -> SessionView:
        """Live at least *minutes* (or a timedelta) from now; the deadline never moves back.

        Raises:
            SessionTimedOut: The deadline has passed.
            InvalidConfig: Not a duration from one second to 100 years.
        """
        self._handle.extend(microseconds("minutes", minutes))
        return self._handle.status()

    def get_cookies(self) -> Cookies:
        """The browser's cookies as a list of dicts, as cookie files hold them; also while others are connected.

        Raises:
            NotStarted, KeeperUnavailable.
            SessionEnded: The session is over.
        """
        return self._handle.get_cookies()

    def set_cookies(
        self, cookies: list[dict[str, Any]] | None = None, *, cookie_file: str | PathLike[str] | None = None
    ) -> None:
        """Set cookies, given as dicts or as a cookie file.

        Raises:
            InvalidConfig: Neither or both, a malformed cookie, or one that the browser refuses.
            NotStarted, KeeperUnavailable, SessionEnded.
        """
        self._handle.set_cookies(cookies, cookie_file)

    def wait_ended(self, timeout_s: float | None = None) -> SessionView | None:
        """Wait until the session has ended, whoever ends it; the ending, or None when it lives still after *timeout_s*.

        Not an access. The browser may take a moment longer to be gone.

        Raises:
            NotStarted: Before start().
        """
        return self._handle.wait_ended(timeout_s)

    def annotate(self, name: str, data: Mapping[str, JsonValue] | None = None) -> None:
        """Record a fact of your own in the history: never secrets.

        Raises:
            InvalidConfig: The name or data can't be recorded.
            SessionEnded: The session is over.
        """
        self._handle.annotate(name, data)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handle.forked:
            return
        try:
            replaced = self._handle.leave(error, driver=self._drivers.raised, connected=self._connected)
        finally:
            self._close_pages()
            self._handle.tell()
        if replaced is not None:
            raise replaced from error

    def _warm(self) -> None:
        pages, me = self._drivers.get(), threading.get_ident()
        with no_driver(self.session_id):
            self._give_back[me] = pages.warm()
        kept = self._drivers.kept
        if kept is not None and me not in kept:
            kept[me] = pages.hold()

    def _connected(self) -> bool | None:
        connection = self._connections.get(threading.get_ident())
        return None if connection is None else connection.connected()

    def _close_pages(self) -> None:
        """Disconnect this thread's page and give its driver back; those of other threads end with the browser."""
        if self._handle.forked:
            return
        me = threading.get_ident()
        with self._lock:
            connection = self._connections.pop(me, None)
            give_back = self._give_back.pop(me, None)
        # In this order the connection's use may be the last one: then its driver is stopped, which takes milliseconds
        # even where disconnecting would wait for a gate that hangs.
        if give_back is not None:
            give_back()
        if connection is not None:
            connection.close()

    def __repr__(self) -> str:
        return repr(self._handle)
