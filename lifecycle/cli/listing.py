"""`lifecycle list`: sessions, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from lifecycle.cli.filters import asked_for, filters, left_out
from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.progress import working, working_on
from lifecycle.cli.tables import on_terminal, print_json, print_table, say
from lifecycle.cli.text import now, when
from lifecycle.cli.views import COLUMNS, row, view_json
from lifecycle.client.sessions import Sessions
from lifecycle.projections.query import ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from lifecycle.core import SessionView
    from lifecycle.projections.query import Order

__all__ = ["command"]

#: What a terminal shows when nobody said how many.
_SCREEN: Final = 50
#: How many are fetched at once; a long list is not held in memory.
_PAGE: Final = 500


@click.command(
    "list",
    short_help="List sessions, newest first.",
    help="""\
List sessions, newest first. Reading changes nothing.

\b
Examples:
  lifecycle list
  lifecycle list --status active --status created
  lifecycle list --status error --ended-since "1h ago"
  lifecycle list --cause browser_crashed --label job=nightly --since yesterday
  lifecycle list --since "2h ago" --until "1h ago" --json
  lifecycle list --order longest --limit 10
  lifecycle list --url shop.example --longer-than 5m
  lifecycle list --at "2026-11-25 10:30"    as it stood then
  lifecycle list --limit 20 --after ID      the next page

--url, --actor and --correlation read the events of every session that the other filters leave; --owner, --error,
the times of endings and durations look at each of these; the rest costs what it shows.
""",
)
@filters
@click.option(
    "--order",
    type=click.Choice(ORDERS),
    default="newest",
    help="By creation or by duration. Default: newest.",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"At most so many. Default: {_SCREEN} on a terminal, else all.",
)
@click.option("--after", metavar="ID", help="Begin after this session: the last id of the page before.")
@click.option("--at", metavar="TIME", callback=when, help="The sessions as they stood then.")
@options
def command(
    order: Order,
    limit: int | None,
    after: str | None,
    at: datetime | None,
    log: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """List sessions."""
    query = asked_for(asked)
    with reading(log) as opened:
        sessions = Sessions(recorder_for(opened))
        screen = on_terminal() and not as_json and limit is None
        most = _SCREEN + 1 if screen else limit
        if at is None:
            found = _pages(sessions, limit=most, after=after, order=order, **query)
        else:
            found = iter(sessions.list(limit=most, after=after, order=order, at=at, **query))
        if as_json:
            for view in working_on("looking through the log", found):
                print_json(view_json(view))
            left_out(opened)
            return
        with working("looking through the log"):
            shown = list(found)
        more = screen and len(shown) > _SCREEN
        shown = shown[:_SCREEN] if more else shown
        if shown:
            seen_at = now()
            print_table(COLUMNS, (row(view, now=seen_at, relative=on_terminal()) for view in shown))
        else:
            say("no sessions" + (" match" if query or after or at else ""))
        if more:
            say(f"more follow: lifecycle list --after {shown[-1].session_id}, or --limit N")
        left_out(opened)


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
