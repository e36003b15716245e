"""`lifecycle tail`: the last events of the log or of one session, and those that come."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from lifecycle.audit.detail import by, detail
from lifecycle.audit.follow import Follower
from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.tables import print_json, print_line, say
from lifecycle.cli.text import iso, printable
from lifecycle.cli.views import step_json
from lifecycle.client.sessions import Sessions
from lifecycle.core import moment
from lifecycle.log.port import Cursor

if TYPE_CHECKING:
    from lifecycle.audit.history import Step
    from lifecycle.log.port import EventLog

__all__ = ["command"]

#: So that Ctrl-C is heard; the log wakes us as soon as something comes.
_WAIT_S: Final = 60.0


@click.command(
    "tail",
    short_help="Show the last events of the log or of a session, and follow it.",
    help="""\
Show the last events of the whole log, or of one session, one a line: cursor, time, session, event, who, detail. With -f
it stays and shows what comes, until Ctrl-C; the events of one session until its browser is gone.

\b
Examples:
  lifecycle tail
  lifecycle tail -f
  lifecycle tail ID -f --json
  lifecycle tail -f --after 1042 --json     go on where a reader stopped

--after takes the cursor that stands first in a line (`cursor` in JSON) and gives everything that came since.
""",
)
@click.argument("session_id", metavar="[ID]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "most", metavar="N", type=click.IntRange(min=0), default=10, help="So many. Default: 10.")
@click.option("--after", metavar="CURSOR", type=click.IntRange(min=0), help="Everything after it, instead of -n.")
@options
def command(session_id: str | None, follow: bool, most: int, after: int | None, log: str | None, as_json: bool) -> None:
    """Follow."""
    given = click.get_current_context().get_parameter_source("most") is ParameterSource.COMMANDLINE
    if given and after is not None:
        raise click.UsageError("give -n or --after, not both: --after shows everything that came since")
    with reading(log) as opened:
        name = None if session_id is None else Sessions(recorder_for(opened)).stream(session_id)
        follower = Follower(opened, name, _start(opened, name, most) if after is None else Cursor(after))
        try:
            while True:
                for step in follower.ready():
                    _print(step, as_json)
                sys.stdout.flush()
                if not follow or follower.over or getattr(opened, "copied", False):  # nothing new comes to a copy
                    return
                follower.wait(_WAIT_S)
        except KeyboardInterrupt:
            if follower.cursor is not None and not as_json:
                say(f"go on with --after {follower.cursor}")
            raise


def _start(log: EventLog, session_id: str | None, most: int) -> Cursor | None:
    """The cursor before the last *most* events."""
    rows = log.last(most + 1) if session_id is None else log.read(session_id)[-most - 1 :]
    return rows[0].position if len(rows) > most else None


def _print(step: Step, as_json: bool) -> None:
    if as_json:
        print_json(step_json(step))
        return
    at = iso(moment(step.at))
    line = f"{step.cursor}  {at}  {step.session_id}  {step.name:<12}  {by(step)}  {detail(step)}"
    print_line(printable(line.rstrip()))
