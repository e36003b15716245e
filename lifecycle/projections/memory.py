"""SessionIndex for a log in memory: a dict, and a plain filter over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.core.evolve import Session
from lifecycle.errors import HistoryError, InvalidConfig
from lifecycle.projections import RebuildReport
from lifecycle.projections.maintain import replay
from lifecycle.projections.query import checked

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Collection, Mapping
    from contextlib import AbstractContextManager

    from lifecycle.log.port import Recorded
    from lifecycle.projections import Progress

__all__ = ["MemorySessions"]


class MemorySessions:
    """The sessions of a MemoryLog. *lock* is the log's own; *streams* its streams, name -> rows, oldest first."""

    def __init__(
        self, lock: Callable[[], AbstractContextManager[object]], streams: Mapping[str, list[Recorded]]
    ) -> None:
        self._lock = lock
        self._streams = streams
        self._sessions: dict[str, Session] = {}

    def put(self, session: Session) -> None:
        """Take over what append has worked out; called under the lock."""
        self._sessions[session.session_id] = session

    def peek(self, session_id: str) -> Session | None:
        """The session as append needs it; called under the lock."""
        return self._sessions.get(session_id)

    def get(self, session_id: str) -> Session | None:
        with self._lock():
            return self._sessions.get(session_id)

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
        with self._lock():
            found = sorted(filter(query.matches, self._sessions.values()), key=_age, reverse=True)
            if after is not None:
                mark = self._sessions.get(after)
                if mark is None:
                    raise InvalidConfig("after", after, "the id of the last session of the page before")
                found = [session for session in found if _age(session) < _age(mark)]
        return found[:limit]

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
        with self._lock():
            return sum(map(query.matches, self._sessions.values()))

    def live(self) -> builtins.list[Session]:
        with self._lock():
            return sorted((session for session in self._sessions.values() if not session.released), key=_age)

    def unreadable(self) -> dict[str, str]:
        return {}  # append refuses whatever could not be read back

    def rebuild(self, progress: Progress | None = None) -> RebuildReport:
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
            self._sessions = fresh
        return RebuildReport(len(fresh), replayed, tuple(differing), unreadable)


def _age(session: Session) -> tuple[int, str]:
    return session.created_at, session.session_id
