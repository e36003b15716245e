"""client.sessions: the sessions of a log, listed, counted and fetched, always as they stand now."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from lifecycle.core import Session, SessionView, instant, view
from lifecycle.errors import HistoryError, InvalidConfig, UnknownSession

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from lifecycle.client.recorder import Recorder

__all__ = ["Sessions"]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Sessions:
    """Reading only: nothing here writes, and nothing here extends a session's life."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def list(
        self,
        *,
        status: str | Collection[str] | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[SessionView]:
        """Sessions, newest first; all of them without a limit.

        Args:
            status: One status or several: created, active, closed, error, timed_out. A session past its deadline
                is timed_out, written down or not.
            labels: Only sessions that carry all of these.
            since, until: since <= created_at < until, time-zone-aware.
            limit, after: Paging: at most *limit* sessions that follow the one whose id is *after*.

        Raises:
            InvalidConfig: Names the argument and what is allowed.
        """
        now = self._recorder.clock.now()
        found = self._recorder.log.sessions.list(
            now=now,
            status=status,
            labels=labels,
            since=_instant("since", since),
            until=_instant("until", until),
            limit=limit,
            after=after,
        )
        return [view(session, now) for session in found]

    def count(
        self,
        *,
        status: str | Collection[str] | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """How many sessions list() would give; arguments and errors as there."""
        return self._recorder.log.sessions.count(
            now=self._recorder.clock.now(),
            status=status,
            labels=labels,
            since=_instant("since", since),
            until=_instant("until", until),
        )

    def get(self, session_id: str) -> SessionView:
        """One session, replayed from its events.

        Raises:
            UnknownSession: No session of that id in this log.
            HistoryError: Its history can't be read typed.
        """
        return self._recorder.view(self.resolve(session_id))

    def resolve(self, session_id: object) -> str:
        """*session_id* if a session of that id stands in the log.

        Raises:
            UnknownSession: None does, or the text can't be an id.
        """
        if not isinstance(session_id, str):
            raise InvalidConfig("session_id", session_id, "must be the text of a session's id")
        log = self._recorder.log
        if not _ID.fullmatch(session_id) or not log.head(session_id):
            raise UnknownSession(session_id, log.locator or "this log")
        return session_id

    def unreleased(self) -> Sequence[Session]:
        """Sessions whose browser is not confirmed gone, those included that only a newer version can read in full."""
        index = self._recorder.log.sessions
        return [*index.live(), *self._opaque(index.unreadable())]

    def _opaque(self, streams: Iterable[str]) -> Iterator[Session]:
        lenient = self._recorder.lenient()
        for stream in streams:
            try:
                session = lenient.load(stream)
            except (HistoryError, UnknownSession):
                continue  # broken, or not a session at all: `verify` says more
            if not session.released:
                yield session


def _instant(argument: str, at: object) -> int | None:
    if at is None:
        return None
    if not isinstance(at, datetime) or at.tzinfo is None or at.utcoffset() is None:
        raise InvalidConfig(argument, at, "must be a datetime with a time zone")
    return instant(at)
