"""The tables of docs/reference/hosts.md: what a host itself reported beside what the log says, from a real run.

The tests of each adapter make their rows and hold them against the page; with WRITE_HOSTS=1 (`make hosts`) they are
written into it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "hosts.md"


@dataclass(frozen=True, slots=True)
class Row:
    """What was done, what the host itself said about it, and what stands in the log."""

    happened: str
    host: str
    log: str


def hold(name: str, rows: Sequence[Row]) -> None:
    """Compare *rows* with the table of the adapter *name* on the page, or write them there."""
    page = PAGE.read_text("utf-8")
    table = _table(rows)
    section = re.compile(rf"(?<=<!-- {name} -->\n\n).*?(?=\n<!-- end -->)", re.DOTALL)
    shown = section.search(page)
    assert shown is not None, f"{PAGE.name} has no <!-- {name} --> … <!-- end -->"
    if os.environ.get("WRITE_HOSTS"):
        PAGE.write_text(page[: shown.start()] + table + page[shown.end() :], "utf-8")
    else:
        assert shown[0] == table, "the page shows something else: `make hosts` writes it"


def _table(rows: Sequence[Row]) -> str:
    lines = ["| what happened | what the host reported | what the log says |", "|---|---|---|"]
    lines += [f"| {row.happened} | {row.host} | {row.log} |" for row in rows]
    return "".join(f"{line}\n" for line in lines)
