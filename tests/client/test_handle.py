"""Starting twice, and an ending that the log refuses, on pretended browsers."""

from __future__ import annotations

import pytest

from lifecycle import Cause, Client, MemoryLog
from lifecycle.errors import AlreadyStarted, LogUnavailable
from lifecycle.testing.fake_host import FakeBrowser
from tests.client.test_keeping import Refusing
from tests.client.world import until


def test_a_second_start_is_refused_and_starts_nothing() -> None:
    host = FakeBrowser()
    with Client(MemoryLog(), browser=host) as client:
        session = client.Session(page=False).start()
        with pytest.raises(AlreadyStarted):
            session.start()
        assert len(host.browsers) == 1
        session.stop()
        with pytest.raises(AlreadyStarted):
            session.start()


def test_an_ending_that_the_log_refuses_is_left_to_the_keeper() -> None:
    """The browser ends at once, and the ending is recorded as soon as the log takes it."""
    log, host = Refusing(), FakeBrowser()
    with Client(log, browser=host) as client:
        session = client.Session(page=False).start()
        log.refuses = True
        with pytest.raises(LogUnavailable):
            session.stop()
        until(lambda: not host.browsers[session.session_id].running, "the browser runs on")
        log.refuses = False
        until(lambda: session.status().cause is not None, "no ending was recorded")
        assert session.status().cause is Cause.STOPPED
