"""`lifecycle forward`: events as CloudEvents to a URL or a file, from where the last run stopped."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lifecycle.audit.forward import forward, sink_for
from lifecycle.cli.exits import INTERRUPTED, OK
from lifecycle.cli.logs import options, reading
from lifecycle.cli.rates import shown
from lifecycle.cli.tables import print_json, say
from lifecycle.cli.text import printable, whole
from lifecycle.log.port import Cursor

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

    from lifecycle.errors import SinkUnavailable
    from lifecycle.log.port import EventLog

__all__ = ["command"]

_GIVE_UP_S = 60.0


@click.command(
    "forward",
    short_help="Send events as CloudEvents to a URL or a file, and go on with those that come.",
    help="""\
Send the events of the log to TO, a URL or a file, as CloudEvents 1.0, in the order of the log: those that no earlier
run with the same cursor file has sent, and with -f those that come, until Ctrl-C or SIGTERM.

Each arrives at least once: after a crash or an answer that was lost a few come again, with the same id. What a URL
does not answer with 2xx is tried again, with growing pauses; an answer that says no (4xx) stops it before that event.
What is private stays here, but with --private.

\b
Examples:
  lifecycle forward events.jsonl
  lifecycle forward https://events.example/in --cursor in.cursor -f
  lifecycle forward https://events.example/in --cursor in.cursor -H @token.txt --type closed --type failed
  lifecycle forward https://events.example/in --cursor in.cursor --batch 100

The cursor file of a file is FILE.cursor unless you name one. With a new one the log's first event is the first to go,
or the one after --after.
""",
)
@click.argument("to")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("--cursor", "cursor_file", metavar="FILE", help="Where to keep the place. Needed for a URL.")
@click.option("--after", metavar="CURSOR", help="With a new cursor file: begin after this event; now: with what comes.")
@click.option("--type", "types", metavar="TYPE", multiple=True, help="Only such events (closed, …); may be repeated.")
@click.option(
    "-H",
    "--header",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    help="Sent to a URL; @FILE reads it from there.",
)
@click.option(
    "--batch",
    metavar="N",
    type=click.IntRange(1, 500),
    default=1,
    help="Events in a request, to a URL. Default: 1.",
)
@click.option("--source", default="urn:session-lifecycle", metavar="URI", help="What CloudEvents call this log.")
@click.option("--private", is_flag=True, help="With private fields.")
@click.option(
    "--give-up",
    "give_up_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Stop trying after so long. Default: 60, with -f never.",
)
@options
def command(
    to: str, follow: bool, cursor_file: str | None, after: str | None, log: str | None, as_json: bool, **given: Any
) -> int:
    """Forward."""
    if cursor_file is None:
        if "://" in to:
            raise click.UsageError("a URL needs --cursor FILE, in which the place is kept from run to run")
        cursor_file = f"{to}.cursor"
    give_up_s: float | None = given["give_up_s"]
    if give_up_s is None and not follow:
        give_up_s = _GIVE_UP_S
    sink = sink_for(to, dict(map(_header, given["headers"])), batch=given["batch"])
    with reading(log) as opened, shown("forwarded") as progress, _until_told() as stop:
        done = forward(
            opened,
            sink,
            cursor_file,
            follow=follow and not getattr(opened, "copied", False),
            types=given["types"] or None,
            after=_after(after, opened),
            source=given["source"],
            private=given["private"],
            give_up_s=give_up_s,
            stop=stop,
            progress=None if follow else progress,
            trouble=_tell,
        )
    if as_json:
        print_json({"events": done.events, "cursor": done.cursor})
    else:
        say(f"{done.events} events forwarded, up to {done.cursor if done.cursor else 'the first'}")
    return INTERRUPTED if stop.is_set() and not follow else OK


@contextmanager
def _until_told() -> Generator[threading.Event]:
    """Set by Ctrl-C or SIGTERM, so that what was sent is remembered."""
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(error: SinkUnavailable, pause_s: float) -> None:
    say(f"{printable(str(error))}; trying again in {pause_s:.1f} s")


def _after(given: str | None, log: EventLog) -> Cursor | None:
    if given is None:
        return None
    if given == "now":
        last = log.last(1)
        return last[0].position if last else None
    if not whole(given) or given == "0":
        raise click.BadParameter(f"{printable(given[:80])!r} is neither a cursor, a number from 1, nor now")
    return Cursor(int(given))


def _header(given: str) -> tuple[str, str]:
    if given.startswith("@"):
        try:
            given = Path(given[1:]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"the header's file {printable(given[1:])} can't be read: {error}") from None
    name, colon, value = given.partition(":")
    if not colon:
        raise click.BadParameter("a header is 'NAME: VALUE', or @FILE with a file that holds that")
    return name.strip(), value.strip()
