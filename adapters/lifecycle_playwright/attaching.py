"""attach(): a session for a running Browser or BrowserContext, in both twins."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast, overload

from lifecycle.errors import InvalidConfig, KeeperUnavailable, WrongThread
from lifecycle_playwright.attached import PATIENCE_S, AttachedHost, answers, first_page
from lifecycle_playwright.common import is_driver_error
from lifecycle_playwright.driver import swallowed, within
from lifecycle_playwright.steps import run, run_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from playwright import async_api, sync_api

    from lifecycle import AsyncClient, AsyncSession, Client, Session
    from lifecycle.actions import Action
    from lifecycle.client.request import Request, SessionConfig
    from lifecycle.core.deadlines import Minutes
    from lifecycle.ports import Performed
    from lifecycle_playwright import operations
    from lifecycle_playwright.steps import Steps

__all__ = ["attach"]


@overload
def attach(
    client: Client,
    browser_or_context: sync_api.Browser | sync_api.BrowserContext,
    *,
    labels: Mapping[str, str] | None = None,
    idle_timeout_minutes: Minutes | None = None,
    max_duration_minutes: Minutes | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    close: bool = False,
    page: bool = True,
) -> Session: ...
@overload
def attach(
    client: AsyncClient,
    browser_or_context: async_api.Browser | async_api.BrowserContext,
    *,
    labels: Mapping[str, str] | None = None,
    idle_timeout_minutes: Minutes | None = None,
    max_duration_minutes: Minutes | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    close: bool = False,
    page: bool = True,
) -> AsyncSession: ...
def attach(
    client: Client | AsyncClient,
    browser_or_context: Any,
    *,
    labels: Mapping[str, str] | None = None,
    idle_timeout_minutes: Minutes | None = None,
    max_duration_minutes: Minutes | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    close: bool = False,
    page: bool = True,
) -> Session | AsyncSession:
    """A new session, not started yet, on a browser or context that runs already, whoever launched it.

    It is used as any other: as a context manager, or with start() and stop(). Its events are recorded and its endings
    are the same, but nothing of the browser is ended with it: `released` says left_running. There is no keeper: the
    deadline, and the death of this process, are recorded late (2 seconds; at the next reconcile), and end nothing
    either. What ends the browser is recorded when Playwright tells of it: closed/browser_closed where the script
    closed it, or where the context is closed and its browser still connected; else failed/browser_lost.

    Call it in the thread, or the running loop, that the object belongs to.

    Args:
        client: A Client for an object of Playwright's synchronous API, an AsyncClient for one of the asynchronous API.
        browser_or_context: Any kind, connected and persistent ones too, of any browser. Operations need Chromium.
        labels: Plain, searchable texts.
        idle_timeout_minutes: As Client.Session, but there is no idle timeout by default. Access is the session's own
            calls and touch(): what the script does with Playwright itself is not seen.
        max_duration_minutes, correlation_id, causation_id: As Client.Session.
        close: Close the browser or context when the block is left, and with stop().
        page: In the asynchronous twin, False opens no page at the start where none is open.

    Raises:
        InvalidConfig: An argument is wrong. Also of start(): it is closed or attached to already; nothing is recorded.
        WrongThread: It is not the object's thread or loop.
    """
    made = _request(labels, idle_timeout_minutes, max_duration_minutes, close, page)
    if _is_async(client, browser_or_context):
        loop = _AsyncReach()
        return cast("AsyncClient", client).session_on(
            lambda recorder, host: AttachedHost(browser_or_context, loop, recorder, host, close=close),
            _AsyncPages(browser_or_context),
            made,
            correlation_id=correlation_id,
            causation_id=causation_id,
        )
    thread = _SyncReach()
    return cast("Client", client).session_on(
        lambda recorder, host: AttachedHost(browser_or_context, thread, recorder, host, close=close),
        _Pages(browser_or_context, thread),
        made,
        correlation_id=correlation_id,
        causation_id=causation_id,
    )


def _is_async(client: object, given: object) -> bool:
    from playwright import async_api, sync_api

    from lifecycle import AsyncClient, Client

    kinds = ((Client, (sync_api.Browser, sync_api.BrowserContext), False),)
    for cls, objects, is_async in (*kinds, (AsyncClient, (async_api.Browser, async_api.BrowserContext), True)):
        if isinstance(client, cls):
            if isinstance(given, objects):
                return is_async
            api = "asynchronous" if is_async else "synchronous"
            raise InvalidConfig(
                "browser_or_context", given, f"with {cls.__name__} it is a Browser or BrowserContext of the {api} API"
            )
    raise InvalidConfig("client", client, "must be a Client or an AsyncClient")


def _request(
    labels: Mapping[str, str] | None, idle: Minutes | None, longest: Minutes | None, close: object, page: bool
) -> Request:
    from lifecycle.client.request import request

    if not isinstance(close, bool):
        raise InvalidConfig("close", close, "must be True or False")
    config: SessionConfig = {"labels": labels, "max_duration_minutes": longest, "page": page}
    if idle is not None:
        return request({**config, "idle_timeout_minutes": idle})
    made = request(config)
    return replace(made, limits=made.limits.model_copy(update={"idle_timeout_us": None}))


def _loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()  # in the synchronous API too: between calls Playwright leaves its loop marked
    except RuntimeError:
        raise WrongThread(
            "attach() belongs in the thread, or the running loop, in which the browser's Playwright runs; "
            "none runs here"
        ) from None


class _SyncReach:
    """The thread of a synchronous Playwright."""

    def __init__(self) -> None:
        self._loop = _loop()
        self._thread = threading.get_ident()
        self._pid = os.getpid()

    def check(self) -> None:
        if (threading.get_ident(), os.getpid()) != (self._thread, self._pid):
            raise WrongThread("this browser's Playwright belongs to another thread; use the session's pages there")

    def ask(self, steps: Steps[Any]) -> Any:
        self.check()
        try:
            return within(self._loop, lambda: run(steps))
        except asyncio.CancelledError:
            raise KeeperUnavailable(f"Playwright did not answer within {PATIENCE_S:.0f} s") from None

    def stopped(self) -> bool:
        return self._loop.is_closed()


class _AsyncReach:
    """The loop of an asynchronous Playwright, asked from other threads."""

    def __init__(self) -> None:
        self._loop = _loop()

    def ask(self, steps: Steps[Any]) -> Any:
        if self._loop.is_closed():
            raise WrongThread("the loop that this browser's Playwright belongs to is closed")
        future = asyncio.run_coroutine_threadsafe(run_async(steps), self._loop)
        try:
            return future.result(PATIENCE_S)
        except TimeoutError:
            if not future.cancel():
                raise
            raise KeeperUnavailable(f"Playwright did not answer within {PATIENCE_S:.0f} s") from None

    def stopped(self) -> bool:
        return self._loop.is_closed()


class _Pages:
    """lifecycle.ports.Pages on what is there: starts no driver, and connects to nothing."""

    def __init__(self, given: Any, reach: _SyncReach) -> None:
        self._given = given
        self._reach = reach

    def check(self) -> None:
        self._reach.check()

    def warm(self) -> Callable[[], None]:
        return _nothing

    def hold(self) -> Callable[[], None]:
        return _nothing

    def connect(
        self, cdp_url: str, tabs: Callable[[], Sequence[str]], folder: Path | None, limit_s: float | None = None
    ) -> _Connection:
        self._reach.check()
        return _Connection(self._given, self._reach, tabs)

    def is_driver_error(self, error: BaseException) -> bool:
        return is_driver_error(error)


class _Connection:
    """lifecycle.ports.PageConnection: the first open page, or one that is opened now and closed with the session."""

    def __init__(self, given: Any, reach: _SyncReach, tabs: Callable[[], Sequence[str]]) -> None:
        self._given = given
        self._reach = reach
        self._tabs = tabs
        self._page: Any = None
        self._opened: list[Any] = []
        self._operated: operations.Tabs | None = None

    @property
    def page(self) -> Any:
        self._reach.check()
        if self._page is None or self._page.is_closed():
            self._page = first_page(self._given)
        if self._page is None:
            self._page = self._given.new_page()
            self._opened.append(self._page)
        return self._page

    def connected(self) -> bool:
        return answers(self._given, self._reach)

    def operate(self, action: Action) -> Performed:
        from lifecycle_playwright import operations

        if self._operated is None:
            self._operated = operations.Tabs(self.page, self._tabs)
        return run(operations.operate(self._operated, action))

    def close(self) -> None:
        opened, self._opened = self._opened, []
        for page in opened:
            try:
                self._reach.ask(_closing(page))
            except Exception as error:
                swallowed("page_not_closed", error)


class _AsyncPages:
    """lifecycle.ports.AsyncPages on what is there."""

    def __init__(self, given: Any) -> None:
        self._given = given

    async def warm(self) -> Callable[[], Awaitable[None]]:
        return _nothing_async

    async def connect(
        self, cdp_url: str, tabs: Callable[[], Sequence[str]], folder: Path | None, limit_s: float | None = None
    ) -> _AsyncConnection:
        page = first_page(self._given)
        opened = None if page is not None else await self._given.new_page()
        return _AsyncConnection(self._given, page or opened, opened, tabs)

    def is_driver_error(self, error: BaseException) -> bool:
        return is_driver_error(error)


class _AsyncConnection:
    """lifecycle.ports.AsyncPageConnection, as _Connection."""

    def __init__(self, given: Any, page: Any, opened: Any, tabs: Callable[[], Sequence[str]]) -> None:
        self._given = given
        self._page = page
        self._opened = opened
        self._tabs = tabs
        self._operated: operations.Tabs | None = None

    @property
    def page(self) -> Any:
        if self._page.is_closed():
            self._page = first_page(self._given) or self._page
        return self._page

    def connected(self) -> bool:
        browser: Any = self._given if hasattr(self._given, "contexts") else self._given.browser
        return browser is None or bool(browser.is_connected())

    async def operate(self, action: Action) -> Performed:
        from lifecycle_playwright import operations

        if self._operated is None:
            self._operated = operations.Tabs(self.page, self._tabs)
        return await run_async(operations.operate(self._operated, action))

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is None:
            return
        try:
            await asyncio.wait_for(opened.close(), PATIENCE_S)
        except Exception as error:
            swallowed("page_not_closed", error)


def _closing(page: Any) -> Steps[None]:
    yield page.close()


def _nothing() -> None: ...


async def _nothing_async() -> None: ...
