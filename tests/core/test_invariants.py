"""The laws of a session's life, over runs of any commands under any clock.

The number in a test's name is the invariant's, in docs/reference/state-machine.md.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lifecycle.core import (
    ENDED,
    EVENT_TYPES,
    LIVE,
    LOOKUP,
    Cause,
    Close,
    Create,
    Event,
    Expire,
    Extend,
    Fail,
    Record,
    Session,
    Start,
    State,
    deadline,
    decide,
    evolve,
    fold,
    legal,
    load,
    moment,
    view,
)
from lifecycle.core.events import (
    MAX_TIME,
    SessionAccessed,
    SessionClosed,
    SessionCreated,
    SessionExtended,
    SessionFailed,
    SessionOperation,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
)
from lifecycle.core.evolve import trigger_of
from lifecycle.core.states import TABLE
from lifecycle.errors import IllegalCommand, IllegalHistory
from lifecycle.testing.given import accepted, emitted, order
from lifecycle.testing.runs import Run, play
from lifecycle.testing.samples import COMMANDS, SECOND, navigated, released
from lifecycle.testing.strategies import any_event, candidates, events_of, mutations, runs

STOP = Close(cause=Cause.STOPPED)
#: for the laws that look at whole histories and single events together
many = settings(max_examples=4 * settings().max_examples)
clocks = st.integers(-10, 40 * SECOND) | st.integers(-(10**16), 10**16)


def is_ending(event: Event) -> bool:
    return isinstance(event, SessionClosed | SessionFailed | SessionTimedOut)


def ended_session(run: Run) -> Session:
    """The run's session; if it still lives, ended by a stop."""
    session = run.session
    ended = session if session.status in ENDED else play(session, STOP, session.last_at).after
    assert ended is not None
    return ended


def told_deadline(events: tuple[Event, ...]) -> int:
    """D from nothing but the events and the sentence in DESIGN: an oracle that shares no code with the core."""
    first = events[0]
    assert isinstance(first, SessionCreated)
    used, until = first.at, 0
    for event in events[1:]:
        if isinstance(event, SessionStarted | SessionOperation | SessionExtended):
            used = max(used, event.at)
        if isinstance(event, SessionAccessed):
            used = max(used, event.last_at)
        if isinstance(event, SessionExtended):
            until = max(until, event.until)
    inner = first.at + first.limits.max_duration_us
    if first.limits.idle_timeout_us is not None:
        inner = min(inner, used + first.limits.idle_timeout_us)
    return min(max(inner, until), MAX_TIME)


def told_duration(events: tuple[Event, ...], now: int) -> int:
    """Duration from nothing but the events and the sentence in DESIGN."""
    ends = [event.at for event in events if is_ending(event)]
    until = ends[0] if ends else min(max(now, events[-1].at), told_deadline(events))
    return until - events[0].at


@given(runs())
def test_1_the_first_event_is_created_and_no_other_is(run: Run) -> None:
    assert [index for index, event in enumerate(run.events) if isinstance(event, SessionCreated)] == [0]


@given(runs())
def test_2_every_event_is_in_the_table_from_the_state_it_met(run: Run) -> None:
    rows = {(trigger, source): dest or source for trigger, sources, dest in TABLE for source in sources}
    for _, before, event in run.recorded:
        if before is not None:
            assert evolve(before, event).status is rows[trigger_of(event.type), before.status]


@given(runs())
def test_3_there_is_at_most_one_ending(run: Run) -> None:
    assert sum(is_ending(event) for event in run.events) <= 1


@given(runs(), clocks)
def test_4_nothing_but_one_release_follows_an_ending_and_it_changes_nothing(run: Run, now: int) -> None:
    for index, event in enumerate(run.events):
        if is_ending(event):
            rest = run.events[index + 1 :]
            assert [later.type for later in rest] in ([], ["session.released"])
            ended, after = fold(run.events[: index + 1]), run.session
            assert ended is not None
            assert replace(after, version=ended.version, last_at=ended.last_at, released=False) == ended
            assert view(after, now).duration == view(ended, now).duration


