"""client.sessions: which sessions a log holds, and how each stands, or stood."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from lifecycle.audit.asof import Then, list_at, then
from lifecycle.client.listed import SessionList
from lifecycle.core import Session, SessionView, instant, view
from lifecycle.errors import AmbiguousSession, HistoryError, InvalidConfig, UnknownSession
from lifecycle.log.receipts import STREAM
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from lifecycle.client.recorder import Recorder
    from lifecycle.projections.query import Filters, Order

__all__ = ["Asked", "Sessions", "filters_of"]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: of an id, so that nobody stops a session by a slip of the finger
_SHORTEST_PREFIX: Final = 4
_CANDIDATES: Final = 10


class Asked(TypedDict, total=False):
    """Which sessions list() and count() are asked for; Sessions.list says what each means."""

    status: str | Collection[str] | None
    cause: str | Collection[str] | None
    labels: Mapping[str, str] | None
    since: datetime | None
    until: datetime | None
    ended_since: datetime | None
    ended_until: datetime | None
    longer_than: timedelta | None
    shorter_than: timedelta | None
    url: str | None
    error: str | None
    actor: str | None
    correlation_id: str | None
    owner: str | None


class Sessions:
    """Reading only: nothing here writes, and nothing here extends a session's life.

    An id may be given by its beginning, four characters at least, where only one session's id begins so.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._lenient = recorder.lenient()
        self._told: set[str] = set()

    def list(
        self,
        *,
        order: Order = "newest",
        limit: int | None = None,
        after: str | None = None,
        at: datetime | None = None,
        **asked: Unpack[Asked],
    ) -> SessionList:
        """Sessions, newest first; all of them without a limit. Those that can't be read are in unreadable() instead.

        Args:
            status: One status or several: created, active, closed, error, timed_out. A session past its deadline
                is timed_out, written down or not.
            cause: One cause or several of those in Cause.
            labels: Only sessions that carry all of these.
            since, until: since <= created_at < until, time-zone-aware.
            ended_since, ended_until: ended_since <= closed_at < ended_until, of sessions that have ended.
            longer_than, shorter_than: longer_than <= duration < shorter_than, as timedelta.
            url: Text in an address that the session visited; upper and lower case of A to Z are the same.
            error: Text in the type and message of its error, in the same way.
            actor: Somebody who acted in it, exactly.
            correlation_id: What one of its events belongs to, exactly: the id that was given, or that of the trace.
            owner: The process that started it: HOST, HOST:PID or PID.
            order: newest, oldest, longest or shortest.
            limit, after: Paging: at most *limit* sessions that follow the one whose id is *after*. Sessions that are
                added meanwhile move nothing; by longest and shortest, those that live move on by themselves.
            at: The sessions as they stood at that moment.

        status, cause, labels, times and limit cost what they return; so do the orders, for sessions that have ended.
        owner, endings and durations look at every session that the rest leaves, error at its message, url, actor and
        correlation_id at its events. What was forgotten is not found. With *at*, the events of sessions that have
        changed since are read, and an order by duration looks at all of them.

        Raises:
            InvalidConfig: Names the argument and what is allowed.
        """
        self._tell()
        log, now = self._recorder.log, self._recorder.clock.now()
        filters, after = filters_of(asked), self._known(after)
        if at is None:
            found = log.sessions.list(now=now, order=order, limit=limit, after=after, **filters)
        else:
            now = _moment("at", at)
            found = list_at(log, now, order=order, limit=limit, after=after, **filters)
        return SessionList(view(session, now) for session in found)

    def count(self, *, at: datetime | None = None, **asked: Unpack[Asked]) -> int:
        """How many sessions list() would give; arguments, costs and errors as there."""
        self._tell()
        log, filters = self._recorder.log, filters_of(asked)
        if at is None:
            return log.sessions.count(now=self._recorder.clock.now(), **filters)
        return len(list_at(log, _moment("at", at), **filters))

    def unreadable(self) -> dict[str, str]:
        """The ids of sessions that are in no list, count or stats, and why: their history can't be read here.

        A newer version of this library wrote into it, or it is damaged; `verify` tells which. history() and why() show
        what there is. list() and count() warn of each of them once, on the logger `lifecycle`.
        """
        return self._recorder.log.sessions.unreadable()

    def _tell(self) -> None:
        for session_id, why in self.unreadable().items():
            if session_id not in self._told:
                self._told.add(session_id)
                logger.warning("session_left_out", session_id=session_id, why=why)

    def get(
        self, session_id: str, *, at: datetime | int | None = None, known_at: datetime | None = None
    ) -> SessionView:
        """One session, replayed from its events.

        Args:
            session_id: Its id, or the beginning of it.
            at: As it stood at that moment, or after its event of that version.
            known_at: As far as it was recorded at that moment, and as it looked then.

        Raises:
            UnknownSession: No session of that id in this log, or not then.
            AmbiguousSession: Several ids begin so.
            HistoryError: Its history can't be read typed.
        """
        if at is None and known_at is None:
            return self._now(session_id)
        found = self.then(session_id, at=at, known_at=known_at)
        return view(found.session(), found.now)

    def _now(self, session_id: str) -> SessionView:
        # Mostly it is a whole id: then one question to the log is enough.
        if _may_be(session_id):
            with suppress(UnknownSession):
                return self._recorder.view(session_id)
        return self._recorder.view(self.resolve(session_id))

    def then(self, session_id: str, *, at: datetime | int | None = None, known_at: datetime | None = None) -> Then:
        """The part of a history that get() replays."""
        recorder = self._recorder
        return then(recorder.log, self.resolve(session_id), recorder.clock.now(), at=at, known_at=known_at)

    def resolve(self, session_id: object) -> str:
        """The whole id of the session whose id, or whose id's beginning, this is.

        Raises:
            UnknownSession: There is none, or the text can't be an id.
            AmbiguousSession: Several ids begin so; it lists them.
        """
        if not isinstance(session_id, str):
            raise InvalidConfig("session_id", session_id, "must be the text of a session's id")
        log = self._recorder.log
        if _may_be(session_id):
            if log.head(session_id):
                return session_id
            if len(session_id) >= _SHORTEST_PREFIX:
                found = log.sessions.ids(session_id, _CANDIDATES + 1)
                if len(found) > 1:
                    raise AmbiguousSession(session_id, found[:_CANDIDATES], more=len(found) > _CANDIDATES)
                if found:
                    return found[0]
        raise UnknownSession(session_id, log.locator)

    def stream(self, name: object) -> str:
        """As resolve(); `log` is the log's own stream, whose receipts are events too."""
        return STREAM if name == STREAM else self.resolve(name)

    def _known(self, after: str | None) -> str | None:
        """The whole id, where *after* is the beginning of one; otherwise the index says what is wrong with it."""
        try:
            return None if after is None else self.resolve(after)
        except UnknownSession:
            return after
        except InvalidConfig as error:
            raise InvalidConfig("after", after, error.allowed) from None

    def unreleased(self) -> Sequence[Session]:
        """Sessions whose browser is not confirmed gone, those included that only a newer version can read in full."""
        index = self._recorder.log.sessions
        return [*index.live(), *self._opaque(index.unreadable())]

    def _opaque(self, streams: Iterable[str]) -> Iterator[Session]:
        for stream in streams:
            try:
                session = self._lenient.load(stream)
            except (HistoryError, UnknownSession):
                continue  # broken, or not a session at all: `verify` says more
            if not session.released:
                yield session


