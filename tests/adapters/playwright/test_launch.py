"""launch() in place of Playwright's own: the same Browser, with a session around it."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright import async_api, sync_api

from lifecycle import AsyncClient, Client, InvalidConfig
from lifecycle.client.request import SessionConfig, request
from lifecycle.errors import LaunchFailed
from lifecycle_chromium.find import find_browser, sandbox_args
from lifecycle_playwright import can_launch, lasting, launch

pytestmark = pytest.mark.browser


def test_closing_the_browser_ends_the_session_and_again_does_nothing(tmp_path: Path) -> None:
    with sync_api.sync_playwright() as playwright, Client(tmp_path / "log.db") as client:
        options = {"headless": True, "args": ["--mute-audio"], "slow_mo": 1, "env": None, "handle_sigint": False}
        session, browser = launch(client, playwright.chromium, options, {"labels": {"job": "7"}})
        page = browser.new_context(locale="de-DE").new_page()
        assert page.evaluate("navigator.language") == "de-DE"
        assert session.status().labels == {"job": "7"}
        browser.close()
        browser.close()
        view = session.status()
        assert (view.status, view.cause) == ("closed", "stopped")
        assert client.history(session.session_id)[-1].data["how"] == "graceful"


def test_the_async_twin_does_the_same(tmp_path: Path) -> None:
    async def body() -> None:
        async with async_api.async_playwright() as playwright, AsyncClient(tmp_path / "log.db") as client:
            session, browser = await launch(client, playwright.chromium, {"headless": True}, {})
            await browser.new_page()
            await browser.close()
            view = await session.status()
            assert (view.status, view.cause) == ("closed", "stopped")

    asyncio.run(body())


#: A browser whose process takes a moment to be gone once it has closed its pipe, as a big one's does on a busy machine.
LINGERS = """#!/bin/bash
{browser} "$@" &
exec 3<&- 4>&-
wait $!
sleep 0.2
exit 7
"""


@pytest.fixture
def lingering(tmp_path: Path) -> str:
    found = find_browser(headless=True).path
    wrapper = tmp_path / "lingers"
    wrapper.write_text(LINGERS.format(browser=shlex.join([str(found), *sandbox_args(found)[0]])))
    wrapper.chmod(0o755)
    return str(wrapper)


def _kill_browser(log: Path, session_id: str) -> None:
    with Client(log) as client:
        [started] = [step for step in client.history(session_id) if step.name == "started"]
    wrapper = started.data["browser"]["pid"]
    [browser] = Path(f"/proc/{wrapper}/task/{wrapper}/children").read_text().split()
    os.kill(int(browser), signal.SIGKILL)


def test_closing_a_browser_that_died_is_no_stop(tmp_path: Path, lingering: str) -> None:
    """Playwright says at once that it is gone; its keeper, a moment later, why."""
    with sync_api.sync_playwright() as playwright, Client(tmp_path / "log.db") as client:
        session, browser = launch(client, playwright.chromium, {"executable_path": lingering}, {})
        page = browser.new_page()
        _kill_browser(tmp_path / "log.db", session.session_id)
        with pytest.raises(sync_api.Error):
            page.wait_for_timeout(20_000)
        browser.close()
        view = session.status()
        assert (view.status, view.cause) == ("error", "browser_crashed")


def test_in_the_async_twin_neither(tmp_path: Path, lingering: str) -> None:
    async def body() -> None:
        async with async_api.async_playwright() as playwright, AsyncClient(tmp_path / "log.db") as client:
            session, browser = await launch(client, playwright.chromium, {"executable_path": lingering}, {})
            page = await browser.new_page()
            await asyncio.to_thread(_kill_browser, tmp_path / "log.db", session.session_id)
            with pytest.raises(async_api.Error):
                await page.wait_for_timeout(20_000)
            await browser.close()
            view = await session.status()
            assert (view.status, view.cause) == ("error", "browser_crashed")

    asyncio.run(body())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"env": {"LANG": "C"}}, "no option env"),
        ({"channel": "msedge"}, "channel='msedge'"),
    ],
)
def test_what_a_keeper_cannot_do_is_refused_and_nothing_starts(
    tmp_path: Path, options: dict[str, Any], why: str
) -> None:
    with sync_api.sync_playwright() as playwright, Client(tmp_path / "log.db") as client:
        assert why in (can_launch(playwright.chromium, options) or "")
        assert "firefox" in (can_launch(playwright.firefox, {}) or "")
        with pytest.raises(InvalidConfig, match=why):
            launch(client, playwright.chromium, options, {})
        assert client.sessions.list() == []


@pytest.mark.parametrize(
    ("given", "idle", "longest"),
    [
        ({}, 60, 1440),
        ({"timeout_minutes": 10}, 10, 1440),
        ({"idle_timeout_minutes": 90}, 90, 1440),
        ({"max_duration_minutes": 30}, 30, 30),
        ({"max_duration_minutes": timedelta(hours=2), "timeout_minutes": 5}, 5, 120),
    ],
)
def test_one_limit_that_a_crawl_is_given_needs_no_other(given: SessionConfig, idle: int, longest: int) -> None:
    """By the name of timeout_minutes it was refused, and so was a maximum below the hour that nobody had asked for."""
    limits = request(lasting(given)).limits
    assert (limits.idle_timeout_us, limits.max_duration_us) == (idle * 60_000_000, longest * 60_000_000)


def test_a_browser_that_does_not_come_up_is_recorded(tmp_path: Path) -> None:
    with sync_api.sync_playwright() as playwright, Client(tmp_path / "log.db") as client:
        with pytest.raises(LaunchFailed):
            launch(client, playwright.chromium, {"executable_path": "/bin/false"}, {})
        assert [view.cause for view in client.sessions.list()] == ["launch_failed"]
