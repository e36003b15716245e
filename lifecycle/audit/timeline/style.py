"""How a timeline looks, in CSS; every rule is held to the picture itself, as it may stand in somebody's page."""

from __future__ import annotations

from typing import Final

__all__ = ["FONT", "STYLE"]

FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_MONO: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

_LIGHT: Final = {
    "ground": "#ffffff", "stripe": "#f6f8fa", "fg": "#1f2328", "muted": "#656d76", "grid": "#e4e8ec",
    "tip": "#1f2328", "tip-fg": "#f6f8fa", "closed": "#8097b1", "active": "#4ac26b", "created": "#54aeff",
    "error": "#ff8182", "timed_out": "#e3b341", "unreadable": "#b6bdc5", "bad": "#cf222e", "navigated": "#0969da",
    "operation": "#8250df", "annotated": "#bf3989", "client": "#1b7c83", "cookies": "#9a6700", "extended": "#bc4c00",
}  # fmt: skip
_DARK: Final = {
    "ground": "#0d1117", "stripe": "#151b23", "fg": "#e6edf3", "muted": "#8d96a0", "grid": "#262c36",
    "tip": "#e6edf3", "tip-fg": "#1f2328", "closed": "#46566b", "active": "#238636", "created": "#1f6feb",
    "error": "#a4282c", "timed_out": "#8f6a10", "unreadable": "#3d444d", "bad": "#ff7b72", "navigated": "#79c0ff",
    "operation": "#d2a8ff", "annotated": "#f778ba", "client": "#56d4dd", "cookies": "#e3b341", "extended": "#ffa657",
}  # fmt: skip
_STATUSES: Final = ("closed", "active", "created", "error", "timed_out", "unreadable")
_COLOURS: Final = (
    "fg", "muted", "bad", "navigated", "operation", "annotated", "client", "cookies", "extended",
)  # fmt: skip


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_RULES: Final = {
    ".ground": "fill:var(--ground)",
    ".stripe": "fill:var(--stripe)",
    ".title": "fill:var(--fg);font-size:17px;font-weight:600",
    ".muted": "fill:var(--muted)",
    "text": "font-size:12px;fill:var(--fg)",
    ".tick": "fill:var(--muted);font-size:11px;font-variant-numeric:tabular-nums",
    ".grid": "stroke:var(--grid);stroke-width:1",
    ".id": f"font-family:{_MONO};font-size:11px",
    ".what": "font-size:11px;font-weight:600",
    ".what .muted": "font-weight:400",
    ".labels": "font-size:10px;fill:var(--muted)",
    ".legend": "font-size:11px;fill:var(--muted)",
    ".status,.alive,.now": "fill:var(--own)",
    ".starting": "fill:var(--own);opacity:.4",
    ".ending": "fill:none;stroke:var(--own);stroke-width:1.5;stroke-dasharray:2.5 2.5",
    ".late": "stroke:var(--bad);stroke-width:2;stroke-dasharray:1 4;stroke-linecap:round",
    ".glyph": "fill:var(--is);stroke:var(--ground);stroke-width:1.5;paint-order:stroke",
    ".hollow": "fill:var(--ground);stroke:var(--is);stroke-width:1.8",
    ".stroke": "fill:none;stroke:var(--is);stroke-width:2.6;stroke-linecap:round",
    ".halo": "fill:none;stroke:var(--ground);stroke-width:6;stroke-linecap:round",
    ".count": "font-size:9px;fill:var(--muted);text-anchor:middle",
    ".reach": "fill:transparent;cursor:default",
    ".tip": "visibility:hidden;pointer-events:none",
    ".mark:hover .tip": "visibility:visible",
    ".mark:hover .glyph,.mark:hover .hollow": "stroke:var(--fg)",
    ".tip rect": "fill:var(--tip);filter:drop-shadow(0 2px 6px rgba(0,0,0,.35))",
    ".tip text": f"fill:var(--tip-fg);font-family:{_MONO};font-size:10.5px",
    **{f".row.{status}": f"--own:var(--{status})" for status in _STATUSES},
    **{f"g.{colour}": f"--is:var(--{colour})" for colour in _COLOURS},
}


def _held(selector: str) -> str:
    return ",".join(f".lifecycle-timeline {part}" for part in selector.split(","))


STYLE: Final = (
    f".lifecycle-timeline{{{_variables(_LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{.lifecycle-timeline{{{_variables(_DARK)}}}}}"
    + "".join(f"{_held(selector)}{{{rule}}}" for selector, rule in _RULES.items())
)
