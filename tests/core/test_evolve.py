"""evolve and fold: what each event leaves behind, and every kind of history that is refused."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING

import pytest

from lifecycle.core import Cause, Event, State, deadline, evolve, fold, initial
from lifecycle.core.events import EVENTS, SessionNavigated
from lifecycle.core.evolve import draft, pass_over, step, trigger_of
from lifecycle.core.machine import LOOKUP
from lifecycle.core.states import LIVE, Trigger
from lifecycle.errors import IllegalHistory
from lifecycle.testing.samples import (
    BROWSER,
    HISTORIES,
    IDLE,
    KEEPER,
    LIMITS,
    MINUTE,
    OWNER,
    SAMPLES,
    SECOND,
    T0,
    D,
    accessed,
    closed,
    created,
    extended,
    failed,
    navigated,
    operation,
    released,
    session,
    started,
    timed_out,
)
from tests.core.refusal import refuses

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_a_history_tells_the_whole_session() -> None:
    made = session(
        created(labels={"job": "nightly"}, keep_alive=True, keeper=KEEPER, keeper_id="k"),
        started(T0 + 1, browser=BROWSER, browser_version="150"),
        accessed(T0 + 5, last_at=T0 + 3),
        extended(T0 + 6, until=T0 + MINUTE),
        failed(T0 + 9, error_type="E", error_message="m"),
        released(T0 + 10),
    )
    assert (made.session_id, made.version, made.status) == ("s-1", 6, State.ERROR)
    assert (made.created_at, made.started_at, made.closed_at, made.last_at) == (T0, T0 + 1, T0 + 9, T0 + 10)
    assert (made.last_accessed_at, made.extended_until) == (T0 + 6, T0 + MINUTE)
    assert (made.limits, made.labels, made.keep_alive) == (LIMITS, {"job": "nightly"}, True)
    assert (made.owner, made.keeper, made.keeper_id) == (OWNER, KEEPER, "k")
    assert (made.ownership, made.browser, made.browser_version) == ("launched", BROWSER, "150")
    assert (made.cause, made.error_type, made.error_message) == (Cause.BROWSER_CRASHED, "E", "m")
    assert made.released


def test_there_is_no_session_without_events() -> None:
    assert fold(()) is initial is None


def test_a_start_without_a_keeper_keeps_the_one_that_was_planned() -> None:
    assert session(created(keeper=KEEPER), started()).keeper == KEEPER
    assert session(created(keeper=KEEPER), started(keeper=OWNER)).keeper == OWNER


def test_an_older_access_that_arrives_late_takes_nothing_back() -> None:
    made = session(created(), started(), operation(T0 + MINUTE), accessed(T0 + MINUTE + 1, last_at=T0 + 1))
    assert made.last_accessed_at == T0 + MINUTE


def test_a_shorter_extension_takes_nothing_back() -> None:
    made = session(created(), extended(T0, until=T0 + 9 * MINUTE), extended(T0 + 1, until=T0 + MINUTE))
    assert made.extended_until == T0 + 9 * MINUTE


def test_a_session_can_not_be_changed() -> None:
    made = session(created(labels={"a": "b"}))
    with pytest.raises(FrozenInstanceError):
        made.status = State.CLOSED  # type: ignore[misc]  # that is the test
    with pytest.raises(TypeError, match="do not change"):
        made.labels["a"] = "c"
    assert hash(made) == hash(session(created(labels={"a": "b"})))


def test_folding_nothing_gives_what_it_began_with() -> None:
    before = session(created(), started())
    assert fold([], before) is before
    assert fold([]) is initial


def test_folding_leaves_the_session_it_began_with_as_it_was() -> None:
    before = session(created())
    copy = session(created())
    fold([started(), closed(T0 + 1)], before)
    assert before == copy


@pytest.mark.parametrize(
    ("event_type", "trigger"),
    [
        ("session.started", Trigger.START),
        ("session.closed", Trigger.CLOSE),
        ("session.failed", Trigger.FAIL),
        ("session.timed_out", Trigger.EXPIRE),
        ("session.released", Trigger.RELEASE),
        ("session.accessed", Trigger.NOTE),
        ("session.extended", Trigger.NOTE),
    ],
)
def test_the_trigger_an_event_stands_for(event_type: str, trigger: Trigger) -> None:
    assert trigger_of(event_type) is trigger


@pytest.mark.parametrize(
    "sample", [event for event in SAMPLES if event.type != "session.created"], ids=lambda e: e.type
)
def test_a_history_begins_with_created(sample: Event) -> None:
    refuses(None, sample, "the first event is session")


@pytest.mark.parametrize("standing", HISTORIES)
def test_a_session_is_created_once(standing: str) -> None:
    made = session(*HISTORIES[standing])
    refuses(made, created(at=made.last_at), "session.created can't follow")


#: name -> the history that is fine, and the same one damaged. Each damage is one that a writer of ours never does.
DAMAGED: dict[str, tuple[Sequence[Event], Sequence[Event]]] = {
    "the beginning dropped": ([created(), started()], [started()]),
    "the start dropped, so that a second start follows": (
        [created(), started(), closed(T0 + 1)],
        [created(), closed(T0 + 1), started(T0 + 1)],
    ),
    "created twice": ([created(), started()], [created(), created(), started()]),
    "started twice": ([created(), started()], [created(), started(), started()]),
    "the ending twice": (
        [created(), started(), closed(T0 + 1)],
        [created(), started(), closed(T0 + 1), closed(T0 + 1)],
    ),
    "another ending": (
        [created(), started(), closed(T0 + 1)],
        [created(), started(), closed(T0 + 1), failed(T0 + 2)],
    ),
    "a timeout after the ending": (
        [created(), started(), closed(T0 + 1)],
        [created(), started(), closed(T0 + 1), timed_out(D)],
    ),
    "released twice": (
        [created(), closed(T0), released(T0)],
        [created(), closed(T0), released(T0), released(T0)],
    ),
    "released before the ending": (
        [created(), started(), closed(T0 + 1), released(T0 + 1)],
        [created(), started(), released(T0 + 1), closed(T0 + 1)],
    ),
    "start and ending swapped": ([created(), started(), closed(T0)], [created(), closed(T0), started()]),
    "a note after the ending": (
        [created(), navigated(T0), closed(T0)],
        [created(), closed(T0), navigated(T0)],
    ),
    "a note after the release": (
        [created(), closed(T0), released(T0)],
        [created(), closed(T0), released(T0), navigated(T0)],
    ),
    "time going back by 1 µs": (
        [created(), started(T0 + 5), navigated(T0 + 5)],
        [created(), started(T0 + 5), navigated(T0 + 4)],
    ),
    "time going back after the ending": (
        [created(), closed(T0 + 5), released(T0 + 5)],
        [created(), closed(T0 + 5), released(T0 + 4)],
    ),
    "two notes of different times swapped": (
        [created(), navigated(T0 + 1), operation(T0 + 2)],
        [created(), operation(T0 + 2), navigated(T0 + 1)],
    ),
    "an event at the deadline": ([created(), navigated(D - 1)], [created(), navigated(D)]),
    "an event after the deadline": ([created(), navigated(D - 1)], [created(), navigated(D + 1)]),
    "a stop at the deadline": ([created(), closed(D - 1)], [created(), closed(D)]),
    "a failure at the deadline": ([created(), failed(D - 1)], [created(), failed(D)]),
    "a start at the deadline": ([created(), started(D - 1)], [created(), started(D)]),
    "an access dropped, so that the rest is too late": (
        [created(), accessed(D - 1), closed(D + 1)],
        [created(), closed(D + 1)],
    ),
    "an extension dropped, so that the rest is too late": (
        [created(), extended(T0, until=D + MINUTE), closed(D + 1)],
        [created(), closed(D + 1)],
    ),
    "a timeout 1 µs early": ([created(), timed_out(D)], [created(), timed_out(D - 1)]),
    "a timeout 1 µs late": ([created(), timed_out(D)], [created(), timed_out(D + 1)]),
    "a timeout at the deadline before the last access": (
        [created(), operation(T0 + MINUTE), timed_out(D + MINUTE)],
        [created(), operation(T0 + MINUTE), timed_out(D)],
    ),
    "a timeout by the wrong rule": ([created(), timed_out(D)], [created(), timed_out(D, rule=Cause.MAX_DURATION)]),
    "an access in the future": (
        [created(), accessed(T0 + 5, last_at=T0 + 5)],
        [created(), accessed(T0 + 5, last_at=T0 + 6)],
    ),
    "an access before the session": (
        [created(), accessed(T0 + 5, last_at=T0)],
        [created(), accessed(T0 + 5, last_at=T0 - 1)],
    ),
    "an extension to its own moment": (
        [created(), extended(T0 + 5, until=T0 + 6)],
        [created(), extended(T0 + 5, until=T0 + 5)],
    ),
    "an extension into the past": (
        [created(), extended(T0 + 5, until=T0 + 6)],
        [created(), extended(T0 + 5, until=T0 + 4)],
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_history_is_refused(name: str) -> None:
    fine, damaged = DAMAGED[name]
    fold(fine)
    with pytest.raises(IllegalHistory) as caught:
        fold(damaged)
    assert 1 <= caught.value.version <= len(damaged)


def test_the_refusal_names_session_version_and_reason() -> None:
    with pytest.raises(IllegalHistory) as caught:
        fold([created(), started(), navigated(D)])
    error = caught.value
    assert (error.session_id, error.version) == ("s-1", 3)
    assert str(error) == (
        f"history of session s-1, version 3: session.navigated at {D}: is not before the deadline {D}"
    )


class Invented(SessionNavigated):
    """An event type that somebody made up."""


def test_an_event_that_is_not_ours_is_refused() -> None:
    """A subclass would pass as its parent, and nothing could read it back from the log."""
    refuses(session(created()), Invented(at=T0, tab="t"), "Invented is not an event of this library")
    refuses(session(created()), Event(at=T0), "Event is not an event")
    refuses(None, Event(at=T0), "the first event is Event")


@pytest.mark.parametrize("delta", [-SECOND, -1, 0, 1, SECOND])
def test_a_timeout_moved_around_the_deadline_is_accepted_only_on_it(delta: int) -> None:
    before = session(created(), started(), accessed(T0 + MINUTE))
    event = timed_out(T0 + MINUTE + IDLE + delta)
    assert event.at - deadline(before) == delta
    if delta:
        refuses(before, event, "the deadline is")
    else:
        assert evolve(before, event).closed_at == deadline(before)


@pytest.mark.parametrize("standing", HISTORIES)
@pytest.mark.parametrize("event_type", ["session.dreamt", *(cls.type for cls in EVENTS)])
def test_an_event_that_is_passed_over_moves_the_state_as_the_table_says(standing: str, event_type: str) -> None:
    before = session(*HISTORIES[standing])
    status = LOOKUP.get((before.status, trigger_of(event_type)))
    if status is None or before.released:
        with pytest.raises(IllegalHistory, match=f"{event_type} can't follow in state {before.status}"):
            pass_over(before, event_type, before.last_at)
        return
    after = pass_over(before, event_type, before.last_at + 1)
    assert (after.status, after.version, after.last_at) == (status, before.version + 1, before.last_at + 1)
    assert (after.closed_at is None) == (status in LIVE)
    assert after.released == (event_type == "session.released")
    assert (deadline(after), after.last_accessed_at) == (deadline(before), before.last_accessed_at)


def test_a_refused_step_leaves_the_draft_as_it_was() -> None:
    before = session(created(), started(T0 + 5))
    for refused in (accessed(T0 + 4, last_at=T0 + 4), timed_out(T0 + 6), started(T0 + 6), created()):
        own = draft(before)
        with pytest.raises(IllegalHistory):
            step(own, refused)
        assert own == before
