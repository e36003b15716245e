"""A SessionView as a row, as lines, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifecycle.cli.text import ago, duration, iso

if TYPE_CHECKING:
    from datetime import datetime

    from lifecycle.core import SessionView

__all__ = ["COLUMNS", "labels_text", "limits_text", "row", "view_json"]

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
    idle = f"idle {view.idle_timeout_minutes:g} min, " if view.idle_timeout_minutes is not None else ""
    return f"{idle}max {view.max_duration_minutes:g} min"


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