@given(runs())
def test_7_a_session_starts_at_most_once(run: Run) -> None:
    assert sum(isinstance(event, SessionStarted) for event in run.events) <= 1


@given(runs())
def test_9_a_session_keeps_its_id(run: Run) -> None:
    """Only `created` carries an id in the pure layer; the log holds the stream's name against it."""
    assert {step.after.session_id for step in run.steps if step.after} == {"s"}


@given(runs())
def test_10_time_never_runs_back_in_a_history(run: Run) -> None:
    times = [event.at for event in run.events]
    assert times == sorted(times)


@given(runs())
def test_11_no_event_is_stamped_in_the_future(run: Run) -> None:
    for step, before, event in run.recorded:
        assert event.at <= max(step.clock, before.last_at if before else 0)
        if isinstance(event, SessionAccessed):
            assert event.last_at <= event.at


@given(runs())
def test_12_a_timeout_is_stamped_with_the_deadline_however_late_it_was_noticed(run: Run) -> None:
    for index, event in enumerate(run.events):
        if isinstance(event, SessionTimedOut):
            assert event.at == told_deadline(run.events[:index])


@given(runs())
def test_13_no_other_event_of_a_live_session_is_at_or_after_its_deadline(run: Run) -> None:
    for index, event in enumerate(run.events):
        if index and not isinstance(event, SessionTimedOut | SessionReleased):
            assert event.at < told_deadline(run.events[:index])


@given(runs(), st.integers(-SECOND, SECOND) | st.integers(-1, 1))
def test_14_expiring_before_the_deadline_does_nothing_and_from_it_on_it_times_out(run: Run, delta: int) -> None:
    session = run.live.session
    clock = deadline(session) + delta
    events = decide(session, Expire(), clock)
    if max(clock, session.last_at) < told_deadline(run.live.events):
        assert events == ()
    else:
        assert [event.type for event in events] == ["session.timed_out"]


@given(runs())
def test_15_the_deadline_is_a_function_of_the_history(run: Run) -> None:
    for index in range(1, len(run.events) + 1):
        history = run.events[:index]
        session = fold(history)
        assert session is not None
        assert deadline(session) == told_deadline(history)


@given(runs())
def test_16_the_last_access_never_moves_back_and_is_never_before_creation(run: Run) -> None:
    sessions = [step.after for step in run.steps if step.after]
    accesses = [session.last_accessed_at for session in sessions]
    assert accesses == sorted(accesses)
    assert accesses[0] == sessions[0].created_at


@given(runs(), st.sampled_from(sorted(COMMANDS)), st.integers(1, 10**16))
def test_17_a_clock_that_steps_back_is_the_same_as_one_that_stands_still(run: Run, name: str, back: int) -> None:
    session = run.session
    stepped = play(session, COMMANDS[name], session.last_at - back)
    assert stepped.events == play(session, COMMANDS[name], session.last_at).events
    for now in (session.last_at - back, -back):
        seen = view(session, now)
        assert seen == view(session, session.last_at)
        assert seen.duration >= timedelta(0)
    if session.status in ENDED:
        assert view(session, session.last_at - back).status is session.status


@given(runs(), st.lists(st.integers(0, 10**15), min_size=1, max_size=4))
def test_18_a_clock_that_jumps_forward_yields_one_timeout_at_the_deadline(run: Run, jumps: list[int]) -> None:
    session: Session | None = run.live.session
    ends = deadline(run.live.session)
    events: list[Event] = []
    for jump in jumps:
        step = play(session, Expire(), ends + jump)
        events += step.events or ()
        session = step.after
    assert [(event.type, event.at) for event in events] == [("session.timed_out", ends)]


@given(runs(), st.lists(st.sampled_from(sorted(COMMANDS)), max_size=6))
def test_19_events_of_one_moment_are_legal_and_ordered_by_version(run: Run, names: list[str]) -> None:
    session: Session | None = run.session
    clock = run.session.last_at
    for name in names:
        step = play(session, COMMANDS[name], clock)
        for event in step.events or ():
            assert event.at == clock
        assert step.after is not None
        assert session is not None
        assert step.after.version == session.version + len(step.events or ())
        session = step.after


