"""`lifecycle show ID`: one session, who acted, and its history step by step."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from lifecycle.audit.detail import by, detail, evidence_text
from lifecycle.audit.history import steps, who_acted
from lifecycle.cli.exits import OK, UNVERIFIED
from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.progress import working
from lifecycle.cli.tables import on_terminal, print_json, print_line, print_pairs, print_table, say
from lifecycle.cli.text import ago, duration, iso, now, offset, when, whole
from lifecycle.cli.views import labels_text, limits_text, step_json, view_json
from lifecycle.client.sessions import Sessions
from lifecycle.core import ENDINGS, LIVE
from lifecycle.core import view as core_view
from lifecycle.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lifecycle.audit.history import Step
    from lifecycle.core import SessionView

__all__ = ["command", "print_session", "session_json"]


def _point(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | int | None:
    """Callback: a version where there are only digits, else a time."""
    return int(value) if value and whole(value) else when(ctx, param, value)


@click.command(
    "show",
    short_help="Show one session: what happened, when, who acted, why it ended.",
    help="""\
Show one session: what happened, when, who acted, and why it ended. Reading changes nothing.

\b
Examples:
  lifecycle show ID
  lifecycle show ID --json
  lifecycle show ID --at "2h ago"          as it stood then
  lifecycle show ID --at 3                 after its third event
  lifecycle show ID --known-at "2h ago"    as far as it was recorded then

ID may be the beginning of an id, where only one session's id begins so. Offsets count from the session's creation. URLs
and messages are shown as they are stored; they were redacted when they were recorded.
""",
)
@click.argument("session_id", metavar="ID")
@click.option("--at", metavar="TIME|VERSION", callback=_point, help="As it stood then, or after that event.")
@click.option("--known-at", metavar="TIME", callback=when, help="As far as it was recorded then.")
@options
def command(
    session_id: str, at: datetime | int | None, known_at: datetime | None, log: str | None, as_json: bool
) -> int:
    """Show one session."""
    with reading(log) as opened, working("reading the events"):
        seen = Sessions(recorder_for(opened)).then(session_id, at=at, known_at=known_at)
    session_id = seen.rows[0].stream
    found = steps(seen.rows)
    view: SessionView | None = None
    problem: HistoryError | None = None
    try:
        view = core_view(seen.session(), seen.now)
    except HistoryError as error:
        problem = error
    if as_json:
        print_json(session_json(session_id, view, found), indent=2)
    else:
        print_session(session_id, view, found)
    if problem is None:
        return OK
    say(f"Error: the history can't be read as a session, only event by event: {problem}")
    return UNVERIFIED


def print_session(session_id: str, view: SessionView | None, found: Sequence[Step]) -> None:
    """The session's head, who acted, and its steps."""
    print_pairs(_head(session_id, view, found))
    print_line()
    actors = [(actor, writer, str(count)) for (actor, writer), count in who_acted(found).items()]
    print_table(("who acted", "as", "events"), actors)
    print_line()
    rows = [(offset(step.offset_us), step.name, by(step), detail(step)) for step in found]
    print_table(("offset", "event", "by", "detail"), rows)


def _head(session_id: str, view: SessionView | None, found: Sequence[Step]) -> list[tuple[str, str]]:
    if view is None:
        return [("session", session_id), ("status", "unreadable")]
    ending = next((step for step in found if step.type in ENDINGS), None)
    return [
        ("session", view.session_id),
        ("status", view.status.value),
        ("cause", view.cause.value if view.cause else ""),
        ("error", view.error or ""),
        ("evidence", evidence_text(ending.data.get("evidence") or {}) if ending else ""),
        ("created", _moment(view.created_at)),
        ("started", _moment(view.started_at)),
        ("last access", _moment(view.last_accessed_at)),
        ("ended", _moment(view.closed_at)),
        ("recorded", _recorded(view, ending)),
        ("duration", duration(view.duration)),
        ("deadline", _moment(view.deadline) if view.status in LIVE else ""),
        ("limits", limits_text(view)),
        ("browser", _browser(view)),
        ("labels", labels_text(view)),
    ]


def _recorded(view: SessionView, ending: Step | None) -> str:
    """How late the ending was written down, or that it was not."""
    if ending is None:
        return "" if view.status in LIVE else "not yet: whoever reads works it out from the deadline"
    return f"{duration(ending.late)} after it"


def _moment(at: datetime | None) -> str:
    if at is None:
        return ""
    return f"{iso(at)} ({ago(at, now())})" if on_terminal() else iso(at)


def _browser(view: SessionView) -> str:
    said = [view.browser_version or view.browser or "browser"]
    if view.headless is not None:
        said.append("headless" if view.headless else "headed")
    if view.viewport_width:
        said.append(f"{view.viewport_width}x{view.viewport_height}")
    if view.keep_alive:
        said.append("kept alive")
    return ", ".join(said)


def session_json(session_id: str, view: SessionView | None, found: Sequence[Step]) -> dict[str, Any]:
    """What `--json` prints: the view (null when the history can't be read typed), who acted, and every event."""
    return {
        "session_id": session_id,
        "session": None if view is None else view_json(view),
        "actors": [
            {"actor": actor, "writer": writer, "events": count} for (actor, writer), count in who_acted(found).items()
        ],
        "events": [step_json(step) for step in found],
    }
