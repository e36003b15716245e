"""`lifecycle stop ID`: end a session from any process.

The order of every ending: the log first (it decides), then a poke for the session's keeper, then waiting for its
browser to be gone; a keeper that does not get there within its bound is done without.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from lifecycle.audit.detail import detail
from lifecycle.audit.history import history
from lifecycle.cli.exits import FAILED, OK
from lifecycle.cli.logs import options, recorder_for, writing
from lifecycle.cli.show import session_json
from lifecycle.cli.tables import print_json, print_pairs, say
from lifecycle.cli.text import duration
from lifecycle.client import adapters
from lifecycle.client.reconcile import RELEASE_WAIT_S, finish
from lifecycle.client.sessions import Sessions
from lifecycle.core import LIVE, Close, State
from lifecycle.core.events import Cause
from lifecycle.errors import IllegalCommand, KeeperUnavailable

if TYPE_CHECKING:
    from lifecycle.client.recorder import Recorder
    from lifecycle.core import Session

__all__ = ["command"]


@click.command(
    "stop",
    short_help="End a session, whichever process started it.",
    help="""\
End a session, whichever process started it. A session that has ended keeps the ending it had.

\b
Examples:
  lifecycle stop ID
  lifecycle stop ID --json

Returns when its browser is gone, or after five seconds at the latest.
""",
)
@click.argument("session_id", metavar="ID")
@options
def command(session_id: str, log: str | None, as_json: bool) -> int:
    """End a session."""
    with writing(log) as opened:
        recorder = recorder_for(opened).lenient()  # what a newer version has added keeps nobody from ending it
        found = Sessions(recorder).resolve(session_id)
        before = recorder.load(found)
        with suppress(IllegalCommand):  # it has ended already, and keeps that ending
            recorder.execute(found, Close(cause=Cause.STOPPED))
        ended_now = before.status in LIVE
        elsewhere = not before.released and not _wait_released(recorder, before)
        session, view = recorder.load(found), recorder.view(found)
        steps = history(opened, found)
    if as_json:
        print_json({**session_json(found, view, steps), "ended_now": ended_now, "released": session.released}, indent=2)
    else:
        print_pairs(
            [
                ("session", found),
                ("status", view.status.value),
                ("cause", view.cause.value if view.cause else ""),
                ("duration", duration(view.duration)),
                ("browser", detail(steps[-1]) if session.released else "not confirmed gone"),
            ]
        )
    if not ended_now:
        say("it had ended before; that ending stands")
    if elsewhere:
        say("its keeper is on another machine or in another container: the browser ends when it reads the log")
    return OK if session.released else FAILED


def _wait_released(recorder: Recorder, session: Session) -> bool:
    """Wait for the browser's end, and see to it past the bound; False when that can't be done from here."""
    host = adapters.default_host()
    if host.keeper_alive(session, recorder.log) is None:
        return False
    if session.status is State.ACTIVE and session.keeper_id is not None:
        with suppress(KeeperUnavailable):  # then its keeper finds the ending in the log by itself, within a second
            host.attach(session, recorder.log).look()
    until = time.monotonic() + (0 if session.keeper_id is None else RELEASE_WAIT_S)  # without one: nobody to wait for
    while time.monotonic() < until and host.keeper_alive(session, recorder.log):
        if recorder.load(session.session_id).released:
            return True
        time.sleep(0.02)
    if not (ended := recorder.load(session.session_id)).released:
        finish(ended, recorder, host)
    return True
