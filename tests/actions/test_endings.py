"""Operations on sessions that end under them: told as page access tells it, whichever operation and twin it is."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle import BrowserLost, Client, SessionStopped, SessionTimedOut
from tests.actions.twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.browser


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest, site: str, tmp_path: Path) -> Iterator[Callable[..., Twin]]:
    """Makes a session that the test ends."""
    made: list[Twin] = []

    def session(**config: object) -> Twin:
        made.append(Twin(request.param, tmp_path / "log.db", site, **config))
        return made[-1]

    yield session
    for twin in made:
        twin.stop()


def browser_pid(twin: Twin) -> int:
    [event] = [event for event in twin.history() if event.type == "session.started"]
    return int(getattr(event, "browser").pid)  # noqa: B009 # the union of events has no such field


def test_a_browser_that_dies_under_an_operation(make: Callable[..., Twin]) -> None:
    twin = make()
    twin.goto("/form")
    threading.Timer(0.5, os.kill, (browser_pid(twin), signal.SIGKILL)).start()
    with pytest.raises(BrowserLost) as lost:
        twin.do("fill", selector=".none", value="canary-4711", timeout=10_000)
    assert lost.value.__context__ is None
    before = len(twin.operations())
    for call in (lambda: twin.do("reload"), twin.observe, twin.scrape):
        with pytest.raises(BrowserLost):
            call()
    assert len(twin.operations()) == before


def test_a_browser_that_died_before(make: Callable[..., Twin]) -> None:
    twin = make()
    twin.goto("/")
    os.kill(browser_pid(twin), signal.SIGKILL)
    with pytest.raises(BrowserLost):
        twin.execute("click", selector="a")


def test_a_deadline_in_the_middle_of_an_operation(make: Callable[..., Twin]) -> None:
    twin = make(max_duration_minutes=1 / 15)
    twin.goto("/")
    began = time.monotonic()
    with pytest.raises(SessionTimedOut):
        twin.execute("wait", time_ms=30_000)
    assert time.monotonic() - began < 10


def test_a_session_that_somebody_stops(make: Callable[..., Twin], tmp_path: Path) -> None:
    twin = make()
    twin.goto("/")
    other = Client(tmp_path / "log.db")
    timer = threading.Timer(0.5, lambda: other.Session(twin.session.session_id, page=False).start().stop())
    timer.start()
    with pytest.raises(SessionStopped):
        twin.execute("click", selector=".none", timeout=10_000)
    timer.join()
    other.close()
    with pytest.raises(SessionStopped):
        twin.observe()


def test_operations_keep_an_idle_session_alive(make: Callable[..., Twin]) -> None:
    twin = make(idle_timeout_minutes=1 / 30)
    for _ in range(4):
        twin.execute("wait", time_ms=800)
    assert twin.status() == "active"


def test_a_driver_that_is_killed_is_replaced(make: Callable[..., Twin]) -> None:
    twin = make()
    twin.goto("/second")
    for pid in drivers():
        os.kill(pid, signal.SIGKILL)
    result = twin.execute("click", selector=".none", timeout=1000)
    if result.success or result.reason != "not_found":
        assert result.reason == "lost"
    assert twin.js("location.pathname") == "/second"
    twin.observe()


def drivers() -> list[int]:
    """Playwright drivers of this process."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"run-driver" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_the_attached_twin_operates_on_the_same_tabs_in_the_same_order(
    make: Callable[..., Twin], tmp_path: Path
) -> None:
    twin = make()
    twin.goto("/")
    twin.do("goto_new_tab", url=twin.site + "/second")
    twin.do("goto_new_tab", url=twin.site + "/long")
    titles = [tab.title for tab in twin.observe().tabs]

    def other() -> list[str]:
        with Client(tmp_path / "log.db").Session(twin.session.session_id) as again:
            seen = again.observe()
            assert seen.title == "/"  # each connection begins with the first tab
            again.execute(type="switch_tab", tab_index=2)
            assert again.observe().title == "/long"
            return [tab.title for tab in seen.tabs]

    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(other()))
    thread.start()
    thread.join(60)
    assert found == [titles] == [["/", "/second", "/long"]]
    assert twin.js("location.pathname") == "/long"


def test_pages_that_hang_are_told_in_time_even_at_first_sight(make: Callable[..., Twin]) -> None:
    """The page hangs before this connection has ever looked at it."""
    twin = make()
    twin.page(lambda page: page.goto(twin.site + "/hangs"))
    twin.page(lambda page: page.evaluate("setTimeout(() => hang.click(), 0)"))
    time.sleep(0.3)
    began = time.monotonic()
    result = twin.execute("click", selector="#hang", timeout=500)
    assert (result.reason, time.monotonic() - began < 15) == ("hung", True)
    twin.do("goto_new_tab", url=twin.site + "/second")
    assert twin.status() == "active"


def test_a_killed_driver_is_replaced_for_all_sessions_of_a_loop(site: str, tmp_path: Path) -> None:
    import asyncio

    from lifecycle import AsyncClient, AsyncSession

    async def lost_and_found(session: AsyncSession) -> str:
        """The path that the session's tab is at, after at most one lost connection."""
        result = await session.execute(type="evaluate_js", code="location.pathname", raise_on_failure=False)
        if not result.success:
            assert result.reason == "lost"
            result = await session.execute(type="evaluate_js", code="location.pathname")
        return str(result.data)

    async def body() -> None:
        client = AsyncClient(tmp_path / "log.db")
        async with client.Session() as one, client.Session() as other:
            await one.execute(type="goto", url=site + "/second")
            await other.execute(type="goto", url=site + "/long")
            for pid in drivers():
                os.kill(pid, signal.SIGKILL)
            assert [await lost_and_found(one), await lost_and_found(other)] == ["/second", "/long"]
        assert drivers() == []
        client.close()

    asyncio.run(body())
