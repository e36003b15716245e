"""lifecycle_pytest on pytest-playwright-asyncio; what both twins share is proved on the synchronous one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.hosting import kill_browser, steps
from tests.adapters.suites import counted, ends, outcomes, suite

pytestmark = pytest.mark.browser

ASYNC = "asyncio_mode = auto\nasyncio_default_test_loop_scope = session\n"
MANY = """
import pytest

async def test_passes(page): await page.title()
async def test_fails(page): assert await page.title() == "Bank"
async def test_is_skipped(page): pytest.skip("closed today")
async def test_has_two(new_context):
    await new_context()
    await (await new_context()).close()
"""
WAITS = """
async def test_waits(page):
    print("waiting")
    await page.wait_for_timeout(20_000)
"""


def test_each_context_ends_as_its_test_does(tmp_path: Path) -> None:
    with suite(tmp_path, MANY, "--lifecycle", ini=ASYNC) as host:
        assert counted(host) == "1 failed, 2 passed, 1 skipped"
        host.until("6 sessions: ")
    assert outcomes(host.log) == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_is_skipped": "skipped",
        "test_has_two": "passed",
    }
    assert ends(host.log, 6) == {
        "": "closed stopped",
        "test_passes": "closed stopped",
        "test_fails": "error exception",
        "test_is_skipped": "closed stopped",
        "test_has_two": "closed stopped, closed browser_closed",
    }


def test_each_test_has_a_browser_of_its_own(tmp_path: Path) -> None:
    with suite(tmp_path, MANY, "--lifecycle", "--lifecycle-per=test", ini=ASYNC) as host:
        assert counted(host) == "1 failed, 2 passed, 1 skipped"
    ended = ends(host.log, 4)
    assert (ended["test_fails"], ended["test_has_two"]) == ("error exception", "closed stopped")
    assert len({event["browser"]["pid"] for event in steps(host.log, "started")}) == 4


def test_a_browser_that_is_killed_crashed(tmp_path: Path) -> None:
    with suite(tmp_path, WAITS, "--lifecycle", ini=ASYNC) as host:
        host.until("waiting")
        kill_browser(host.log)
        assert counted(host) == "1 failed, 1 error"
    assert ends(host.log, 2) == {"": "error browser_crashed", "test_waits": "error browser_lost"}