@given(runs())
def test_20_the_deadline_never_moves_back_and_only_access_moves_it(run: Run) -> None:
    for _, before, event in run.recorded:
        if before is not None:
            after = evolve(before, event)
            assert deadline(after) >= deadline(before)
            if not isinstance(event, SessionStarted | SessionAccessed | SessionOperation | SessionExtended):
                assert deadline(after) == deadline(before)


@given(runs(), clocks)
def test_21_duration_is_what_the_events_say(run: Run, offset: int) -> None:
    for index in range(1, len(run.events) + 1):
        history = run.events[:index]
        session = fold(history)
        assert session is not None
        for now in (history[0].at + offset, deadline(session) - 1, deadline(session), deadline(session) + 1):
            assert view(session, now).duration == timedelta(microseconds=told_duration(history, now))


@given(runs(), st.lists(clocks, min_size=2, max_size=5))
def test_22_duration_never_shrinks(run: Run, offsets: list[int]) -> None:
    """Not as time goes by, not from one event to the next, not across an ending, however late it is noticed."""
    for step in run.steps:
        assert step.after is not None
        times = sorted(step.after.created_at + offset for offset in offsets)
        seen = [view(step.after, now).duration for now in times]
        assert seen == sorted(seen)
        if step.before is not None:  # who looked before this step saw no more than who looks after it
            for now in (*times, deadline(step.before), step.clock):
                earlier, later = min(now, step.clock), max(now, step.clock)
                assert view(step.after, later).duration >= view(step.before, earlier).duration


@given(runs(), clocks, clocks)
def test_23_duration_is_constant_after_the_ending(run: Run, one: int, other: int) -> None:
    ended = ended_session(run)
    assert view(ended, ended.created_at + one).duration == view(ended, ended.created_at + other).duration


@given(runs(), clocks)
def test_24_duration_is_never_negative_and_of_a_timeout_it_ends_at_the_deadline(run: Run, offset: int) -> None:
    session = run.session
    seen = view(session, session.created_at + offset)
    assert seen.duration >= timedelta(0)
    if seen.status is State.TIMED_OUT:
        assert seen.duration == seen.deadline - seen.created_at
        assert seen.closed_at == seen.deadline


def moved(event: Event, by: int) -> Event:
    times = {name: getattr(event, name) + by for name in ("at", "last_at", "until") if hasattr(event, name)}
    return event.model_copy(update=times)


@given(runs(), st.integers(0, 10**14))
def test_25_only_differences_of_time_matter(run: Run, by: int) -> None:
    assume(0 < run.events[0].at < 2**52)
    assume(all(0 <= step.clock < 2**52 for step in run.steps))
    session: Session | None = None
    for step in run.steps:
        command = step.command
        if isinstance(command, Record):
            command = Record(event=moved(command.event, by))  # type: ignore[arg-type]  # the same type as before
        again = play(session, command, step.clock + by)
        assert again.events == (None if step.events is None else tuple(moved(event, by) for event in step.events))
        session = again.after
    assert session is not None
    now = run.steps[-1].clock
    assert view(session, now + by).status is view(run.session, now).status
    assert view(session, now + by).duration == view(run.session, now).duration


@given(runs())
def test_26_decide_is_deterministic_and_changes_nothing_it_was_given(run: Run) -> None:
    for step in run.steps:
        before = pickle.dumps((step.before, step.command))
        assert play(step.before, step.command, step.clock) == step
        assert pickle.dumps((step.before, step.command)) == before


@many
@given(st.data())
def test_27_evolve_accepts_exactly_what_decide_emits(data: st.DataObject) -> None:
    session = data.draw(runs(max_steps=5)).session
    event = data.draw(candidates(session))
    assert accepted(session, event) == emitted(session, event)


@given(any_event)
def test_27_a_history_begins_with_exactly_what_decide_emits(event: Event) -> None:
    assert accepted(None, event) == emitted(None, event)


@given(runs())
def test_28_evolve_takes_everything_that_decide_emits(run: Run) -> None:
    for step in run.steps:
        fold(step.events or (), step.before)


