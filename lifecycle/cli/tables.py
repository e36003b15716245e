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


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, wrap: str | None = None) -> None:
    """Rows under a header; *wrap* names the column that gives way when a terminal is too narrow."""
    if on_terminal():
        _rich_table(columns, rows, wrap)
    else:
        _plain_table(columns, rows)


def _rich_table(columns: Sequence[str], rows: Iterable[Sequence[str]], wrap: str | None) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=name != wrap, overflow="fold" if name == wrap else "ellipsis")
    for row in rows:
        named = zip(columns, row, strict=True)
        table.add_row(
            *(Text(printable(cell), COLOURS.get(cell, "") if name == "status" else "") for name, cell in named)
        )
    console().print(table)


def _plain_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [tuple(columns), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(cell_len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, the values aligned; pairs without a value are left out."""
    found = [(name, printable(value)) for name, value in pairs if value]
    width = max(len(name) for name, _ in found)
    for name, value in found:
        print(f"{name:<{width}}  {value}")
