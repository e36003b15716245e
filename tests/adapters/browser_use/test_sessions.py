"""browser-use's BrowserSession on the real library and a real Chromium: what it does, and what the history says.

Runs where browser-use is installed: `make adapters` gives it an environment of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

os.environ["ANONYMIZED_TELEMETRY"] = "false"  # browser-use would report home
pytest.importorskip("browser_use", reason="make adapters runs these in an environment with browser-use")

from lifecycle import AsyncClient, Client
from lifecycle.audit.history import Step
from lifecycle.errors import InvalidConfig, LogUnavailable
from lifecycle.testing.fake_host import FakeBrowser
from lifecycle_browser_use import KeptBrowserSession, RecordedBrowserSession
from lifecycle_chromium.find import find_browser, sandbox_args
from tests.client.test_keeping import Refusing
from tests.docs.run_page import shown

pytestmark = [
    pytest.mark.browser,
    # browser-use leaves sockets and pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

_PAGE = "data:text/html,<title>hello</title>"


def _options() -> dict[str, Any]:
    """What a BrowserSession needs to launch the browser of this machine, offline."""
    return {
        "headless": True,
        "executable_path": str(find_browser(headless=False).path),
        "chromium_sandbox": not sandbox_args()[0],
        "enable_default_extensions": False,
    }


def run(folder: Path, work: Callable[[AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with AsyncClient(folder / "log.db") as client:
            await asyncio.wait_for(work(client), 60)

    asyncio.run(main())


async def _told(client: AsyncClient, session: RecordedBrowserSession | KeptBrowserSession) -> list[Step]:
    assert session.session is not None
    return list(await client.history(session.session.session_id))


def _end(steps: list[Step]) -> tuple[str, str, str]:
    """The ending: its name, its cause, and what became of the browser."""
    [ending] = [step for step in steps if step.name in ("closed", "failed", "timed_out")]
    assert steps[-1].name == "released"
    return ending.name, ending.data.get("cause", ""), steps[-1].data["how"]


def _chrome(session: RecordedBrowserSession) -> int:
    watchdog: Any = session._local_browser_watchdog
    pid: int = watchdog._subprocess.pid
    return pid


def _gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


async def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


def test_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(shown("how-to/browser-use.md", "py", "KeptBrowserSession("), names)
    kept: KeptBrowserSession = names["browser"]

    async def work() -> None:
        await kept.start()
        await kept.navigate_to(_PAGE)
        await kept.kill()
        assert _end(await _told(names["client"], kept)) == ("closed", "stopped", "graceful")
        names["client"].close()

    asyncio.run(work())


def test_each_life_is_a_session_that_the_one_before_has_caused(tmp_path: Path) -> None:
    """Between them browser-use has made a new event bus, and forgotten everybody who listened."""

    async def work(client: AsyncClient) -> None:
        browser = RecordedBrowserSession(client, labels={"job": "7"}, **_options())
        await browser.start()
        await browser.start()  # browser-use allows it: it is up already
        await browser.navigate_to(_PAGE)
        chrome, bus = _chrome(browser), browser.event_bus
        await browser.stop()
        first = await _told(client, browser)
        assert _end(first) == ("closed", "stopped", "detached")
        assert "navigated" in [step.name for step in first]
        await _until(lambda: _gone(chrome))
        await browser.stop()  # twice: there is nothing to end
        assert await _told(client, browser) == first

        await browser.start()
        assert browser.event_bus is not bus
        second = await _told(client, browser)
        assert second[0].causation_id == first[0].data["session_id"]
        assert second[0].correlation_id == first[0].correlation_id == browser.id
        chrome = _chrome(browser)
        cdp: Any = browser._cdp_client_root
        await cdp.ws.close()  # the connection drops, the browser does not
        await _until(lambda: not browser.is_reconnecting and browser._cdp_client_root is not cdp)
        await browser.event_bus.wait_until_idle()
        os.kill(chrome, signal.SIGKILL)
        assert browser.session is not None
        ending = await browser.session.wait_ended(5)
        assert ending is not None
        assert (ending.status, ending.cause) == ("error", "browser_lost")
        await browser.kill()
        second = await _told(client, browser)
        assert _end(second) == ("failed", "browser_lost", "detached")
        noted = [step.data["name"] for step in second if step.name == "annotated"]
        assert noted[:2] == ["browser_use.reconnecting", "browser_use.reconnected"]
        assert await client.sessions.count(labels={"job": "7"}) == 2

    run(tmp_path, work)


def test_letting_go_of_somebody_elses_browser_leaves_it_running(tmp_path: Path) -> None:
    """browser-use says BrowserStopped of a browser that runs on."""

    async def work(client: AsyncClient) -> None:
        async with client.Session(page=False) as host:
            browser = RecordedBrowserSession(client, cdp_url=await host.cdp_url())
            await browser.start()
            await browser.kill()
            assert _end(await _told(client, browser)) == ("closed", "stopped", "detached")
            assert (await host.status()).status == "active"

            # A host that replaces the event bus and swallows what it raises.
            browser = RecordedBrowserSession(client, cdp_url=await host.cdp_url())
            try:
                async with browser:
                    await browser.event_bus.stop(clear=True)
                    browser.event_bus = type(browser.event_bus)()
                    browser._register_session_event_handlers()
                    raise RuntimeError("the agent failed")
            except RuntimeError:
                pass
            steps = await _told(client, browser)
            assert _end(steps) == ("failed", "exception", "detached")
            assert steps[-2].data["error_message"] == "the agent failed"

            # One that is closed behind its back, by whoever has the endpoint.
            browser = RecordedBrowserSession(client, cdp_url=await host.cdp_url())
            await browser.start()
            await browser.cdp_client.send.Browser.close()
            assert browser.session is not None
            ending = await browser.session.wait_ended(5)
            assert ending is not None
            assert ending.cause == "browser_lost"
            await browser.kill()
            closed = await host.wait_ended(5)
            assert closed is not None
            assert closed.cause == "browser_closed"

    run(tmp_path, work)


@pytest.mark.parametrize(
    "wrong", [{"executable_path": "/bin/false"}, {"cdp_url": "ws://127.0.0.1:9/devtools/canary"}], ids=["binary", "url"]
)
def test_a_browser_that_does_not_come_up_is_a_failed_launch(tmp_path: Path, wrong: dict[str, str]) -> None:
    async def work(client: AsyncClient) -> None:
        browser = RecordedBrowserSession(client, **{**_options(), **wrong})
        with pytest.raises(Exception, match=r"process|connection"):  # browser-use's own
            await browser.start()
        await browser.kill()  # or its event bus keeps asyncio.run() from ending
        steps = await _told(client, browser)
        assert _end(steps) == ("failed", "launch_failed", "never_started")
        assert "canary" not in json.dumps([step.data for step in steps])

    run(tmp_path, work)


def test_a_start_that_was_refused_with_nothing_recorded_may_be_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        log = Refusing()
        client = AsyncClient(log, browser=FakeBrowser())
        browser = RecordedBrowserSession(client, **{**_options(), "executable_path": "/bin/false"})
        log.refuses = True
        with pytest.raises(LogUnavailable):
            await browser.start()
        log.refuses = False
        with pytest.raises(Exception, match="process"):  # browser-use's own: it has come so far
            await browser.start()
        await browser.kill()
        client.close()

    asyncio.run(main())


def test_a_browser_of_ours_ends_with_its_life_or_stays_with_keep_alive(tmp_path: Path) -> None:
    async def work(client: AsyncClient) -> None:
        browser = KeptBrowserSession(client, {"labels": {"job": "8"}}, keep_alive=True)
        await browser.start()
        assert browser.session is not None
        first = browser.session
        await browser.navigate_to(_PAGE)
        await browser.stop()
        assert (await first.status()).status == "active"
        await browser.start()  # goes on where it was
        assert browser.session is first
        assert [tab.title for tab in await browser.get_tabs()] == ["hello"]
        await browser.kill()
        assert _end(await _told(client, browser)) == ("closed", "stopped", "graceful")
        await browser.kill()

        await browser.start()
        second = browser.session
        assert second is not first
        steps = await _told(client, browser)
        assert steps[0].causation_id == first.session_id
        started = next(step for step in steps if step.name == "started")
        os.kill(started.data["browser"]["pid"], signal.SIGKILL)
        ending = await second.wait_ended(5)
        assert ending is not None
        assert ending.cause == "browser_crashed"
        await browser.kill()
        assert await client.sessions.count(labels={"job": "8"}) == 2

        with pytest.raises(ValueError, match="the agent failed"):
            async with KeptBrowserSession(client) as browser:
                raise ValueError("the agent failed")
        assert _end(await _told(client, browser)) == ("failed", "exception", "graceful")

    run(tmp_path, work)


_HOST = """
import asyncio, os, sys, time
os.environ["ANONYMIZED_TELEMETRY"] = "false"
from lifecycle import AsyncClient
from lifecycle_browser_use import KeptBrowserSession, RecordedBrowserSession
kind, log, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])

