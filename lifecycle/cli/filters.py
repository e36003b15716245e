"""The options by which verbs choose sessions, and the question that they amount to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from lifecycle.cli.tables import say
from lifecycle.cli.text import printable, span, when
from lifecycle.client.request import labels_of
from lifecycle.core import Cause, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lifecycle.log.port import EventLog

__all__ = ["asked_for", "filters", "left_out"]


def _labels(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Callback: name -> value, split at the first =."""
    pairs = [value.partition("=") for value in values]
    for value, (name, equals, _) in zip(values, pairs, strict=True):
        if not equals:
            raise click.BadParameter(f"{printable(value[:80])!r} is not of the form NAME=VALUE", ctx, param)
        if [one[0] for one in pairs].count(name) > 1:
            raise click.BadParameter(f"{printable(name[:80])!r} is given twice, and has one value", ctx, param)
    return labels_of({name: text for name, _, text in pairs})


_OPTIONS: Final = (
    click.option(
        "--status",
        multiple=True,
        type=click.Choice([state.value for state in State]),
        help="Only these; may be repeated.",
    ),
    click.option(
        "--cause",
        metavar="CAUSE",
        multiple=True,
        type=click.Choice([cause.value for cause in Cause]),
        help="Only sessions that ended so (stopped, exception, browser_crashed, idle, …); may be repeated.",
    ),
    click.option(
        "--label",
        "labels",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_labels,
        help="Only sessions that carry it; may be repeated.",
    ),
    click.option(
        "--since",
        metavar="TIME",
        callback=when,
        help='Started at or after: "2h ago", yesterday, 2026-11-25, 2026-11-25T10:30Z.',
    ),
    click.option("--until", metavar="TIME", callback=when, help="Started before."),
    click.option("--ended-since", metavar="TIME", callback=when, help="Ended at or after."),
    click.option("--ended-until", metavar="TIME", callback=when, help="Ended before."),
    click.option("--longer-than", metavar="SPAN", callback=span, help='Lived so long at least: 90s, 5m, "1h 30m".'),
    click.option("--shorter-than", metavar="SPAN", callback=span, help="Lived less."),
    click.option("--url", metavar="TEXT", help="Visited an address with this in it."),
    click.option("--error", metavar="TEXT", help="Ended with an error with this in its type or message."),
    click.option("--actor", metavar="NAME", help="Somebody of that name acted in it."),
    click.option("--correlation", "correlation_id", metavar="ID", help="Belongs to it: a job, or the id of a trace."),
    click.option("--owner", metavar="HOST:PID", help="Started by that process, or on that HOST, or by a PID."),
)


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options, each under the name that client.sessions.list has for it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asked_for(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for of *given*, the values of all the options."""
    return {name: value for name, value in given.items() if value not in (None, (), {})}


def left_out(log: EventLog) -> None:
    """Say which sessions no filter finds, since their history can't be read."""
    for stream, why in log.sessions.unreadable().items():
        say(f"left out: session {stream} can't be read here ({why}); `lifecycle show` shows its raw history")
