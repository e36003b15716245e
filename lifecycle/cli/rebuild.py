"""`lifecycle rebuild`: replay every event, and prove the list of sessions equal to what the events say."""

from __future__ import annotations

import time

import click

from lifecycle.cli.exits import OK, UNVERIFIED
from lifecycle.cli.logs import options, writing
from lifecycle.cli.rates import shown
from lifecycle.cli.tables import print_json, print_line

__all__ = ["command"]


@click.command(
    "rebuild",
    short_help="Replay every event and prove the list of sessions equal to the log.",
    help="""\
Replay every event and compare: the list of sessions is only a copy of what the events say. Where it differs, or where a
history can't be read, the command says so and exits with 4; afterwards the list is what the events say. Writers go on
meanwhile, and an interrupted one can be resumed.

\b
Examples:
  lifecycle rebuild
  lifecycle rebuild --json
  lifecycle rebuild --resume       after Ctrl-C, from where it stopped
""",
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted one stopped.")
@options
def command(log: str | None, as_json: bool, resume: bool) -> int:
    """Replay every event."""
    began = time.monotonic()
    with writing(log) as opened, shown("replayed", resumed=resume) as progress:
        report = opened.sessions.rebuild(progress, resume=resume)
    took = time.monotonic() - began
    if as_json:
        print_json(
            {
                "equal": report.equal,
                "sessions": report.sessions,
                "events": report.events,
                "differing": list(report.differing),
                "unreadable": dict(report.unreadable),
                "took_s": round(took, 3),
            },
            indent=2,
        )
    else:
        print_line(f"{report.events} events of {report.sessions} sessions replayed in {took:.2f} s")
        for session_id in report.differing:
            print_line(f"differed: {session_id}")
        for stream, why in report.unreadable.items():
            print_line(f"unreadable: {stream}: {why}")
        if report.equal:
            print_line("equal: every session in the list is what its events say")
        else:
            print_line(f"NOT equal: {len(report.differing)} sessions differed; now they are what their events say")
    return OK if report.equal and not report.unreadable else UNVERIFIED
