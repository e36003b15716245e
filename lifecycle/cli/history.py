"""`lifecycle history ID`: the events of a session."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lifecycle.audit.detail import by, detail
from lifecycle.audit.history import history
from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.progress import working
from lifecycle.cli.tables import on_terminal, print_json, print_line, print_pairs, print_table, say
from lifecycle.cli.text import ago, duration, iso, now, offset
from lifecycle.cli.views import step_json
from lifecycle.client.sessions import Sessions
from lifecycle.core import moment

if TYPE_CHECKING:
    from lifecycle.audit.history import Step

__all__ = ["command", "print_step"]


@click.command(
    "history",
    short_help="Show the events of a session, one by one.",
    help="""\
Show the events of a session, oldest first; also those that this version does not know, as they are stored. With log
in place of ID: the receipts of what was done to the log itself (forgotten, signed, sealed).

\b
Examples:
  lifecycle history ID
  lifecycle history ID -n 5 --reverse       the last five, newest first
  lifecycle history ID --detailed           every column of every event
  lifecycle history ID --json               one object a line
  lifecycle history log                     what was forgotten, signed, sealed
""",
)
@click.argument("session_id", metavar="ID")
@click.option("-n", "most", metavar="N", type=click.IntRange(min=1), help="Only the last so many.")
@click.option("--reverse", is_flag=True, help="Newest first.")
@click.option("--detailed", is_flag=True, help="Every column of every event.")
@options
def command(session_id: str, most: int | None, reverse: bool, detailed: bool, log: str | None, as_json: bool) -> None:
    """Show the events."""
    with reading(log) as opened, working("reading the events"):
        found = history(opened, Sessions(recorder_for(opened)).stream(session_id))
    if not found:
        say("no receipts: nothing was forgotten, signed or sealed")
        return
    found = found[-most:] if most else found
    found = found[::-1] if reverse else found
    if as_json:
        for step in found:
            print_json(step_json(step))
    elif detailed:
        for number, step in enumerate(found):
            if number:
                print_line()
            print_step(step)
    else:
        rows = [(str(step.version), offset(step.offset_us), step.name, by(step), detail(step)) for step in found]
        print_table(("version", "offset", "event", "by", "detail"), rows)


def print_step(step: Step) -> None:
    """Every column of one event, and its data field by field."""
    late = timedelta(microseconds=step.late_us)
    at = moment(step.at)
    print_pairs(
        [
            ("event", step.type),
            ("session", step.session_id),
            ("version", str(step.version)),
            ("cursor", str(step.cursor)),
            ("id", step.event_id),
            ("schema", str(step.schema_version)),
            ("at", f"{iso(at)} ({ago(at, now())})" if on_terminal() else iso(at)),
            ("offset", offset(step.offset_us)),
            ("recorded", f"{iso(moment(step.recorded_at))}, {duration(late)} after it"),
            ("actor", step.actor),
            ("writer", step.writer),
            ("correlation", step.correlation_id or ""),
            ("causation", step.causation_id or ""),
            ("hash", step.hash),
            ("private", "forgotten" if step.forgotten else ""),
            *(
                (f"data.{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
                for name, value in step.data.items()
            ),
        ]
    )
