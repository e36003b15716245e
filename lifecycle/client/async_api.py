"""AsyncClient and AsyncSession: the twins of sync_api, under asyncio.

Everything that may block (the log, the keeper, waiting for a browser) runs in threads of the client's own; nothing but
Playwright's coroutines runs on the event loop. A thread can't be interrupted: when a call is cancelled, its outcome is
awaited first, undone where it began something, and then the cancellation goes on. So a cancelled start leaves no
browser, and a cancelled end has ended.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, cast, overload

from pydantic import BaseModel

from lifecycle.client import adapters, operations, orders, proofs
from lifecycle.client.causes import no_driver
from lifecycle.client.handle import waiting_s
from lifecycle.client.origin import origin
from lifecycle.client.redact import said
from lifecycle.client.request import attaching, request
from lifecycle.client.shared import MAX_WAIT_S, Shared, part
from lifecycle.client.system import Uuid7
from lifecycle.core import SessionView
from lifecycle.core.deadlines import microseconds
from lifecycle.errors import (
    AlreadyStarted,
    ClientClosed,
    ForkedSession,
    KeeperUnavailable,
    LifecycleError,
    LogUnavailable,
    NotStarted,
)
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping
    from datetime import datetime
    from os import PathLike
    from types import TracebackType

    from pydantic import JsonValue

    from lifecycle.actions import Action
    from lifecycle.audit.carry import Checked, Imported
    from lifecycle.audit.checkpoint import Proof
    from lifecycle.audit.diff import Difference
    from lifecycle.audit.export import Format
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
    from lifecycle.client.listed import SessionList
    from lifecycle.client.questions import After
    from lifecycle.client.reconcile import Reconciled
    from lifecycle.client.replay import Recording
    from lifecycle.client.request import Request, SessionConfig
    from lifecycle.client.sessions import Asked
    from lifecycle.client.shared import Hosting
    from lifecycle.core.deadlines import Minutes
    from lifecycle.log.port import EventLog
    from lifecycle.ports import AsyncPageConnection, AsyncPages, BrowserHost, Clock, Ids
    from lifecycle.projections import Progress
    from lifecycle.projections.query import Order
    from lifecycle.results import ExecutionResult, Observation

__all__ = ["AsyncClient", "AsyncSession", "AsyncSessions"]

#: Calls that block at the same time: each starting or ending session holds one for its duration.
_THREADS: Final = 64
#: A subscriber's events are fetched so many at a time, and waited for so long: a thread can't be interrupted.
_BATCH: Final = 500
_WAIT_S: Final = 0.5

#: How long close() waits for the log to be closed, which takes half a millisecond where nothing is under way.
_CLOSE_S: Final = 0.1

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)


class _Worker:
    """Runs blocking calls for one client, and opens its log with the first of them."""

    def __init__(self, make: Callable[[], Shared]) -> None:
        self._make = make
        self._made: Shared | None = None
        self._closed = False
        self._pid: int | None = None  # of the process that used it first; before that it may go through a fork
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lifecycle")
        self._waiting = ThreadPoolExecutor(_THREADS, thread_name_prefix="lifecycle-start")

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def shared(self) -> Shared:
        """The client's working parts; blocks."""
        with self._lock:
            if self._made is None:
                if self._closed:
                    raise ClientClosed
                self._made = self._make()
            return self._made

    async def run(self, call: Callable[[Shared], _T], given_up: Callable[[], object] | None = None) -> _T:
        """The result of *call* in a thread. Cancelled meanwhile, it waits for the end of the call, then raises.

        *given_up* is called before, so that a call that waits for its turn ends early. Such calls have threads of their
        own: what they wait for may be another call.

        Raises:
            ForkedSession: In a child that was forked after the first use: threads and loop are the parent's.
        """
        if self._pid is None:
            self._pid = os.getpid()
        if self._pid != os.getpid():
            raise ForkedSession("this AsyncClient", self._pid)
        threads = None if self._closed else self._threads if given_up is None else self._waiting
        future = asyncio.get_running_loop().run_in_executor(threads, lambda: call(self.shared()))
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait({future})
            except asyncio.CancelledError as error:
                cancelled = error
                if given_up is not None:
                    given_up()
        if cancelled is not None:
            future.exception()  # seen, so that asyncio does not report it as lost
            raise cancelled
        return future.result()

    def __repr__(self) -> str:
        if self._made is not None:
            return repr(self._made)
        return "closed" if self._closed else "not open yet"

    def close(self) -> None:
        """Let go of log and threads. What is asked of the client later gets the same answers as from its twin.

        Holds the loop up for a moment at most: a call that waits for a log which somebody else has locked may take half
        a minute, and what it uses is closed after it, in a thread.
        """
        with self._lock:
            made, self._closed = self._made, True
        if made is not None:
            closing = threading.Thread(target=made.close, name="lifecycle-close")
            try:
                closing.start()
            except RuntimeError:  # no thread is left for now
                made.close()
            else:
                closing.join(_CLOSE_S)
        self._threads.shutdown(wait=False)
        self._waiting.shutdown(wait=False)


