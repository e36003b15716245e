"""The verbs that carry a log away: `export`, `import`, `check`, `backup`."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import click

from lifecycle.audit import carry
from lifecycle.audit.export import FORMATS, Format
from lifecycle.audit.export import export as lines_from
from lifecycle.audit.into_file import export_to
from lifecycle.cli.exits import OK, UNVERIFIED
from lifecycle.cli.filters import asked_for, filters, left_out
from lifecycle.cli.logs import options, path_of, reading, recorder_for
from lifecycle.cli.rates import shown
from lifecycle.cli.tables import print_json, print_line, say
from lifecycle.cli.text import harmless, printable
from lifecycle.client.sessions import Sessions
from lifecycle.log.locate import open_log

__all__ = ["backup", "check", "export", "import_"]

#: how a file of SQLite begins
_DATABASE: Final = b"SQLite format 3\0"


@click.command(
    "export",
    short_help="Write events as JSON Lines, CloudEvents or CSV.",
    help="""\
Write the events of sessions IDS, of those that the options choose, or of all, to stdout, in the order of the log.

jsonl is the complete record, with what is private, as it was hashed; `lifecycle import` makes a log of it again.
cloudevents are CloudEvents 1.0, one a line; csv has a header, and a ' before what a spreadsheet would compute. These
two leave out what is private, but with --private. A part of a log always comes with the log's own receipts.

With --to FILE it is written there, and FILE is there when all of it is; until then it stands in FILE.part. After
Ctrl-C, --resume goes on: what FILE.part has is compared with the log, and stays as far as it is the same.

\b
Examples:
  lifecycle export > everything.jsonl
  lifecycle export --to everything.jsonl
  lifecycle export --to everything.jsonl --resume
  lifecycle export ID > one.jsonl
  lifecycle export --label job=nightly --since yesterday > nightly.jsonl
  lifecycle export --format cloudevents --source https://example.com/crawler
""",
)
@click.argument("ids", nargs=-1)
@click.option("--format", "form", type=click.Choice(FORMATS), default="jsonl", help="Default: jsonl.")
@click.option("--private", is_flag=True, help="With private fields, in the other formats too.")
@click.option("--to", metavar="FILE", help="A new file instead of stdout, which is -.")
@click.option("--resume", is_flag=True, help="With --to: go on with what an interrupted one left.")
@click.option("--source", default="urn:session-lifecycle", metavar="URI", help="What CloudEvents call this log.")
@filters
@options
def export(
    ids: tuple[str, ...],
    form: Format,
    private: bool,
    to: str | None,
    resume: bool,
    source: str,
    log: str | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Write events."""
    to = None if to == "-" else to
    if as_json and form == "csv" and to is None:
        raise click.UsageError("--json and --format csv contradict each other")
    if resume and to is None:
        raise click.UsageError("--resume goes with --to")
    asked = asked_for(given)
    if ids and asked:
        raise click.UsageError("give IDS, or options that choose, not both")
    with reading(log) as opened, shown("exported") as progress:
        sessions = Sessions(recorder_for(opened))
        chosen: list[str] | None = None
        if ids:
            chosen = [sessions.resolve(one) for one in ids]
        elif asked:
            chosen = [view.session_id for view in sessions.list(**asked)]
            left_out(opened)
        if to is None:
            seen = sys.stdout.isatty()  # a file and a pipe get the bytes that the last line's hash is over
            for line in lines_from(opened, form, sessions=chosen, private=private, source=source, progress=progress):
                sys.stdout.write(harmless(line) if seen else line)
            return OK
        done = export_to(
            opened, to, form, sessions=chosen, private=private, source=source, resume=resume, progress=progress
        )
    if as_json:
        print_json({"to": to, "events": done.events, "bytes": done.bytes, "there": done.there}, indent=2)
    else:
        print_line(f"{done.events} events exported to {printable(to)}; {done.there} of {done.bytes} bytes were there")
    return OK


