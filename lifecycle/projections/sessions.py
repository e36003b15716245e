"""SessionIndex over the `sessions` table; lifecycle.projections.select makes the SQL of its lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

from lifecycle.core.evolve import Session
from lifecycle.errors import InvalidConfig
from lifecycle.projections.maintain import as_far, replay
from lifecycle.projections.outcomes import OUTCOMES, of_text, parts
from lifecycle.projections.query import checked, is_text, rank
from lifecycle.projections.rows import COLUMNS, SELECT, from_row
from lifecycle.projections.select import count, select

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lifecycle.log.port import Recorded
    from lifecycle.projections import Progress, RebuildReport
    from lifecycle.projections.outcomes import Outcome
    from lifecycle.projections.query import Filters

__all__ = ["SqlSessions"]


#: Rows fetched at a time: no cursor stays open between them, so a slow reader never holds the log's checkpoint back.
_CHUNK: Final = 1000

_ONE: Final = f"SELECT {SELECT} FROM sessions AS s WHERE s.session_id = ?"
#: events, not sessions: also what can't be read typed has an id
_IDS: Final = (
    "SELECT stream FROM events WHERE stream >= ? AND stream < ? AND version = 1 AND type LIKE 'session.%'"
    " ORDER BY stream LIMIT ?"
)
_NEWEST: Final = "SELECT max(position) FROM events"
#: columns of a Session; a list by duration has one more
_WIDTH: Final = len(COLUMNS) + 1
_UNRELEASED: Final = f"SELECT {SELECT} FROM sessions AS s WHERE s.released = 0 ORDER BY s.created_at, s.session_id"


class SqlSessions:
    """The sessions of a log in SQL. *ask* runs a query, *read* gives a stream, *rebuild* does the rebuild,
    *ahead* gives the one value of a query for each of several parameters."""

    def __init__(
        self,
        ask: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]],
        read: Callable[[str], Sequence[Recorded]],
        rebuild: Callable[[Progress | None, bool], RebuildReport],
        ahead: Callable[[str, Iterable[Sequence[int]]], Iterator[Any]],
    ) -> None:
        self._ask = ask
        self._read = read
        self._rebuild = rebuild
        self._ahead = ahead

    def get(self, session_id: str) -> Session | None:
        if not is_text(session_id):
            return None
        for row in self._ask(_ONE, (session_id,)):
            return from_row(row)
        if self._ask("SELECT 1 FROM unreadable WHERE stream = ?", (session_id,)):
            return replay(self._read(session_id))
        return None

    def list(
        self,
        *,
        now: int,
        order: str = "newest",
        limit: int | None = None,
        after: str | None = None,
        **asked: Unpack[Filters],
    ) -> builtins.list[Session]:
        query = checked(now=now, order=order, limit=limit, **asked)
        mark = None if after is None else rank(self._mark(after), order, now)
        found: builtins.list[Session] = []
        while True:
            chunk = _CHUNK if limit is None else min(_CHUNK, limit - len(found))
            rows = self._ask(*select(query, order, mark, chunk))
            found += (from_row(row[:_WIDTH]) for row in rows)
            if len(rows) < chunk or len(found) == limit:
                return found
            mark = rank(found[-1], order, now)

    def _mark(self, after: str) -> Session:
        if is_text(after):
            for row in self._ask(_ONE, (after,)):
                return from_row(row)
            # It may have become unreadable since the page before.
            if after in self.unreadable() and (session := as_far(self._read(after))):
                return session
        raise InvalidConfig("after", after, "the id of the last session of the page before")

    def count(self, *, now: int, **asked: Unpack[Filters]) -> int:
        ((total,),) = self._ask(*count(checked(now=now, **asked)))
        return int(total)

    def ids(self, prefix: str, limit: int) -> builtins.list[str]:
        if not is_text(prefix):
            return []
        return [name for (name,) in self._ask(_IDS, (prefix, f"{prefix}\U0010ffff", limit))]

    def live(self) -> builtins.list[Session]:
        return [from_row(row) for row in self._ask(_UNRELEASED, ())]

    def unreadable(self) -> dict[str, str]:
        return dict(self._ask("SELECT stream, reason FROM unreadable", ()))

    def outcomes(self) -> Iterator[Outcome]:
        for end in self._ahead(_NEWEST, [()]):
            for text in self._ahead(OUTCOMES, parts(int(end or 0))):
                yield from of_text(text)

    def rebuild(self, progress: Progress | None = None, *, resume: bool = False) -> RebuildReport:
        return self._rebuild(progress, resume)
