"""A lifecycle for browsers that somebody else launched, in both twins: every ending recorded, nothing ended with it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright import async_api, sync_api

from lifecycle import AsyncClient, Cause, Client, InvalidConfig, Session, SessionView, State
from lifecycle.core import Event
from lifecycle.core.events import SessionReleased, SessionStarted
from lifecycle.errors import BrowserLost, NoGate, SessionStopped, SessionTimedOut, WrongThread
from lifecycle.log.codec import decode
from lifecycle_chromium.find import find_browser, sandbox_args
from lifecycle_playwright import attach
from tests.adapters.playwright.world import Chromium, drivers, until

pytestmark = pytest.mark.browser

_BINARY = find_browser(headless=True).path
_LAUNCH: dict[str, Any] = {"executable_path": str(_BINARY), "args": sandbox_args(_BINARY)[0]}
_TITLE = "data:text/html,<title>theirs</title><button>Go</button>"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(tmp_path / "log.db", actor="tester") as made:
        yield made


@pytest.fixture
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(**_LAUNCH)


def run(path: Path, body: Callable[[AsyncClient, async_api.Browser], Awaitable[None]]) -> None:
    """Run *body* with an AsyncClient and a browser of its loop."""

    async def whole() -> None:
        async with async_api.async_playwright() as playwright, AsyncClient(path / "log.db") as client:
            await body(client, await playwright.chromium.launch(**_LAUNCH))

    asyncio.run(whole())


def history(client: Client, session_id: str) -> list[Event]:
    return [decode(row) for row in client.log.read(session_id)]


def released(client: Client, session_id: str) -> str:
    """How the session was released; that is its last event, after one ending."""
    events = history(client, session_id)
    assert sum(event.type in ("session.closed", "session.failed", "session.timed_out") for event in events) == 1
    last = events[-1]
    assert isinstance(last, SessionReleased)
    return last.how


def pid_of(browser: Any) -> int:
    session = browser.new_browser_cdp_session()
    pid = _browser_of(session.send("SystemInfo.getProcessInfo"))
    session.detach()
    return pid


async def pid_of_async(browser: Any) -> int:
    session = await browser.new_browser_cdp_session()
    pid = _browser_of(await session.send("SystemInfo.getProcessInfo"))
    await session.detach()
    return pid


def _browser_of(answer: Any) -> int:
    [pid] = [one["id"] for one in answer["processInfo"] if one["type"] == "browser"]
    return int(pid)


def inside(session: Session, work: Callable[[Session], object]) -> SessionView:
    with session:
        work(session)
    return session.status()


def failing(error: BaseException) -> Callable[[object], None]:
    def work(_: object) -> None:
        raise error

    return work


def test_a_block_uses_it_records_it_and_leaves_it_running(client: Client, browser: sync_api.Browser) -> None:
    page = browser.new_context().new_page()
    page.goto(_TITLE)
    attached = attach(client, browser, labels={"job": "theirs"}, correlation_id="order-9", causation_id="message-3")
    with attached as session:
        assert session.page is page
        assert len(drivers()) == 1, "a second driver was started"
        assert session.observe().title == "theirs"
        assert session.execute(type="evaluate_js", code="1 + 1").data == 2
        session.touch()
        session.annotate("step", {"number": 1})
        session.set_cookies([{"name": "a", "value": "b", "domain": "example.com"}])
        assert [cookie["name"] for cookie in session.get_cookies()] == ["a"]
        now = session.extend(minutes=30)
        assert (now.status, now.browser, now.idle_timeout_minutes) == (State.ACTIVE, "attached", None)
        assert now.headless is None, "nobody can know"
        for refused in (session.cdp_url, session.viewer_url):
            with pytest.raises(NoGate, match="launched"):
                refused()
    assert page.title() == "theirs"
    assert (session.status().cause, released(client, session.session_id)) == (Cause.STOPPED, "left_running")
    [started] = [event for event in history(client, session.session_id) if isinstance(event, SessionStarted)]
    assert (started.ownership, started.attached_to) == ("attached", "browser")
    assert started.browser_version == f"chromium/{browser.version}"
    assert client.sessions.list(labels={"job": "theirs"})[0].session_id == session.session_id
    carried = {(step.correlation_id, step.causation_id) for step in client.history(session.session_id)}
    assert carried == {("order-9", "message-3")}
    assert "close" not in vars(browser), "their object was not left as it was"


def test_the_async_twin_does_the_same(tmp_path: Path, client: Client) -> None:
    async def body(twin: AsyncClient, browser: async_api.Browser) -> None:
        page = await (await browser.new_context()).new_page()
        await page.goto(_TITLE)
        async with attach(twin, browser, labels={"job": "theirs"}, correlation_id="order-9") as session:
            assert session.page is page
            assert len(drivers()) == 1, "a second driver was started"
            assert (await session.observe()).title == "theirs"
            await session.touch()
            await session.annotate("step")
            await session.set_cookies([{"name": "a", "value": "b", "domain": "example.com"}])
            assert [cookie["name"] for cookie in await session.get_cookies()] == ["a"]
            assert (await session.extend(minutes=30)).idle_timeout_minutes is None
            for refused in (session.cdp_url, session.viewer_url):
                with pytest.raises(NoGate):
                    await refused()
        assert await page.title() == "theirs"
        assert released(client, session.session_id) == "left_running"
        assert {step.correlation_id for step in client.history(session.session_id)} == {"order-9"}
        assert "close" not in vars(browser)

    run(tmp_path, body)


ENDINGS = [
    (ValueError("mine"), State.ERROR, Cause.EXCEPTION),
    (SystemExit(0), State.CLOSED, Cause.EXITED),
    (KeyboardInterrupt(), State.CLOSED, Cause.INTERRUPTED),
]


def test_a_block_ends_as_every_block_does(client: Client, browser: sync_api.Browser) -> None:
    for error, status, cause in ENDINGS:
        session = attach(client, browser)
        with pytest.raises(type(error)):
            inside(session, failing(error))
        assert (session.status().status, session.status().cause) == (status, cause)
        assert released(client, session.session_id) == "left_running"
    assert browser.is_connected()


def test_a_cancelled_block_is_cancelled(tmp_path: Path, client: Client) -> None:
    async def body(twin: AsyncClient, browser: async_api.Browser) -> None:
        session = attach(twin, browser)

        async def block() -> None:
            async with session:
                entered.set()
                await asyncio.Event().wait()

        entered = asyncio.Event()
        task = asyncio.create_task(block())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await session.status()).cause is Cause.CANCELLED
        assert released(client, session.session_id) == "left_running"
        assert browser.is_connected()
        assert browser.contexts == [], "the page that was opened for the session was left open"

    run(tmp_path, body)


def test_a_page_that_was_opened_for_the_session_goes_with_it(client: Client, browser: sync_api.Browser) -> None:
    context = browser.new_context()
    with attach(client, context) as session:
        assert context.pages == []
        session.page.goto(_TITLE)
        assert len(context.pages) == 1
    assert context.pages == []
    [started] = [event for event in history(client, session.session_id) if isinstance(event, SessionStarted)]
    assert started.attached_to == "context"


@pytest.mark.parametrize("whole", [True, False], ids=["browser", "context"])
def test_it_is_closed_at_the_end_where_that_is_asked_for(
    client: Client, browser: sync_api.Browser, whole: bool
) -> None:
    context = browser.new_context()
    with attach(client, browser if whole else context, close=True) as session:
        session.page.goto(_TITLE)
    assert (session.status().cause, released(client, session.session_id)) == (Cause.STOPPED, "graceful")
    assert browser.is_connected() is not whole
    assert context.is_closed()


def test_it_is_closed_at_the_end_in_the_async_twin_too(tmp_path: Path, client: Client) -> None:
    async def body(twin: AsyncClient, browser: async_api.Browser) -> None:
        session = await attach(twin, browser, close=True, page=False).start()
        ending = await session.stop()
        assert ending is not None
        assert (ending.cause, released(client, session.session_id)) == (Cause.STOPPED, "graceful")
        assert not browser.is_connected()

    run(tmp_path, body)


def test_the_scripts_own_close_is_told_from_a_loss(client: Client, browser: sync_api.Browser) -> None:
    def close_it(_: Session) -> None:
        browser.close()

    session = attach(client, browser)
    ended = inside(session, close_it)
    assert (ended.status, ended.cause) == (State.CLOSED, Cause.BROWSER_CLOSED)
    assert released(client, session.session_id) == "graceful"


def test_a_context_that_is_closed_while_its_browser_lives_was_closed(client: Client, browser: sync_api.Browser) -> None:
    page = browser.new_page()  # closing it closes its context, without a call of the context's close()
    ended = inside(attach(client, page.context), lambda _: page.close())
    assert (ended.status, ended.cause) == (State.CLOSED, Cause.BROWSER_CLOSED)
    assert browser.is_connected()


@pytest.mark.parametrize("whole", [True, False], ids=["browser", "context"])
def test_a_browser_that_is_killed_is_lost(client: Client, browser: sync_api.Browser, whole: bool) -> None:
    context = browser.new_context()
    page = context.new_page()
    pid = pid_of(browser)

    def lose(_: Session) -> None:
        os.kill(pid, signal.SIGKILL)
        page.wait_for_timeout(60_000)

    session = attach(client, browser if whole else context)
    with pytest.raises(BrowserLost) as lost:
        inside(session, lose)
    assert (lost.value.view.status, lost.value.view.cause) == (State.ERROR, Cause.BROWSER_LOST)
    assert released(client, session.session_id) == "detached"


def test_a_loss_is_found_at_the_end_of_a_block_that_did_not_notice(client: Client, browser: sync_api.Browser) -> None:
    pid = pid_of(browser)
    ended = inside(attach(client, browser), lambda _: os.kill(pid, signal.SIGKILL))
    assert ended.cause is Cause.BROWSER_LOST


def test_a_browser_that_is_killed_is_lost_in_the_async_twin_too(tmp_path: Path, client: Client) -> None:
    async def body(twin: AsyncClient, browser: async_api.Browser) -> None:
        session = await attach(twin, browser).start()
        os.kill(await pid_of_async(browser), signal.SIGKILL)
        # nobody asks the browser anything
        ended = lambda: client.sessions.get(session.session_id).status is State.ERROR  # noqa: E731
        await asyncio.to_thread(until, ended, "the loss was not recorded")
        with pytest.raises(BrowserLost):
            await session.touch()
        await session.stop()
        assert (await session.status()).cause is Cause.BROWSER_LOST
        assert released(client, session.session_id) == "detached"

    run(tmp_path, body)


def test_a_persistent_context_and_one_connected_over_cdp(client: Client, tmp_path: Path) -> None:
    with sync_api.sync_playwright() as playwright:
        args = [*_LAUNCH["args"], "--remote-debugging-port=0"]
        profile = tmp_path / "profile"
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=_LAUNCH["executable_path"], args=args
        )
        inside(attach(client, context), lambda session: session.page.goto(_TITLE))
        port = (profile / "DevToolsActivePort").read_text().split("\n")[0]
        connected = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        session = attach(client, connected)
        inside(session, lambda session: session.page.title() == "theirs")
        assert released(client, session.session_id) == "left_running"
        assert context.pages[0].title() == "theirs"
        context.close()


def test_what_is_gone_is_refused_and_nothing_is_recorded(client: Client, browser: sync_api.Browser) -> None:
    context = browser.new_context()
    context.close()
    with pytest.raises(InvalidConfig, match="closed"):
        attach(client, context).start()
    browser.close()
    with pytest.raises(InvalidConfig, match="gone"):
        attach(client, browser).start()
    assert client.sessions.count() == 0


def test_what_is_gone_is_refused_in_the_async_twin_too(tmp_path: Path, client: Client) -> None:
    async def body(twin: AsyncClient, browser: async_api.Browser) -> None:
        await browser.close()
        with pytest.raises(InvalidConfig, match="gone"):
            await attach(twin, browser).start()

    run(tmp_path, body)
    assert client.sessions.count() == 0


def test_one_session_at_a_time(client: Client, browser: sync_api.Browser) -> None:
    context = browser.new_context()
    with attach(client, context) as session:
        with pytest.raises(InvalidConfig, match=session.session_id):
            attach(client, context).start()
        with attach(client, browser.new_context()):
            assert client.sessions.count(status="active") == 2
    with attach(client, context):
        assert client.sessions.count(status="active") == 1
    assert client.sessions.count() == 3


@pytest.mark.parametrize("wrong", [None, "browser", 5])
def test_what_is_no_browser_is_refused(client: Client, wrong: Any) -> None:
    with pytest.raises(InvalidConfig, match="browser_or_context"):
        attach(client, wrong)


def test_the_other_twins_objects_and_threads_are_refused(client: Client, browser: sync_api.Browser) -> None:
    other: Any = AsyncClient()
    with pytest.raises(InvalidConfig, match="asynchronous"):
        attach(other, browser)
    other.close()
    with pytest.raises(InvalidConfig, match="close"):
        attach(client, browser, close=1)  # type: ignore[call-overload] # what users write
    with pytest.raises(InvalidConfig, match="max_duration"):
        attach(client, browser, max_duration_minutes=0)
    found: list[BaseException] = []

    def elsewhere() -> None:
        try:
            attach(client, browser)
        except WrongThread as error:
            found.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(found) == 1


def test_a_deadline_is_recorded_late_and_ends_nothing(client: Client, browser: sync_api.Browser) -> None:
    page = browser.new_page()
    session = attach(client, browser, idle_timeout_minutes=1 / 60).start()
    until(lambda: session.status().status is State.TIMED_OUT, "not timed out")
    with pytest.raises(SessionTimedOut):
        session.touch()
    until(lambda: history(client, session.session_id)[-1].type == "session.released", "not released")
    assert session.status().closed_at == session.status().deadline
    assert released(client, session.session_id) == "left_running"
    session.stop()
    page.goto(_TITLE)
    assert session.status().cause is Cause.IDLE


def other_process(text: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


GUEST = """
import sys
from lifecycle import Client
from lifecycle.errors import NoGate
with Client(sys.argv[1]) as client, client.Session(sys.argv[2]) as session:
    session.annotate("guest")
    for way in (lambda: session.page, session.cdp_url, session.viewer_url, session.get_cookies, session.observe):
        try:
            way()
        except NoGate as error:
            continue
        print("not refused", way)
    ending = session.stop()
    print(ending.status, ending.cause)