class AsyncClient:
    """Sessions on one log, for asyncio; arguments as Client. The log is opened by the first call that is awaited."""

    def __init__(
        self,
        log: str | PathLike[str] | EventLog | None = None,
        *,
        browser: BrowserHost | None = None,
        pages: AsyncPages | None = None,
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
        part("pages", pages, "connect", "what makes pages, such as lifecycle_playwright.AsyncPages()")
        self._ids = ids or Uuid7()
        self._worker = _Worker(lambda: Shared(log, browser, clock, self._ids, given, max_sessions, max_wait_s))
        self._pages = adapters.Drivers(pages, "playwright-async")
        self.sessions = AsyncSessions(self._worker)

    @property
    def log(self) -> EventLog:
        """As Client.log; its calls block, for who reads beside the loop. Opened now, where nothing was awaited yet.

        Raises:
            LogUnsuitable, LogTampered, LogUnavailable: It can't be opened, as Client says.
            ClientClosed: It was closed unopened.
        """
        return self._worker.shared().log

    def Session(self, session_id: str | None = None, **config: Unpack[SessionConfig]) -> AsyncSession:
        """A new session, or the way to one that lives; arguments and errors as Client.Session.

        An id that no session has is told by start() (or entering the block), since looking it up takes I/O.
        """
        page = attaching(config) if session_id is not None else request(config).page
        new_id = self._ids.new()
        ending = _Ending(config.get("on_end"))
        heard = ending.heard(config)
        return AsyncSession(
            self._worker,
            self._pages,
            new_id if session_id is None else session_id,
            lambda shared: shared.handle(session_id, heard, new_id),
            page=page,
            ending=ending,
        )

    def session_on(
        self,
        host: Hosting,
        pages: AsyncPages | None,
        request: Request,
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> AsyncSession:
        """As Client.session_on."""
        new_id = self._ids.new()
        return AsyncSession(
            self._worker,
            adapters.Drivers(pages, "playwright-async") if pages is not None else self._pages,
            new_id,
            lambda shared: shared.handle_on(
                host, request, new_id, correlation_id=correlation_id, causation_id=causation_id
            ),
            page=request.page,
        )

    async def history(self, session_id: str) -> tuple[Step, ...]:
        """As Client.history."""
        return await self._worker.run(lambda shared: shared.questions.history(session_id))

    async def why(self, session_id: str) -> Why:
        """As Client.why."""
        return await self._worker.run(lambda shared: shared.questions.why(session_id))

    async def stats(self, **asked: Unpack[Asked]) -> Stats:
        """As Client.stats."""
        return await self._worker.run(lambda shared: shared.questions.stats(**asked))

    async def diff(self, a: str, b: str) -> Difference:
        """As Client.diff."""
        return await self._worker.run(lambda shared: shared.questions.diff(a, b))

    async def timeline(self, *session_ids: str, align: bool = False) -> Timeline:
        """As Client.timeline."""
        return await self._worker.run(lambda shared: shared.questions.timeline(session_ids, align=align))

    async def subscribe(
        self, session_id: str | None = None, *, after: After = None, types: Collection[str] | None = None
    ) -> AsyncIterator[Step]:
        """As Client.subscribe, from the first step that is awaited; cancelled, it lets go within half a second."""
        follower = await self._worker.run(lambda shared: shared.questions.follower(session_id, after, types))
        try:
            while not self._worker.closed:
                steps = follower.ready()
                while batch := await self._worker.run(lambda _: list(islice(steps, _BATCH))):  # noqa: B023 - run at once
                    for step in batch:
                        yield step
                if follower.over:
                    return
                await self._worker.run(lambda _: follower.wait(_WAIT_S))
        except LogUnavailable:
            if not self._worker.closed:
                raise

    async def replay(self, session_id: str) -> Recording:
        """As Client.replay."""
        return await self._worker.run(lambda shared: shared.replay(session_id))

    async def reconcile(self) -> list[Reconciled]:
        """As Client.reconcile."""
        return await self._worker.run(lambda shared: shared.reconcile())

    async def verify(
        self,
        *,
        against: str | PathLike[str] | Checkpoint | None = None,
        public: str | None = None,
        progress: Progress | None = None,
        resume: bool = False,
    ) -> Verification:
        """As Client.verify; *progress* is called in another thread."""
        return await self._worker.run(
            lambda shared: proofs.verified(shared.recorder, against, public, progress, resume=resume)
        )

    async def checkpoint(self, key: str | PathLike[str], *, record: bool = False) -> Checkpoint:
        """As Client.checkpoint."""
        return await self._worker.run(lambda shared: proofs.taken(shared.recorder, key, record=record))

    async def prove(self, session_id: str, version: int, at: Checkpoint) -> Proof:
        """As Client.prove."""
        return await self._worker.run(
            lambda shared: proofs.proved(shared.sessions, shared.recorder, session_id, version, at)
        )

    async def export(
        self, form: Format = "jsonl", *, sessions: Collection[str] | None = None, private: bool = False
    ) -> AsyncIterator[str]:
        """As Client.export, for `async for`: nothing is read before the first line is awaited."""
        lines = await self._worker.run(
            lambda shared: proofs.exported(shared.sessions, shared.recorder, form, sessions, private=private)
        )
        while batch := await self._worker.run(lambda _: list(islice(lines, _BATCH))):
            for line in batch:
                yield line

    async def export_to(
        self,
        path: str | PathLike[str],
        form: Format = "jsonl",
        *,
        sessions: Collection[str] | None = None,
        private: bool = False,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """As Client.export_to; *progress* is called in another thread."""
        return await self._worker.run(
            lambda shared: proofs.exported_to(
                shared.sessions, shared.recorder, path, form, sessions, progress, private=private, resume=resume
            )
        )

    async def import_export(self, file: str | PathLike[str], *, progress: Progress | None = None) -> Imported:
        """As Client.import_export; *progress* is called in another thread."""
        return await self._worker.run(lambda shared: proofs.imported(shared.recorder, file, progress))

    async def check(self, file: str | PathLike[str] | None = None) -> Checked:
        """As Client.check."""
        return await self._worker.run(lambda shared: proofs.checked(shared.recorder, file))

    async def backup(self, to: str | PathLike[str]) -> Verification:
        """As Client.backup."""
        return await self._worker.run(lambda shared: proofs.backed_up(shared.recorder, to))

    async def seal(self, key: str | PathLike[str], *, following: str | PathLike[str] | None = None) -> Checkpoint:
        """As Client.seal."""
        return await self._worker.run(lambda shared: proofs.sealed(shared.recorder, key, following))

    async def forget(self, session_id: str) -> Forgotten:
        """As Client.forget."""
        return await self._worker.run(lambda shared: proofs.forgotten(shared.sessions, shared.recorder, session_id))

    async def drain(self, drain_s: float) -> None:
        """As Client.drain; close() follows it."""
        await self._worker.run(lambda shared: shared.drain(drain_s))

    def close(self) -> None:
        """As Client.close, without draining: await drain() before. What still waits for the log ends in its thread."""
        self._worker.close()

    def __repr__(self) -> str:
        return f"<AsyncClient {self._worker!r}>"

    async def __aenter__(self) -> Self:
        await self._worker.run(lambda shared: None)
        self._pages.kept = {}
        return self

    async def __aexit__(self, *_: object) -> None:
        kept, self._pages.kept = self._pages.kept, None
        let_go = (kept or {}).get(id(asyncio.get_running_loop()))
        try:
            if let_go is not None:
                await let_go()
        finally:
            self.close()


class AsyncSessions:
    """client.sessions for asyncio; arguments and errors as Sessions."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker

    async def list(
        self,
        *,
        order: Order = "newest",
        limit: int | None = None,
        after: str | None = None,
        at: datetime | None = None,
        **asked: Unpack[Asked],
    ) -> SessionList:
        """As Sessions.list."""
        return await self._worker.run(
            lambda shared: shared.sessions.list(order=order, limit=limit, after=after, at=at, **asked)
        )

    async def count(self, *, at: datetime | None = None, **asked: Unpack[Asked]) -> int:
        """As Sessions.count."""
        return await self._worker.run(lambda shared: shared.sessions.count(at=at, **asked))

    async def get(
        self, session_id: str, *, at: datetime | int | None = None, known_at: datetime | None = None
    ) -> SessionView:
        """As Sessions.get."""
        return await self._worker.run(lambda shared: shared.sessions.get(session_id, at=at, known_at=known_at))

    async def unreadable(self) -> dict[str, str]:
        """As Sessions.unreadable."""
        return await self._worker.run(lambda shared: shared.sessions.unreadable())


class AsyncSession:
    """One browser from creation to end, for asyncio: `async with`, or start() and stop(). Endings as Session."""

    def __init__(
        self,
        worker: _Worker,
        drivers: adapters.Drivers[AsyncPages],
        session_id: str,
        make: Callable[[Shared], Handle],
        *,
        page: bool,
        ending: _Ending | None = None,
    ) -> None:
        self._worker = worker
        self._drivers = drivers
        self._id = session_id
        self._make = make
        self._with_page = page
        self._handle: Handle | None = None
        self._connection: AsyncPageConnection | None = None
        self._hidden = operations.Hidden()
        self._operating = asyncio.Lock()
        self._ending = ending or _Ending(None)
        self._given_up = False

    @property
    def session_id(self) -> str:
        """The session's id, UUIDv7 text; there before start(), of an attached one as it was given."""
        return self._id if self._handle is None else self._handle.session_id

    @property
    def response(self) -> SessionView | None:
        """None before start, then the last view that was taken."""
        return self._handle.last_view if self._handle is not None else None

    async def start(self) -> Self:
        """Start the browser, or attach, and connect the page; errors as Session.start, and UnknownSession."""
        if self._handle is not None:
            raise AlreadyStarted(self.session_id)
        drivers = self._drivers.get() if self._with_page else None
        self._ending.loop = asyncio.get_running_loop()
        try:
            if drivers is None:
                await self._worker.run(self._begin, self._give_up)
            else:
                await self._begin_with_page(drivers)
        except BaseException as error:
            cause = _first(error)
            try:
                await self._close_page()
            finally:  # also when that is cancelled
                await self._worker.run(lambda shared: self._handle.give_up(cause) if self._handle is not None else None)
                await self._tell()
            if isinstance(cause, LifecycleError):
                self._take_back()
            if cause is error:
                raise
            raise cause from cause.__cause__
        return self

    def _take_back(self) -> None:
        if self._handle is not None and self._handle.untouched:
            self._handle = None  # nothing has begun: it may be started again

    async def _begin_with_page(self, drivers: AsyncPages) -> None:
        give_back: Callable[[], Any] | None = None

        async def warm() -> None:
            nonlocal give_back
            with no_driver(self.session_id):
                give_back = await drivers.warm()

        try:
            # The driver comes up while the keeper works.
            async with asyncio.TaskGroup() as both:
                both.create_task(self._worker.run(self._begin, self._give_up))
                both.create_task(warm())
            if not self._started("page").pageless:
                self._connection = await self._connect(drivers)
        finally:  # also where the driver was there before the browser failed to come up
            kept, me = self._drivers.kept, id(asyncio.get_running_loop())
            if give_back is not None and kept is not None and me not in kept:
                kept[me] = give_back
            elif give_back is not None:
                await give_back()

    def _give_up(self) -> None:
        self._given_up = True
        if self._handle is not None:
            self._handle.given_up = True

    def _begin(self, shared: Shared) -> None:
        handle = self._handle
        if handle is None:
            handle = self._handle = self._make(shared)
            handle.given_up = self._given_up
        if handle.attached:
            handle.attach()
        else:
            handle.begun(shared.begin(handle))

    async def _connect(self, drivers: AsyncPages, limit_s: float | None = None) -> AsyncPageConnection:
        handle = self._started("page")
        url = await self._worker.run(lambda _: handle.endpoint())
        tabs = await self._worker.run(lambda _: handle.tabs())
        try:
            return await drivers.connect(url, lambda: tabs, handle.folder, limit_s)
        except Exception as error:
            if not drivers.is_driver_error(error):
                raise
            failed = error
            raise await self._worker.run(lambda _: handle.unreachable(failed)) from error

    def _started(self, what: str) -> Handle:
        if self._handle is None:
            raise NotStarted(self.session_id, what)
        return self._handle

    async def stop(self) -> SessionView | None:
        """End the session; as Session.stop."""
        handle = self._handle
        if handle is None:
            return None
        try:
            return await self._worker.run(lambda _: handle.stop())
        finally:
            await self._close_page()
            await self._tell()

    @property
    def page(self) -> Any:
        """The session's first existing tab as a Playwright Page of the asynchronous API.

        Raises:
            NotStarted: Before start(), and after page=False.
            NoGate: As Session.page.
        """
        handle = self._started("page")
        handle.check("page")
        handle.check_pages()
        if self._connection is None:
            raise NotStarted(self.session_id, "page, which page=False opted out of,")
        return self._connection.page

    async def execute(
        self, action: Action | Mapping[str, Any] | None = None, *, raise_on_failure: bool = True, **fields: Any
    ) -> ExecutionResult:
        """As Session.execute. Operations of one session object wait for each other.

        After page=False, the first one connects.
        """
        order = orders.execute(action, fields, raise_on_failure)
        return operations.checked(await self._operate(order), raise_on_failure)

    async def observe(
        self,
        *,
        screenshot: bool = False,
        timeout: int = 15_000,  # noqa: ASYNC109 # the page's limit, as in the twin
    ) -> Observation:
        """As Session.observe."""
        order = orders.observe(screenshot=screenshot, timeout=timeout)
        seen: Observation = operations.checked(await self._operate(order)).data
        return seen

    @overload
    async def scrape(
        self,
        *,
        selector: str | None = None,
        only_main_content: bool = False,
        scrape_links: bool = True,
        scrape_images: bool = False,
        timeout: int = 15_000,  # noqa: ASYNC109 # the page's limit, as in the twin
    ) -> str: ...
    @overload
    async def scrape(
        self,
        *,
        response_format: type[_Model],
        fields: Fields,
        selector: str | None = None,
        timeout: int = 15_000,  # noqa: ASYNC109 # the page's limit, as in the twin
    ) -> _Model: ...
    async def scrape(
        self, *, response_format: type[BaseModel] | None = None, fields: Fields | None = None, **options: Any
    ) -> Any:
        """As Session.scrape."""
        order = orders.scrape(response_format, fields, options)
        return operations.checked(await self._operate(order)).data

    async def _operate(self, action: Action) -> ExecutionResult:
        operation = operations.Operation(self._started(f"{action.kind}()"), action, self._hidden)
        performed = operations.without_page(action)
        connected: bool | None = True
        async with self._operating:
            try:
                connection = await self._reach(operations.connecting_s(action)) if performed is None else None
            except KeeperUnavailable as error:
                connection, performed, connected = None, operations.unreachable(error), None
            if connection is not None:
                try:
                    performed = await connection.operate(action)
                    connected = performed.ok or connection.connected()
                except BaseException as error:
                    broken_by = error
                    await self._worker.run(lambda _: operation.broke(broken_by))
                    raise
            done = performed
            assert done is not None  # by the connection, without it, or not at all
            return await self._worker.run(lambda _: operation.finish(done, connected=connected))

    async def _reach(self, limit_s: float | None = None) -> AsyncPageConnection:
        """The connection to the browser, made anew, within *limit_s*, where the last one is gone."""
        if self._connection is None or not self._connection.connected():
            await self._close_page()
            drivers = self._drivers.get()
            with no_driver(self.session_id, lives=True):
                give_back = await drivers.warm()
            try:
                self._connection = await self._connect(drivers, limit_s)
            finally:
                await give_back()
        return self._connection

    async def status(self) -> SessionView:
        """As Session.status."""
        handle = self._started("status()")
        return await self._worker.run(lambda _: handle.status())

    async def cdp_url(self) -> str:
        """As Session.cdp_url."""
        handle = self._started("cdp_url()")
        return await self._worker.run(lambda _: handle.cdp_url())

    async def replay(self) -> Recording:
        """As Session.replay."""
        handle = self._started("replay()")
        return await self._worker.run(lambda _: handle.replay())

    async def viewer_url(self) -> str:
        """As Session.viewer_url."""
        handle = self._started("viewer_url()")
        return await self._worker.run(lambda _: handle.viewer_url())

    async def touch(self) -> None:
        """As Session.touch."""
        handle = self._started("touch()")
        await self._worker.run(lambda _: handle.touch())

    async def extend(self, *, minutes: Minutes) -> SessionView:
        """As Session.extend."""
        handle = self._started("extend()")
        by_us = microseconds("minutes", minutes)

        def extended(_: Shared) -> SessionView:
            handle.extend(by_us)
            return handle.status()

        return await self._worker.run(extended)

    async def get_cookies(self) -> Cookies:
        """As Session.get_cookies."""
        handle = self._started("get_cookies()")
        return await self._worker.run(lambda _: handle.get_cookies())

    async def set_cookies(
        self, cookies: list[dict[str, Any]] | None = None, *, cookie_file: str | PathLike[str] | None = None
    ) -> None:
        """As Session.set_cookies."""
        handle = self._started("set_cookies()")
        await self._worker.run(lambda _: handle.set_cookies(cookies, cookie_file))

    async def wait_ended(self, timeout_s: float | None = None) -> SessionView | None:
        """As Session.wait_ended; cancelled, it lets go within half a second."""
        handle = self._started("wait_ended()")
        until = time.monotonic() + waiting_s(timeout_s)
        while (left := until - time.monotonic()) > 0:
            if (ending := await self._worker.run(lambda _: handle.wait_ended(min(_WAIT_S, left)))) is not None:
                return ending
        return await self._worker.run(lambda _: handle.wait_ended(0))

    async def annotate(self, name: str, data: Mapping[str, JsonValue] | None = None) -> None:
        """As Session.annotate."""
        handle = self._started("annotate()")
        await self._worker.run(lambda _: handle.annotate(name, data))

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        handle = self._started("leaving the block")
        if handle.forked:
            return
        connected = None if self._connection is None else self._connection.connected()  # here: it belongs to the loop
        try:
            replaced = await self._worker.run(
                lambda _: handle.leave(error, driver=self._drivers.raised, connected=lambda: connected)
            )
        finally:
            await self._close_page()
            await self._tell()
        if replaced is not None:
            raise replaced from error

    async def _tell(self) -> None:
        if self._handle is not None:
            await asyncio.to_thread(self._handle.tell)
            await self._ending.told()

    async def _close_page(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def __repr__(self) -> str:
        return repr(self._handle) if self._handle is not None else f"<Session {self.session_id} not started>"


class _Ending:
    """on_end of one session: called, and awaited where it is a coroutine, on the loop that started the session."""

    def __init__(self, call: Callable[[SessionView], object] | None) -> None:
        self._call = call
        self._told: Future[None] | None = None
        self._inside: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def heard(self, config: SessionConfig) -> SessionConfig:
        """The configuration with an on_end for another thread."""
        return config if self._call is None else {**config, "on_end": self._hear}

    def _hear(self, ending: SessionView) -> None:
        assert self.loop is not None  # start() is what brings us here
        coming = self._come(ending)
        try:
            self._told = asyncio.run_coroutine_threadsafe(coming, self.loop)
        except RuntimeError:  # the loop is closed, and with it everything that the callback could reach
            coming.close()
            raise

    async def _come(self, ending: SessionView) -> None:
        assert self._call is not None  # or nobody would have called _hear
        self._inside = asyncio.current_task()
        try:
            result = self._call(ending)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            why = f"{type(error).__name__}: {said(error)}"
            logger.warning("on_end_failed", session_id=ending.session_id, error=why)

    async def told(self) -> None:
        """Wait until the callback has been called, if it is to be; not inside of itself."""
        if self._told is not None and asyncio.current_task() is not self._inside:
            await asyncio.shield(asyncio.wrap_future(self._told))


def _first(error: BaseException) -> BaseException:
    """The one error that a task group wrapped, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return _first(group.exceptions[0])
    return error
