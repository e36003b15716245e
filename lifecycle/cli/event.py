"""`lifecycle event ID N`: one event, whole."""

from __future__ import annotations

import click

from lifecycle.audit.history import history
from lifecycle.cli.exits import NotFound
from lifecycle.cli.history import print_step
from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.progress import working
from lifecycle.cli.tables import print_json
from lifecycle.cli.views import step_json
from lifecycle.client.sessions import Sessions
from lifecycle.log.receipts import STREAM

__all__ = ["command"]


@click.command(
    "event",
    short_help="Show one event of a session, with every column.",
    help="""\
Show one event of a session with every column. VERSION is the number in front of it in `lifecycle history`; -1 is the
last one.

\b
Examples:
  lifecycle event ID 3
  lifecycle event ID -1 --json
""",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("session_id", metavar="ID")
@click.argument("version", metavar="VERSION", type=int)
@options
def command(session_id: str, version: int, log: str | None, as_json: bool) -> None:
    """Show one event."""
    with reading(log) as opened, working("reading the events"):
        found = history(opened, Sessions(recorder_for(opened)).stream(session_id))
    wanted = len(found) + 1 + version if version < 0 else version
    if not 1 <= wanted <= len(found):
        named = "the log's own history" if session_id == STREAM else f"session {found[0].session_id}"
        raise NotFound(f"{named} has no event {version}; it has {f'1 to {len(found)}' if found else 'none'}")
    if as_json:
        print_json(step_json(found[wanted - 1]), indent=2)
    else:
        print_step(found[wanted - 1])
