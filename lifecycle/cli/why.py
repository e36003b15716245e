"""`lifecycle why ID`: one paragraph in words."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

import click

from lifecycle.audit.why import why
from lifecycle.cli.exits import OK, UNVERIFIED
from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.progress import working
from lifecycle.cli.tables import on_terminal, print_json, print_line
from lifecycle.cli.text import clock, iso, printable
from lifecycle.cli.views import step_json
from lifecycle.client.sessions import Sessions

if TYPE_CHECKING:
    from lifecycle.audit.why import Why

__all__ = ["command"]

_WIDEST = 100


@click.command(
    "why",
    short_help="Say in words why a session ended, or what it is doing.",
    help="""\
Say in one paragraph why a session ended: which rule or whose act ended it, on what evidence, how late that was
recorded, what the deadline was and who last moved it, and what the session was doing then. Of a session that lives:
until when, and what it does.

\b
Examples:
  lifecycle why ID
  lifecycle why ID --json
""",
)
@click.argument("session_id", metavar="ID")
@options
def command(session_id: str, log: str | None, as_json: bool) -> int:
    """Say why."""
    with reading(log) as opened, working("reading the events"):
        name = Sessions(recorder_for(opened)).resolve(session_id)
        found = why(opened, name, clock.now(), relative=on_terminal() and not as_json)
    if as_json:
        print_json(_json(found), indent=2)
    elif on_terminal():
        print_line(textwrap.fill(printable(found.text), min(_WIDEST, shutil.get_terminal_size().columns)))
    else:
        print_line(printable(found.text))
    return UNVERIFIED if found.status == "unreadable" else OK


def _json(found: Why) -> dict[str, Any]:
    return {
        "session_id": found.session_id,
        "status": found.status,
        "cause": found.cause,
        "text": found.text,
        "ending": None if found.ending is None else step_json(found.ending),
        "recorded_after_s": None if found.recorded_after is None else found.recorded_after.total_seconds(),
        "deadline": None if found.deadline is None else iso(found.deadline),
        "deadline_rule": found.deadline_rule,
        "moved_by": None if found.moved_by is None else step_json(found.moved_by),
        "operations": [step_json(step) for step in found.operations],
        "navigated": None if found.navigated is None else step_json(found.navigated),
        "clients": list(found.clients),
    }
