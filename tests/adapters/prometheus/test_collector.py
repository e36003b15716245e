"""The metrics are what the log says: counted once, by every process's sessions, from where one begins."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lifecycle import MemoryLog
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import Uuid7
from lifecycle.core import Cause, Close
from lifecycle.errors import LogUnavailable
from lifecycle.telemetry import append_failures
from lifecycle_prometheus import SessionCollector

if TYPE_CHECKING:
    from lifecycle import Client
    from lifecycle.log.port import EventLog
    from lifecycle.testing import VirtualClock


def scraped(log: EventLog, clock: VirtualClock | None = None, **more: object) -> CollectorRegistry:
    registry = CollectorRegistry()
    now = clock.now if clock is not None else lambda: 0
    registry.register(SessionCollector(log, now_us=now, **more))  # type: ignore[arg-type]
    return registry


def live(client: Client, clock: VirtualClock) -> None:
    """Two closed, one failed, one timed out, one living; one past its deadline."""
    for seconds in (2, 20):
        with client.Session(page=False):
            clock.sleep(seconds)
    with pytest.raises(LookupError), client.Session(page=False):
        raise LookupError
    with client.Session(page=False, timeout_minutes=1):
        clock.sleep(70)
    client.Session(page=False, timeout_minutes=50).start()


def test_the_metrics_are_what_the_log_says(lifecycle_client: Client, lifecycle_clock: VirtualClock) -> None:
    live(lifecycle_client, lifecycle_clock)
    told = scraped(lifecycle_client.log, lifecycle_clock)
    get = told.get_sample_value
    assert get("lifecycle_sessions_created_total") == 5
    assert get("lifecycle_sessions_started_total") == 5
    assert get("lifecycle_sessions_ended_total", {"status": "closed", "cause": "stopped"}) == 2
    assert get("lifecycle_sessions_ended_total", {"status": "error", "cause": "exception"}) == 1
    assert get("lifecycle_sessions_ended_total", {"status": "timed_out", "cause": "idle"}) == 1
    assert get("lifecycle_sessions_live", {"status": "active"}) == 1
    assert get("lifecycle_sessions_live", {"status": "created"}) == 0
    buckets = {
        le: get("lifecycle_session_duration_seconds_bucket", {"status": "closed", "le": le})
        for le in ("1.0", "5.0", "15.0", "30.0", "+Inf")
    }
    assert buckets == {"1.0": 0, "5.0": 1, "15.0": 1, "30.0": 2, "+Inf": 2}
    seconds = sum(
        view.duration.total_seconds() for view in lifecycle_client.sessions.list(status="closed") if view.duration
    )
    assert get("lifecycle_session_duration_seconds_sum", {"status": "closed"}) == pytest.approx(seconds)
    assert get("lifecycle_session_ending_lateness_seconds_count", {"status": "timed_out"}) == 1
    assert b'lifecycle_sessions_ended_total{cause="stopped",status="closed"} 2.0' in generate_latest(told)


def test_a_second_scrape_counts_what_is_new_and_nothing_twice(
    lifecycle_client: Client, lifecycle_clock: VirtualClock
) -> None:
    told = scraped(lifecycle_client.log, lifecycle_clock)
    assert told.get_sample_value("lifecycle_sessions_created_total") == 0
    for expected in (1, 2, 3):
        with lifecycle_client.Session(page=False):
            pass
        for _ in range(2):
            assert told.get_sample_value("lifecycle_sessions_created_total") == expected
    threads = [threading.Thread(target=generate_latest, args=(told,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.get_sample_value("lifecycle_session_duration_seconds_count", {"status": "closed"}) == 3


def test_it_can_begin_where_one_wants(lifecycle_client: Client, lifecycle_clock: VirtualClock) -> None:
    session = lifecycle_client.Session(page=False).start()
    told = scraped(lifecycle_client.log, lifecycle_clock, after=lifecycle_client.log.last(1)[0].position)
    lifecycle_clock.sleep(3)
    session.stop()
    assert told.get_sample_value("lifecycle_sessions_created_total") == 0
    assert told.get_sample_value("lifecycle_session_duration_seconds_bucket", {"status": "closed", "le": "1.0"}) == 0
    assert told.get_sample_value("lifecycle_session_duration_seconds_count", {"status": "closed"}) == 1


def test_a_scrape_that_fails_in_the_middle_counts_nothing_twice(
    lifecycle_client: Client, lifecycle_clock: VirtualClock
) -> None:
    old = lifecycle_client.Session(page=False).start()
    after = lifecycle_client.log.last(1)[0].position
    with lifecycle_client.Session(page=False):
        pass
    old.stop()

    class Torn:
        torn = True

        def __getattr__(self, name: str) -> object:
            return getattr(lifecycle_client.log, name)

        def read(self, *args: object, **options: object) -> object:
            if self.torn:
                raise LogUnavailable("locked")
            return lifecycle_client.log.read(*args, **options)  # type: ignore[arg-type] # as it was called

    log = Torn()
    registry = CollectorRegistry()
    registry.register(SessionCollector(cast("EventLog", log), after, now_us=lifecycle_clock.now))
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            generate_latest(registry)
    log.torn = False
    assert registry.get_sample_value("lifecycle_sessions_created_total") == 1
    assert registry.get_sample_value("lifecycle_sessions_ended_total", {"status": "closed", "cause": "stopped"}) == 2


def test_past_its_deadline_a_session_does_not_live(lifecycle_client: Client, lifecycle_clock: VirtualClock) -> None:
    lifecycle_client.Session(page=False, timeout_minutes=1).start()
    log, now = lifecycle_client.log, lifecycle_clock.now()
    registry = CollectorRegistry()
    registry.register(SessionCollector(log, now_us=lambda: now + 61_000_000))
    assert registry.get_sample_value("lifecycle_sessions_live", {"status": "active"}) == 0


def test_appends_that_the_log_did_not_take(lifecycle_client: Client, lifecycle_clock: VirtualClock) -> None:
    session = lifecycle_client.Session(page=False).start()

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(lifecycle_client.log, name)

        def append(self, *_: object, **__: object) -> None:
            raise LogUnavailable("the disk is full")

    log = cast("EventLog", Full())
    before = append_failures().get("LogUnavailable", 0)
    recorder = Recorder(log, lifecycle_clock, Uuid7(), actor="ada", writer="w")
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            recorder.execute(session.session_id, Close(cause=Cause.STOPPED))
    told = scraped(lifecycle_client.log, lifecycle_clock)
    assert told.get_sample_value("lifecycle_append_failures_total", {"error": "LogUnavailable"}) == before + 2
    session.stop()


def test_an_empty_log() -> None:
    assert b"lifecycle_sessions_created_total 0.0" in generate_latest(scraped(MemoryLog()))
