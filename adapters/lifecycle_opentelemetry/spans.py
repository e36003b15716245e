"""One ended session as a span with its events, and its ending as a log record; public fields only.

Names are ours (`lifecycle.*`) but where OpenTelemetry's semantic conventions have one: `session.id` (in development
there; here it is one browser's life), `error.type`, `process.pid`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import SeverityNumber, get_logger
from opentelemetry.context import Context
from opentelemetry.trace import StatusCode, get_tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lifecycle.core import ENDINGS, State, leads_to
from lifecycle.log.canonical import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.trace import TracerProvider

    from lifecycle.log.port import Recorded

__all__ = ["Tracing", "traceparent"]

_NAME: Final = "lifecycle"
_CONTEXT: Final = TraceContextTextMapPropagator()
_SEVERITY: Final = {
    State.CLOSED: SeverityNumber.INFO,
    State.TIMED_OUT: SeverityNumber.WARN,
    State.ERROR: SeverityNumber.ERROR,
}


def traceparent() -> str | None:
    """The current span as a W3C Trace Context header, for `Client.Session(traceparent=…)`; None without a span.

    The session's span is then a child of that span, whoever exports it and when.
    """
    carrier: dict[str, str] = {}
    _CONTEXT.inject(carrier)
    return carrier.get("traceparent")


class Tracing:
    """A tracer and a logger, and what becomes of a session in them."""

    def __init__(self, tracers: TracerProvider | None, loggers: LoggerProvider | None) -> None:
        self._tracer = get_tracer(_NAME, tracer_provider=tracers)
        self._logger = get_logger(_NAME, logger_provider=loggers)

    def ended(self, ending: Recorded, rows: Sequence[Recorded]) -> None:
        """*rows* is the session's history, *ending* the event in it that ended it."""
        labels: dict[str, str] = parse(rows[0].data).get("labels") or {}
        last = parse(ending.data)
        status = leads_to(ending.type)
        cause = last.get(ENDINGS[ending.type])
        attributes: dict[str, Any] = {
            "session.id": ending.stream,
            "lifecycle.status": status.value,
            "lifecycle.cause": cause,
            "lifecycle.actor": rows[0].actor,
            "lifecycle.correlation_id": rows[0].correlation_id,
            "lifecycle.lateness_ms": max(0, ending.recorded_at - ending.at) / 1000,
        }
        for name, value in labels.items():
            attributes[f"lifecycle.label.{name}"] = value
        for row in rows:
            if row.type == "session.started":
                started = parse(row.data)
                browser: dict[str, Any] = started.get("browser") or {}
                attributes["process.pid"] = browser.get("pid")
                attributes["lifecycle.browser_version"] = started.get("browser_version")
        if status is State.ERROR:
            attributes["error.type"] = last.get("error_type") or cause
        attributes = _plain(attributes)
        span = self._tracer.start_span(
            "browser session", context=_parent(rows[0]), attributes=attributes, start_time=_ns(rows[0].at)
        )
        for row in rows:
            fields = {"lifecycle.version": row.version, "lifecycle.actor": row.actor, **_public(row)}
            span.add_event(row.type, _plain(fields), _ns(row.at))
        if status is State.ERROR:
            span.set_status(StatusCode.ERROR, str(cause))
        span.end(_ns(ending.at))
        self._logger.emit(
            timestamp=_ns(ending.at),
            observed_timestamp=_ns(ending.recorded_at),
            context=set_span_in_context(span),
            severity_number=_SEVERITY[status],
            severity_text=_SEVERITY[status].name,
            body=f"session {ending.stream} ended: {status}, {cause}",
            attributes=attributes,
            event_name=f"lifecycle.{ending.type}",
        )


def _parent(first: Recorded) -> Context:
    """The context of the span that caused the session; an empty one where none did."""
    return _CONTEXT.extract({"traceparent": first.causation_id or ""}, context=_NOWHERE)


#: not the current span: whoever exports has not caused the sessions
_NOWHERE: Final = Context()


def _public(row: Recorded) -> dict[str, Any]:
    return {f"lifecycle.{name}": value for name, value in parse(row.data).items()}


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What an attribute can be: text, numbers, truth; the rest is left out, the log has it."""
    return {name: value for name, value in attributes.items() if isinstance(value, str | int | float)}


def _ns(at_us: int) -> int:
    return at_us * 1000
