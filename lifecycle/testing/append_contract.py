"""AppendContract: what append must do, enforce, and do again. Part of LogContract."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import closing
from typing import TYPE_CHECKING, Any

from lifecycle.core.events import SessionAnnotated
from lifecycle.errors import (
    EventIdReused,
    IllegalHistory,
    InvalidConfig,
    LifecycleError,
    WrongVersion,
)
from lifecycle.log.codec import decode
from lifecycle.log.port import ANY, EXISTS, NO_STREAM, Cursor
from lifecycle.testing.contract import equal, holds
from lifecycle.testing.log_samples import (
    SECOND,
    T0,
    annotated,
    begin,
    closed,
    created,
    failed,
    navigated,
    new,
    released,
    started,
    timed_out,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.log.port import EventLog, Expected, NewEvent, Recorded

__all__ = ["AppendContract", "everything", "raises"]


def raises(kind: type[LifecycleError], call: Callable[[], object]) -> Any:
    """The error of *kind* that *call* raises; AssertionError if it raises none or another."""
    try:
        result = call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, the call gave {result!r}")


class _Unchanged:
    """Asserts at the end of the block that the log holds what it held at its beginning."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def __enter__(self) -> None:
        self._before = everything(self._log)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            equal("what is refused, or a retry, writes nothing", everything(self._log), self._before)


def everything(log: EventLog, limit: int = 100) -> list[Recorded]:
    """All events of *log*, page by page, in log order."""
    found: list[Recorded] = []
    cursor: Cursor | None = None
    while True:
        page = log.read_all(cursor, limit=limit)
        found += page.events
        cursor = page.cursor
        if page.caught_up:
            return found


