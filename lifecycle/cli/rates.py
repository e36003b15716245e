"""How far something long is: a bar on a terminal, a line now and then elsewhere; nothing in the first second."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from lifecycle.cli.tables import console, say
from lifecycle.cli.text import duration

if TYPE_CHECKING:
    from collections.abc import Generator

    from lifecycle.projections import Progress

__all__ = ["line", "shown"]

_QUIET_S: Final = 1.0
_EVERY_S: Final = 2.0


@contextmanager
def shown(done: str, unit: str = "events", *, resumed: bool = False) -> Generator[Progress]:
    """A function to call with how many are *done* (a past participle) and how many there are; shows it on stderr."""
    if sys.stderr.isatty():
        with _bar(done, unit, resumed=resumed) as update:
            yield update
        return
    began = last = time.monotonic()
    first = None if resumed else 0

    def tell(count: int, total: int) -> None:
        nonlocal last, first
        first = count if first is None else first
        now = time.monotonic()
        if now - last >= (_QUIET_S if last == began else _EVERY_S):
            last = now
            say(line(done, unit, count, total, now - began, first))

    yield tell


def line(done: str, unit: str, count: int, total: int, took_s: float, first: int = 0) -> str:
    """`verified 120000 of 1000000 events, 60000/s, 15 s left`; without the end of it where *total* is not known, 0.

    *first* is where it began: what is resumed has no part in the rate.
    """
    rate = (count - first) / took_s if took_s > 0 else 0
    if not total:
        return f"{done} {count} {unit}, {rate:.0f}/s"
    left = duration(timedelta(seconds=(total - count) / rate)) if rate else "?"
    return f"{done} {count} of {total} {unit}, {rate:.0f}/s, {left} left"


@contextmanager
def _bar(done: str, unit: str, *, resumed: bool) -> Generator[Progress]:
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    began = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} " + unit + ", {task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
    )
    bar = Bar(*columns, console=console(stderr=True), transient=True)
    task = bar.add_task(done, total=None, rate=0.0)
    started = False
    first = None if resumed else 0

    def update(count: int, total: int) -> None:
        nonlocal started, first
        first = count if first is None else first
        took_s = time.monotonic() - began
        if not started and took_s < _QUIET_S:
            return
        if not started:
            bar.start()
            started = True
        bar.update(task, completed=count, total=total or None, rate=(count - first) / took_s)

    try:
        yield update
    finally:
        bar.stop()
