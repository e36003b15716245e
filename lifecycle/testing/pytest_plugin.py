"""Fixtures for pytest, there wherever this library is installed; they load nothing until a test asks for one.

    def test_a_job_times_out(lifecycle_client, lifecycle_clock):
        with lifecycle_client.Session(page=False, timeout_minutes=10) as session:
            lifecycle_clock.sleep(601)
        assert session.status().status == "timed_out"

After the test the record that it left is held against the invariants, and no browser may be left running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle import Client
    from lifecycle.testing import Checker, FakeBrowser, VirtualClock

__all__ = ["lifecycle_browser", "lifecycle_checker", "lifecycle_client", "lifecycle_clock"]


@pytest.fixture
def lifecycle_clock() -> VirtualClock:
    """A VirtualClock."""
    from lifecycle.testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def lifecycle_browser() -> FakeBrowser:
    """The host of the client's pretended browsers: kill them, have them not come up, lose their keeper."""
    from lifecycle.testing import FakeBrowser

    return FakeBrowser()


@pytest.fixture(scope="session")
def lifecycle_checker() -> Checker:
    """One Checker for the whole run: ask it at the end what was exercised."""
    from lifecycle.testing import Checker

    return Checker()


@pytest.fixture
def lifecycle_client(
    lifecycle_clock: VirtualClock, lifecycle_browser: FakeBrowser, lifecycle_checker: Checker
) -> Iterator[Client]:
    """A Client of a whole system in this process: MemoryLog, FakeBrowser without pages, VirtualClock."""
    from lifecycle import Client, MemoryLog
    from lifecycle.testing.fake_host import NoPages
    from lifecycle.testing.history import check_history, rows
    from lifecycle.testing.invariants import Broken, Quiet

    log = MemoryLog()
    client = Client(log=log, browser=lifecycle_browser, pages=NoPages(), clock=lifecycle_clock)
    yield client
    lifecycle_clock.sleep(30)
    lifecycle_clock.settle()
    for violation in check_history(rows(log), checker=lifecycle_checker):
        raise Broken(violation, violation.stream)
    running = {name for name, browser in lifecycle_browser.browsers.items() if browser.running}
    lifecycle_checker.check(Quiet(log=log, now=lifecycle_clock.now(), running=running))
    client.close()
    log.close()
