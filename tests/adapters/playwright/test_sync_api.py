"""Pages and connections in the threads that use them: connecting, losing, closing, and who may touch what."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from lifecycle.errors import InvalidConfig, WrongThread
from lifecycle_playwright import Pages, driver
from tests.adapters.playwright.world import drivers, gone, in_thread, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lifecycle.ports import Pages as PagesPort
    from lifecycle_playwright.sync_api import Connection
    from tests.adapters.playwright.world import Chromium

pytestmark = pytest.mark.browser


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def connection(pages: Pages, chromium: Chromium) -> Iterator[Connection]:
    made = pages.connect(chromium.cdp_url)
    yield made
    made.close()


def test_pages_is_the_port(pages: Pages) -> None:
    port: PagesPort = pages
    assert port.is_driver_error(ValueError()) is False


def test_a_connection_has_the_first_existing_tab(connection: Connection) -> None:
    assert isinstance(connection.page, Page)
    assert connection.page.url == "about:blank"
    assert len(connection.page.context.pages) == 1
    assert connection.page is connection.page
    assert connection.connected()


def test_reconnecting_finds_the_page_as_it_was_left(pages: Pages, chromium: Chromium) -> None:
    first = pages.connect(chromium.cdp_url)
    first.page.goto("data:text/html,<title>kept</title><input>")
    first.page.fill("input", "typed")
    first.page.evaluate("window.counter = 41")
    first.close()
    assert chromium.process.poll() is None
    again = pages.connect(chromium.cdp_url)
    assert again.page.title() == "kept"
    assert again.page.input_value("input") == "typed"
    assert again.page.evaluate("++window.counter") == 42
    again.close()


def test_among_several_tabs_the_first_is_the_oldest_that_is_left(pages: Pages, chromium: Chromium) -> None:
    """The browser lists them in no order that means anything; it takes several tabs to see that."""
    first = pages.connect(chromium.cdp_url)
    context = first.page.context
    tabs = [first.page, *(context.new_page() for _ in range(5))]
    sessions: list[Any] = [context.new_cdp_session(tab) for tab in tabs]
    ids = [str(session.send("Target.getTargetInfo")["targetInfo"]["targetId"]) for session in sessions]
    for number, tab in enumerate(tabs):
        tab.evaluate(f"document.title = {number}")
    again = pages.connect(chromium.cdp_url, lambda: ["gone", *ids])
    assert again.page.title() == "0"
    tabs[2].evaluate("setTimeout(() => { while (true); }, 0)")
    again.page.close()
    assert again.page.title() == "1"
    first.close()
    again.close()


def test_page_is_another_tab_once_the_first_is_closed_and_a_new_one_without_any(
    pages: Pages, chromium: Chromium
) -> None:
    connection = pages.connect(chromium.cdp_url)
    second = connection.page.context.new_page()
    connection.page.close()
    assert connection.page is second
    second.close()
    assert connection.page.title() == ""
    connection.page.close()
    connection.close()
    again = pages.connect(chromium.cdp_url)
    assert again.page.title() == ""
    assert len(again.page.context.pages) == 1
    again.close()


# --- the driver of a thread -------------------------------------------------------------------------------------------


def test_a_threads_sessions_share_one_driver_and_the_last_use_stops_it(pages: Pages, chromium: Chromium) -> None:
    pages.check()
    assert drivers() == []
    give_back = pages.warm()
    pages.check()
    [pid] = drivers()
    first = pages.connect(chromium.cdp_url)
    second = Pages().connect(chromium.cdp_url)
    assert drivers() == [pid]
    give_back()
    first.close()
    first.close()
    give_back()
    assert drivers() == [pid]
    assert second.page.title() == ""
    second.close()
    assert drivers() == []


def test_the_thread_is_free_for_asyncio_after_the_last_use(pages: Pages, chromium: Chromium) -> None:
    pages.connect(chromium.cdp_url).close()

    async def work() -> str:
        return "done"

    assert asyncio.run(work()) == "done"


def test_each_thread_has_its_own_driver_and_ends_only_that(pages: Pages, chromium: Chromium) -> None:
    mine = pages.connect(chromium.cdp_url)
    mine.page.evaluate("window.said = 'main'")

    def other() -> tuple[int, str]:
        connection = pages.connect(chromium.cdp_url)
        said = connection.page.evaluate("window.said")
        count = len(drivers())
        connection.close()
        return count, said

    assert in_thread(other) == (2, "main")
    assert len(drivers()) == 1
    assert mine.connected()
    assert mine.page.evaluate("window.said") == "main"
    mine.close()


def test_what_a_thread_leaves_behind_stops_when_the_thread_ends(pages: Pages, chromium: Chromium) -> None:
    left: list[Connection] = []

    def careless() -> int:
        pages.warm()
        left.append(pages.connect(chromium.cdp_url))
        return len(drivers())

    assert in_thread(careless) == 1
    until(lambda: drivers() == [], "the driver outlives its thread", seconds=2)
    assert chromium.process.poll() is None
    assert not left[0].connected()
    left[0].close()


def test_a_use_given_back_elsewhere_leaves_the_driver_to_its_thread(pages: Pages, chromium: Chromium) -> None:
    give_back = pages.warm()
    before = drivers()
    in_thread(give_back)
    in_thread(give_back)
    assert drivers() == before
    connection = pages.connect(chromium.cdp_url)
    assert drivers() == before
    assert connection.page.title() == ""
    connection.close()
    assert drivers() == []


def test_another_thread_never_touches_a_connection(connection: Connection) -> None:
    def other() -> None:
        with pytest.raises(WrongThread, match="the thread that connected it"):
            connection.page  # noqa: B018
        assert not connection.connected()
        connection.close()

    in_thread(other)
    assert connection.connected()
    assert connection.page.evaluate("1 + 1") == 2


def test_no_signal_handler_is_installed(pages: Pages, chromium: Chromium) -> None:
    numbers = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
    before = [signal.getsignal(number) for number in numbers]
    connection = pages.connect(chromium.cdp_url)
    assert [signal.getsignal(number) for number in numbers] == before
    connection.close()
    assert [signal.getsignal(number) for number in numbers] == before


# --- a driver that is held between sessions ---------------------------------------------------------------------------


def test_a_held_driver_waits_for_the_next_session_and_stops_when_it_is_let_go(pages: Pages, chromium: Chromium) -> None:
    let_go = pages.hold()
    [pid] = drivers()
    for _ in range(3):
        connection = pages.connect(chromium.cdp_url)
        assert connection.page.evaluate("1 + 1") == 2
        connection.close()
        assert drivers() == [pid]
    let_go()
    let_go()
    assert drivers() == []


def test_let_go_of_while_it_is_used_it_stops_with_its_last_use(pages: Pages, chromium: Chromium) -> None:
    let_go = pages.hold()
    connection = pages.connect(chromium.cdp_url)
    let_go()
    assert connection.page.evaluate("1 + 1") == 2
    connection.close()
    assert drivers() == []


def test_between_sessions_the_thread_is_free(pages: Pages, chromium: Chromium) -> None:
    """For asyncio, for another Playwright, and for a session that finds neither in its way afterwards."""

    async def nothing() -> str:
        await asyncio.sleep(0)
        with pytest.raises(WrongThread, match=r"lifecycle\.AsyncClient"):
            pages.connect(chromium.cdp_url)
        return "done"

    let_go = pages.hold()
    for _ in range(2):
        connection = pages.connect(chromium.cdp_url)
        connection.page.evaluate("1")
        connection.close()
        assert asyncio.run(nothing()) == "done"
        with sync_playwright() as other:
            assert other.chromium.connect_over_cdp(chromium.cdp_url).contexts
            with pytest.raises(WrongThread, match="started by other code"):
                pages.connect(chromium.cdp_url)
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
    let_go()
    assert drivers() == []


def test_a_held_driver_that_was_killed_is_replaced(pages: Pages, chromium: Chromium) -> None:
    let_go = pages.hold()
    pages.connect(chromium.cdp_url).close()
    [pid] = drivers()
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid), "the driver outlives SIGKILL")
    connection = pages.connect(chromium.cdp_url)
    assert connection.page.evaluate("1 + 1") == 2
    connection.close()
    let_go()
    assert drivers() == []


def test_a_page_of_an_ended_session_says_so_while_the_driver_is_parked(pages: Pages, chromium: Chromium) -> None:
    let_go = pages.hold()
    connection = pages.connect(chromium.cdp_url)
    page = connection.page
    connection.close()
    with pytest.raises((Error, RuntimeError)):
        page.title()
    again = pages.connect(chromium.cdp_url)
    assert again.page.evaluate("1 + 1") == 2
    again.close()
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"
    let_go()
    assert drivers() == []


def test_a_held_driver_ends_with_its_thread(pages: Pages, chromium: Chromium) -> None:
    kept: list[Callable[[], None]] = []

    def work() -> None:
        kept.append(pages.hold())
        pages.connect(chromium.cdp_url).close()
        assert len(drivers()) == 1

    in_thread(work)
    until(lambda: drivers() == [], "the driver outlives its thread", seconds=2)
    kept[0]()


# --- where Playwright forbids it --------------------------------------------------------------------------------------


def test_inside_a_running_loop_the_error_names_the_async_client(pages: Pages) -> None:
    async def coroutine() -> None:
        with pytest.raises(WrongThread, match=r"lifecycle\.AsyncClient"):
            pages.check()
        with pytest.raises(WrongThread, match=r"lifecycle\.AsyncClient"):
            pages.warm()
        with pytest.raises(WrongThread, match=r"lifecycle\.AsyncClient"):
            pages.connect("ws://127.0.0.1:1/")
        called: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(callback, called)
        assert "lifecycle.AsyncClient" in await called

    def callback(called: asyncio.Future[str]) -> None:
        try:
            pages.warm()
        except WrongThread as error:
            called.set_result(str(error))

    asyncio.run(coroutine())


def test_a_thread_beside_a_running_loop_may(pages: Pages, chromium: Chromium) -> None:
    async def coroutine() -> str:
        return await asyncio.to_thread(lambda: _title(pages, chromium))

    assert asyncio.run(coroutine()) == ""


def _title(pages: Pages, chromium: Chromium) -> str:
    connection = pages.connect(chromium.cdp_url)
    try:
        return connection.page.title()
    finally:
        connection.close()


def test_somebody_elses_playwright_in_this_thread_is_refused_and_can_be_given(chromium: Chromium) -> None:
    theirs = sync_playwright().start()
    try:
        with pytest.raises(WrongThread, match=r"Client\(playwright=playwright\)"):
            Pages().check()
        with pytest.raises(WrongThread, match=r"Client\(playwright=playwright\)"):
            Pages().warm()
        pages = Pages(theirs)
        pages.check()
        pages.warm()()
        connection = pages.connect(chromium.cdp_url)
        assert len(drivers()) == 1
        assert connection.page.title() == ""
        assert in_thread(lambda: (_title(pages, chromium), len(drivers()))) == ("", 1)
        connection.close()
        assert not connection.connected()
        assert theirs.chromium.connect_over_cdp(chromium.cdp_url).contexts
    finally:
        theirs.stop()


@pytest.mark.parametrize("wrong", [object(), "playwright", sync_playwright])
def test_what_is_given_must_be_a_playwright(wrong: object) -> None:
    with pytest.raises(InvalidConfig, match="playwright"):
        Pages(wrong)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # the point of the test


def test_a_driver_is_not_started_inside_a_greenlet(pages: Pages) -> None:
    import greenlet  # type: ignore[import-untyped] # its stubs are a package of their own

    def run() -> str:
        with pytest.raises(WrongThread, match="greenlet"):
            pages.check()
        with pytest.raises(WrongThread, match="greenlet") as caught:
            pages.warm()
        return str(caught.value)

    assert greenlet.greenlet(run).switch()


def test_an_event_handler_may_connect_and_its_last_use_waits_for_the_thread(pages: Pages, chromium: Chromium) -> None:
    """Stopping Playwright inside a handler would never return to it."""
    connection = pages.connect(chromium.cdp_url)
    seen: list[str] = []

    def handler(page: Page) -> None:
        inner = pages.connect(chromium.cdp_url)
        seen.append(inner.page.url)
        inner.close()
        connection.close()
        seen.append("went on")

    page = connection.page
    page.context.on("page", handler)
    page.evaluate("void window.open('about:blank')")
    with pytest.raises(Error):
        page.wait_for_timeout(5000)
    [pid] = drivers()
    other = pages.connect(chromium.cdp_url)
    assert seen == ["about:blank", "went on"]
    assert drivers() == [pid]
    other.close()
    assert drivers() == []


# --- losing what is at the other end ----------------------------------------------------------------------------------


def test_a_blocked_call_raises_when_the_browser_is_killed(connection: Connection, chromium: Chromium) -> None:
    killed: list[float] = []

    def kill() -> None:
        killed.append(time.monotonic())
        chromium.kill()

    threading.Timer(0.3, kill).start()
    with pytest.raises(Error) as caught:
        connection.page.wait_for_timeout(60_000)
    assert time.monotonic() - killed[0] < 20, "as long as it would have waited"
    assert Pages().is_driver_error(caught.value)
    assert not connection.connected()
    connection.close()
    assert drivers() == []


def test_a_death_that_no_call_was_waiting_for_is_seen(pages: Pages, chromium: Chromium) -> None:
    """No event arrives while the script sleeps; connected() takes in what came."""
    one = pages.connect(chromium.cdp_url)
    two = pages.connect(chromium.cdp_url)
    chromium.kill()
    until(lambda: not one.connected(), "the death is not seen", seconds=2)
    one.close()
    two.close()
    assert drivers() == []


def test_a_killed_driver_is_replaced_at_the_next_connect(pages: Pages, chromium: Chromium) -> None:
    give_back = pages.warm()
    lost = pages.connect(chromium.cdp_url)
    [pid] = drivers()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not lost.connected(), "the driver's death is not seen")
    again = pages.connect(chromium.cdp_url)
    [new] = drivers()
    assert new != pid
    assert again.page.title() == ""
    lost.close()
    give_back()
    assert again.connected()
    again.close()
    assert drivers() == []


def test_a_browser_that_cannot_be_reached_is_tried_once(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver that failed lives: a second try with another one would only wait as long again."""
    starts: list[object] = []
    start = driver._start  # pyright: ignore[reportPrivateUsage] # to count what it starts

    def counted() -> object:
        starts.append(started := start())
        return started

    monkeypatch.setattr(driver, "_start", counted)
    with pytest.raises(Error):
        pages.connect("ws://127.0.0.1:1/devtools/browser/none")
    assert (len(starts), drivers()) == (1, [])


def test_closing_with_a_hung_page_is_quick(pages: Pages, chromium: Chromium) -> None:
    give_back = pages.warm()
    connection = pages.connect(chromium.cdp_url)
    connection.page.evaluate("setTimeout(() => { while (true); }, 0)")
    began = time.monotonic()
    connection.close()
    give_back()
    assert time.monotonic() - began < 20
    assert chromium.process.poll() is None


def test_closing_the_last_connection_is_quick_even_with_a_hung_browser(pages: Pages, chromium: Chromium) -> None:
    connection = pages.connect(chromium.cdp_url)
    os.kill(chromium.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    connection.close()
    assert time.monotonic() - began < 20
    assert drivers() == []
