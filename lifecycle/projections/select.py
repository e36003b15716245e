"""The SQL of a list or a count: it costs what it returns and what is live, not what is stored.

A question becomes one branch for each stored status, or cause, that can answer it, each ordered by its own index;
SQLite merges the branches. So `timed_out` is the stored ones, and the live ones whose deadline has passed at *now*.
Those are found among all live ones: an index by deadline would have to be written at every access.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lifecycle.core.states import LIVE, State
from lifecycle.projections.query import CAUSES, VISITS, by_duration
from lifecycle.projections.rows import COLUMNS, SELECT

if TYPE_CHECKING:
    from lifecycle.projections.query import Query

__all__ = ["count", "select"]

#: of a session that lives: which limit makes its deadline, as core.deadlines.rule has it
_RULE: Final = (
    "CASE WHEN s.idle_timeout_us IS NULL OR s.created_at + s.max_duration_us <= s.last_accessed_at + s.idle_timeout_us"
    " THEN 'max_duration' ELSE 'idle' END"
)
_ENDED_AFTER: Final = "s.closed_at - s.created_at"
_LIVED_FOR: Final = "min(s.deadline, max(?, s.last_at)) - s.created_at"
_DURATION: Final = "coalesce(s.closed_at, min(s.deadline, max(?, s.last_at))) - s.created_at"

_ACTED: Final = "EXISTS (SELECT 1 FROM events AS e WHERE e.stream = s.session_id AND e.actor = ?)"
_CORRELATED: Final = "EXISTS (SELECT 1 FROM events AS e WHERE e.stream = s.session_id AND e.correlation_id = ?)"
_VISITED: Final = (
    "EXISTS (SELECT 1 FROM events AS e JOIN private AS p USING (event_id) WHERE e.stream = s.session_id"
    f" AND e.type IN ({', '.join(repr(name) for name in VISITS)})"
    " AND instr(lower(json_extract(p.body, '$.url')), ?))"
)
_MESSAGE: Final = "(SELECT json_extract(body, '$.error_message') FROM private WHERE event_id = s.failure_id)"
_FAILED: Final = (
    f"instr(lower(coalesce(nullif(s.error_type, '') || ': ' || nullif({_MESSAGE}, ''),"
    f" nullif(s.error_type, ''), {_MESSAGE}, '')), ?)"
)


@dataclass(frozen=True, slots=True)
class _Source:
    """Sessions that are stored in one way: what holds of their rows, and whether they live (None: some do)."""

    condition: str = ""
    values: tuple[Any, ...] = ()
    live: bool | None = False


def _sources(query: Query, *, split: bool) -> list[_Source]:
    """Where the sessions asked for are found; *split*: not the living and the ended in one."""
    if query.statuses is None and query.causes is None:
        if not split:
            return [_Source(live=None)]
        living = (_Source("s.status = ?", (status.value,), live=True) for status in LIVE)
        return [_Source("s.closed_at IS NOT NULL"), *living]
    statuses = tuple(State) if query.statuses is None else query.statuses
    return [source for status in statuses for source in _of_status(query, status)]


def _of_status(query: Query, status: State) -> list[_Source]:
    if status in LIVE:
        alive = _Source("s.status = ? AND s.deadline > ?", (status.value, query.now), live=True)
        return [alive] if query.causes is None else []
    if query.causes is None:
        found = [_Source("s.status = ?", (status.value,))]
    else:
        found = [_Source("s.cause = ?", (cause.value,)) for cause in query.causes if cause in CAUSES[status]]
    if status is State.TIMED_OUT:
        rules = [cause.value for cause in CAUSES[status] if query.causes is None or cause in query.causes]
        overdue = f"s.status = ? AND s.deadline <= ? AND {_RULE} IN ({', '.join('?' * len(rules))})"
        found += [_Source(overdue, (live.value, query.now, *rules), live=True) for live in LIVE if rules]
    return found


def _branch(columns: str, query: Query, source: _Source, order: str, mark: tuple[int, str] | None) -> _Source:
    """One SELECT of *columns* and its values."""
    where: list[str] = []
    values: list[Any] = []
    table, age = "sessions AS s", "s"
    wanted = sorted(query.labels.items())
    if wanted and not source.live:
        # The first label leads: its own order of age serves the paging. The rest is checked row by row. Of the live
        # ones there are few: there the status leads.
        table, age = "session_labels AS l CROSS JOIN sessions AS s ON s.session_id = l.session_id", "l"
        where.append("l.name = ? AND l.value = ?")
        values += wanted.pop(0)
    for name, value in wanted:
        where.append(
            "EXISTS (SELECT 1 FROM session_labels AS o WHERE o.name = ? AND o.value = ?"
            " AND o.created_at = s.created_at AND o.session_id = s.session_id)"
        )
        values += (name, value)
    if source.condition:
        where.append(source.condition)
        values += source.values
    for condition, given in _conditions(query, source, age):
        where.append(condition)
        values += given
    if mark is not None:
        lies = "<" if order in ("newest", "longest") else ">"
        if by_duration(order):
            lived, given = _lived(query, source)
            # The first condition lets the index begin at the mark, which a row value of expressions does not.
            where.append(f"{lived} {lies}= ? AND ({lived}, s.session_id) {lies} (?, ?)")
            values += (*given, mark[0], *given, *mark)
        else:
            where.append(f"({age}.created_at, {age}.session_id) {lies} (?, ?)")
            values += mark
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    columns = columns.replace("s.session_id", f"{age}.session_id").replace("s.created_at", f"{age}.created_at")
    return _Source(f"SELECT {columns} FROM {table}{condition}", tuple(values))


def _conditions(query: Query, source: _Source, age: str) -> list[tuple[str, tuple[Any, ...]]]:
    """What else must hold, the cheap first."""
    lived, given = _lived(query, source)
    ended = "s.deadline" if source.live else "s.closed_at"  # of a source that lives, only what is overdue is asked for
    host, pid = query.owner or (None, None)
    possible: list[tuple[str, tuple[Any, ...], Any]] = [
        (f"{age}.created_at >= ?", (query.since,), query.since),
        (f"{age}.created_at < ?", (query.until,), query.until),
        (f"{ended} >= ?", (query.ended_since,), query.ended_since),
        (f"{ended} < ?", (query.ended_until,), query.ended_until),
        (f"{lived} >= ?", (*given, query.longer_us), query.longer_us),
        (f"{lived} < ?", (*given, query.shorter_us), query.shorter_us),
        ("json_extract(s.owner, '$.host') = ?", (host,), host),
        ("json_extract(s.owner, '$.pid') = ?", (pid,), pid),
        (_FAILED, (query.error,), query.error),
        (_ACTED, (query.actor,), query.actor),
        (_CORRELATED, (query.correlation_id,), query.correlation_id),
        (_VISITED, (query.url,), query.url),
    ]
    return [(condition, values) for condition, values, asked in possible if asked is not None]


def _lived(query: Query, source: _Source) -> tuple[str, tuple[int, ...]]:
    """SQL for the duration of a source's sessions, and its values."""
    if source.live is False:
        return _ENDED_AFTER, ()
    return (_LIVED_FOR if source.live else _DURATION), (query.now,)


