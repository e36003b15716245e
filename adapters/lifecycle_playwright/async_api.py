"""Playwright's asynchronous pages, for the event loop that asks.

One driver (a Node process) a loop, counted by its connections: the first use starts it, closing the last connection
stops it. warm() starts it ahead of the first connection and holds it until then. Playwright is imported with the first
use. What is said in sync_api.py about URLs in errors holds here too.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lifecycle_playwright.common import (
    CONNECT_S,
    PATIENCE_S,
    SILENT,
    START_S,
    TAB_WAIT_MS,
    end_driver,
    first_by_age,
    is_driver_error,
    seen,
    without,
)
from lifecycle_playwright.driver import swallowed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from playwright.async_api import Browser, Page, Playwright

    from lifecycle.actions import Action
    from lifecycle.ports import Performed
    from lifecycle_playwright import operations

    Tabs: TypeAlias = Callable[[], Sequence[str]]

__all__ = ["AsyncConnection", "AsyncPages"]

T = TypeVar("T")


class _Driver:
    """One loop's Playwright."""

    def __init__(self) -> None:
        self._starting: asyncio.Task[Playwright] | None = None
        self._uses = 0
        self._pid = os.getpid()

    async def get(self) -> Playwright:
        """The running Playwright, started by whoever asks first; a caller that is cancelled does not stop the start."""
        starting = self._starting
        if starting is None or (starting.done() and starting.exception() is not None):
            starting = self._starting = asyncio.ensure_future(_start())
        return await asyncio.shield(starting)

    @property
    def up(self) -> bool:
        """Whether it has come up."""
        return self._starting is not None and self._starting.done() and self._starting.exception() is None

    async def alive(self) -> bool:
        """Whether its process answers, or none is there to; else it is ended. A millisecond, at most 5 seconds."""
        if self._starting is None:
            return True
        try:
            playwright = await self.get()
            await _bounded(_exchange(playwright), PATIENCE_S, lambda _: self.end())
        except Exception:
            return False
        return True

    def discard(self) -> None:
        """Have it replaced at the next use, because its process died."""
        _drivers.pop(asyncio.get_running_loop(), None)

    def take(self) -> None:
        """Use it."""
        self._uses += 1

    async def give_back(self) -> None:
        """One use less; without any it stops."""
        self._uses -= 1
        if self._uses > 0 or self._starting is None or os.getpid() != self._pid:
            return
        starting, self._starting = self._starting, None
        try:
            playwright = await starting
            await _bounded(playwright.stop(), PATIENCE_S, lambda _: end_driver(_manager(playwright)))
        except Exception as error:
            swallowed("driver_not_stopped", error)

    def end(self) -> None:
        """Kill its process, because it hangs; what waits for it, here and elsewhere, fails."""
        if self._starting is not None and self.up:
            end_driver(_manager(self._starting.result()))


async def _start() -> Playwright:
    # The import takes a good part of a second, which the loop's other tasks must not feel.
    await asyncio.to_thread(importlib.import_module, "playwright.async_api")
    from playwright.async_api import async_playwright

    manager = async_playwright()
    try:
        return await _bounded(manager.start(), START_S, lambda starting: end_driver(manager, starting))
    except _Late:
        raise TimeoutError(f"it had not answered after {START_S:g} seconds, and was ended") from None


def _manager(playwright: Playwright) -> object:
    """What async_playwright() gave, of a Playwright that runs."""
    return getattr(playwright.stop, "__self__", None)


class _Late(Exception):
    """A call took longer than it may."""


async def _exchange(playwright: Playwright) -> None:
    """The cheapest one that no browser takes part in."""
    await (await playwright.request.new_context()).dispose()


async def _bounded(call: Coroutine[Any, Any, T], limit_s: float, end: Callable[[Coroutine[Any, Any, T]], object]) -> T:
    """What *call* gives. After *limit_s* that counts no more, and *end* is called, with which it may come to an end.

    Not asyncio.timeout(): Playwright 1.64 swallows a first cancellation.

    Raises:
        _Late: It took longer.
    """
    task = asyncio.ensure_future(call)
    try:
        if (await asyncio.wait({task}, timeout=limit_s))[0]:
            return task.result()
        end(call)
        await asyncio.wait({task}, timeout=PATIENCE_S)
        raise _Late
    finally:
        task.add_done_callback(seen)
        task.cancel()


_drivers: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Driver]] = weakref.WeakKeyDictionary()


def _driver() -> _Driver:
    loop = asyncio.get_running_loop()
    found = _drivers.get(loop)
    if found is None:
        found = _drivers[loop] = _Driver()
    return found