"""


def test_another_process_stops_it_and_the_owner_learns_of_it(
    client: Client, browser: sync_api.Browser, tmp_path: Path
) -> None:
    session = attach(client, browser).start()
    assert other_process(GUEST, tmp_path / "log.db", session.session_id) == "closed stopped"
    with pytest.raises(SessionStopped):
        session.touch()
    assert released(client, session.session_id) == "left_running"
    assert browser.is_connected()
    ending = session.stop()
    assert ending is not None
    assert ending.cause is Cause.STOPPED


def test_the_command_copes_with_it(client: Client, browser: sync_api.Browser, tmp_path: Path) -> None:
    command = "from lifecycle.cli import main; main()"
    with attach(client, browser) as session:
        for words in (["list"], ["show", session.session_id], ["reconcile"], ["stop", session.session_id]):
            printed = other_process(command, *words, "--log", tmp_path / "log.db")
            assert words == ["reconcile"] or session.session_id in printed
        assert "left_running" in printed
    assert session.status().cause is Cause.STOPPED


OWNER = """
import sys, time
from playwright.sync_api import sync_playwright
from lifecycle import Client
from lifecycle_playwright import attach
with sync_playwright() as playwright:
    session = attach(Client(sys.argv[1]), playwright.chromium.connect_over_cdp(sys.argv[2])).start()
    print(session.session_id, flush=True)
    time.sleep(60)
"""


def test_the_death_of_its_owner_is_recorded_by_the_next_reconcile(
    client: Client, chromium: Chromium, tmp_path: Path
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "log.db"), chromium.cdp_url], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    session_id = owner.stdout.readline().strip()
    assert client.reconcile() == []
    owner.kill()
    owner.communicate()
    [done] = client.reconcile()
    assert (done.session_id, done.cause, done.how) == (session_id, "owner_exited", "left_running")
    assert client.sessions.get(session_id).status is State.CLOSED
    assert released(client, session_id) == "left_running"
    assert client.reconcile() == []
    assert chromium.process.poll() is None
