"""Which events get a mark, what it looks like, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lifecycle.audit.detail import by, detail
from lifecycle.audit.words import offset, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifecycle.audit.history import Step

__all__ = ["KINDS", "Cluster", "Kind", "clusters", "kind_of", "said"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of mark: its name in the legend, its character in a terminal, the shape and colour of its glyph."""

    name: str
    char: str
    shape: str
    colour: str
    weight: int


#: the heavier a kind, the more it counts where marks meet
KINDS: Final[Mapping[str, Kind]] = {
    "ending": Kind("ended", "■", "stop", "fg", 9),
    "crash": Kind("page crashed", "✖", "cross", "bad", 8),
    "failed": Kind("operation failed", "x", "cross", "bad", 7),
    "extended": Kind("extended", "◆", "diamond", "extended", 6),
    "unknown": Kind("not known here", "?", "square", "muted", 6),
    "navigated": Kind("navigated", "●", "circle", "navigated", 5),
    "operation": Kind("operation", "•", "circle", "operation", 4),
    "annotated": Kind("annotated", "▪", "square", "annotated", 4),
    "client": Kind("client came or went", "▴", "triangle", "client", 3),
    "cookies": Kind("cookies", "◦", "ring", "cookies", 2),
    "tab": Kind("tab opened or closed", "▫", "ring", "navigated", 2),
    "accessed": Kind("accessed", "·", "dot", "muted", 0),
}

#: characters of a line about a step
_LONGEST: Final = 110
_TYPES: Final[Mapping[str, str]] = {
    "session.created": "life",
    "session.started": "life",
    "session.released": "life",
    "session.accessed": "accessed",
    "session.client_connected": "client",
    "session.client_disconnected": "client",
    "session.extended": "extended",
    "session.navigated": "navigated",
    "session.tab_opened": "tab",
    "session.tab_closed": "tab",
    "session.page_crashed": "crash",
    "session.annotated": "annotated",
    "session.cookies_loaded": "cookies",
    "session.cookies_saved": "cookies",
    "session.closed": "ending",
    "session.failed": "ending",
    "session.timed_out": "ending",
}


def kind_of(step: Step) -> str:
    """The key in KINDS of a step's kind; "life" for what the bars show, which has no mark."""
    if step.type == "session.operation":
        return "operation" if step.data.get("ok") is True else "failed"
    return _TYPES.get(step.type, "unknown")


def said(step: Step) -> str:
    """One line about a step: offset, event, detail, who."""
    about = detail(step)
    line = printable(f"{offset(step.offset_us)}  {step.name}{f'  {about}' if about else ''}  by {by(step)}")
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Steps whose marks would meet: where they stand, and the kind of the most telling one."""

    x: float
    kind: str
    steps: tuple[Step, ...]


def clusters(placed: Sequence[tuple[float, Step]], apart: float) -> list[Cluster]:
    """Marks that stand at least *apart* from each other; *placed* is in order of x."""
    found: list[list[tuple[float, Step]]] = []
    for x, step in placed:
        if found and x - found[-1][0][0] < apart:
            found[-1].append((x, step))
        else:
            found.append([(x, step)])
    return [_cluster(group) for group in found]


def _cluster(group: list[tuple[float, Step]]) -> Cluster:
    x, step = max(group, key=lambda one: KINDS[kind_of(one[1])].weight)
    return Cluster(x, kind_of(step), tuple(step for _, step in group))
