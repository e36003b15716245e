"""`lifecycle timeline`: sessions along a line of time, here or in a file."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lifecycle.audit.timeline import timeline
from lifecycle.cli.filters import asked_for, filters, left_out
from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.progress import working
from lifecycle.cli.tables import on_terminal, print_json, print_line, say
from lifecycle.cli.text import clock, iso
from lifecycle.cli.views import step_json
from lifecycle.client.sessions import Sessions
from lifecycle.core import moment
from lifecycle.log.atomic import replace_file

if TYPE_CHECKING:
    from lifecycle.audit.timeline import Row, Timeline

__all__ = ["command"]

_WIDE: Final = 100
_MOST: Final = 20


@click.command(
    "timeline",
    short_help="Draw sessions along a line of time: here, as SVG or HTML, or for Perfetto.",
    help="""\
Draw sessions along a line of time: those named, or the newest that the filters of `lifecycle list` leave. In a file it
is a picture (SVG or HTML) that needs nothing else, follows the system's light or dark, and shows an event under the
pointer; or a trace that ui.perfetto.dev and chrome://tracing open.

\b
Examples:
  lifecycle timeline
  lifecycle timeline ID OTHER --align       each from its own beginning
  lifecycle timeline --since "2h ago" --html timeline.html
  lifecycle timeline ID --svg timeline.svg
  lifecycle timeline ID --trace trace.json

FILE may be -, for stdout.
""",
)
@click.argument("session_ids", metavar="[ID]...", nargs=-1)
@filters
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), default=_MOST, help=f"The newest so many. Default: {_MOST}."
)
@click.option("--align", is_flag=True, help="Let each session begin at zero.")
@click.option("--svg", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True), help="Write a picture.")
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True), help="Write a page.")
@click.option("--trace", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True), help="Write a trace.")
@options
def command(
    session_ids: tuple[str, ...],
    limit: int,
    align: bool,
    svg: str | None,
    html: str | None,
    trace: str | None,
    log: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Draw."""
    query = asked_for(asked)
    if session_ids and query:
        raise click.UsageError("give ids, or filters, not both")
    files = [file for file in (svg, html, trace) if file]
    with reading(log) as opened, working("reading the events"):
        if any(f"sqlite:{Path(file).resolve()}" == opened.locator for file in files):
            raise click.UsageError("a drawing must not be written over the log itself")
        sessions = Sessions(recorder_for(opened))
        names = [sessions.resolve(name) for name in session_ids]
        if not names:
            names = [view.session_id for view in sessions.list(limit=limit, **query)]
            left_out(opened)
        found = timeline(opened, names, clock.now(), align=align)
    if svg:
        _write(svg, found.svg() + "\n")
    if html:
        _write(html, found.html())
    if trace:
        _write(trace, json.dumps(found.trace(), ensure_ascii=False) + "\n")
    if as_json:
        print_json(_json(found), indent=2)
    elif not files:
        print_line(found.text(shutil.get_terminal_size().columns if on_terminal() else _WIDE))


def _write(file: str, text: str) -> None:
    if file == "-":
        sys.stdout.write(text)
        return
    there = Path(file)
    try:
        if there.exists() and not (there.is_file() and os.access(there.resolve().parent, os.W_OK)):
            there.write_text(text, "utf-8")  # a device or a pipe, or a file that can't be replaced
        else:
            replace_file(there.resolve(), text.encode(), _mode(there))
    except OSError as error:
        raise click.ClickException(f"{file} can't be written: {error.strerror}") from None
    say(f"written: {file}")


def _mode(path: Path) -> int:
    """The permissions of the file that is there, or those that the user's new files have."""
    with suppress(FileNotFoundError):
        return stat.S_IMODE(path.stat().st_mode)
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask


def _json(found: Timeline) -> dict[str, Any]:
    return {"now": iso(moment(found.now)), "align": found.align, "sessions": [_row(row) for row in found.rows]}


def _row(row: Row) -> dict[str, Any]:
    times = {name: getattr(row, name) for name in ("created", "started", "ended", "released", "recorded", "deadline")}
    return {
        "session_id": row.session_id,
        "status": row.status,
        "cause": row.cause,
        "labels": dict(row.labels),
        **{f"{name}_at": None if at is None else iso(moment(at)) for name, at in times.items()},
        "events": [step_json(step) for step in row.steps],
    }
