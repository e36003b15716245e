"""A timeline as SVG, and as a page of its own: no scripts, no other files, light or dark as the reader's system is.

The description of a mark lies above it and is shown by CSS while the pointer is over it; rows are painted from the top,
so that it covers what is above and nothing covers it.
"""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Final

from lifecycle.audit.timeline.marks import KINDS, Cluster, clusters, kind_of, said
from lifecycle.audit.timeline.style import FONT, STYLE
from lifecycle.audit.timeline.ticks import ticks
from lifecycle.audit.words import duration, iso, printable
from lifecycle.core import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.audit.timeline.rows import Row, Timeline

__all__ = ["html", "svg"]

_WIDTH: Final = 1200
_LEFT, _RIGHT = 292, 28
_TOP, _ROW, _BAR = 64, 52, 12
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_APART: Final = 11.0
#: of the font in descriptions, in a monospaced face
_CHAR, _LINE = 6.35, 16
_LISTED: Final = 9
#: an ending that was recorded later than this gets a line to where it was
_LATE_US: Final = 1_000_000


def html(timeline: Timeline) -> str:
    """The page."""
    picture = svg(timeline)
    count = "1 session" if len(timeline.rows) == 1 else f"{len(timeline.rows)} sessions"
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{count} · lifecycle</title>"
        "<style>html{background:#fff}body{margin:0;padding:24px}"
        "main{max-width:1320px;margin:auto}@media(prefers-color-scheme:dark){html{background:#0d1117}}</style>"
        f"</head><body><main>{picture}</main></body></html>\n"
    )


def svg(timeline: Timeline) -> str:
    """The picture."""
    kinds = {kind_of(step) for row in timeline.rows for step in row.steps}
    legend_top = _TOP + max(len(timeline.rows), 1) * _ROW + 14
    height = legend_top + 44
    size = f'viewBox="0 0 {_WIDTH} {height}" width="100%"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lifecycle-timeline" {size} role="img" font-family="{FONT}">',
        f"<title>{escape(_title(timeline))}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}" rx="10"/>',
        _heading(timeline),
        *_axis(timeline, legend_top - 14),
        *(_row(timeline, row, number) for number, row in enumerate(timeline.rows)),
        _legend(kinds, legend_top),
        "</svg>",
    ]
    return "".join(parts)


def _title(timeline: Timeline) -> str:
    count = "1 session" if len(timeline.rows) == 1 else f"{len(timeline.rows)} sessions"
    if not timeline.rows:
        return "no sessions"
    return f"{count}, {duration(timedelta(microseconds=timeline.span_us))}"


def _heading(timeline: Timeline) -> str:
    when = "each from its creation" if timeline.align else f"{moment(timeline.began):%d %B %Y}, UTC"
    return (
        f'<text class="title" x="20" y="32">{escape(_title(timeline))}</text>'
        f'<text class="muted" x="20" y="50">{escape(when if timeline.rows else "")}</text>'
    )


def _axis(timeline: Timeline, bottom: int) -> list[str]:
    lines: list[str] = []
    for at, label in ticks(timeline.began, timeline.span_us, 9, align=timeline.align) if timeline.rows else ():
        x = _LEFT + at * _PLOT / max(timeline.span_us, 1)
        lines.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{bottom}"/>'
            f'<text class="tick" x="{x:.1f}" y="{_TOP - 14}" text-anchor="middle">{escape(label)}</text>'
        )
    return lines


def _row(timeline: Timeline, row: Row, number: int) -> str:
    top = _TOP + number * _ROW
    middle = top + _ROW / 2
    zero, scale = timeline.start_of(row), _PLOT / max(timeline.span_us, 1)

    def x(at: int) -> float:
        return _LEFT + (at - zero) * scale

    stripe = f'<rect class="stripe" x="8" y="{top}" width="{_WIDTH - 16}" height="{_ROW}" rx="6"/>'
    placed = [(x(step.at), step) for step in row.steps if kind_of(step) in KINDS]
    marks = "".join(_mark(cluster, middle) for cluster in clusters(placed, _APART))
    ground = stripe if number % 2 else ""
    return f'<g class="row {row.status}">{ground}{_name(row, top)}{_bar(row, x, middle)}{marks}</g>'


def _name(row: Row, top: int) -> str:
    lived = duration(timedelta(microseconds=row.until - row.created))
    status = f"{row.status} · {row.cause}" if row.cause else row.status
    labels = printable(" ".join(f"{name}={value}" for name, value in sorted(row.labels.items())))
    whole = escape(f"{row.session_id}\n{labels}")
    short = labels if len(labels) <= 44 else f"{labels[:43]}…"
    return (
        f"<g><title>{whole}</title>"
        f'<circle class="status" cx="24" cy="{top + 14}" r="4"/>'
        f'<text class="id" x="36" y="{top + 18}">{escape(row.session_id)}</text>'
        f'<text class="what" x="36" y="{top + 32}">{escape(status)}<tspan class="muted" dx="8">{escape(lived)}</tspan>'
        f'</text><text class="labels" x="36" y="{top + 45}">{escape(short)}</text></g>'
    )


