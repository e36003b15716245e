"""An outside suite: the tests of recorders that ship in the library `eventsourcing`, run on our logs.

Those tests store any topic with any bytes; our logs take legal lifecycles only. So an originator is a session: its
first stored event is `session.created`, with topic and bytes in the labels, each later one is `session.annotated`, with
the topic as name and the bytes in the data. One stored event is one event of ours, in the order and batch in which it
came, so what is tried is the log's own: versions, conflicts, batches, positions, paging.

What the shim does itself, and so is not tried: newest first, limits within a stream, topics and the upper bound of a
selection (the port has no such arguments); numbers of originators that begin at 0 are moved by one.

The id of an event is made of its originator, its version and the call that stores it: what is stored a second time is a
second event for a version that is taken, and the same version twice in one call is the same id twice in one batch.

What is not applicable stands in NOT_APPLICABLE, and a test holds it against what the suite has.
"""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import SkipTest
from uuid import UUID, uuid4

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)
from eventsourcing.tests import persistence

from lifecycle.core.events import SessionAnnotated, SessionCreated
from lifecycle.errors import EventIdReused, WrongVersion
from lifecycle.log import MemoryLog, SqliteLog
from lifecycle.log.codec import decode
from lifecycle.log.port import Cursor, NewEvent
from lifecycle.testing.log_samples import T0, created

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lifecycle.core import Event
    from lifecycle.log.port import EventLog, Recorded

#: Cases of the suite that are not run, and why.
NOT_APPLICABLE: Final = {
    "TrackingRecorderTestCase": "keeps a consumer's place beside what it read; our consumers keep their own cursors",
    "ProcessRecorderTestCase": "events and a consumer's place in one transaction; the log keeps no consumer's place",
    "InfrastructureFactoryTestCase": "makes that library's own objects from environment variables",
    "TranscoderTestCase": "that library's own JSON; ours is tried in tests/log/test_canonical.py and test_codec.py",
}


#: Tests within the cases that are run, and why they are not.
_RATES: Final = "prints a rate and asserts nothing; what appends cost is measured by `make bench`"


class Aggregates(AggregateRecorder):
    """Their recorder, over one of our logs."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._offsets: dict[str, int] = {}

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        self._insert(stored_events)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        stream = str(originator_id)
        offset = self._offset(stream)
        until = None if lte is None else lte + offset
        rows = self.log.read(stream, after=0 if gt is None else gt + offset, until=until)
        found = [StoredEvent(*self._told(row)) for row in rows]
        return (found[::-1] if desc else found)[:limit]

    def _insert(self, stored: Sequence[StoredEvent]) -> list[int]:
        """All of *stored*, which belongs to one originator, as one batch; the positions."""
        if not stored:
            return []
        stream = str(stored[0].originator_id)
        assert {str(each.originator_id) for each in stored} == {stream}, "the port writes to one stream at a time"
        if self.log.head(stream) == 0:
            self._offsets[stream] = 1 - stored[0].originator_version
        offset = self._offset(stream)
        call = uuid4().hex[:16]
        batch = [
            NewEvent(
                event_id=f"{stream}.{each.originator_version}.{call}",
                event=_legal(stream, each, each.originator_version + offset),
                actor="suite",
                writer="suite",
            )
            for each in stored
        ]
        try:
            appended = self.log.append(stream, batch, expected=stored[0].originator_version + offset - 1)
        except (EventIdReused, WrongVersion) as error:
            raise IntegrityError(str(error)) from error
        return list(range(appended.position - len(stored) + 1, appended.position + 1))

    def _offset(self, stream: str) -> int:
        """What is added to their versions, which may begin at 0, to get ours."""
        return self._offsets.get(stream, 0)

    def _told(self, row: Recorded) -> tuple[UUID, int, str, bytes]:
        """Originator, version, topic and state, from what the log holds alone."""
        match decode(row):
            case SessionCreated(labels=held):
                topic, state = held["topic"], held["state"]
            case SessionAnnotated(name=topic, data={"state": str(state)}):
                pass
            case other:
                raise AssertionError(f"nothing that was stored: {other}")
        return UUID(row.stream), row.version - self._offset(row.stream), topic, bytes.fromhex(state)


class Everything(Aggregates, ApplicationRecorder):
    """The same, with the order of the whole log."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        return self._insert(stored_events)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = None if start is None else start - inclusive_of_start
        found: list[Notification] = []
        for notification in self._after(after, limit):
            if len(found) == limit or (stop is not None and notification.id > stop):
                break
            if not topics or notification.topic in topics:
                found.append(notification)
        return found

    def max_notification_id(self) -> int | None:
        last = self.log.last(1)
        return last[0].position if last else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return Following(self, gt, topics)

    def _after(self, after: int | None, limit: int) -> Iterator[Notification]:
        cursor = None if after is None else Cursor(after)
        caught_up = False
        while not caught_up:
            page = self.log.read_all(cursor, limit=limit)
            for row in page.events:
                yield Notification(*self._told(row), id=row.position)
            cursor, caught_up = page.cursor, page.caught_up


