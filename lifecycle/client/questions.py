"""What client.history, why, stats, diff, timeline and subscribe answer, for both twins. Reading only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

from lifecycle.client.sessions import filters_of
from lifecycle.log.batch import check_page, event_types
from lifecycle.log.port import Cursor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lifecycle.audit.diff import Difference
    from lifecycle.audit.follow import Follower
    from lifecycle.audit.history import Step
    from lifecycle.audit.stats import Stats
    from lifecycle.audit.timeline import Timeline
    from lifecycle.audit.why import Why
    from lifecycle.client.recorder import Recorder
    from lifecycle.client.sessions import Asked, Sessions

__all__ = ["After", "Questions"]

#: Where a subscription begins: after that event, after the last one there is, or with the first.
After = Cursor | Literal["now"] | None


class Questions:
    """Each loads what it needs when it is asked: most programs ask none of them."""

    def __init__(self, recorder: Recorder, sessions: Sessions) -> None:
        self._recorder = recorder
        self._sessions = sessions

    def history(self, session_id: str) -> tuple[Step, ...]:
        from lifecycle.audit.history import history

        return history(self._recorder.log, self._sessions.stream(session_id))

    def why(self, session_id: str) -> Why:
        from lifecycle.audit.why import why

        return why(self._recorder.log, self._sessions.resolve(session_id), self._recorder.clock.now())

    def stats(self, **asked: Unpack[Asked]) -> Stats:
        from lifecycle.audit.stats import stats

        return stats(self._recorder.log, self._recorder.clock.now(), **filters_of(asked))

    def diff(self, a: str, b: str) -> Difference:
        from lifecycle.audit.diff import diff

        first, second = self._sessions.resolve(a), self._sessions.resolve(b)
        return diff(self._recorder.log, first, second, self._recorder.clock.now())

    def timeline(self, session_ids: Iterable[str], *, align: bool) -> Timeline:
        from lifecycle.audit.timeline import timeline

        names = [self._sessions.resolve(session_id) for session_id in session_ids]
        return timeline(self._recorder.log, names, self._recorder.clock.now(), align=align)

    def follower(self, session_id: str | None, after: After, types: Collection[str] | None) -> Follower:
        from lifecycle.audit.follow import Follower

        name = None if session_id is None else self._sessions.stream(session_id)
        return Follower(self._recorder.log, name, self._cursor(after), event_types(types))

    def _cursor(self, after: After) -> Cursor | None:
        if after == "now":
            last = self._recorder.log.last(1)
            return last[0].position if last else None
        check_page(after, 1)
        return after
