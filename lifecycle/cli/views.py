"""A SessionView as a row, as lines, and as JSON."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from lifecycle.cli.text import ago, duration, iso
from lifecycle.core import EVENT_TYPES, moment
from lifecycle.log.receipts import RECEIPTS

if TYPE_CHECKING:
    from datetime import datetime

    from lifecycle.audit.history import Step
    from lifecycle.core import SessionView

__all__ = ["COLUMNS", "labels_text", "limits_text", "row", "step_json", "view_json"]

COLUMNS: Final = ("id", "status", "started", "duration", "cause", "labels")
_TIMES: Final = ("created_at", "started_at", "closed_at", "last_accessed_at", "deadline")


def row(view: SessionView, *, now: datetime, relative: bool) -> tuple[str, ...]:
    """The cells of COLUMNS. `started` is the moment start() was called, which the order and --since go by."""
    return (
        view.session_id,
        view.status.value,
        ago(view.created_at, now) if relative else iso(view.created_at),
        duration(view.duration),
        view.cause.value if view.cause else "",
        labels_text(view),
    )


def labels_text(view: SessionView) -> str:
    """k=v, sorted."""
    return " ".join(f"{name}={value}" for name, value in sorted(view.labels.items()))


def limits_text(view: SessionView) -> str:
    """The limits that make the deadline."""
    idle, most = view.idle_timeout_minutes, view.max_duration_minutes
    spared = "" if idle is None else f"idle {duration(timedelta(minutes=idle))}, "
    return f"{spared}max {duration(timedelta(minutes=most))}"


def view_json(view: SessionView) -> dict[str, Any]:
    """Every field under its own name; times as ISO 8601 in UTC, duration as `duration_s` in seconds."""
    found = view.model_dump(mode="python")
    for name in _TIMES:
        found[name] = None if found[name] is None else iso(found[name])
    found["status"] = view.status.value
    found["cause"] = view.cause.value if view.cause else None
    found["labels"] = dict(view.labels)
    items: dict[str, Any] = {}
    for name, value in found.items():
        if name == "duration":
            items["duration_s"] = view.duration.total_seconds()
        else:
            items[name] = value
    return items


def step_json(step: Step) -> dict[str, Any]:
    """One event; its data as it is stored, also where its type is not known here."""
    return {
        "session_id": step.session_id,
        "cursor": step.cursor,
        "version": step.version,
        "event_id": step.event_id,
        "type": step.type,
        "schema_version": step.schema_version,
        "known": step.type in EVENT_TYPES or step.type in RECEIPTS,
        "at": iso(moment(step.at)),
        "recorded_at": iso(moment(step.recorded_at)),
        "offset_s": step.offset_us / 1e6,
        "actor": step.actor,
        "writer": step.writer,
        "correlation_id": step.correlation_id,
        "causation_id": step.causation_id,
        "data": dict(step.data),
        "forgotten": step.forgotten,
        "hash": step.hash,
    }
