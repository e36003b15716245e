"""A timeline in characters."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from lifecycle.audit.timeline.marks import KINDS, clusters, kind_of
from lifecycle.audit.timeline.ticks import ticks
from lifecycle.audit.words import duration, printable
from lifecycle.core import moment

if TYPE_CHECKING:
    from lifecycle.audit.timeline.rows import Row, Timeline

__all__ = ["text"]

_NARROWEST: Final = 40
_TICK: Final = 14
#: what fills a bar: the browser comes up, lives, is being ended
_LAUNCH, _ALIVE, _ENDING = "░", "━", "┄"


def text(timeline: Timeline, width: int) -> str:
    """Two lines a session, under an axis; then what the marks mean."""
    if not timeline.rows:
        return "no sessions"
    width = max(width, _NARROWEST) - 1
    scale = width / max(timeline.span_us, 1)
    lines = [_day(timeline), *_axis(timeline, width, scale)]
    kinds: set[str] = set()
    for row in timeline.rows:
        bar, used = _bar(timeline, row, width, scale)
        kinds |= used
        lines += [_head(row), bar]
    legend = "  ".join(f"{kind.char} {kind.name}" for name, kind in KINDS.items() if name in kinds)
    return "\n".join([*lines, "", f"{_LAUNCH} starting  {_ALIVE} running  {_ENDING} ending  {legend}"])


def _day(timeline: Timeline) -> str:
    if timeline.align:
        return "each from its creation"
    return f"{moment(timeline.began):%Y-%m-%d}, UTC"


def _axis(timeline: Timeline, width: int, scale: float) -> list[str]:
    names, line = [" "] * (width + 1), ["─"] * (width + 1)
    free = 0
    for at, label in ticks(timeline.began, timeline.span_us, max(width // _TICK, 1), align=timeline.align):
        x = round(at * scale)
        line[x] = "┬"
        begin = min(max(x - len(label) // 2, 0), max(width + 1 - len(label), 0))
        if begin >= free:  # at the ends they are moved inwards, and would run into their neighbours
            names[begin : begin + len(label)] = label
            free = begin + len(label) + 1
    return ["".join(names[: width + 1]).rstrip(), "".join(line[: width + 1])]


def _head(row: Row) -> str:
    status = f"{row.status} ({row.cause})" if row.cause else row.status
    labels = " ".join(f"{name}={value}" for name, value in sorted(row.labels.items()))
    lived = duration(timedelta(microseconds=row.until - row.created))
    return printable(f"{row.session_id}  {status}  {lived}  {labels}".rstrip())


def _bar(timeline: Timeline, row: Row, width: int, scale: float) -> tuple[str, set[str]]:
    begin = timeline.start_of(row)

    def x(at: int) -> int:
        return min(max(round((at - begin) * scale), 0), width)

    cells = [" "] * (width + 1)
    parts: list[tuple[int | None, int | None, str]] = [
        (row.created, row.until if row.started is None else row.started, _LAUNCH),
        (row.started, row.until, _ALIVE),
        (row.ended, row.released, _ENDING),
    ]
    for start, end, fill in parts:
        if start is not None and end is not None:
            cells[x(start) : x(end) + 1] = fill * (x(end) - x(start) + 1)
    used: set[str] = set()
    shown = [(float(x(step.at)), step) for step in row.steps if kind_of(step) in KINDS]
    for cluster in clusters(shown, 1):
        cells[int(cluster.x)] = KINDS[cluster.kind].char
        used.add(cluster.kind)
    if row.ended is None:
        cells[x(row.until)] = "▶"
    return "".join(cells).rstrip(), used
