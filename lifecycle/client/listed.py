"""A list of sessions that shows itself: a table in a notebook, lines elsewhere."""

from __future__ import annotations

from html import escape

from lifecycle.audit.words import duration, iso
from lifecycle.core import SessionView

__all__ = ["SessionList"]

_HEAD = ("id", "status", "started", "duration", "cause", "labels")


class SessionList(list[SessionView]):
    """A list of SessionViews; a notebook shows it as a table."""

    def __repr__(self) -> str:
        """One line for each session."""
        return "[" + ",\n ".join(map(repr, self)) + "]"

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in _HEAD)
        body = "".join(f"<tr>{''.join(_cell(text) for text in _row(view))}</tr>" for view in self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(view: SessionView) -> tuple[str, ...]:
    return (
        view.session_id,
        view.status.value,
        iso(view.created_at),
        duration(view.duration),
        view.cause.value if view.cause else "",
        " ".join(f"{name}={value}" for name, value in sorted(view.labels.items())),
    )


def _cell(text: str) -> str:
    return f"<td style='text-align:left'>{escape(text)}</td>"