def select(query: Query, order: str, mark: tuple[int, str] | None, limit: int) -> tuple[str, tuple[Any, ...]]:
    """SQL for one chunk of a list, and its values: the columns of SELECT, and the duration in an order by it."""
    branches: list[_Source] = []
    for source in _sources(query, split=by_duration(order)):
        lived, given = _lived(query, source)
        columns, first = (f"{SELECT}, {lived}", given) if by_duration(order) else (SELECT, ())
        branch = _branch(columns, query, source, order, mark)
        branches.append(_Source(branch.condition, (*first, *branch.values)))
    if not branches:
        return "SELECT 1 WHERE 0", ()
    # In a compound select, terms are the columns of the result: 4 is created_at, 1 session_id, the last the duration.
    term = len(COLUMNS) + 2 if by_duration(order) else 4
    way = "DESC" if order in ("newest", "longest") else "ASC"
    sql = " UNION ALL ".join(branch.condition for branch in branches)
    sql += f" ORDER BY {term} {way}, 1 {way} LIMIT ?"
    return sql, (*(value for branch in branches for value in branch.values), limit)


def count(query: Query) -> tuple[str, tuple[Any, ...]]:
    """SQL for how many there are."""
    branches = [_branch("count(*) AS n", query, source, "newest", None) for source in _sources(query, split=False)]
    if not branches:
        return "SELECT 0", ()
    sql = " UNION ALL ".join(branch.condition for branch in branches)
    return f"SELECT sum(n) FROM ({sql})", tuple(value for branch in branches for value in branch.values)