class Following(Subscription[ApplicationRecorder]):
    """Their subscription: waits in the log, reads on from its cursor."""

    _last_notification_id: int | None

    def __next__(self) -> Notification:
        recorder = self._recorder
        assert isinstance(recorder, Everything)
        while not self._has_been_stopped:
            found = recorder.select_notifications(
                self._last_notification_id, 1, topics=self._topics, inclusive_of_start=False
            )
            if found:
                self._last_notification_id = found[0].id
                return found[0]
            cursor = self._last_notification_id
            recorder.log.wait(None if cursor is None else Cursor(cursor), 1)
        raise StopIteration


def _legal(stream: str, stored: StoredEvent, version: int) -> Event:
    state = stored.state.hex()
    if version == 1:
        return created(stream, T0, {"topic": stored.topic, "state": state})
    return SessionAnnotated(at=T0, name=stored.topic, data={"state": state})


class _OnALog(persistence.RecorderTestCase):
    def make_log(self) -> EventLog:
        return MemoryLog()


class _OnSqlite(_OnALog):
    """A file of its own for each recorder, in the journal mode that the log picks by itself."""

    def make_log(self) -> EventLog:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        log = SqliteLog(Path(place.name, "sessions.db"))
        self.addCleanup(log.close)
        return log


class TestAggregatesInMemory(_OnALog, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return Aggregates(self.make_log())

    def test_performance(self) -> None:
        raise SkipTest(_RATES)


class TestAggregatesInSqlite(_OnSqlite, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return Aggregates(self.make_log())

    def test_performance(self) -> None:
        raise SkipTest(_RATES)


class TestApplicationInMemory(_OnALog, persistence.ApplicationRecorderTestCase[ApplicationRecorder]):
    def create_recorder(self) -> ApplicationRecorder:
        return Everything(self.make_log())

    def test_performance(self) -> None:
        raise SkipTest(_RATES)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationInSqlite(_OnSqlite, persistence.ApplicationRecorderTestCase[ApplicationRecorder]):
    def create_recorder(self) -> ApplicationRecorder:
        return Everything(self.make_log())

    def test_performance(self) -> None:
        raise SkipTest(_RATES)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPositionsInMemory(_OnALog, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        return Everything(self.make_log())


class TestPositionsInSqlite(_OnSqlite, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        return Everything(self.make_log())


def test_every_case_of_the_suite_is_run_or_said_to_be_not_applicable() -> None:
    cases = {
        name
        for name, case in inspect.getmembers(persistence, inspect.isclass)
        if case.__module__ == persistence.__name__ and any(name.endswith(word) for word in ("TestCase", "BaseCase"))
    }
    run = {base.__name__ for case in _RUN for base in case.__mro__ if base.__module__ == persistence.__name__}
    assert cases == run | NOT_APPLICABLE.keys()
    assert not run & NOT_APPLICABLE.keys()


_RUN: Final = (
    TestAggregatesInMemory,
    TestAggregatesInSqlite,
    TestApplicationInMemory,
    TestApplicationInSqlite,
    TestPositionsInMemory,
    TestPositionsInSqlite,
)
