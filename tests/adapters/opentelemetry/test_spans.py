"""Spans and log records of sessions, through the real SDK: what they say, whose children they are, what stays out."""

from __future__ import annotations

import logging
import os
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from lifecycle import Client, MemoryLog
from lifecycle.errors import LogTampered
from lifecycle_opentelemetry import Exporter, export, traceparent
from tests.client.world import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

    from lifecycle.log.port import EventLog
    from lifecycle.testing import VirtualClock
    from tests.client.world import World


class Sdk:
    """An SDK that keeps everything."""

    def __init__(self) -> None:
        self._spans, self._records = InMemorySpanExporter(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.tracers, self.loggers = TracerProvider(), LoggerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self._records))
        self.providers: dict[str, Any] = {"tracer_provider": self.tracers, "logger_provider": self.loggers}

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._spans.get_finished_spans()

    @property
    def records(self) -> Sequence[ReadableLogRecord]:
        return self._records.get_finished_logs()


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    made = Sdk()
    yield made
    made.tracers.shutdown()
    made.loggers.shutdown()


def test_each_ended_session_is_a_span_with_its_events_and_a_record_of_its_ending(
    lifecycle_client: Client, lifecycle_clock: VirtualClock, sdk: Sdk
) -> None:
    client = lifecycle_client
    with client.Session(page=False, labels={"job": "nightly"}, correlation_id="order-9", actor="mailer") as closed:
        lifecycle_clock.sleep(2)
    with pytest.raises(LookupError), client.Session(page=False) as failed:
        raise LookupError("no price for card 4111")
    with client.Session(page=False, timeout_minutes=1) as late:
        lifecycle_clock.sleep(70)
    living = client.Session(page=False, timeout_minutes=50).start()

    cursor = export(client.log, **sdk.providers)
    spans = {span.attributes["session.id"]: span for span in sdk.spans if span.attributes}
    assert set(spans) == {closed.session_id, failed.session_id, late.session_id}

    for session in (closed, failed, late):
        span, view = spans[session.session_id], client.sessions.get(session.session_id)
        assert view.closed_at
        assert view.duration is not None
        assert span.start_time == client.log.read(session.session_id)[0].at * 1000
        assert span.end_time
        assert span.start_time
        assert span.end_time - span.start_time == view.duration // timedelta(microseconds=1) * 1000
        assert span.attributes
        assert (span.attributes["lifecycle.status"], span.attributes["lifecycle.cause"]) == (view.status, view.cause)
        assert [event.name for event in span.events] == [row.type for row in client.log.read(session.session_id)]
    attributes = spans[closed.session_id].attributes
    assert attributes
    assert attributes["lifecycle.label.job"] == "nightly"
    assert attributes["lifecycle.correlation_id"] == "order-9"
    assert attributes["lifecycle.actor"] == "mailer"
    assert "error.type" not in attributes
    assert (spans[failed.session_id].attributes or {})["error.type"] == "LookupError"
    assert spans[failed.session_id].status.status_code is StatusCode.ERROR
    assert {spans[name.session_id].status.status_code for name in (closed, late)} == {StatusCode.UNSET}

    told = {(record.log_record.attributes or {})["session.id"]: record.log_record for record in sdk.records}
    assert set(told) == set(spans)
    assert {told[session.session_id].severity_text for session in (closed, late, failed)} == {"INFO", "WARN", "ERROR"}
    assert told[late.session_id].event_name == "lifecycle.session.timed_out"
    context = spans[late.session_id].get_span_context()
    assert context
    assert told[late.session_id].trace_id == context.trace_id

    living.stop()
    assert export(client.log, cursor, **sdk.providers) != cursor
    assert len(sdk.spans) == 4
    assert "4111" not in "".join(span.to_json() for span in sdk.spans)
    assert "4111" not in "".join(record.to_json() for record in sdk.records)