class AppendContract(ABC):
    """Writing to a log under test."""

    @abstractmethod
    def log(self) -> EventLog:
        """A new, empty log."""

    # append

    def check_an_event_comes_back_as_it_was_appended(self) -> None:
        with closing(self.log()) as log:
            sent = new(failed(), actor="someone", writer="w-7")
            begin(log, "s-1")
            appended = log.append("s-1", [sent], expected=2)
            (row,) = log.read("s-1", after=2)
            equal("an event comes back as it was appended", decode(row), sent.event)
            equal(
                "an event stands where append said",
                (row.stream, row.version, row.position),
                ("s-1", 3, appended.position),
            )
            equal(
                "an event keeps its id, actor and writer",
                (row.event_id, row.actor, row.writer),
                (sent.event_id, "someone", "w-7"),
            )
            equal(
                "an event keeps its type, schema version and time",
                (row.type, row.schema_version, row.at),
                ("session.failed", 1, sent.event.at),
            )
            equal(
                "an event keeps its correlation and causation ids",
                (row.correlation_id, row.causation_id),
                (sent.correlation_id, None),
            )
            equal("the private part is stored apart, as JSON", row.private, '{"error_message":"it broke"}')
            holds("a private message does not stand in the public text", "it broke" not in row.data)

    def check_versions_count_from_1_without_gaps_and_positions_rise(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            begin(log, "s-2")
            log.append("s-1", [new(annotated(n=1)), new(annotated(n=2))], expected=2)
            equal("versions count from 1 without gaps", [row.version for row in log.read("s-1")], [1, 2, 3, 4])
            equal("versions count for each session by itself", [row.version for row in log.read("s-2")], [1, 2])
            positions = [row.position for row in everything(log)]
            equal("positions rise and never repeat", positions, sorted(set(positions)))

    def check_appended_says_where_the_last_event_of_the_batch_stands(self) -> None:
        with closing(self.log()) as log:
            appended = log.append("s-1", [new(created("s-1")), new(started())], expected=NO_STREAM)
            last = log.read("s-1")[-1]
            equal(
                "append says where the last event of its batch stands",
                (appended.version, appended.position, appended.duplicate),
                (2, last.position, False),
            )

    def check_every_expectation_is_enforced(self) -> None:
        cases: list[tuple[bool, Expected, bool]] = [
            (False, 0, True),
            (False, NO_STREAM, True),
            (False, ANY, True),
            (False, EXISTS, False),
            (False, 1, False),
            (True, 2, True),
            (True, EXISTS, True),
            (True, ANY, True),
            (True, NO_STREAM, False),
            (True, 0, False),
            (True, 1, False),
            (True, 3, False),
        ]
        for there, expected, fits in cases:
            with closing(self.log()) as log:
                if there:
                    begin(log, "s-1")
                event = new(annotated()) if there else new(created("s-1"))
                if fits:
                    log.append("s-1", [event], expected=expected)
                    equal(
                        f"an append that expects {expected!r} of a session at version {2 if there else 0} is written",
                        log.head("s-1"),
                        3 if there else 1,
                    )
                    continue
                with _Unchanged(log):
                    error = raises(WrongVersion, lambda: log.append("s-1", [event], expected=expected))  # noqa: B023
                equal(
                    "WrongVersion names the session and its actual version",
                    (error.stream, error.actual),
                    ("s-1", 2 if there else 0),
                )
                holds("WrongVersion may be retried", error.retryable)

    def check_an_expectation_that_means_nothing_is_refused(self) -> None:
        with closing(self.log()) as log:
            for nonsense in (-1, True, "2", None, 1.0):
                wrong: Any = nonsense
                raises(InvalidConfig, lambda: log.append("s-1", [new(created("s-1"))], expected=wrong))  # noqa: B023
            equal("what is refused writes nothing", log.head("s-1"), 0)

    def check_a_batch_is_all_or_nothing(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            with _Unchanged(log):
                raises(IllegalHistory, lambda: log.append("s-1", [new(annotated()), new(started())], expected=2))
            bad = new(SessionAnnotated.model_construct(at=T0 + SECOND, name="x", data={"a": float("nan")}))
            with _Unchanged(log):
                raises(InvalidConfig, lambda: log.append("s-1", [new(annotated()), bad], expected=2))

    def check_an_empty_batch_and_unusable_names_are_refused(self) -> None:
        with closing(self.log()) as log:
            raises(InvalidConfig, lambda: log.append("s-1", [], expected=ANY))
            for name in ("", "a/b", "..\n", "ü", "x" * 65, "a\0b", "'; --"):
                raises(InvalidConfig, lambda: log.append(name, [new(created("s-1"))], expected=ANY))  # noqa: B023
                raises(InvalidConfig, lambda: log.read(name))  # noqa: B023
                raises(InvalidConfig, lambda: log.head(name))  # noqa: B023
                if name:
                    bad = new(created("s-1"), name)
                    raises(InvalidConfig, lambda: log.append("s-1", [bad], expected=ANY))  # noqa: B023
            for actor in ("", "a\nb", "\ud800", "x" * 257):
                bad = new(created("s-1"), actor=actor)
                raises(InvalidConfig, lambda: log.append("s-1", [bad], expected=ANY))  # noqa: B023
            equal("what is refused writes nothing", everything(log), [])

    def check_of_many_threads_with_one_expectation_one_wins(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            outcomes: list[str] = []
            start = threading.Barrier(8)

            def attempt() -> None:
                start.wait()
                try:
                    log.append("s-1", [new(annotated())], expected=2)
                except WrongVersion:
                    outcomes.append("lost")
                else:
                    outcomes.append("won")

            threads = [threading.Thread(target=attempt) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            equal("of many threads that expect one version, one wins", sorted(outcomes), ["lost"] * 7 + ["won"])
            equal("of many threads that expect one version, one writes", log.head("s-1"), 3)

    # idempotency

    def check_the_same_ids_again_write_nothing_and_give_the_first_positions(self) -> None:
        with closing(self.log()) as log:
            batch = [new(created("s-1")), new(started())]
            first = log.append("s-1", batch, expected=NO_STREAM)
            log.append("s-1", [new(annotated())], expected=2)
            expectations: tuple[Expected, ...] = (NO_STREAM, 0, 2, EXISTS, ANY, 77)
            for expected in expectations:
                with _Unchanged(log):
                    again = log.append("s-1", batch, expected=expected)
                equal(
                    "a retry gives the first positions and says that it is one",
                    (again.version, again.position, again.duplicate),
                    (first.version, first.position, True),
                )

    def check_an_ending_can_be_retried(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            ending, release = new(failed()), new(released())
            first = log.append("s-1", [ending], expected=ANY)
            log.append("s-1", [release], expected=ANY)
            equal(
                "a retried ending gives its first position",
                log.append("s-1", [ending], expected=ANY).position,
                first.position,
            )
            holds("a retried release is told as a duplicate", log.append("s-1", [release], expected=ANY).duplicate)

    def check_an_id_with_other_content_is_refused(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            one = new(navigated(), "id-1")
            log.append("s-1", [one], expected=ANY)
            others = [
                new(annotated(), "id-1"),
                new(navigated(at=T0 + SECOND + 1), "id-1"),
                new(navigated(url="https://example.com/other"), "id-1"),
                new(navigated(), "id-1", actor="another"),
                new(navigated(), "id-1", writer="another"),
            ]
            for other in others:
                with _Unchanged(log):
                    error = raises(EventIdReused, lambda: log.append("s-1", [other], expected=ANY))  # noqa: B023
                equal("EventIdReused names the id", error.event_id, "id-1")

    def check_an_id_in_another_place_is_refused(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            begin(log, "s-2")
            one, two = new(annotated(n=1)), new(annotated(n=2))
            log.append("s-1", [one, two], expected=2)
            batches: list[tuple[str, list[NewEvent]]] = [
                ("s-2", [one]),
                ("s-1", [two, one]),
                ("s-1", [two, new(annotated(n=3))]),
                ("s-1", [new(annotated(n=3)), one]),
                ("s-1", [one, one]),
            ]
            fresh = new(annotated(n=4))
            batches.append(("s-1", [fresh, fresh]))
            for stream, batch in batches:
                with _Unchanged(log):
                    raises(EventIdReused, lambda: log.append(stream, batch, expected=ANY))  # noqa: B023

    # endings

    def check_a_session_ends_at_most_once(self) -> None:
        for ending in (closed(), failed(), timed_out()):
            with closing(self.log()) as log:
                begin(log, "s-1")
                log.append("s-1", [new(ending)], expected=2)
                late = ending.at + SECOND
                after = [closed(late), failed(late), timed_out(), annotated(late), started(late), created("s-1", late)]
                for event in after:
                    with _Unchanged(log):
                        raises(IllegalHistory, lambda: log.append("s-1", [new(event)], expected=ANY))  # noqa: B023
                log.append("s-1", [new(released(late))], expected=3)
                for event in (*after, released(late)):
                    with _Unchanged(log):
                        raises(IllegalHistory, lambda: log.append("s-1", [new(event)], expected=ANY))  # noqa: B023

    def check_two_endings_in_one_batch_are_refused(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            with _Unchanged(log):
                raises(IllegalHistory, lambda: log.append("s-1", [new(closed()), new(failed())], expected=2))
                raises(IllegalHistory, lambda: log.append("s-1", [new(released())], expected=2))

    def check_a_stream_takes_only_its_own_session_from_the_beginning(self) -> None:
        with closing(self.log()) as log:
            raises(IllegalHistory, lambda: log.append("s-1", [new(created("s-2"))], expected=ANY))
            raises(IllegalHistory, lambda: log.append("s-1", [new(started())], expected=ANY))
            equal("what is refused writes nothing", everything(log), [])
