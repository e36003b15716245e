"""SessionIndex for a log in memory: a dict, and a plain filter over it."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Unpack

from lifecycle.core.evolve import Session
from lifecycle.errors import HistoryError, InvalidConfig
from lifecycle.projections import RebuildReport
from lifecycle.projections.maintain import as_far, replay
from lifecycle.projections.outcomes import of_session
from lifecycle.projections.query import checked, rank

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from lifecycle.log.port import Recorded
    from lifecycle.projections import Progress
    from lifecycle.projections.outcomes import Outcome
    from lifecycle.projections.query import Filters, Query

__all__ = ["MemorySessions", "arrange"]


class MemorySessions:
    """The sessions of a MemoryLog. *lock* is the log's own; *streams* its streams, name -> rows, oldest first."""

    def __init__(
        self, lock: Callable[[], AbstractContextManager[object]], streams: Mapping[str, list[Recorded]]
    ) -> None:
        self._lock = lock
        self._streams = streams
        self._sessions: dict[str, Session] = {}
        #: only of rows that a log was given: append refuses whatever could not be read back
        self._unreadable: dict[str, str] = {}

    def put(self, session: Session) -> None:
        """Take over what append has worked out; called under the lock."""
        self._sessions[session.session_id] = session

    def peek(self, session_id: str) -> Session | None:
        """The session as append needs it; called under the lock."""
        return self._sessions.get(session_id)

    def get(self, session_id: str) -> Session | None:
        with self._lock():
            if session_id in self._unreadable:
                return replay(self._streams[session_id])
            return self._sessions.get(session_id)

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
        with self._lock():
            mark = None if after is None else self._sessions.get(after)
            if after in self._unreadable:
                mark = as_far(self._streams[after])
            if after is not None and mark is None:
                raise InvalidConfig("after", after, "the id of the last session of the page before")
            return arrange(filter(self._asked(query), self._sessions.values()), order, now, mark)[:limit]

    def _asked(self, query: Query) -> Callable[[Session], bool]:
        return lambda session: query.matches(session, lambda: self._streams[session.session_id])

    def count(self, *, now: int, **asked: Unpack[Filters]) -> int:
        query = checked(now=now, **asked)
        with self._lock():
            return sum(map(self._asked(query), self._sessions.values()))

    def ids(self, prefix: str, limit: int) -> builtins.list[str]:
        with self._lock():
            names = (*self._sessions, *self._unreadable)
            return sorted(name for name in names if name.startswith(prefix))[:limit]

    def live(self) -> builtins.list[Session]:
        with self._lock():
            return sorted((session for session in self._sessions.values() if not session.released), key=_age)

    def unreadable(self) -> dict[str, str]:
        with self._lock():
            return dict(self._unreadable)

    def outcomes(self) -> Iterator[Outcome]:
        with self._lock():
            folded = [replay(rows) for rows in self._streams.values()]
        return (of_session(session) for session in folded if session is not None)

    def rebuild(self, progress: Progress | None = None, *, resume: bool = False) -> RebuildReport:
        del resume
        with self._lock():
            replayed = 0
            total = sum(map(len, self._streams.values()))
            fresh: dict[str, Session] = {}
            unreadable: dict[str, str] = {}
            for stream, rows in self._streams.items():
                try:
                    session = replay(rows)
                except HistoryError as error:
                    unreadable[stream] = str(error)
                else:
                    if session is not None:
                        fresh[stream] = session
                replayed += len(rows)
                if progress is not None:
                    progress(replayed, total)
            names = fresh.keys() | self._sessions.keys()
            differing = sorted(name for name in names if fresh.get(name) != self._sessions.get(name))
            self._sessions, self._unreadable = fresh, unreadable
        return RebuildReport(len(fresh), replayed, tuple(differing), unreadable)


def arrange(found: Iterable[Session], order: str, now: int, mark: Session | None) -> list[Session]:
    """*found* in *order* at *now*, without *mark* and what stands before it."""
    falling = order in ("newest", "longest")
    ranked = sorted(((rank(session, order, now), session) for session in found), key=itemgetter(0), reverse=falling)
    if mark is not None:
        last = rank(mark, order, now)
        ranked = [one for one in ranked if (one[0] < last if falling else one[0] > last)]
    return [session for _, session in ranked]


def _age(session: Session) -> tuple[int, str]:
    return session.created_at, session.session_id
