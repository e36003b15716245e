"""`lifecycle view ID`: serve the live view of a session, whichever process started it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.tables import print_json, print_line, say
from lifecycle.client import adapters, viewing
from lifecycle.client.causes import ended_error
from lifecycle.client.sessions import Sessions
from lifecycle.core import LIVE
from lifecycle.errors import NoGate

if TYPE_CHECKING:
    from lifecycle.client.viewing import Showing

__all__ = ["command"]

_LOOK_S: Final = 0.2


@click.command(
    "view",
    short_help="Watch a session in your browser, without touching it.",
    help="""\
Watch a session in your browser, without touching it: prints the address of a page on this machine, and serves it until
the session ends or Ctrl-C. Whoever has the address may look. Looking does not keep a session alive.

\b
Examples:
  lifecycle view ID
  lifecycle view ID --json
""",
)
@click.argument("session_id", metavar="ID")
@options
def command(session_id: str, log: str | None, as_json: bool) -> None:
    """Watch a session."""
    showing, url = _show(session_id, log)
    if as_json:
        print_json({"url": url})
    else:
        print_line(url)
    sys.stdout.flush()  # whoever reads a pipe needs it now, not at the end
    say("looking only; Ctrl-C ends the view, not the session")
    while not showing.gone():
        time.sleep(_LOOK_S)
    say("the view has ended")


def _show(session_id: str, log: str | None) -> tuple[Showing, str]:
    """The viewer of that session, and its address."""
    with reading(log) as opened:
        recorder = recorder_for(opened)
        found = Sessions(recorder).resolve(session_id)
        seen = recorder.view(found)
        if seen.status not in LIVE:
            raise ended_error(seen)
        session = recorder.load(found)
        if session.keeper_id is None:
            raise NoGate(found, "the live view")
        talk = adapters.default_host().attach(session, opened)
        showing = viewing.show(found, opened.locator, talk.look_url)
    return showing, showing.url()