def _may_be(session_id: object) -> bool:
    """Whether it can be a session's id, or the beginning of one."""
    return isinstance(session_id, str) and bool(_ID.fullmatch(session_id)) and session_id != STREAM


def filters_of(asked: Asked) -> Filters:
    """The question as an index takes it."""
    given = dict(asked)
    if unknown := sorted(given.keys() - Asked.__annotations__.keys()):
        raise TypeError(f"sessions.list() got an unexpected keyword argument {unknown[0]!r}")
    return {
        "status": asked.get("status"),
        "cause": asked.get("cause"),
        "labels": asked.get("labels"),
        "since": _instant("since", asked.get("since")),
        "until": _instant("until", asked.get("until")),
        "ended_since": _instant("ended_since", asked.get("ended_since")),
        "ended_until": _instant("ended_until", asked.get("ended_until")),
        "longer_us": _us("longer_than", asked.get("longer_than")),
        "shorter_us": _us("shorter_than", asked.get("shorter_than")),
        "owner": asked.get("owner"),
        "actor": asked.get("actor"),
        "correlation_id": asked.get("correlation_id"),
        "url": asked.get("url"),
        "error": asked.get("error"),
    }


def _us(argument: str, span: object) -> int | None:
    if span is None:
        return None
    if not isinstance(span, timedelta):
        raise InvalidConfig(argument, span, "must be a timedelta")
    return span // timedelta(microseconds=1)


def _instant(argument: str, at: object) -> int | None:
    return None if at is None else _moment(argument, at)


def _moment(argument: str, at: object) -> int:
    if not isinstance(at, datetime) or at.tzinfo is None or at.utcoffset() is None:
        raise InvalidConfig(argument, at, "must be a datetime with a time zone")
    return instant(at)
