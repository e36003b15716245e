"""The invariants, over runs of any commands under any clock; and what they can't say about one run alone.

The number in a test's name is the invariant's, in docs/reference/invariants.md.
"""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.core import (
    EVENT_TYPES,
    Cause,
    Create,
    Event,
    Expire,
    Session,
    deadline,
    decide,
    evolve,
    fold,
    load,
    moment,
    view,
)
from lifecycle.core.events import (
    SessionClosed,
    SessionCreated,
    SessionExtended,
    SessionFailed,
    SessionStarted,
    SessionTimedOut,
)
from lifecycle.errors import IllegalCommand, IllegalHistory
from lifecycle.testing.history import check_events
from lifecycle.testing.invariants import Checker
from lifecycle.testing.runs import Run, play
from lifecycle.testing.samples import COMMANDS, SECOND, navigated, released
from lifecycle.testing.story import accepted, emitted, order
from lifecycle.testing.strategies import any_event, candidates, events_of, histories, mutations, runs
from tests.testing.engines import ENGINES

#: for the laws that look at whole histories and single events together
many = settings(max_examples=4 * settings().max_examples)
clocks = st.integers(-10, 40 * SECOND) | st.integers(-(10**16), 10**16)


def test_every_invariant_holds_over_runs_and_all_are_exercised() -> None:
    checker = Checker()

    @settings(max_examples=10 * settings().max_examples)
    @given(runs())
    def hold(run: Run) -> None:
        for step in run.steps:
            checker.step(step)

    hold()
    commands = ENGINES["commands"]
    checker.require(*commands.subjects, besides=commands.besides)


@many
@given(st.data())
def test_27_evolve_accepts_exactly_what_decide_emits(data: st.DataObject) -> None:
    session = data.draw(runs(max_steps=5)).session
    event = data.draw(candidates(session))
    assert accepted(session, event) == emitted(session, event)


@given(any_event)
def test_27_a_history_begins_with_exactly_what_decide_emits(event: Event) -> None:
    assert accepted(None, event) == emitted(None, event)


@pytest.mark.parametrize("cls", EVENT_TYPES.values(), ids=EVENT_TYPES.keys())
def test_32_every_event_survives_json(cls: type[Event]) -> None:
    @given(events_of(cls))
    def survives(event: Event) -> None:
        data = json.loads(event.model_dump_json(exclude={"at"}))
        assert load(event.type, event.schema_version, event.at, data) == event
        assert pickle.loads(pickle.dumps(event)) == event

    survives()


# What a log could hold that no writer of ours wrote: evolve either refuses it or decide could have emitted it.


def derivable(history: tuple[Event, ...]) -> bool:
    """Whether some writer could have brought about *history* through decide."""
    session: Session | None = None
    for event in history:
        if not emitted(session, event):
            return False
        session = evolve(session, event)
    return True


@many
@given(st.data())
def test_a_tampered_history_is_refused_unless_it_could_have_happened(data: st.DataObject) -> None:
    run = data.draw(runs(max_steps=6))
    history = data.draw(mutations(run.events))
    at_fault: int | None = None
    try:
        fold(history)
    except IllegalHistory as error:
        at_fault = error.version
    assert derivable(history) == (at_fault is None)
    if at_fault is not None:
        assert not accepted(fold(history[: at_fault - 1]), history[at_fault - 1])


@many
@given(st.data())
def test_check_history_and_evolve_agree_on_every_tampered_history(data: st.DataObject) -> None:
    """Two tellings of the same rules that share no code: where they differ, one of them is wrong."""
    history = data.draw(mutations(data.draw(histories(max_steps=6))))
    at_fault: int | None = None
    try:
        fold(history)
    except IllegalHistory as error:
        at_fault = error.version
    found = next(check_events(history), None)
    assert (found.version if found else None) == at_fault


def test_order_covers_every_event() -> None:
    """The helper the two laws above stand on: no type falls through to a command that can't exist."""
    commands = [order(event) for event in COMMAND_EVENTS]
    assert {type(command).__name__ for command in commands} == {
        "Create", "Start", "Record", "Extend", "Close", "Fail", "Expire", "Release"
    }  # fmt: skip


COMMAND_EVENTS = [
    SessionCreated.model_validate(COMMANDS["create"].model_dump()["event"]),
    SessionStarted(ownership="launched"),
    navigated(0),
    SessionExtended(at=0, until=1),
    SessionClosed(cause=Cause.STOPPED),
    SessionFailed(cause=Cause.EXCEPTION),
    SessionTimedOut(rule=Cause.IDLE),
    released(0),
]


@given(runs(), clocks)
def test_the_view_agrees_with_the_session_whether_or_not_the_timeout_is_written(run: Run, offset: int) -> None:
    """A session past D is timed out for every reader; writing it down changes nothing that a reader sees."""
    session = run.live.session
    now = max(deadline(session), session.created_at + offset)
    written = play(session, Expire(), now).after
    assert written is not None
    unwritten_view, written_view = view(session, now), view(written, now)
    assert unwritten_view.model_copy(update={"version": written.version}) == written_view
    assert written_view.closed_at == moment(deadline(session))


def test_create_is_refused_for_a_session_that_exists() -> None:
    session = play(None, Create(event=SessionCreated.model_validate(COMMAND_EVENTS[0].model_dump())), 0).after
    with pytest.raises(IllegalCommand, match="create is not legal"):
        decide(session, COMMANDS["create"], 0)