class AsyncPages:
    """Pages on sessions, for the running loop."""

    async def warm(self) -> Callable[[], Any]:
        """Start this loop's driver, if it has none that answers; awaiting what the result returns gives it back."""
        driver = _driver()
        if driver.up and not await driver.alive():
            driver.discard()  # killed from outside since its last use, or stopped
            driver = _driver()
        driver.take()
        try:
            await driver.get()
        except BaseException:
            await driver.give_back()
            raise
        return _Once(driver)

    async def connect(
        self, cdp_url: str, tabs: Tabs = tuple, folder: Path | None = None, limit_s: float | None = None
    ) -> AsyncConnection:
        """Connect to the browser behind *cdp_url*. Gives up after *limit_s*, by default 30 seconds.

        *tabs* tells the ids (CDP's targetId) of the session's tabs, oldest first. *folder* is where downloads and
        traces go; whoever gives it removes it.

        Raises:
            playwright.async_api.Error: The browser can't be reached; the text holds nothing of *cdp_url*.
        """
        driver = _driver()
        try:
            return await _connect(driver, cdp_url, tabs, folder, limit_s)
        except Exception as error:
            if not self.is_driver_error(error) or await driver.alive():
                raise
        driver.discard()  # since it was started or looked at
        return await _connect(_driver(), cdp_url, tabs, folder, limit_s)

    def is_driver_error(self, error: BaseException) -> bool:
        """Whether *error* is Playwright's own."""
        return is_driver_error(error)


class _Once:
    """Gives one use back, once."""

    def __init__(self, driver: _Driver) -> None:
        self._driver: _Driver | None = driver

    async def __call__(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.give_back()


class AsyncConnection:
    """One loop's connection to one session's browser."""

    def __init__(self, driver: _Driver, browser: Browser, page: Page, tabs: Tabs) -> None:
        self._driver = driver
        self._browser = browser
        self._page = page
        self._tabs = tabs
        self._operated: operations.Tabs | None = None
        self._lost = False
        self._closed = False

    @property
    def page(self) -> Page:
        """The session's first tab; once that has been closed, the first of the others."""
        if self._page.is_closed() and (others := self._browser.contexts[0].pages):
            self._page = others[0]
        return self._page

    def connected(self) -> bool:
        """Whether the browser answers, as far as Playwright knows."""
        return not self._closed and not self._lost and self._browser.is_connected()

    async def operate(self, action: Action) -> Performed:
        """As Connection.operate; a cancellation goes through at once."""
        from lifecycle_playwright import operations, steps

        if self._operated is None:
            self._operated = operations.Tabs(self.page, self._tabs)
        performed = await steps.run_async(operations.operate(self._operated, action))
        self._lost = performed.reason == "lost"  # a driver that was killed goes on saying that it is connected
        return performed

    async def close(self) -> None:
        """Disconnect and leave the browser running. Idempotent; never raises."""
        if not self._closed:
            self._closed = True
            await _disconnect(self._driver, self._browser)


async def _connect(
    driver: _Driver, cdp_url: str, tabs: Tabs, folder: Path | None, limit_s: float | None
) -> AsyncConnection:
    from playwright.async_api import Error

    limit_s = CONNECT_S if limit_s is None else limit_s
    driver.take()
    browser: Browser | None = None
    try:
        playwright = await driver.get()
        connecting = playwright.chromium.connect_over_cdp(cdp_url, timeout=limit_s * 1000, artifacts_dir=folder)
        browser = await _bounded(connecting, limit_s + PATIENCE_S, lambda _: driver.end())
        page = await _bounded(_first_tab(browser, tabs), PATIENCE_S, lambda _: None)
        return AsyncConnection(driver, browser, page, tabs)
    except BaseException as error:
        await _disconnect(driver, browser)
        if isinstance(error, _Late):
            clean = Error(SILENT)
        elif isinstance(error, Error):
            clean = type(error)(without(cdp_url, error.message))
        else:
            raise
    raise clean  # out here, where the error that holds the URL is not even its context


async def _disconnect(driver: _Driver, browser: Browser | None) -> None:
    try:
        if browser is not None:
            await _bounded(browser.close(), PATIENCE_S, lambda _: driver.end())
    except Exception as error:
        swallowed("page_not_disconnected", error)
    finally:
        await driver.give_back()


async def _first_tab(browser: Browser, tabs: Tabs) -> Page:
    from playwright.async_api import Error

    context = browser.contexts[0]
    if not context.pages:
        try:
            await context.wait_for_event("page", timeout=TAB_WAIT_MS)
        except Error:
            return await context.new_page()
    first, *others = context.pages
    if not others:
        return first
    ids: list[str] = []
    for page in context.pages:
        try:
            session: Any = await context.new_cdp_session(page)
            ids.append(str((await session.send("Target.getTargetInfo"))["targetInfo"]["targetId"]))
        except Error:  # closed in this moment
            ids.append("")
    return context.pages[first_by_age(ids, tabs())]
