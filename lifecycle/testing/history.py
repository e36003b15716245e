"""check_history: is this record one that a session's life could have left? Told from the rows alone, without decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.testing.invariants import Checker
from lifecycle.testing.laws.facts import Entry
from lifecycle.testing.told import Fact, Told, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lifecycle.core import Event
    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.testing.invariants import Violation

__all__ = ["Oracle", "check_events", "check_history", "rows"]


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
    the names of Recorded, such as a line of an export. Each finding names the invariant, the stream and the version.

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
