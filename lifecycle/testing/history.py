"""check_history: is this record one that a session's life could have left? Told from the rows alone, without decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lifecycle.testing.invariants import INVARIANTS, Checker, Violation
from lifecycle.testing.laws.facts import Entry
from lifecycle.testing.told import Fact, Told, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lifecycle.core import Event
    from lifecycle.log.port import EventLog, Recorded

__all__ = ["Oracle", "check_events", "check_history", "rows"]

_SHAPE: Final = next(law for law in INVARIANTS if law.id == "8")
#: what a mapping must have to be a row at all; what its data must be is for the invariants
_KINDS: Final = {
    "position": (int, type(None)),
    "stream": (str,),
    "version": (int,),
    "type": (str,),
    "schema_version": (int,),
    "at": (int,),
    "private": (str, type(None)),
    "private_salt": (str, bytes, type(None)),
}
#: lines of an export that stand between and after its events
_NO_EVENTS: Final = ({"session"}, {"end"})


def rows(log: EventLog, limit: int = 1000) -> Iterator[Recorded]:
    """Every event of *log*, in log order, a page at a time."""
    cursor = None
    while True:
        page = log.read_all(cursor, limit=limit)
        yield from page.events
        cursor = page.cursor
        if page.caught_up:
            return


def check_history(
    rows: Iterable[Recorded | Mapping[str, Any]], *, checker: Checker | None = None
) -> Iterator[Violation]:
    """What is wrong with *rows*, the events of a log (or of some of its sessions) in log order; nothing if all is well.

    Reads as it is asked for more: memory grows with the number of sessions, not of events. A row may be a mapping with
    the names of Recorded, such as a line of an export once it is parsed. Each finding names the invariant, the stream
    and the version.

    Args:
        rows: In log order. Whole streams: the first event of each is its version 1.
        checker: Counts what was exercised; its invariants about Entry are the ones that are checked.
    """
    oracle = Oracle(checker)
    for row in rows:
        yield from oracle.take(row)


class Oracle:
    """check_history for those who have the rows one by one."""

    def __init__(self, checker: Checker | None = None) -> None:
        self._checker = checker or Checker()
        self._stories: dict[str, Told] = {}
        self._strays: set[str] = set()
        self._position: int | None = None

    def take(self, row: Recorded | Mapping[str, Any]) -> list[Violation]:
        """What is wrong with *row*, the next in log order."""
        if isinstance(row, Mapping):
            if set(row) in _NO_EVENTS:
                return []
            if wrong := [name for name, kinds in _KINDS.items() if type(row.get(name)) not in kinds]:
                return [_no_row(row, wrong)]
        fact = Fact.read(row)
        told = self._stories.get(fact.stream)
        if told is None and not fact.type.startswith("session."):
            self._strays.add(fact.stream)
        entry = Entry(told, fact, self._position, stray=fact.stream in self._strays)
        found = list(self._checker.violations(entry))
        self._stories[fact.stream] = tell(told, fact)
        if fact.position is not None:
            self._position = fact.position
        return found


def _no_row(row: Mapping[str, Any], wrong: list[str]) -> Violation:
    stream, version = row.get("stream"), row.get("version")
    return Violation(
        _SHAPE.id,
        _SHAPE.sentence,
        "no row of a log: " + ", ".join(f"{name} is {row.get(name)!r:.60}" for name in wrong),
        stream if isinstance(stream, str) else None,
        version if isinstance(version, int) else None,
    )


def check_events(events: Iterable[Event], *, checker: Checker | None = None) -> Iterator[Violation]:
    """As check_history, for the typed events of one session; nothing is known of their rows."""
    checker = checker or Checker()
    told: Told | None = None
    stream = ""
    for version, event in enumerate(events, start=1):
        stream = stream or getattr(event, "session_id", "(none)")
        fact = Fact.of(event, stream, version)
        yield from checker.violations(Entry(told, fact))
        told = tell(told, fact)
