"""Time passes only while everybody waits, and then at once."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from lifecycle import Client, MemoryLog
from lifecycle.core import Cause
from lifecycle.testing import FakeBrowser, VirtualClock

MINUTE_US = 60_000_000


def test_a_whole_system_in_one_process() -> None:
    clock = VirtualClock()
    client = Client(log=MemoryLog(), browser=FakeBrowser(), clock=clock)
    session = client.Session(page=False, timeout_minutes=10)
    session.start()
    began = clock.now()
    clock.sleep(599)
    assert session.status().status == "active"
    clock.sleep(2)
    seen = session.status()
    assert (seen.status, seen.cause, seen.duration.total_seconds()) == ("timed_out", Cause.IDLE, 600)
    assert clock.now() == began + 601_000_000
    clock.sleep(1)
    assert [row.type for row in client.log.read(session.session_id)][-1] == "session.released"
    assert all(row.recorded_at <= clock.now() for row in client.log.read(session.session_id))


def test_no_time_passes_while_somebody_computes() -> None:
    clock = VirtualClock()
    begun, go_on = threading.Event(), threading.Event()

    def compute() -> None:
        begun.set()
        go_on.wait(30)

    clock.start("busy", compute)
    begun.wait(30)
    woken: list[int] = []

    def sleep() -> None:
        clock.sleep(5)
        woken.append(clock.now())

    sleeper = threading.Thread(target=sleep)
    before = clock.now()
    sleeper.start()
    sleeper.join(0.2)
    assert (clock.now(), woken) == (before, [])
    go_on.set()
    sleeper.join(30)
    assert woken == [before + 5_000_000]


def test_sleepers_wake_in_the_order_of_their_moments() -> None:
    clock = VirtualClock()
    order: list[tuple[str, float]] = []

    def sleep(name: str, seconds: float) -> None:
        clock.sleep(seconds)
        order.append((name, clock.monotonic()))

    for name, seconds in (("late", 3.0), ("early", 1.0), ("middle", 2.0)):
        clock.start(name, partial(sleep, name, seconds))
    clock.sleep(10)
    assert order == [("early", 1.0), ("middle", 2.0), ("late", 3.0)]


def test_who_is_told_goes_on_before_time_does() -> None:
    clock = VirtualClock()
    changed = threading.Condition()
    said: list[str] = []
    found: list[tuple[bool, float]] = []

    def listen() -> None:
        with changed:
            heard = clock.wait_for(changed, lambda: bool(said), 60)
        found.append((heard, clock.monotonic()))

    clock.start("listener", listen)
    clock.sleep(2)
    with changed:
        said.append("word")
        changed.notify_all()
    clock.sleep(100)
    assert found == [(True, 2.0)]


def test_a_wait_that_is_over_or_true_takes_no_time() -> None:
    clock = VirtualClock()
    changed = threading.Condition()
    with changed:
        assert clock.wait_for(changed, lambda: True, 10)
        assert not clock.wait_for(changed, lambda: False, 0)
        assert not clock.wait_for(changed, lambda: False, -1)
    assert clock.monotonic() == 0


def test_setting_the_wall_clock_changes_nobodys_wait() -> None:
    clock = VirtualClock()
    before = clock.now()
    clock.step(-3600)
    clock.sleep(1)
    assert (clock.now(), clock.monotonic()) == (before - 3_599_000_000, 1.0)
    clock.sleep_until(clock.now() - 5)
    assert clock.monotonic() == 1.0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_fails_is_told_by_settle_once() -> None:
    clock = VirtualClock()

    def fail() -> None:
        raise ProcessLookupError("no such process")

    clock.start("keeper", fail)
    with pytest.raises(AssertionError, match="the thread keeper has failed: ProcessLookupError: no such process"):
        clock.settle()
    clock.settle()
