"""Laws of a log: of one append, of a log at rest, of two records that should say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lifecycle.core import State, fold
from lifecycle.errors import HistoryError, LifecycleError, WrongVersion
from lifecycle.log.codec import events
from lifecycle.log.port import Appended, Cursor, Expectation, NewEvent, Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.core import Event, Session
    from lifecycle.log.port import EventLog, Expected
    from lifecycle.testing.laws.facts import Findings

__all__ = ["Appending", "Replayed", "Store", "Upcast", "everything"]

#: pages of a walk through a log: short ones, and one that takes it all
_PAGES: Final = (1, 3, 1000)


def everything(log: EventLog, limit: int = 100, after: Cursor | None = None) -> list[Recorded]:
    """All events of *log* after the cursor, page by page, in log order."""
    found: list[Recorded] = []
    cursor = after
    while True:
        page = log.read_all(cursor, limit=limit)
        found += page.events
        cursor = page.cursor
        if page.caught_up:
            return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Appending:
    """One append: what stood in the log before and after it, and what its caller was told.

    `told` is what append returned or raised; None when the caller never heard (it died, or the answer got lost).
    """

    before: Sequence[Recorded]
    stream: str
    batch: Sequence[NewEvent]
    expected: Expected
    told: Appended | LifecycleError | None
    after: Sequence[Recorded]

    @property
    def added(self) -> list[Recorded]:
        """What stands in the log now and did not before, if it is an append-only one."""
        return list(self.after[len(self.before) :])

    @property
    def repeated(self) -> bool:
        """Whether one of the ids stood in the log before."""
        ids = {row.event_id for row in self.before}
        return any(new.event_id in ids for new in self.batch)

    @property
    def holds(self) -> bool:
        """Whether the expectation held, seen from the rows."""
        head = sum(row.stream == self.stream for row in self.before)
        match self.expected:
            case Expectation.ANY:
                return True
            case Expectation.NO_STREAM:
                return head == 0
            case Expectation.EXISTS:
                return head > 0
            case version:
                return head == version


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A log at rest, at *now* (µs). *earlier* is what stood in it at another time."""

    log: EventLog
    now: int
    earlier: Sequence[Recorded] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcast:
    """An event that an upcast gave, and the event it should have become."""

    history: tuple[Event, ...]
    upcast: Event
    current: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The bytes of one replay here and of another elsewhere."""

    here: bytes
    elsewhere: bytes


def wrong_expectation_writes_nothing(it: Appending) -> Findings:
    if not it.holds and not it.repeated and it.told is not None:
        refused = isinstance(it.told, LifecycleError) and (
            isinstance(it.told, WrongVersion) or not isinstance(it.told, HistoryError)
        )
        yield refused or f"expected {it.expected!r} did not hold, and append gave {it.told!r}"
        yield list(it.after) == list(it.before) or "an append with a wrong expectation wrote something"


def all_or_nothing(it: Appending) -> Findings:
    added = it.added
    ids = [row.event_id for row in added]
    whole = [new.event_id for new in it.batch]
    yield ids in ([], whole) or f"of a batch of {len(whole)} events {len(ids)} stand in the log"
    if isinstance(it.told, LifecycleError):
        yield not ids or f"append raised {type(it.told).__name__} and wrote all the same"


def acknowledged_is_there(it: Appending) -> Findings:
    if isinstance(it.told, Appended):
        there = {row.event_id: row for row in it.after}
        for new in it.batch:
            yield new.event_id in there or f"{new.event_id} was acknowledged and is not in the log"
        if (last := there.get(it.batch[-1].event_id)) is not None:
            yield (it.told.version, it.told.position) == (last.version, last.position) or (
                f"append said version {it.told.version}, position {it.told.position};"
                f" it stands at {last.version}, {last.position}"
            )


def rows_never_change(it: Appending) -> Findings:
    if it.before:
        yield list(it.after[: len(it.before)]) == list(it.before) or "what stood in the log has changed"


def retry_adds_nothing(it: Appending) -> Findings:
    if it.repeated:
        yield not it.added or f"a retry added {len(it.added)} events"


def earlier_is_a_prefix(it: Store) -> Findings:
    if it.earlier:
        now = everything(it.log)[: len(it.earlier)]
        yield now == list(it.earlier) or "what stood in the log has changed"


def statuses_partition(it: Store) -> Findings:
    whole = [session.session_id for session in it.log.sessions.list(now=it.now)]
    by_status = [
        session.session_id for state in State for session in it.log.sessions.list(now=it.now, status=state.value)
    ]
    if whole:
        yield sorted(by_status) == sorted(set(whole)) or f"lists by status give {by_status}, the whole list {whole}"
        count = it.log.sessions.count(now=it.now)
        yield count == len(set(whole)) == len(whole) or f"count {count}, listed {len(whole)}"


def _streams(log: EventLog) -> dict[str, list[Recorded]]:
    found: dict[str, list[Recorded]] = {}
    for row in everything(log):
        found.setdefault(row.stream, []).append(row)
    return found


def index_is_fold(it: Store) -> Findings:
    for stream, rows in _streams(it.log).items():
        if not rows[0].type.startswith("session."):
            continue
        try:
            session: Session | None = fold(events(rows))
        except HistoryError:
            continue  # unreadable streams are the business of invariant 8
        yield it.log.sessions.get(stream) == session or f"the index has another {stream} than its events say"


def tailing_sees_all_once(it: Store) -> Findings:
    whole = everything(it.log)
    if not whole:
        return
    positions = [row.position for row in whole]
    yield positions == sorted(set(positions)) or f"read_all gives the positions {positions}"
    for limit in _PAGES:
        yield everything(it.log, limit) == whole or f"pages of {limit} give something else"
    late = len(whole) // 2
    page = it.log.read_all(limit=late) if late else None
    if page is not None:
        rest = everything(it.log, after=page.cursor)
        yield [*page.events, *rest] == whole or "a reader that goes on from a cursor sees something else"


def streams_are_apart(it: Store) -> Findings:
    streams = _streams(it.log)
    for stream, rows in streams.items():
        yield list(it.log.read(stream)) == rows or f"read({stream}) is not what read_all has of it"
        yield it.log.head(stream) == rows[-1].version or f"head({stream}) is {it.log.head(stream)}"


def upcast_folds_alike(it: Upcast) -> Findings:
    yield fold((*it.history, it.upcast)) == fold((*it.history, it.current)) or "the upcast event folds otherwise"


def same_bytes_elsewhere(it: Replayed) -> Findings:
    yield it.here == it.elsewhere or "a replay elsewhere gives other bytes"
