"""Where a line of time is marked, and how."""

from __future__ import annotations

from typing import Final

from lifecycle.core import moment

__all__ = ["label", "step_us", "ticks"]

_SECOND: Final = 1_000_000
_STEPS: Final = (
    *(1_000 * n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(_SECOND * n for n in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)),
    *(86_400 * _SECOND * n for n in (1, 2, 7, 14, 30, 91, 365, 3650)),
)


def step_us(span_us: int, most: int) -> int:
    """The finest usual step that gives at most *most* ticks."""
    return next((step for step in _STEPS if span_us / step <= most), _STEPS[-1])


def ticks(began: int, span_us: int, most: int, *, align: bool) -> list[tuple[int, str]]:
    """(µs after *began*, label) of each tick; round times of day, or round offsets where *align* is asked."""
    step = step_us(span_us, most)
    first = 0 if align else -began % step
    return [(at, label(at if align else began + at, step, align=align)) for at in range(first, span_us + 1, step)]


def label(at: int, step: int, *, align: bool) -> str:
    """A tick in as many parts as its step needs."""
    if align:
        seconds = at / _SECOND
        if step < _SECOND:
            return f"+{seconds:.3f} s"
        if step < 60 * _SECOND:
            return f"+{seconds:.0f} s"
        return f"+{seconds / 60:.0f} min" if step < 3600 * _SECOND else f"+{seconds / 3600:g} h"
    when = moment(at)
    if step < _SECOND:
        return f"{when:%H:%M:%S}.{when.microsecond // 1000:03}"
    if step < 60 * _SECOND:
        return f"{when:%H:%M:%S}"
    return f"{when:%H:%M}" if step < 86_400 * _SECOND else f"{when:%Y-%m-%d}"
