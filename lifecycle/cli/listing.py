"""`lifecycle list`: sessions, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.tables import on_terminal, print_json, print_table, say
from lifecycle.cli.text import printable, when
from lifecycle.cli.views import COLUMNS, row, view_json
from lifecycle.client.request import labels_of
from lifecycle.client.sessions import Sessions
from lifecycle.core import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.core import SessionView

__all__ = ["command"]

#: What a terminal shows when nobody said how many.
_SCREEN: Final = 50
#: How many are fetched at once; a long list is not held in memory.
_PAGE: Final = 500


def _labels(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Callback: name -> value, split at the first =."""
    pairs = [value.partition("=") for value in values]
    for value, (name, equals, _) in zip(values, pairs, strict=True):
        if not equals:
            raise click.BadParameter(f"{printable(value[:80])!r} is not of the form NAME=VALUE", ctx, param)
        if [one[0] for one in pairs].count(name) > 1:
            raise click.BadParameter(f"{printable(name[:80])!r} is given twice, and has one value", ctx, param)
    return labels_of({name: text for name, _, text in pairs})


@click.command(
    "list",
    short_help="List sessions, newest first.",
    help="""\
List sessions, newest first. Reading changes nothing.

\b
Examples:
  lifecycle list
  lifecycle list --status active --status created
  lifecycle list --label job=nightly --since yesterday
  lifecycle list --since "2h ago" --until "1h ago" --json
  lifecycle list --limit 20 --after ID      the next page
""",
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="Only these; may be repeated.",
)
@click.option(
    "--label",
    "labels",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_labels,
    help="Only sessions that carry it; may be repeated.",
)
@click.option(
    "--since",
    metavar="TIME",
    callback=when,
    help='Started at or after: "2h ago", yesterday, 2026-11-25, 2026-11-25T10:30Z.',
)
@click.option("--until", metavar="TIME", callback=when, help="Started before.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"At most so many. Default: {_SCREEN} on a terminal, else all.",
)
@click.option("--after", metavar="ID", help="Begin after this session: the last id of the page before.")
@options
def command(
    statuses: tuple[str, ...],
    labels: dict[str, str],
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    after: str | None,
    log: str | None,
    as_json: bool,
) -> None:
    """List sessions."""
    with reading(log) as opened:
        sessions = Sessions(recorder_for(opened))
        screen = on_terminal() and not as_json and limit is None
        found = _pages(
            sessions,
            limit=_SCREEN + 1 if screen else limit,
            after=after,
            status=statuses or None,
            labels=labels or None,
            since=since,
            until=until,
        )
        if as_json:
            for view in found:
                print_json(view_json(view))
            return
        now = datetime.now(UTC)
        shown = list(found)
        more = screen and len(shown) > _SCREEN
        shown = shown[:_SCREEN] if more else shown
        if shown:
            print_table(COLUMNS, (row(view, now=now, relative=on_terminal()) for view in shown), wrap="labels")
        else:
            say("no sessions" + (" match" if statuses or labels or since or until or after else ""))
        if more:
            say(f"more follow: lifecycle list --after {shown[-1].session_id}, or --limit N")
        for stream, why in opened.sessions.unreadable().items():
            say(f"left out: session {stream} can't be read here ({why}); `lifecycle show` shows its raw history")


def _pages(sessions: Sessions, *, limit: int | None, after: str | None, **query: Any) -> Iterator[SessionView]:
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        page = sessions.list(limit=size, after=after, **query)
        yield from page
        if len(page) < size:
            return
        after = page[-1].session_id
        left = None if left is None else left - size
