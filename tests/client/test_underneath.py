"""A session that ends underneath its script: what the script gets, what the log says, and how soon."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lifecycle import BrowserLost, Cause, SessionEnded, SessionStopped, SessionTimedOut, State
from lifecycle_chromium.process import identify, is_alive
from tests.client.world import failing, inside, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle import Client, Session
    from lifecycle.log.port import Recorded
    from tests.client.world import World

pytestmark = pytest.mark.browser

#: Idle timeout, in minutes, of a session that shall time out soon, but not before a busy machine has started it.
SOON = 3 / 60
#: How late an ending may be recorded on a busy machine. On an idle one it is some ten milliseconds.
LATE_S = 1.5


def _the(world: World, session_id: str, event_type: str) -> Recorded:
    [row] = [row for row in world.rows(session_id) if row.type == f"session.{event_type}"]
    return row


BLOCKED: dict[str, Callable[[Session, str], object]] = {
    "wait_for_timeout": lambda session, site: session.page.wait_for_timeout(60_000),
    "goto a page that never answers": lambda session, site: session.page.goto(site + "/never", timeout=60_000),
    "a page in an endless loop": lambda session, site: session.page.evaluate("() => { while (true); }"),
    "waiting for a selector": lambda session, site: session.page.wait_for_selector("#never", timeout=60_000),
}


@pytest.mark.parametrize("call", BLOCKED)
def test_a_deadline_frees_a_blocked_call(call: str, client: Client, world: World) -> None:
    # Playwright asks the page again and again whether the selector is there: that is use, and never idle.
    limit = "max_duration" if call == "waiting for a selector" else "idle"
    session = (
        client.Session(idle_timeout_minutes=SOON) if limit == "idle" else client.Session(max_duration_minutes=SOON)
    )
    with pytest.raises(SessionTimedOut) as caught:
        inside(session, lambda it: BLOCKED[call](it, world.site))
    freed = time.time()
    assert type(caught.value.__cause__).__module__.startswith("playwright")
    view = caught.value.view
    assert (view.status, view.cause) == (State.TIMED_OUT, limit)
    assert view.closed_at == view.deadline
    assert view.session_id == session.session_id
    assert world.types(session.session_id) == ["created", "started", "timed_out", "released"]
    row = _the(world, session.session_id, "timed_out")
    late = (row.recorded_at - row.at) / 1e6
    assert 0 <= late < LATE_S
    assert freed - row.at / 1e6 < LATE_S + 5


def test_max_duration_ends_a_session_in_use(client: Client, world: World) -> None:
    session = client.Session(idle_timeout_minutes=SOON, max_duration_minutes=4 / 60)

    def busy(it: Session) -> None:
        while True:
            it.page.title()
            it.page.wait_for_timeout(50)

    with pytest.raises(SessionTimedOut) as caught:
        inside(session, busy)
    assert caught.value.view.cause is Cause.MAX_DURATION
    assert caught.value.view.duration == timedelta(seconds=4)


def test_use_keeps_a_session_alive_past_its_idle_timeout(client: Client) -> None:
    with client.Session(idle_timeout_minutes=SOON) as session:
        created = session.status().created_at
        end = time.monotonic() + 2 * SOON * 60 + 0.5
        while time.monotonic() < end:
            session.page.evaluate("1")
            session.page.wait_for_timeout(100)
        assert session.status().status is State.ACTIVE
        assert session.status().deadline > created + timedelta(minutes=2 * SOON)


def test_after_the_deadline_every_use_says_so(client: Client, world: World) -> None:
    with client.Session(idle_timeout_minutes=SOON) as session:
        session.page.goto(world.site)
        until(lambda: world.types(session.session_id)[-1] == "released", "no deadline")
        uses: list[Callable[[], object]] = [
            lambda: session.page,
            session.cdp_url,
            session.touch,
            lambda: session.extend(minutes=5),
            lambda: session.annotate("late"),
        ]
        for use in uses:
            with pytest.raises(SessionTimedOut, match="timed_out"):
                use()
        assert session.stop() == session.status()
    assert client.sessions.get(session.session_id).cause is Cause.IDLE
    assert world.types(session.session_id) == ["created", "started", "timed_out", "released"]


def test_a_block_left_normally_after_the_deadline_is_no_error(client: Client) -> None:
    with client.Session(page=False, idle_timeout_minutes=SOON) as session:
        until(lambda: session.status().status is State.TIMED_OUT, "no deadline")
    assert session.response is not None
    assert (session.response.status, session.response.cause) == (State.TIMED_OUT, Cause.IDLE)


def test_the_scripts_own_exception_after_the_deadline_stays(client: Client, world: World) -> None:
    session = client.Session(page=False, idle_timeout_minutes=SOON)

    def late(it: Session) -> None:
        until(lambda: it.status().status is State.TIMED_OUT, "no deadline")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        inside(session, late)
    assert getattr(caught.value, "__notes__", []) == []
    assert client.sessions.get(session.session_id).status is State.TIMED_OUT
    assert world.types(session.session_id) == ["created", "started", "timed_out", "released"]


def test_a_stop_that_comes_late_records_the_timeout(client: Client, world: World) -> None:
    """With its keeper stopped nobody notices D but the stop itself, or the guard two seconds later."""
    session = client.Session(page=False, idle_timeout_minutes=SOON).start()
    keeper = client.log.read(session.session_id)[0].data
    pid = int(keeper.partition('"keeper":')[2].partition('"pid":')[2].partition(",")[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: session.status().status is State.TIMED_OUT, "no deadline")
        ending = session.stop()
    finally:
        world.end_process(pid)
    assert ending is not None
    assert (ending.status, ending.cause, ending.closed_at) == (State.TIMED_OUT, Cause.IDLE, ending.deadline)
    assert world.types(session.session_id) == ["created", "started", "timed_out", "released"]


# --- the browser goes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", BLOCKED)
def test_a_killed_browser_frees_a_blocked_call(call: str, client: Client, world: World) -> None:
    session = client.Session()
    killed: list[float] = []

    def kill(pid: int) -> None:
        killed.append(time.time())
        os.kill(pid, signal.SIGKILL)

    def blocked(it: Session) -> None:
        it.page.goto(world.site)
        threading.Timer(0.5, kill, [world.browser_pid(it)]).start()
        BLOCKED[call](it, world.site)

    with pytest.raises(BrowserLost) as caught:
        inside(session, blocked)
    freed = time.time()
    assert type(caught.value.__cause__).__module__.startswith("playwright")
    assert (caught.value.view.status, caught.value.view.cause) == (State.ERROR, Cause.BROWSER_CRASHED)
    row = _the(world, session.session_id, "failed")
    [event] = [event for event in world.history(session.session_id) if event.type == "session.failed"]
    assert getattr(event, "evidence", {})["signal"] == signal.SIGKILL
    assert freed - killed[0] < LATE_S + 5
    assert row.recorded_at / 1e6 - killed[0] < LATE_S
    assert world.types(session.session_id) == ["created", "started", "failed", "released"]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_the_history_says_how_the_browser_went(number: signal.Signals, client: Client, world: World) -> None:
    session = client.Session().start()
    session.page.goto(world.site)
    os.kill(world.browser_pid(session), number)
    until(lambda: world.types(session.session_id)[-1] == "released", "never released")
    with pytest.raises(BrowserLost, match="browser_crashed"):
        session.page  # noqa: B018
    view = session.stop()
    assert view is not None
    assert (view.status, view.cause) == (State.ERROR, Cause.BROWSER_CRASHED)
    [event] = [event for event in world.history(session.session_id) if event.type == "session.failed"]
    assert getattr(event, "evidence", {})["signal"] == number


def test_a_page_that_asks_the_browser_to_close_by_itself(client: Client, world: World) -> None:
    """A client that sends Browser.close, as `browser.close()` of a launched browser does: nobody crashed."""
    session = client.Session()

    def closes(it: Session) -> None:
        browser = it.page.context.browser
        browser.new_browser_cdp_session().send("Browser.close")
        it.page.wait_for_timeout(60_000)

    with pytest.raises(BrowserLost):
        inside(session, closes)
    view = client.sessions.get(session.session_id)
    assert (view.status, view.cause) == (State.CLOSED, Cause.BROWSER_CLOSED)


def test_disconnecting_playwrights_browser_ends_nothing(client: Client, world: World) -> None:
    """`browser.close()` on a connected browser only disconnects; the next use of `page` connects again."""
    with client.Session() as session:
        session.page.goto(world.site)
        session.page.context.browser.close()
        assert session.status().status is State.ACTIVE
        assert session.page.title() == "/"
    assert client.sessions.get(session.session_id).cause is Cause.STOPPED


def test_a_browser_that_dies_while_the_script_sleeps(client: Client, world: World) -> None:
    session = client.Session()

    def sleeps(it: Session) -> None:
        page = it.page
        os.kill(world.browser_pid(it), signal.SIGKILL)
        until(lambda: it.status().status is State.ERROR, "the death is not recorded")
        page.evaluate("1")

    with pytest.raises(BrowserLost):
        inside(session, sleeps)


def test_the_scripts_own_exception_after_a_death_stays(client: Client, world: World) -> None:
    session = client.Session(page=False)

    def dies(it: Session) -> None:
        os.kill(world.browser_pid(it), signal.SIGKILL)
        until(lambda: it.status().status is State.ERROR, "the death is not recorded")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        inside(session, dies)
    assert getattr(caught.value, "__notes__", []) == []
    assert client.sessions.get(session.session_id).cause is Cause.BROWSER_CRASHED


def test_a_crashed_page_is_not_a_crashed_browser(client: Client, world: World) -> None:
    from playwright.sync_api import Error

    session = client.Session().start()
    page = session.page
    with pytest.raises(Error):
        page.goto("chrome://crash")
    assert session.status().status is State.ACTIVE
    page.context.new_page()
    until(
        lambda: "session.page_crashed" in [row.type for row in world.rows(session.session_id)],
        "the page's crash is not in the history",
    )
    with pytest.raises(Error):
        page.goto(world.site)
    assert session.status().status is State.ACTIVE
    session.stop()


def test_a_killed_playwright_driver_ends_nothing_and_page_comes_back(client: Client, world: World) -> None:
    with client.Session() as session:
        session.page.goto(world.site)
        [pid] = world.drivers()
        os.kill(pid, signal.SIGKILL)
        assert session.page.title() == "/"
    assert client.sessions.get(session.session_id).cause is Cause.STOPPED


def test_a_call_that_dies_with_playwrights_driver_is_the_scripts_own_error(client: Client, world: World) -> None:
    from playwright.sync_api import Error

    session = client.Session()

    def blocked(it: Session) -> None:
        it.page.goto(world.site)
        threading.Timer(0.3, os.kill, [world.drivers()[0], signal.SIGKILL]).start()
        it.page.wait_for_timeout(60_000)

    with pytest.raises(Error):
        inside(session, blocked)
    view = client.sessions.get(session.session_id)
    assert (view.status, view.cause) == (State.ERROR, Cause.EXCEPTION)


# --- somebody stops it, or its keeper goes ----------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["the same session in another thread", "another client"])
def test_a_stop_from_elsewhere_frees_a_blocked_call(by: str, client: Client, world: World) -> None:
    session = client.Session()
    other = world.client("the other")

    def stop() -> None:
        if by == "another client":
            other.Session(session.session_id, page=False).start().stop()
        else:
            session.stop()

    def blocked(it: Session) -> None:
        it.page.goto(world.site)
        threading.Timer(0.3, stop).start()
        it.page.wait_for_timeout(60_000)

    with pytest.raises(SessionStopped) as caught:
        inside(session, blocked)
    assert caught.value.view.cause is Cause.STOPPED
    assert world.types(session.session_id) == ["created", "started", "closed", "released"]
    closed = _the(world, session.session_id, "closed")
    assert closed.actor == ("the other" if by == "another client" else "tester")


def test_a_killed_keeper_is_a_lost_browser(client: Client, world: World) -> None:
    session = client.Session()

    def blocked(it: Session) -> None:
        it.page.goto(world.site)
        [keeper] = [pid for pid, line in world.processes() if "lifecycle_chromium.keeper" in line]
        threading.Timer(0.3, os.kill, [keeper, signal.SIGKILL]).start()
        it.page.wait_for_timeout(60_000)

    began = time.monotonic()
    with pytest.raises(BrowserLost) as caught:
        inside(session, blocked)
    assert caught.value.view.cause is Cause.KEEPER_LOST
    assert time.monotonic() - began < 10
    with client.Session() as following:
        following.page.goto(world.site)


@pytest.mark.parametrize("leaves", [False, True], ids=["stop", "block"])
def test_a_browser_that_died_before_it_was_stopped_has_crashed(leaves: bool, client: Client, world: World) -> None:
    """Also where its keeper is slower to say so than its script is to end it."""
    session = client.Session(page=False).start()
    [keeper] = [pid for pid, line in world.processes() if "lifecycle_chromium.keeper" in line]
    browser = identify(world.browser_pid(session))
    assert browser is not None
    os.kill(keeper, signal.SIGSTOP)
    os.kill(browser.pid, signal.SIGKILL)
    until(lambda: not is_alive(browser), "the browser survived SIGKILL")
    going_on = threading.Timer(0.3, os.kill, [keeper, signal.SIGCONT])
    going_on.start()
    if leaves:
        session.__exit__(None, None, None)
    else:
        session.stop()
    going_on.join()
    view = session.status()
    assert (view.status, view.cause) == (State.ERROR, Cause.BROWSER_CRASHED)
    assert world.types(session.session_id) == ["created", "started", "failed", "released"]


def test_every_ending_is_a_session_ended(client: Client) -> None:
    for error in (SessionTimedOut, SessionStopped, BrowserLost):
        assert issubclass(error, SessionEnded)
    with client.Session(page=False) as session:
        pass
    with pytest.raises(SessionEnded) as caught:
        inside(client.Session(session.session_id), failing(AssertionError("must not run")))
    assert caught.value.view == session.status()
    assert caught.value.session_id == session.session_id


def test_leaving_a_kept_block_does_not_wait_for_a_keeper_that_hangs(client: Client, world: World) -> None:
    with client.Session(keep_alive=True) as session:
        session.page.goto(world.site)
        [keeper] = [pid for pid, line in world.processes() if "lifecycle_chromium.keeper" in line]
        os.kill(keeper, signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    ending = session.stop()
    assert ending is not None
    assert ending.cause is Cause.STOPPED


NO_INIT = """
import ctypes
import tempfile
from pathlib import Path

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to us, and we reap none

def processes():
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:
            continue
        state, parent, *_ = rest.split()
        yield name.partition("(")[2], state, int(parent)

with client.Session(page=False, browser=arguments[0] or None) as one:
    pass
with client.Session(page=False, browser=arguments[0] or None) as other:
    created, started = client.history(other.session_id)[:2]
    os.kill(started.data["browser"]["pid"], signal.SIGKILL)
    other.wait_ended()
client.close()
keeper = created.data["keeper"]["pid"]
while any(parent == keeper for _, _, parent in processes()) or Path(f"/proc/{keeper}/exe").exists():
    time.sleep(0.02)
say(*(name for name, state, parent in processes() if state == "Z" and parent == os.getpid() and "chrom" in name))
for path in Path(tempfile.gettempdir()).glob(".org.chromium.Chromium.*"):
    path.unlink()  # what a killed one was about to write, by nothing to be told from another browser's
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always an init")
@pytest.mark.parametrize("browser", ["", shutil.which("chromium") or ""], ids=["the shell", "with crash handlers"])
def test_browsers_leave_no_zombies_where_there_is_no_init(browser: str, world: World) -> None:
    """In a container the script mostly is process 1: each session left two or three there."""
    assert world.script(NO_INIT, browser).ended_with(0).split() == []