def _bar(row: Row, x: Callable[[int], float], middle: float) -> str:
    y = middle - _BAR / 2
    parts: list[str] = []

    def rect(kind: str, begin: int, end: int, about: str) -> None:
        width = max(x(end) - x(begin), 2.5)
        parts.append(
            f'<rect class="{kind}" x="{x(begin):.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3">'
            f"<title>{escape(about)}</title></rect>"
        )

    if row.ended is not None and row.released is not None:
        took = duration(timedelta(microseconds=row.released - row.ended))
        rect("ending", row.ended, row.released, f"ending, {took}: the browser is gone at {iso(moment(row.released))}")
    live_from = row.created if row.started is None else row.started
    if row.started is not None:
        took = duration(timedelta(microseconds=row.started - row.created))
        rect("starting", row.created, row.started, f"starting, {took}: from {iso(moment(row.created))}")
    rect("alive", live_from, row.until, f"{row.status}: {iso(moment(live_from))} to {iso(moment(row.until))}")
    if row.ended is None:
        parts.append(_arrow(x(row.until), middle))
    if row.ended is not None and row.recorded is not None and row.recorded - row.ended > _LATE_US:
        end = min(x(row.recorded), _WIDTH - _RIGHT)
        late = duration(timedelta(microseconds=row.recorded - row.ended))
        parts.append(
            f'<line class="late" x1="{x(row.ended):.1f}" x2="{end:.1f}" y1="{y + _BAR + 5}" y2="{y + _BAR + 5}">'
            f"<title>recorded {escape(late)} later</title></line>"
        )
    return "".join(parts)


def _arrow(x: float, y: float) -> str:
    return f'<path class="now" d="M{x:.1f} {y - 6} l8 6 l-8 6 z"><title>it lives</title></path>'


def _mark(cluster: Cluster, y: float) -> str:
    kind = KINDS[cluster.kind]
    more = (
        f'<text class="count" x="{cluster.x:.1f}" y="{y - 10}">{len(cluster.steps)}</text>'
        if len(cluster.steps) > 1
        else ""
    )
    return (
        f'<g class="mark {kind.colour}">{_glyph(kind.shape, cluster.x, y)}{more}'
        f'<rect class="reach" x="{cluster.x - 6:.1f}" y="{y - 17}" width="12" height="34"/>{_tip(cluster, y)}</g>'
    )


def _tip(cluster: Cluster, y: float) -> str:
    lines = [said(step) for step in cluster.steps[:_LISTED]]
    if len(cluster.steps) > _LISTED:
        lines.append(f"and {len(cluster.steps) - _LISTED} more")
    width = max(map(len, lines)) * _CHAR + 20
    height = len(lines) * _LINE + 12
    left = min(max(cluster.x - width / 2, 6), max(_WIDTH - width - 6, 6))
    top = max(y - 20 - height, 2)
    texts = "".join(
        f'<text x="{left + 10:.1f}" y="{top + 18 + number * _LINE:.1f}" xml:space="preserve">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    box = f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}" rx="6"/>'
    return f'<g class="tip">{box}{texts}</g>'


def _glyph(shape: str, x: float, y: float) -> str:
    match shape:
        case "stop":
            return f'<rect class="glyph" x="{x - 2.5:.1f}" y="{y - 10}" width="5" height="20" rx="2"/>'
        case "cross":
            arms = f"M{x - 4:.1f} {y - 4} l8 8 M{x + 4:.1f} {y - 4} l-8 8"
            return f'<path class="halo" d="{arms}"/><path class="stroke" d="{arms}"/>'
        case "diamond":
            return f'<path class="glyph" d="M{x:.1f} {y - 7} l6 7 l-6 7 l-6 -7 z"/>'
        case "square":
            return f'<rect class="glyph" x="{x - 4:.1f}" y="{y - 4}" width="8" height="8" rx="1.5"/>'
        case "triangle":
            return f'<path class="glyph" d="M{x:.1f} {y - 5.5} l5.5 10 l-11 0 z"/>'
        case "ring":
            return f'<circle class="hollow" cx="{x:.1f}" cy="{y}" r="3.5"/>'
        case "dot":
            return f'<circle class="glyph" cx="{x:.1f}" cy="{y}" r="2.6"/>'
        case _:
            return f'<circle class="glyph" cx="{x:.1f}" cy="{y}" r="5"/>'


def _legend(kinds: set[str], top: int) -> str:
    parts: list[str] = []
    x = 24.0
    for name, kind in KINDS.items():
        if name in kinds:
            parts.append(
                f'<g class="{kind.colour}">{_glyph(kind.shape, x, top + 12)}</g>'
                f'<text class="legend" x="{x + 12:.1f}" y="{top + 16}">{escape(kind.name)}</text>'
            )
            x += 12 + len(kind.name) * 6.3 + 26
    return f'<g class="row">{"".join(parts)}</g>'
