"""LogContract: what every EventLog must do, sentence by sentence of the port. No test runner needed.

Subclass it with your log; each `check_*` raises AssertionError with what was expected and seen. All at once, or one by
one with pytest:

    MyContract.prove(folder)

    @pytest.mark.parametrize("check", LogContract.checks())
    def test_contract(check, tmp_path):
        getattr(MyContract(tmp_path), check)()

Checks that need several processes run when the log has a locator; those of a reopened log when `again` gives one.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from lifecycle.core import fold
from lifecycle.errors import (
    FutureSchema,
    InvalidConfig,
    LifecycleError,
    LogClosed,
    LogUnavailable,
    UnknownEventType,
)
from lifecycle.log.codec import FIRST, check_hash, check_private, events
from lifecycle.testing.append_contract import AppendContract, everything, raises
from lifecycle.testing.contract import Contract, equal, holds
from lifecycle.testing.index_contract import IndexContract, raises_invalid
from lifecycle.testing.log_processes import ProcessContract
from lifecycle.testing.log_samples import (
    T0,
    annotated,
    begin,
    failed,
    navigated,
    new,
    released,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from lifecycle.log.port import EventLog, Recorded

__all__ = ["LogContract", "disk_full", "everything", "raises"]


@contextmanager
def disk_full() -> Generator[None]:
    """No file of this process can be written in the block. Not on Windows."""
    import resource  # not everywhere

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class LogContract(AppendContract, IndexContract, ProcessContract, Contract, ABC):
    """A log under test, and the hooks that reach behind it."""

    @abstractmethod
    def log(self) -> EventLog:
        """A new, empty log; called once in most checks."""

    def again(self, log: EventLog) -> EventLog | None:
        """The same log, opened again; None if its events die with the object.

        Leave *log* open, as after a crash: what was acknowledged must not wait for close(). Close it only where a log
        can't be open twice.
        """
        return None

    def full(self, log: EventLog) -> AbstractContextManager[None] | None:
        """A block in which nothing can be stored, as on a full disk; None if there is no way.

        `disk_full()` is one for a log that writes files in this process.
        """
        return None

    def plant(self, log: EventLog, stream: str, event_type: str, schema_version: int, data: str) -> bool:
        """Write an event as it is at the end of *stream*, past all checks of its type; False if there is no way."""
        return False

    # reading

    def check_read_gives_the_versions_asked_for(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            begin(log, "s-2")
            log.append("s-1", [new(annotated(n=n)) for n in range(3)], expected=2)
            cases: list[tuple[int, int | None, list[int]]] = [
                (0, None, [1, 2, 3, 4, 5]),
                (2, None, [3, 4, 5]),
                (5, None, []),
                (99, None, []),
                (0, 2, [1, 2]),
                (1, 3, [2, 3]),
                (3, 3, []),
                (4, 2, []),
                (0, 99, [1, 2, 3, 4, 5]),
                (0, 0, []),
            ]
            for after, until, expected in cases:
                found = [row.version for row in log.read("s-1", after, until)]
                equal(f"read(after={after}, until={until}) gives the versions asked for", found, expected)
            equal("of a session that is not there nothing is read", log.read("nobody"), ())
            equal(
                "the head is the last version, 0 of a session that is not there",
                (log.head("s-1"), log.head("nobody")),
                (5, 0),
            )

    def check_read_all_pages_through_everything_once_in_order(self) -> None:
        with closing(self.log()) as log:
            page = log.read_all(limit=10)
            equal("an empty log is one empty page", (page.events, page.caught_up), ((), True))
            for number in range(5):
                begin(log, f"s-{number}")
            whole = everything(log)
            equal(
                "read_all gives every event in the order of writing",
                [(row.stream, row.version) for row in whole],
                [(f"s-{n}", v) for n in range(5) for v in (1, 2)],
            )
            for limit in (1, 3, 10, 11):
                equal(f"pages of {limit} give what one page gives", everything(log, limit), whole)
            holds("a page that holds the last event is caught up", log.read_all(limit=10).caught_up)
            holds("a page before the last event is not caught up", not log.read_all(limit=9).caught_up)

    def check_the_last_events_are_the_end_of_everything(self) -> None:
        with closing(self.log()) as log:
            equal("an empty log has no last events", log.last(3), ())
            for number in range(3):
                begin(log, f"s-{number}")
            whole = everything(log)
            for limit in (1, 4, 6, 7):
                equal("the last events are the end of everything", log.last(limit), tuple(whole[-limit:]))
            raises_invalid(lambda: log.last(0))

    def check_read_all_goes_on_where_it_stopped(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            page = log.read_all(limit=10)
            again = log.read_all(page.cursor, limit=10)
            equal("after the last event there is nothing", (again.events, again.caught_up), ((), True))
            begin(log, "s-2")
            rest = log.read_all(again.cursor, limit=10)
            equal("read_all goes on where it stopped", [row.stream for row in rest.events], ["s-2", "s-2"])

    def check_read_all_filters_by_type(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            begin(log, "s-2")
            found: list[Recorded] = []
            page = log.read_all(limit=1, types=["session.started"])
            while True:
                found += page.events
                if page.caught_up:
                    break
                page = log.read_all(page.cursor, limit=1, types=["session.started"])
            got = [(row.stream, row.type) for row in found]
            expected = [("s-1", "session.started"), ("s-2", "session.started")]
            equal("read_all gives the types asked for, each event once", got, expected)
            equal("read_all gives nothing when no type is asked for", log.read_all(limit=5, types=[]).events, ())
            wrong: Any = "session.started"
            raises(InvalidConfig, lambda: log.read_all(limit=5, types=wrong))
            for limit in (0, -1, True, None):
                bad: Any = limit
                raises(InvalidConfig, lambda: log.read_all(limit=bad))  # noqa: B023

    # waiting and closing

    def check_wait_tells_what_is_there_and_when_nothing_comes(self) -> None:
        with closing(self.log()) as log:
            equal("wait on an empty log tells that nothing came", log.wait(None, 0), False)
            begin(log, "s-1")
            equal("wait tells what is there already", log.wait(None, 0), True)
            equal("wait tells that nothing came", log.wait(log.read_all(limit=9).cursor, 0.001), False)

    def check_an_append_wakes_who_waits(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            cursor = log.read_all(limit=9).cursor
            woken: list[bool] = []
            waiter = threading.Thread(target=lambda: woken.append(log.wait(cursor, 30)))
            waiter.start()
            log.append("s-1", [new(annotated())], expected=2)
            waiter.join(15)
            equal("an append wakes who waits", woken, [True])

    def check_close_can_be_repeated_and_ends_everything_else(self) -> None:
        log = self.log()
        begin(log, "s-1")
        log.close()
        log.close()
        calls: list[Callable[[], object]] = [
            lambda: log.append("s-1", [new(annotated())], expected=2),
            lambda: log.read("s-1"),
            lambda: log.read_all(limit=1),
            lambda: log.head("s-1"),
            lambda: log.wait(None, 0),
            lambda: log.sessions.get("s-1"),
            lambda: log.sessions.list(now=T0),
        ]
        for call in calls:
            raises(LogClosed, call)

    def check_events_outlive_the_log_object(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-2")
            begin(log, "s-1")
            log.append("s-2", [new(annotated(n=n)) for n in range(5)], expected=2)
            log.append("s-1", [new(failed()), new(released())], expected=2)
            before, session = everything(log), log.sessions.get("s-1")
            reopened = self.again(log)
            if reopened is None:
                return
            with closing(reopened):
                equal("events are the same after the log was opened again", everything(reopened), before)
                equal("the index is the same after the log was opened again", reopened.sessions.get("s-1"), session)
                equal("the index is what the history amounts to", session, fold(events(reopened.read("s-1"))))

    def check_what_cannot_be_stored_is_not_acknowledged(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            before = everything(log)
            batch = [new(annotated(n=1)), new(annotated(n=2))]
            if (full := self.full(log)) is None:
                return
            with full:
                raises(LogUnavailable, lambda: log.append("s-1", batch, expected=2))
                equal("what could not be stored is not there", everything(log), before)
            equal("the same append can be repeated", log.append("s-1", batch, expected=2).version, 4)
            stored = everything(log)
            if (reopened := self.again(log)) is not None:
                with closing(reopened):
                    equal("what was refused has left nothing behind", everything(reopened), stored)

    # the record

    def check_every_event_is_chained_to_the_one_before(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            begin(log, "s-2")
            log.append("s-1", [new(navigated()), new(failed()), new(released())], expected=2)
            for stream in ("s-1", "s-2"):
                prev = FIRST
                for row in log.read(stream):
                    check_hash(row, prev)
                    check_private(row)
                    prev = row.hash
            equal("no two events have one hash", len({row.hash for row in everything(log)}), 7)

    def check_what_cannot_be_read_typed_harms_nobody_else(self) -> None:
        for event_type, version, data, error in (
            ("session.from_the_future", 1, "{}", UnknownEventType),
            ("session.annotated", 99, '{"name":"x"}', FutureSchema),
            ("session.annotated", 1, '{"surprise":1}', LifecycleError),
            ("session.annotated", 1, '{"name":"a","name":"b"}', LifecycleError),
        ):
            with closing(self.log()) as log:
                begin(log, "s-1")
                begin(log, "s-2")
                if not self.plant(log, "s-1", event_type, version, data):
                    return
                equal("read_all gives an event that cannot be read typed as it is", everything(log)[-1].data, data)
                raises(error, lambda: events(log.read("s-1")))
                log.append("s-2", [new(annotated())], expected=2)
                report = log.sessions.rebuild()
                equal("a rebuild names the unreadable session", list(report.unreadable), ["s-1"])
                equal(
                    "a list leaves out the unreadable session alone",
                    [session.session_id for session in log.sessions.list(now=T0)],
                    ["s-2"],
                )
                equal("the index names the unreadable session", list(log.sessions.unreadable()), ["s-1"])
                raises(error, lambda: log.sessions.get("s-1"))
