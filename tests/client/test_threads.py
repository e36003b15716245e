"""Sessions in threads and beside event loops: who may use which page, and what is refused before anything starts."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, TypeVar

import pytest

from lifecycle import Cause, Client, SessionStopped, State
from lifecycle.errors import LifecycleError, WrongThread
from tests.client.world import failing, inside, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle import Session
    from tests.client.world import World

pytestmark = pytest.mark.browser

T = TypeVar("T")


def together(*works: Callable[[], T]) -> list[T]:
    """What all of *works* return, each in a thread of its own; raises the first error."""
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(number: int, work: Callable[[], T]) -> None:
        try:
            results[number] = work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(works))]


def test_sessions_in_parallel_threads_of_one_client(client: Client, world: World) -> None:
    meeting = threading.Barrier(3)

    def visit(path: str) -> tuple[str, str]:
        with client.Session() as session:
            session.page.goto(world.site + path)
            meeting.wait(60)  # all of them live at this moment
            return session.session_id, session.page.title()

    found = together(*(lambda path=path: visit(path) for path in ("/", "/second", "/form")))
    assert [title for _, title in found] == ["/", "/second", "/form"]
    views = [client.sessions.get(session_id) for session_id, _ in found]
    assert {(view.status, view.cause) for view in views} == {(State.CLOSED, Cause.STOPPED)}
    assert len({view.session_id for view in views}) == 3


def test_one_session_used_in_two_threads(client: Client, world: World) -> None:
    """Each thread gets a connection of its own to the same tab."""
    with client.Session() as session:
        session.page.goto(world.site + "/form")
        session.page.fill("input", "main")

        def other() -> str:
            found: str = session.page.input_value("input")
            session.page.fill("input", "other")
            return found

        assert together(other, lambda: session.page.evaluate("document.title")) == ["main", "/form"]
        assert session.page.input_value("input") == "other"
        until(lambda: len(world.drivers()) == 1, "the other threads' drivers are left")


def test_a_page_handed_to_another_thread_is_refused_there_and_stays_well(client: Client, world: World) -> None:
    import greenlet  # type: ignore[import-untyped] # its stubs are a package of their own

    with client.Session() as session:
        page = session.page
        page.goto(world.site)
        with pytest.raises(greenlet.error):
            together(page.title)
        assert page.title() == "/"


def test_a_session_started_here_and_used_only_elsewhere(client: Client, world: World) -> None:
    with client.Session(page=False) as session:
        assert world.drivers() == []

        def elsewhere() -> str:
            session.page.goto(world.site)
            title: str = session.page.title()
            return title

        assert together(elsewhere) == ["/"]
        until(lambda: world.drivers() == [], "the other thread's driver is left")


def test_a_session_stopped_by_another_thread_than_its_own(client: Client, world: World) -> None:
    session = client.Session().start()
    session.page.goto(world.site)
    together(session.stop)
    assert session.status().cause is Cause.STOPPED
    with pytest.raises(LifecycleError, match="closed"):
        session.page  # noqa: B018
    session.stop()
    assert world.drivers() == []


def test_nested_sessions_of_one_thread_share_a_driver(client: Client, world: World) -> None:
    with client.Session() as outer, client.Session() as inner:
        outer.page.goto(world.site)
        inner.page.goto(world.site + "/second")
        assert len(world.drivers()) == 1
        inner.stop()
        assert len(world.drivers()) == 1
        assert outer.page.title() == "/"
    assert world.drivers() == []


def test_one_session_after_the_other_leaves_the_thread_clean_between_them(client: Client, world: World) -> None:
    for path in ("/", "/second"):
        with client.Session() as session:
            session.page.goto(world.site + path)
        assert world.drivers() == []

        async def nothing() -> None:
            """asyncio.run refuses a thread in which a loop is marked as running."""

        asyncio.run(nothing())


def test_inside_a_running_loop_nothing_starts_and_the_error_names_the_async_client(
    client: Client, world: World
) -> None:
    async def starts() -> None:
        for way in (lambda: client.Session().start(), lambda: inside(client.Session(), failing(AssertionError()))):
            with pytest.raises(WrongThread, match=r"lifecycle\.AsyncClient"):
                way()

    asyncio.run(starts())
    assert client.sessions.count() == 0
    assert world.processes() == []


def test_inside_a_running_loop_a_session_without_pages_is_fine(client: Client) -> None:
    async def starts() -> str:
        with client.Session(page=False) as session:
            with pytest.raises(WrongThread, match=r"lifecycle\.AsyncClient"):
                session.page  # noqa: B018
            return session.session_id

    session_id = asyncio.run(starts())
    assert client.sessions.get(session_id).cause is Cause.STOPPED


def test_a_thread_beside_a_running_loop(client: Client, world: World) -> None:
    def visit() -> str:
        with client.Session() as session:
            session.page.goto(world.site)
            title: str = session.page.title()
            return title

    async def coroutine() -> str:
        return await asyncio.to_thread(visit)

    assert asyncio.run(coroutine()) == "/"


def test_the_users_own_playwright_in_the_same_thread(world: World) -> None:
    from playwright.sync_api import sync_playwright

    from lifecycle_chromium import ChromiumHost

    host = ChromiumHost()
    try:
        with sync_playwright() as playwright:
            plain = Client(world.log, browser=host)
            with pytest.raises(WrongThread, match=r"Client\(playwright=playwright\)"):
                plain.Session().start()
            assert plain.sessions.count() == 0
            sharing = Client(world.log, browser=host, playwright=playwright)
            with sharing.Session() as session:
                session.page.goto(world.site)
                assert session.page.title() == "/"
                mine = playwright.chromium.connect_over_cdp(session.cdp_url())
                assert mine.contexts[0].pages[0].title() == "/"
            assert len(world.drivers()) == 1
            plain.close()
            sharing.close()
    finally:
        host.close()


def test_an_error_of_the_users_own_driver_is_explained_too(client: Client, world: World) -> None:
    """The script connects to cdp_url() by itself; the session is stopped underneath it."""
    from playwright.sync_api import sync_playwright

    def own(session: Session) -> None:
        with sync_playwright() as playwright:
            folder = world.folder / "artifacts"  # Playwright would leave one of its own
            browser = playwright.chromium.connect_over_cdp(session.cdp_url(), artifacts_dir=folder)
            threading.Timer(0.3, session.stop).start()
            browser.contexts[0].pages[0].wait_for_timeout(60_000)

    with pytest.raises(SessionStopped):
        inside(client.Session(page=False), own)


def test_a_download_belongs_to_its_session(client: Client, world: World) -> None:
    with client.Session() as session:
        page = session.page
        page.goto(world.site)
        page.evaluate("document.body.innerHTML = '<a download=a.txt href=\"data:text/plain,hello\">get</a>'")
        with page.expect_download() as waiting:
            page.click("a")
        path = waiting.value.path()
        assert path.read_text() == "hello"
        assert world.folder in path.parents
    assert not path.exists()


def test_starting_and_stopping_over_and_over_in_threads(client: Client, world: World) -> None:
    """Many short sessions beside each other: no deadlock, and each has one ending."""

    def short() -> list[str]:
        ids: list[str] = []
        for _ in range(3):
            with client.Session(page=False) as session:
                ids.append(session.session_id)
        return ids

    began = time.monotonic()
    ids = [session_id for found in together(short, short, short) for session_id in found]
    assert time.monotonic() - began < 60
    for session_id in ids:
        assert world.types(session_id) == ["created", "started", "closed", "released"]


def test_a_stop_in_a_pages_event_handler(client: Client, world: World) -> None:
    def stops(session: Session) -> None:
        def stop(_: object) -> None:
            session.stop()

        session.page.on("console", stop)
        session.page.evaluate("setTimeout(() => console.log('now'), 100)")
        session.page.wait_for_timeout(60_000)

    session = client.Session()
    with pytest.raises(SessionStopped):
        inside(session, stops)
    assert world.types(session.session_id) == ["created", "started", "closed", "released"]
    with client.Session() as following:  # whose end stops the driver too, which the handler could not
        following.page.goto(world.site)
    assert world.drivers() == []


def test_a_signal_handler_that_raises_inside_a_call(client: Client, world: World) -> None:
    class TooSlow(Exception):
        """As pytest-timeout and many a script do it."""

    def late(*_: object) -> None:
        raise TooSlow

    def waits(session: Session) -> None:
        session.page.goto(world.site)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(TooSlow):
            session.page.wait_for_timeout(60_000)
        assert session.page.title() == "/"
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        session.page.wait_for_timeout(60_000)

    before = signal.signal(signal.SIGALRM, late)
    session = client.Session()
    try:
        with pytest.raises(TooSlow):
            inside(session, waits)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert client.sessions.get(session.session_id).cause is Cause.EXCEPTION
