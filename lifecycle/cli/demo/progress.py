"""What is to be seen while the demo works, on stderr: a table that moves on a terminal, lines in a pipe."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from lifecycle.audit.detail import detail
from lifecycle.cli.demo.cast import CAST
from lifecycle.cli.tables import COLOURS, console, say
from lifecycle.cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.table import Table

    from lifecycle.audit.history import Step
    from lifecycle.cli.demo.cast import Played

__all__ = ["showing"]

_STATES: Final = {
    "session.created": "created",
    "session.started": "active",
    "session.closed": "closed",
    "session.failed": "error",
    "session.timed_out": "timed_out",
}


@contextmanager
def showing() -> Generator[Callable[[Played, Step | str], None]]:
    """What the director tells, shown."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    from rich.live import Live

    stage = _Stage()
    with Live(get_renderable=stage.table, console=console(stderr=True), refresh_per_second=8):
        yield stage.tell


class _Lines:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def tell(self, played: Played, what: Step | str) -> None:
        since = f"{time.monotonic() - self._began:6.2f} s"
        said = f">> {what}" if isinstance(what, str) else f"{what.name:<20}{printable(detail(what))[:100]}"
        say(f"{since}  {played.part.name:<8}{said}".rstrip())


class _Stage:
    """One row a session, its state and its last step."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._state = {part.name: "" for part in CAST}
        self._last = {part.name: "its script starts" for part in CAST}

    def tell(self, played: Played, what: Step | str) -> None:
        name = played.part.name
        if isinstance(what, str):
            self._last[name] = what
            return
        self._state[name] = _STATES.get(what.type, self._state[name])
        self._last[name] = f"{what.name} {printable(detail(what))}"

    def table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), expand=True)
        table.add_column(f"{time.monotonic() - self._began:.1f} s", no_wrap=True, min_width=8)
        table.add_column("what happens to it", no_wrap=True, overflow="ellipsis", ratio=2)
        table.add_column("status", no_wrap=True, min_width=9)
        table.add_column("last step in the log", no_wrap=True, overflow="ellipsis", ratio=3)
        for part in CAST:
            state = self._state[part.name]
            style = COLOURS.get(state, "")
            table.add_row(part.name, part.plot, Text(state, style=style), Text(self._last[part.name]))
        return table