@click.command(
    "import",
    short_help="Read an export into an empty log, with the same hashes.",
    help="""\
Read what `lifecycle export` wrote as jsonl from FILE (- is stdin) into the log, which is made if it is not there. Every
line is proved before it is written: its hash, its chain, its private part. Hashes stay what they were; a checkpoint of
the whole log also holds for the import of the whole. Interrupted, it goes on when it is run again.

\b
Examples:
  lifecycle import everything.jsonl --log copy.db
  ssh host lifecycle export | lifecycle import - --log host.db
""",
)
@click.argument("file")
@options
def import_(file: str, log: str | None, as_json: bool) -> int:
    """Read an export."""
    with ExitStack() as stack:
        with shown("read", "bytes") as read:
            lines = carry.lines_of(file, read)
            first = list(islice(lines, 1))  # a file that can't be read makes no log
            opened = stack.enter_context(closing(open_log(path_of(log))))
            written, there = carry.restore(chain(first, lines), opened)
        with shown("replayed") as replayed:
            done = carry.Imported(written, there, opened.sessions.rebuild(replayed).unreadable)
    if as_json:
        print_json({"events": done.events, "there": done.there, "unreadable": done.unreadable}, indent=2)
    else:
        print_line(f"{done.events} events imported, {done.there} were there")
        for stream, why in done.unreadable.items():
            print_line(f"unreadable: {stream}: {printable(why)}")
    return OK if not done.unreadable else UNVERIFIED


@click.command(
    "check",
    short_help="Replay recorded histories by today's rules, and compare.",
    help="""\
Replay FILE, an export or a log, by today's table and fold, and compare what comes out with what the export or the log's
list of sessions says; without FILE, do so with the log of --log. Hold every event against the invariants too, by the
rows alone. Names the first event that would be refused, the first invariant that is broken and the first field that
differs, and exits with 4 then.

\b
Examples:
  lifecycle check
  lifecycle check everything.jsonl
""",
)
@click.argument("file", required=False)
@options
def check(file: str | None, log: str | None, as_json: bool) -> int:
    """Replay and compare."""
    if file is not None and log is not None:
        raise click.UsageError("give FILE or --log, not both")
    if file is not None and _is_database(file):
        file, log = None, file
    if file is not None:
        with shown("read", "bytes") as read:
            found = carry.check_lines(carry.lines_of(file, read))
    else:
        with reading(log) as opened, shown("replayed") as progress:
            found = carry.check(opened, progress)
    if as_json:
        refused = dict(zip(("stream", "version", "reason"), found.refused or (), strict=False)) or None
        differs = dict(zip(("session_id", "field", "recorded", "today"), found.differs or (), strict=False)) or None
        print_json(
            {
                "ok": found.ok,
                "events": found.events,
                "sessions": found.sessions,
                "refused": refused,
                "broken": None if found.broken is None else asdict(found.broken),
                "differs": differs,
            },
            indent=2,
        )
        return OK if found.ok else UNVERIFIED
    print_line(f"{found.events} events of {found.sessions} sessions replayed")
    if found.refused is not None:
        stream, version, reason = found.refused
        print_line(f"REFUSED today: version {version} of {stream}: {printable(reason)}")
    if found.broken is not None:
        print_line(f"BROKEN: {printable(str(found.broken))}")
    if found.differs is not None:
        name, path, recorded, today = found.differs
        print_line(f"DIFFERS today: {name}: {path} was {printable(str(recorded))}, is {printable(str(today))}")
    if found.ok:
        print_line(
            "every event would be accepted today and keeps the invariants; every session comes out as it was recorded"
        )
    return OK if found.ok else UNVERIFIED


@click.command(
    "backup",
    short_help="Copy the log while it is in use, and verify the copy.",
    help="""\
Copy the log to the new file TO, as it stands at one moment; sessions go on meanwhile. Then verify the copy: every event
and hash, and that its root is that of the log.

\b
Examples:
  lifecycle backup /backups/monday.db
""",
)
@click.argument("to")
@options
def backup(to: str, log: str | None, as_json: bool) -> int:
    """Copy and verify."""
    began = time.monotonic()
    with reading(log) as opened, shown("copied", "pages") as progress:
        found = carry.backup(opened, to, progress)
    took_s = time.monotonic() - began
    if as_json:
        faults = [str(fault) for fault in found.faults]
        print_json({"to": str(Path(to)), "events": found.events, "verified": found.ok, "faults": faults}, indent=2)
    elif found.ok:
        print_line(f"{found.events} events of {found.sessions} sessions copied and verified in {took_s:.2f} s")
    else:
        print_line(f"FAULT {printable(str(found.faults[0]))}")
        say("the copy is as the log is: not sound")
    return OK if found.ok else UNVERIFIED


def _is_database(file: str) -> bool:
    # This process has not opened it yet: closing a file that SQLite has open would drop SQLite's locks.
    try:
        with open(file, "rb") as opened:
            return opened.read(len(_DATABASE)) == _DATABASE
    except OSError:
        return False
