"""SessionIndex over the `sessions` table: lists that cost what they return and what is live, not what is stored.

A question becomes one branch for each stored status that can answer it, each ordered by its own index; SQLite merges
the branches. So `timed_out` is the stored ones, and the live ones whose deadline has passed at *now*. Those are found
among all live ones: an index by deadline would have to be written at every access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifecycle.core.evolve import Session
from lifecycle.core.states import LIVE, State
from lifecycle.errors import InvalidConfig
from lifecycle.projections.maintain import replay
from lifecycle.projections.query import Query, checked, is_text
from lifecycle.projections.rows import SELECT, from_row

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Collection, Mapping, Sequence

    from lifecycle.log.port import Recorded
    from lifecycle.projections import Progress, RebuildReport

__all__ = ["SqlSessions"]


#: Rows fetched at a time: no cursor stays open between them, so a slow reader never holds the log's checkpoint back.
_CHUNK: Final = 1000

_ONE: Final = f"SELECT {SELECT} FROM sessions AS s WHERE s.session_id = ?"
_UNRELEASED: Final = f"SELECT {SELECT} FROM sessions AS s WHERE s.released = 0 ORDER BY s.created_at, s.session_id"


class SqlSessions:
    """The sessions of a log in SQL. *ask* runs a query, *read* gives a stream, *rebuild* does the rebuild."""

    def __init__(
        self,
        ask: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]],
        read: Callable[[str], Sequence[Recorded]],
        rebuild: Callable[[Progress | None], RebuildReport],
    ) -> None:
        self._ask = ask
        self._read = read
        self._rebuild = rebuild

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
        status: str | Collection[str] | None = None,
        labels: Mapping[str, str] | None = None,
        since: int | None = None,
        until: int | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> builtins.list[Session]:
        query = checked(now=now, status=status, labels=labels, since=since, until=until, limit=limit)
        mark = None if after is None else self._mark(after)
        found: builtins.list[Session] = []
        while True:
            chunk = _CHUNK if limit is None else min(_CHUNK, limit - len(found))
            sql, values = _select(query, mark, chunk)
            rows = self._ask(sql, values)
            found += map(from_row, rows)
            if len(rows) < chunk or len(found) == limit:
                return found
            mark = (found[-1].created_at, found[-1].session_id)

    def _mark(self, after: str) -> tuple[int, str]:
        if not is_text(after):
            raise InvalidConfig("after", after, "the id of the last session of the page before")
        for (created_at,) in self._ask("SELECT created_at FROM sessions WHERE session_id = ?", (after,)):
            return created_at, after
        raise InvalidConfig("after", after, "the id of the last session of the page before")

    def count(
        self,
        *,
        now: int,
        status: str | Collection[str] | None = None,
        labels: Mapping[str, str] | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> int:
        query = checked(now=now, status=status, labels=labels, since=since, until=until)
        branches = [_branch("count(*) AS n", query, stored, None) for stored in _stored(query)]
        if not branches:
            return 0
        sql = " UNION ALL ".join(sql for sql, _ in branches)
        values = [value for _, given in branches for value in given]
        ((total,),) = self._ask(f"SELECT sum(n) FROM ({sql})", values)
        return int(total)

    def live(self) -> builtins.list[Session]:
        return [from_row(row) for row in self._ask(_UNRELEASED, ())]

    def unreadable(self) -> dict[str, str]:
        return dict(self._ask("SELECT stream, reason FROM unreadable", ()))

    def rebuild(self, progress: Progress | None = None) -> RebuildReport:
        return self._rebuild(progress)


#: (stored status, what must hold of the deadline); None: whatever is stored
_Stored = tuple[State, str] | None


def _stored(query: Query) -> list[_Stored]:
    """Where the sessions of the query's statuses are found."""
    if query.statuses is None:
        return [None]
    found: list[_Stored] = []
    for status in query.statuses:
        found.append((status, "> ?" if status in LIVE else ""))
        if status is State.TIMED_OUT:
            found += [(live, "<= ?") for live in LIVE]
    return found


def _branch(columns: str, query: Query, stored: _Stored, mark: tuple[int, str] | None) -> tuple[str, list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    source, age = "sessions AS s", "s"
    wanted = sorted(query.labels.items())
    if wanted and (stored is None or stored[0] not in LIVE):
        # The first label leads: its own order of age serves the paging. The rest is checked row by row. Of the live
        # ones there are few: there the status leads.
        source, age = "session_labels AS l CROSS JOIN sessions AS s ON s.session_id = l.session_id", "l"
        where.append("l.name = ? AND l.value = ?")
        values += wanted.pop(0)
    for name, value in wanted:
        where.append(
            "EXISTS (SELECT 1 FROM session_labels AS o WHERE o.name = ? AND o.value = ?"
            " AND o.created_at = s.created_at AND o.session_id = s.session_id)"
        )
        values += (name, value)
    if stored is not None:
        status, compared = stored
        where.append("s.status = ?")
        values.append(status.value)
        if compared:
            where.append(f"s.deadline {compared}")
            values.append(query.now)
    if query.since is not None:
        where.append(f"{age}.created_at >= ?")
        values.append(query.since)
    if query.until is not None:
        where.append(f"{age}.created_at < ?")
        values.append(query.until)
    if mark is not None:
        where.append(f"({age}.created_at, {age}.session_id) < (?, ?)")
        values += mark
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    columns = columns.replace("s.session_id", f"{age}.session_id").replace("s.created_at", f"{age}.created_at")
    return f"SELECT {columns} FROM {source}{condition}", values


def _select(query: Query, mark: tuple[int, str] | None, limit: int) -> tuple[str, list[Any]]:
    """SQL for one chunk of the list, newest first."""
    branches = [_branch(SELECT, query, stored, mark) for stored in _stored(query)]
    if not branches:
        return "SELECT 1 WHERE 0", []
    # 4 is created_at and 1 is session_id: in a compound select, terms are the columns of the result.
    sql = " UNION ALL ".join(sql for sql, _ in branches) + " ORDER BY 4 DESC, 1 DESC LIMIT ?"
    return sql, [*(value for _, values in branches for value in values), limit]
