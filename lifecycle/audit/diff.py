"""Two sessions side by side: what is said of them that differs, and where their histories part."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from lifecycle.audit.account import account
from lifecycle.audit.common import common
from lifecycle.audit.detail import detail, mapping
from lifecycle.audit.words import duration, offset
from lifecycle.core import view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lifecycle.audit.history import Step
    from lifecycle.log.port import EventLog

__all__ = ["Difference", "Line", "diff"]

#: fields of a view that differ between any two sessions, and say nothing
_OWN: Final = ("session_id", "created_at", "started_at", "closed_at", "last_accessed_at", "deadline")
#: what makes two events of a type the same: not the ids, processes, times and paths of their own session
_SALIENT: Final[Mapping[str, tuple[str, ...]]] = {
    "session.created": (),
    "session.started": ("ownership",),
    "session.accessed": ("by",),
    "session.client_connected": ("client",),
    "session.client_disconnected": ("client",),
    "session.operation": ("kind", "ok", "target", "error_type"),
    "session.extended": (),
    "session.navigated": ("url",),
    "session.tab_opened": ("url",),
    "session.tab_closed": (),
    "session.page_crashed": (),
    "session.cookies_loaded": ("count", "sha256", "why_not"),
    "session.cookies_saved": ("count", "sha256", "why_not"),
    "session.closed": ("cause",),
    "session.failed": ("cause", "error_type", "error_message"),
    "session.timed_out": ("rule",),
    "session.released": ("how",),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A step of both histories (`a` and `b`), or of one of them."""

    a: Step | None
    b: Step | None

    @property
    def mark(self) -> str:
        """As in a unified diff: `-` only in a, `+` only in b."""
        return "+" if self.a is None else "-" if self.b is None else " "

    @property
    def step(self) -> Step:
        """The one that is there, that of *b* where both are."""
        found = self.b or self.a
        assert found is not None  # one of the two is there
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between the sessions *a* and *b*: fields of their views, and their histories line by line."""

    a: str
    b: str
    fields: Mapping[str, tuple[str, str]]
    lines: Sequence[Line]

    @property
    def same(self) -> bool:
        """Whether nothing that counts differs: neither a field but for times, nor a step."""
        return not (self.fields.keys() - {"duration", "version"}) and all(line.mark == " " for line in self.lines)

    def __str__(self) -> str:
        said = [f"{name}: {one or '-'} | {other or '-'}" for name, (one, other) in self.fields.items()]
        return "\n".join([*said, *(_text(line) for line in self.lines)])


def diff(log: EventLog, a: str, b: str, now: int) -> Difference:
    """The differences between two sessions, as a reader sees them at *now*.

    Raises:
        UnknownSession: One of the streams is empty.
    """
    (first, ours), (second, theirs) = _look(log, a, now), _look(log, b, now)
    names = [name for name in {**first, **second} if first.get(name, "") != second.get(name, "")]
    return Difference(
        a=a,
        b=b,
        fields={name: (first.get(name, ""), second.get(name, "")) for name in names},
        lines=tuple(_lines(ours, theirs)),
    )


def _look(log: EventLog, session_id: str, now: int) -> tuple[dict[str, str], tuple[Step, ...]]:
    found = account(log, session_id)
    fields: dict[str, str] = {}
    if found.session is not None and found.problem is None:
        fields = {name: _said(value) for name, value in view(found.session, now) if name not in _OWN}
    config = mapping(found.steps[0].data, "config")
    fields |= {f"config.{name}": _said(value) for name, value in sorted(config.items()) if value}
    return fields, found.steps


def _said(value: Any) -> str:
    match value:
        case None:
            return ""
        case timedelta():
            return duration(value)
        case dict():
            pairs = cast("dict[str, Any]", value)
            return " ".join(f"{name}={text}" for name, text in sorted(pairs.items()))
        case _:
            return str(value)


def _lines(ours: Sequence[Step], theirs: Sequence[Step]) -> Iterator[Line]:
    i = j = 0
    end = (len(ours), len(theirs))
    for same_i, same_j in (*common([*map(_key, ours)], [*map(_key, theirs)]), end):
        yield from (Line(one, None) for one in ours[i:same_i])
        yield from (Line(None, other) for other in theirs[j:same_j])
        if (same_i, same_j) != end:
            yield Line(ours[same_i], theirs[same_j])
        i, j = same_i + 1, same_j + 1


def _key(step: Step) -> str:
    names = _SALIENT.get(step.type)
    data = step.data if names is None else {name: step.data.get(name) for name in names}
    return f"{step.type} {json.dumps(dict(data), sort_keys=True)}"


def _text(line: Line) -> str:
    times = (offset(step.offset_us) if step else "" for step in (line.a, line.b))
    return f"{line.mark} {' '.join(f'{time:>9}' for time in times)}  {line.step.name} {detail(line.step)}".rstrip()