@given(runs())
def test_29_the_live_session_equals_the_fold_of_its_history(run: Run) -> None:
    history: tuple[Event, ...] = ()
    for step in run.steps:
        history += step.events or ()
        assert fold(history) == step.after


@given(runs(), st.integers(0, 20))
def test_30_a_fold_can_be_cut_anywhere(run: Run, cut: int) -> None:
    assert fold(run.events[cut:], fold(run.events[:cut])) == fold(run.events)


@given(runs())
def test_31_a_prefix_folds_to_the_session_as_it_stood_then(run: Run) -> None:
    length = 0
    for step in run.steps:
        length += len(step.events or ())
        assert fold(run.events[:length]) == step.after


sessions = TypeAdapter(Session)


@given(runs())
def test_32_a_session_survives_serialisation(run: Run) -> None:
    assert sessions.validate_json(sessions.dump_json(run.session)) == run.session
    assert pickle.loads(pickle.dumps(run.session)) == run.session


@pytest.mark.parametrize("cls", EVENT_TYPES.values(), ids=EVENT_TYPES.keys())
def test_32_every_event_survives_json(cls: type[Event]) -> None:
    @given(events_of(cls))
    def survives(event: Event) -> None:
        data = json.loads(event.model_dump_json(exclude={"at"}))
        assert load(event.type, event.schema_version, event.at, data) == event
        assert pickle.loads(pickle.dumps(event)) == event

    survives()


@given(runs())
def test_35_a_refusal_names_its_case_and_leaves_everything_as_it_was(run: Run) -> None:
    for step in run.steps:
        if step.events is None:
            with pytest.raises(IllegalCommand) as caught:
                decide(step.before, step.command, step.clock)
            assert step.after is step.before
            assert step.before is not None
            assert caught.value.state == step.before.status
            assert caught.value.legal == legal(step.before.status)


@given(runs(), clocks)
def test_36_stopping_twice_is_stopping_once(run: Run, offset: int) -> None:
    session = run.session
    clock = session.created_at + offset
    once = play(session, STOP, clock)
    assert once.events is not None
    twice = play(once.after, STOP, clock + 1)
    assert twice.events == ()
    assert twice.after == once.after
    if session.status in ENDED:
        assert once.events == ()


@given(runs(), clocks)
def test_37_an_ended_session_ignores_expiry_and_refuses_the_rest(run: Run, offset: int) -> None:
    ended = ended_session(run)
    clock = ended.created_at + offset
    assert play(ended, Expire(), clock).events == ()
    for command in (Start(event=SessionStarted(ownership="launched")), Extend(by_us=1), Record(event=navigated(0)),
                    Fail(cause=Cause.BROWSER_LOST), COMMANDS["create"]):  # fmt: skip
        assert play(ended, command, clock).events is None


@given(runs(), clocks)
def test_38_after_a_stop_the_session_is_ended(run: Run, offset: int) -> None:
    after = play(run.session, STOP, run.session.created_at + offset).after
    assert after is not None
    assert after.status in ENDED


@given(runs())
def test_39_what_is_legal_is_what_is_not_refused(run: Run) -> None:
    """Before the deadline. On an ended session close and expire are accepted besides, and do nothing: idempotence."""
    session = run.session
    accepted_names = {
        command.name for command in COMMANDS.values() if play(session, command, session.last_at).events is not None
    }
    extra = {"close", "expire"} if session.status in ENDED else set[str]()
    assert accepted_names == set(legal(session.status)) | extra


def test_41_the_runs_take_every_row_of_the_table_and_meet_the_deadline_from_both_sides() -> None:
    """The laws above are not vacuous: the runs they see do everything that can be done."""
    rows: set[tuple[State, str]] = set()
    deltas: set[int] = set()

    @settings(max_examples=600)
    @given(runs())
    def look(run: Run) -> None:
        for step, before, event in run.recorded:
            if before is not None:
                rows.add((before.status, trigger_of(event.type)))
                if before.status in LIVE:
                    deltas.add(step.clock - deadline(before))

    look()
    assert rows == set(LOOKUP)
    assert deltas >= {-1, 0, 1}


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
