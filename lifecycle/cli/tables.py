"""What goes to stdout: tables for people, aligned text for pipes, JSON for programs. Narration goes to stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from lifecycle.cli.text import harmless, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

__all__ = ["COLOURS", "console", "on_terminal", "print_json", "print_line", "print_pairs", "print_table", "say"]

#: status -> colour of it on a terminal
COLOURS: Final = {"created": "cyan", "active": "green", "closed": "default", "error": "red", "timed_out": "yellow"}
_GAP: Final = "  "
#: what stands in front of columns that went below their row
_BELOW: Final = "    "
#: a column of so many cells is worth folding a text into; a narrower one would break paths and addresses to pieces
_ENOUGH: Final = 60


def on_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def console(*, stderr: bool = False) -> Console:
    """A rich console; without colours where NO_COLOR is set, as rich itself sees to."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)


def say(text: str) -> None:
    """Narrate, on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_line(text: str = "") -> None:
    """A line of data."""
    print(text)


def print_json(value: object, *, indent: int | None = None) -> None:
    """One JSON value on stdout: on a line of its own, or indented."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(harmless(json.dumps(value, ensure_ascii=not unicode, indent=indent)))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under a header. On a terminal that is too narrow the last columns go below their row; nothing is cut off."""
    lines = [tuple(columns), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(cell_len(line[index]) for line in lines) for index in range(len(columns))]
    if on_terminal():
        _terminal_table(lines, widths)
        return
    for line in lines:
        print(_GAP.join(map(_padded, line, widths)).rstrip())


def _terminal_table(lines: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    from rich.text import Text

    screen = console()
    ends = [sum(widths[:count]) + len(_GAP) * count for count in range(len(widths) + 1)]
    kept = max(1, sum(end - len(_GAP) <= screen.width for end in ends[1:]))
    # Beside the row there is room for the last column alone: of several there nobody could tell which is which.
    room = screen.width - ends[kept] if kept == len(widths) - 1 else 0
    for number, line in enumerate(lines):
        rest = _GAP.join(cell for cell in line[kept:] if cell)
        beside = cell_len(rest) <= room or room >= _ENOUGH
        indent = ends[kept] if beside else len(_BELOW)
        folded = Text(rest).wrap(screen, max(screen.width - indent, 1), overflow="fold")
        shown = Text("", "bold" if number == 0 else "")
        for name, cell, width in zip(lines[0], line[:kept], widths, strict=False):
            shown.append(_padded(cell, width), COLOURS.get(cell) if name == "status" else None).append(_GAP)
        if beside and rest:
            shown.append_text(folded.pop(0))
        for under in folded if rest else ():
            shown.rstrip()
            shown.append(f"\n{' ' * indent}").append_text(under)
        shown.rstrip()
        screen.print(shown, no_wrap=True, overflow="ignore", crop=False)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, the values aligned; pairs without a value are left out."""
    found = [(name, printable(value)) for name, value in pairs if value]
    width = max(len(name) for name, _ in found)
    for name, value in found:
        print(f"{name:<{width}}  {value}")