def test_a_session_is_the_child_of_the_span_that_caused_it_whoever_exports(lifecycle_client: Client, sdk: Sdk) -> None:
    assert traceparent() is None
    with trace.use_span(sdk.tracers.get_tracer("host").start_span("job"), end_on_exit=True) as host:
        with lifecycle_client.Session(page=False, traceparent=traceparent()):
            pass
        with lifecycle_client.Session(page=False):
            pass
        export(lifecycle_client.log, **sdk.providers)
    ours = [span for span in sdk.spans if span.name == "browser session"]
    parents = [span.parent.span_id if span.parent else None for span in ours]
    assert parents == [host.get_span_context().span_id, None], "only the one that was told is a child"


def test_an_exporter_hears_of_ends_beside_the_program(lifecycle_client: Client, sdk: Sdk) -> None:
    with lifecycle_client.Session(page=False):
        pass
    with Exporter(lifecycle_client.log, **sdk.providers) as exporter:
        with lifecycle_client.Session(page=False) as heard:
            pass
        until(lambda: len(sdk.spans) == 1, "no span came")
        with lifecycle_client.Session(page=False):
            pass
    assert len(sdk.spans) == 2, "what had ended by the end of the block"
    assert (sdk.spans[0].attributes or {})["session.id"] == heard.session_id
    with Exporter(lifecycle_client.log, exporter.cursor, **sdk.providers):
        pass
    assert len(sdk.spans) == 2


def test_what_breaks_in_it_stays_in_it(
    lifecycle_client: Client, sdk: Sdk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn:
        def __getattr__(self, name: str) -> Any:
            return getattr(lifecycle_client.log, name)

        def read_all(self, *_: object, **__: object) -> Any:
            raise RuntimeError("torn")

    log = cast("EventLog", Torn())
    with caplog.at_level(logging.WARNING), Exporter(log, **sdk.providers), lifecycle_client.Session(page=False):
        pass
    assert "torn" in caplog.text


def test_one_that_can_not_be_exported_has_no_other_exported_twice(lifecycle_client: Client, sdk: Sdk) -> None:
    class Torn:
        torn = ""

        def __getattr__(self, name: str) -> Any:
            return getattr(lifecycle_client.log, name)

        def read(self, stream: str, *args: int) -> Any:
            if stream == self.torn:
                raise LogTampered("events", stream, expected="whole", found="torn")
            return lifecycle_client.log.read(stream, *args)

    sessions = [lifecycle_client.Session(page=False) for _ in range(3)]
    for session in sessions:
        session.start().stop()
    log = Torn()
    log.torn = sessions[-1].session_id
    after = lifecycle_client.log.read_all(limit=1).cursor
    with Exporter(cast("EventLog", log), after, **sdk.providers) as exporter:
        until(lambda: len(sdk.spans) >= 2, "no span came")
    log.torn = ""
    with Exporter(cast("EventLog", log), exporter.cursor, **sdk.providers):
        pass
    assert len(sdk.spans) == 3
    assert (sdk.spans[2].attributes or {})["session.id"] == sessions[-1].session_id


def test_an_empty_log(sdk: Sdk) -> None:
    assert export(MemoryLog(), **sdk.providers) is None
    with Exporter(MemoryLog(), **sdk.providers) as exporter:
        assert exporter.cursor is None


@pytest.mark.browser
def test_a_killed_browser_is_an_error_in_the_host_s_trace(world: World, sdk: Sdk) -> None:
    client = world.client()
    with Exporter(client.log, **sdk.providers), sdk.tracers.get_tracer("host").start_as_current_span("job") as host:
        session = client.Session(page=False, traceparent=traceparent()).start()
        started = next(step for step in client.history(session.session_id) if step.name == "started")
        os.kill(started.data["browser"]["pid"], signal.SIGKILL)
        until(lambda: len(sdk.spans) == 1, "no span came")
        session.stop()
    [span] = [span for span in sdk.spans if span.name == "browser session"]
    assert span.parent
    assert span.parent.span_id == host.get_span_context().span_id
    assert span.status.description == "browser_crashed"
    assert span.attributes
    assert span.attributes["process.pid"] == started.data["browser"]["pid"]