async def main():
    client = AsyncClient(log)
    kept = KeptBrowserSession(client)
    recorded = RecordedBrowserSession(client, **options)
    await kept.start()
    await recorded.start()
    if os.fork() == 0:
        os._exit(0)  # a child that comes and goes takes nothing along
    print(kept.session.session_id, recorded.session.session_id, recorded._local_browser_watchdog._subprocess.pid)
    sys.stdout.flush()

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
if kind == "loop":
    os._exit(0)  # the loop has ended with everything in it, and so does the host
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["kill", "loop"])
def test_a_host_that_dies_is_recorded_and_a_browser_of_ours_goes_with_it(tmp_path: Path, kind: str) -> None:
    """browser-use's own browser stays, as always: with it nobody but browser-use ends browsers."""
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, kind, str(tmp_path / "log.db"), repr(_options())],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert host.stdout is not None
    kept, recorded, chrome = host.stdout.readline().split()
    host.stdout.close()
    try:
        if kind == "kill":
            host.kill()
        host.wait(20)
        with Client(tmp_path / "log.db") as client:
            ends: dict[str, list[Step]] = {}
            for name, session_id in (("kept", kept), ("recorded", recorded)):
                for step in client.subscribe(session_id):  # ends with `released`
                    ends.setdefault(name, []).append(step)
            assert _end(ends["kept"]) == ("closed", "owner_exited", "graceful")
            assert _end(ends["recorded"]) == ("closed", "owner_exited", "detached")
            started = next(step for step in ends["kept"] if step.name == "started")
            assert _gone(started.data["browser"]["pid"])
        assert not _gone(int(chrome))
    finally:
        os.kill(int(chrome), signal.SIGKILL)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with Client(tmp_path / "log.db") as client, pytest.raises(InvalidConfig, match="AsyncClient"):
        RecordedBrowserSession(client)  # type: ignore[arg-type] # users do
    with pytest.raises(InvalidConfig, match="cdp_url"):
        KeptBrowserSession(AsyncClient(tmp_path / "log.db"), cdp_url="ws://127.0.0.1:9/")
    with pytest.raises(InvalidConfig, match="did you mean"):
        KeptBrowserSession(AsyncClient(tmp_path / "log.db"), {"headles": True})  # type: ignore[arg-type]
