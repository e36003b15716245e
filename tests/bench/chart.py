"""Charts as SVG, readable on light and on dark: lines over two logarithmic axes, and the bars of one comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Final

__all__ = ["Bar", "Line", "bars", "chart"]

_WIDTH, _HEIGHT = 800, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 235, 56, 52
#: between the names at the right
_APART: Final = 17
_COLOURS: Final = (
    ("#0b5cad", "#6cb2ff"),
    ("#b3261e", "#ff8a80"),
    ("#2e7d32", "#81c784"),
    ("#7b1fa2", "#d59bff"),
    ("#a04000", "#ffb26b"),
    ("#00696f", "#5fd7de"),
    ("#5d5d00", "#d6d35a"),
)
_DASHES: Final = ("", "7 4", "2 4", "10 3 2 3")


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, y), x ascending, all above 0."""

    title: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """One side of a comparison: how many times the floor, and between which values it was found."""

    title: str
    value: float
    low: float
    high: float


_THICK, _STEP = 18, 30


def bars(title: str, sides: list[Bar], allowed: float | None) -> str:
    """The *sides*, the first of them the floor, as one SVG document; a line where the second may end at most."""
    left, room = 200, 400
    height = 64 + _STEP * len(sides) + (22 if allowed else 0)
    most = max(*(side.high for side in sides), allowed or 0)
    bottom = 44 + _STEP * len(sides)

    def at(value: float) -> float:
        return left + value / most * room

    made = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        f"<title>{escape(title)}</title>",
        _style(len(sides)),
        f'<rect class="back" width="{_WIDTH}" height="{height}"/>',
        f'<text class="title" x="16" y="28">{escape(title)}</text>',
    ]
    for number, side in enumerate(sides):
        top = 44 + _STEP * number
        middle = top + _THICK / 2
        made.append(f'<text x="{left - 12}" y="{middle + 4:.1f}" text-anchor="end">{escape(side.title)}</text>')
        width = max(at(side.value) - left, 1)
        made.append(f'<rect class="bar c{number}" x="{left}" y="{top}" width="{width:.1f}" height="{_THICK}"/>')
        told = f"{side.value:.2f} ×"
        if side.low != side.high:
            made.append(f'<path class="spread" d="M{at(side.low):.1f} {middle:.1f}H{at(side.high):.1f}"/>')
            told += f" ({side.low:.2f} to {side.high:.2f})"
        made.append(f'<text x="{at(side.high) + 10:.1f}" y="{middle + 4:.1f}">{told}</text>')
    if allowed:
        made.append(f'<path class="axis" stroke-dasharray="4 3" d="M{at(allowed):.1f} 38V{bottom + 6}"/>')
        made.append(f'<text x="{at(allowed):.1f}" y="{bottom + 22}" text-anchor="middle">allowed {allowed:g} ×</text>')
    return "\n".join([*made, "</svg>", ""])


def chart(title: str, across: str, lines: list[Line]) -> str:
    """The lines as one SVG document."""
    xs = sorted({x for line in lines for x, _ in line.points})
    top = max(4.0, *(y for line in lines for _, y in line.points)) * 1.15
    low = min(0.5, *(y for line in lines for _, y in line.points)) / 1.15

    def at(x: float, y: float) -> tuple[float, float]:
        right = (math.log(x) - math.log(xs[0])) / (math.log(xs[-1]) - math.log(xs[0]) or 1)
        up = (math.log(y) - math.log(low)) / (math.log(top) - math.log(low))
        return _LEFT + right * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    made = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        f"<title>{escape(title)}</title>",
        _style(len(lines)),
        f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="title" x="{_LEFT}" y="28">{escape(title)}</text>',
    ]
    for power in range(math.ceil(math.log2(low)), math.floor(math.log2(top)) + 1):
        _, y = at(xs[0], 2.0**power)
        kind = "axis" if power == 0 else "grid"
        made.append(f'<path class="{kind}" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        made.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{2.0**power:g} ×</text>')
    for x in xs:
        left, _ = at(x, 1)
        made.append(f'<path class="grid" d="M{left:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        made.append(f'<text x="{left:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{_short(x)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    made.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>')
    ends = _spread([at(*line.points[-1])[1] for line in lines])
    edge = _WIDTH - _RIGHT + 18
    for number, (line, end) in enumerate(zip(lines, ends, strict=True)):
        points = [at(*point) for point in line.points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        made.append(f'<path class="line c{number}" stroke-dasharray="{_DASHES[number % len(_DASHES)]}" d="{path}"/>')
        made += [f'<circle class="dot c{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
        x, y = points[-1]
        made.append(f'<path class="lead c{number}" d="M{x + 4:.1f} {y:.1f}L{edge - 4:.1f} {end:.1f}"/>')
        told = f"{line.title} {line.points[-1][1]:.2f} ×"
        made.append(f'<text class="name c{number}" x="{edge:.1f}" y="{end + 4:.1f}">{escape(told)}</text>')
    return "\n".join([*made, "</svg>", ""])


def _style(count: int) -> str:
    def colours(dark: int) -> str:
        return "".join(
            f".c{number}{{stroke:{_COLOURS[number % len(_COLOURS)][dark]}}}"
            f"text.c{number},.bar.c{number}{{fill:{_COLOURS[number % len(_COLOURS)][dark]};stroke:none}}"
            for number in range(count)
        )

    return (
        "<style>text{font:13px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:14px}.back{fill:#fff}"
        ".grid{stroke:#ddd;fill:none}.axis{stroke:#888;fill:none}.line{fill:none;stroke-width:2}"
        ".spread{stroke:#888;fill:none;stroke-width:3}.bar{fill-opacity:.35}"
        ".lead{fill:none;stroke-width:.7}.dot{fill:#fff}.name{font-weight:600}"
        + colours(0)
        + "@media(prefers-color-scheme:dark){text{fill:#ddd}.back{fill:#16181d}.dot{fill:#16181d}"
        ".grid{stroke:#333842}.axis{stroke:#777}" + colours(1) + "}</style>"
    )


def _short(x: float) -> str:
    power = round(math.log10(x))
    if 10**power != x:
        return f"{x:,.0f}"
    return {4: "10 thousand", 5: "100 thousand", 6: "1 million", 7: "10 million"}.get(power, f"{x:,.0f}")


def _spread(wanted: list[float]) -> list[float]:
    """The heights *wanted*, moved as little as keeps names from lying on each other."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = [wanted[index] for index in order]
    for _ in range(200):
        for above, below in zip(range(len(placed)), range(1, len(placed)), strict=False):
            lack = _APART - (placed[below] - placed[above])
            if lack > 0:
                placed[above] -= lack / 2
                placed[below] += lack / 2
    found = [0.0] * len(wanted)
    for index, height in zip(order, placed, strict=True):
        found[index] = height
    return found
