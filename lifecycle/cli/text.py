"""What a person types for a moment or a length of time, as options take it; and the clock they are read by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lifecycle.audit.words import ago, duration, harmless, iso, offset, parse_span, parse_when, printable
from lifecycle.client.system import SystemClock
from lifecycle.core import moment

if TYPE_CHECKING:
    from datetime import datetime, timedelta

__all__ = [
    "ago",
    "clock",
    "duration",
    "harmless",
    "iso",
    "now",
    "offset",
    "parse_when",
    "printable",
    "span",
    "when",
    "whole",
]

#: The one clock of the command; what it shows as `2h ago` and what it takes as such go by it.
clock = SystemClock()


def now() -> datetime:
    """This moment."""
    return moment(clock.now())


def whole(text: str) -> bool:
    """Whether *text* is a whole number that a log can hold; int() fails on thousands of digits."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def when(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Callback of options that take a time."""
    try:
        return None if value is None else parse_when(value, now())
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def span(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """Callback of options that take a length of time."""
    try:
        return None if value is None else parse_span(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None
