"""`lifecycle reconcile`: put right what dead processes left, and say what that was."""

from __future__ import annotations

from dataclasses import asdict

import click

from lifecycle.cli.logs import options, recorder_for, writing
from lifecycle.cli.tables import print_json, print_table, say
from lifecycle.client import adapters
from lifecycle.client.reconcile import reconcile_log
from lifecycle.client.sessions import Sessions

__all__ = ["command"]


@click.command(
    "reconcile",
    short_help="Put right what dead processes left: sessions nobody keeps, browsers nobody owns.",
    help="""\
Put right what dead processes left. A session whose keeper is gone gets its ending (keeper_lost, or timed_out past its
deadline); what is left of its browser and profile is ended and removed, if it is provably that session's. Files that no
session has any more are removed too.

\b
Examples:
  lifecycle reconcile
  lifecycle reconcile --json

Sessions that somebody keeps are left alone. Safe to run at any time, as often as you like, from several processes.
""",
)
@options
def command(log: str | None, as_json: bool) -> None:
    """Put right what dead processes left."""
    with writing(log) as opened:
        recorder = recorder_for(opened)
        unreleased = Sessions(recorder).unreleased
        done = reconcile_log(unreleased, recorder, adapters.default_host())
        kept = len(unreleased())
    if as_json:
        for one in done:
            print_json(asdict(one))
    elif done:
        rows = [(one.session_id, one.cause or "had ended before", one.how) for one in done]
        print_table(("id", "ending recorded", "browser"), rows)
    if not done:
        say("nothing to put right" + (f"; {kept} kept or just ended, left alone" if kept else ""))
