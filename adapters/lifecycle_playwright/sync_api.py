"""Playwright's synchronous pages, for the thread that asks.

Playwright binds everything to the thread that started its driver (a Node process), and allows one driver a thread. So
each thread has a driver of its own here (driver.py), shared by all its sessions and counted by its uses:

1. warm() and connect() take a use; the first one in a thread starts the driver;
2. a connection's close() and warm()'s result give it back; the last one stops the driver, which disconnects what is
   still connected. That takes milliseconds even when a browser hangs, where closing the connection takes 30 seconds;
3. what a thread leaves behind is stopped when the thread ends, and at the interpreter's exit;
4. another thread never touches any of it, and a forked child starts its own.

Playwright is imported with the first use, so that importing this module costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from lifecycle.errors import WrongThread
from lifecycle_playwright.common import (
    CONNECT_S,
    PATIENCE_S,
    SILENT,
    TAB_WAIT_MS,
    first_by_age,
    is_driver_error,
    without,
)
from lifecycle_playwright.driver import GivenDriver, check, is_there, own_driver, swallowed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from playwright.sync_api import Browser, Page, Playwright

    from lifecycle.actions import Action
    from lifecycle.ports import Performed
    from lifecycle_playwright import operations
    from lifecycle_playwright.driver import Driver

    Tabs: TypeAlias = Callable[[], Sequence[str]]

__all__ = ["Connection", "Pages"]


class Pages:
    """Pages on sessions, for the thread that asks. Safe to share between threads.

    Args:
        playwright: What your own `sync_playwright().start()` returned. It serves the thread in which this object is
            made and is never stopped from here. Other threads, and every thread without it, get a driver of their own.

    Raises:
        InvalidConfig: *playwright* is something else.
    """

    def __init__(self, playwright: Playwright | None = None) -> None:
        self._given = None if playwright is None else GivenDriver(playwright)

    def check(self) -> None:
        """Refuse a thread that can't have a driver; starts nothing.

        Raises:
            WrongThread: In a running asyncio loop, in a greenlet, or where other code has started Playwright.
        """
        if self._given is None or not self._given.at_home():
            check()

    def warm(self) -> Callable[[], None]:
        """Start this thread's driver, if it has none that answers; the result gives it back.

        The result may be called twice, in another thread, and in a forked child. Where it can't stop the driver, the
        driver stays for its thread's next session and ends with the thread.

        Raises:
            WrongThread: As check().
        """
        there, driver = self._there(), self._driver()
        if there and not driver.alive():
            driver.discard()  # killed from outside since its last use, or stopped
            driver = self._driver()
        return driver.take()

    def _there(self) -> bool:
        return (self._given is not None and self._given.at_home()) or is_there()

    def hold(self) -> Callable[[], None]:
        """Keep this thread's driver between its sessions, until the result is called; there or when the thread ends.

        In between, the thread can run asyncio, or another Playwright.

        Raises:
            WrongThread: As check().
        """
        return self._driver().hold()

    def connect(
        self, cdp_url: str, tabs: Tabs = tuple, folder: Path | None = None, limit_s: float | None = None
    ) -> Connection:
        """Connect this thread to the browser behind *cdp_url*. Gives up after *limit_s*, by default 30 seconds.

        *tabs* tells the ids (CDP's targetId) of the session's tabs, oldest first. It is asked where there are several:
        the browser lists them in no order, so that the first one can't be told from the others without it.
        *folder* is where downloads and traces go; whoever gives it removes it. Without it they go with the driver.

        Raises:
            WrongThread: As check().
            playwright.sync_api.Error: The browser can't be reached; the text holds nothing of *cdp_url*.
        """
        driver = self._driver()
        give_back = driver.take()  # a connection that fails may not stop it, or nobody could tell why it failed
        try:
            return _connect(driver, cdp_url, tabs, folder, limit_s)
        except Exception as error:
            if not self.is_driver_error(error) or driver.alive():
                raise
        finally:
            give_back()
        driver.discard()  # since it was started or looked at
        return _connect(self._driver(), cdp_url, tabs, folder, limit_s)

    def is_driver_error(self, error: BaseException) -> bool:
        """Whether *error* is Playwright's own, of its synchronous or its asynchronous API."""
        return is_driver_error(error)

    def _driver(self) -> Driver:
        given = self._given
        return given if given is not None and given.at_home() else own_driver()

    def __repr__(self) -> str:
        return f"<Pages on {'drivers of their own' if self._given is None else 'a given Playwright'}>"


class Connection:
    """This thread's connection to one session's browser."""

    def __init__(self, driver: Driver, give_back: Callable[[], None], browser: Browser, tabs: Tabs) -> None:
        self._driver = driver
        self._give_back = give_back
        self._browser = browser
        self._tabs = tabs
        self._closed = False
        self._page = _first_tab(browser, tabs)
        self._operated: operations.Tabs | None = None

    @property
    def page(self) -> Page:
        """The session's first tab; once that has been closed, the first of the others, or a new one.

        Raises:
            WrongThread: In another thread than the one that connected.
        """
        if not self._driver.at_home():
            raise WrongThread("this page belongs to the thread that connected it; ask the session for one here")
        if not self._closed and self._page.is_closed():
            self._page = _first_tab(self._browser, self._tabs)
        return self._page

    def connected(self) -> bool:
        """Whether the browser answers, as of now: False with a dead browser or driver, after close(), and elsewhere."""
        if self._closed or not self._driver.at_home():
            return False
        if not self._driver.alive():
            self._driver.discard()
            return False
        return self._browser.is_connected()

    def operate(self, action: Action) -> Performed:
        """Do *action* in the active tab: the first one until an action chooses another. Failures are outcomes."""
        from lifecycle_playwright import operations, steps

        if self._operated is None:
            self._operated = operations.Tabs(self.page, self._tabs)
        return steps.run(operations.operate(self._operated, action))

    def close(self) -> None:
        """Disconnect and leave the browser running. Idempotent; never raises.

        In another thread, and in a forked child, it does nothing: the connection ends with its browser or its thread.
        """
        if self._closed or not self._driver.at_home():
            return
        self._closed = True
        _disconnect(self._driver, self._give_back, self._browser)

    def __repr__(self) -> str:
        return f"<Connection {'closed' if self._closed else 'open'}>"


def _connect(driver: Driver, cdp_url: str, tabs: Tabs, folder: Path | None, limit_s: float | None) -> Connection:
    from playwright.sync_api import Error

    limit_s = CONNECT_S if limit_s is None else limit_s
    give_back = driver.take()
    browser: Browser | None = None
    try:
        # Playwright would make a folder of its own, and leave it when the driver is stopped with the connection open.
        at = folder or driver.folder()
        browser = driver.within(
            lambda: driver.playwright.chromium.connect_over_cdp(cdp_url, timeout=limit_s * 1000, artifacts_dir=at),
            limit_s + PATIENCE_S,
        )
        connected = browser
        return driver.within(lambda: Connection(driver, give_back, connected, tabs))
    except BaseException as error:
        _disconnect(driver, give_back, browser)
        if isinstance(error, asyncio.CancelledError):
            clean = Error(SILENT)
        elif isinstance(error, Error):
            clean = type(error)(without(cdp_url, error.message))
        else:
            raise
    raise clean  # out here, where the error that holds the URL is not even its context


def _disconnect(driver: Driver, give_back: Callable[[], None], browser: Browser | None) -> None:
    try:
        if browser is not None and not driver.last_use():
            driver.within(browser.close)
    except (Exception, asyncio.CancelledError) as error:
        swallowed("page_not_disconnected", error)
    finally:
        give_back()


def _first_tab(browser: Browser, tabs: Tabs) -> Page:
    from playwright.sync_api import Error

    context = browser.contexts[0]
    if not context.pages:
        with contextlib.suppress(Error):
            context.wait_for_event("page", timeout=TAB_WAIT_MS)
    pages = context.pages or [context.new_page()]
    return pages[0] if len(pages) == 1 else pages[first_by_age([_id(page) for page in pages], tabs())]


def _id(page: Page) -> str:
    """CDP's targetId of *page*. The browser itself answers, also while the page hangs."""
    from playwright.sync_api import Error

    try:
        # Ends with the connection; detach() would wait for a hung page.
        session: Any = page.context.new_cdp_session(page)
        return str(session.send("Target.getTargetInfo")["targetInfo"]["targetId"])
    except Error:  # closed in this moment
        return ""
