"""decide: what every command does in every standing, around the deadline, by example."""

from __future__ import annotations

import pytest

from lifecycle.core import Cause, Close, Expire, Extend, Fail, Limits, Record, Release, Start, deadline, decide
from lifecycle.core.events import MAX_TIME, CookiesSaved, Evidence, SessionExtended
from lifecycle.core.states import LIVE
from lifecycle.testing.samples import (
    COMMANDS,
    HISTORIES,
    IDLE,
    LONGEST,
    MINUTE,
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
from lifecycle.testing.story import given

#: what a command does: the event's type without "session.", nothing, or refused. Rows and columns are complete.
BEFORE_D = """
              none     created   active    extended  closed    error     timed_out released
    create    created  refused   refused   refused   refused   refused   refused   refused
    start     refused  started   refused   refused   refused   refused   refused   refused
    note      refused  navigated navigated navigated refused   refused   refused   refused
    extend    refused  extended  extended  extended  refused   refused   refused   refused
    close     refused  closed    closed    closed    nothing   nothing   nothing   nothing
    fail      refused  failed    failed    failed    refused   refused   refused   refused
    expire    refused  nothing   nothing   nothing   nothing   nothing   nothing   nothing
    release   refused  refused   refused   refused   released  released  released  nothing
"""
FROM_D_ON = """
              none     created   active    extended  closed    error     timed_out released
    create    created  refused   refused   refused   refused   refused   refused   refused
    start     refused  timed_out timed_out timed_out refused   refused   refused   refused
    note      refused  timed_out timed_out timed_out refused   refused   refused   refused
    extend    refused  timed_out timed_out timed_out refused   refused   refused   refused
    close     refused  timed_out timed_out timed_out nothing   nothing   nothing   nothing
    fail      refused  timed_out timed_out timed_out refused   refused   refused   refused
    expire    refused  timed_out timed_out timed_out nothing   nothing   nothing   nothing
    release   refused  refused   refused   refused   released  released  released  nothing
"""
CALLED = {"note": "note/session.navigated", "extend": "note/session.extended"}


def cells() -> list[tuple[str, str, str, str]]:
    """(command, standing, moment, outcome) for all of them."""
    found: list[tuple[str, str, str, str]] = []
    for moments, text in ((("begin", "D-1"), BEFORE_D), (("D", "D+1", "D+year"), FROM_D_ON)):
        columns, *rows = [line.split() for line in text.strip().splitlines()]
        for command, *outcomes in rows:
            for standing, outcome in zip(columns, outcomes, strict=True):
                found += [(command, standing, moment, outcome) for moment in moments]
    return found


def test_the_matrix_names_every_command_and_every_standing() -> None:
    assert {command for command, *_ in cells()} == set(COMMANDS)
    assert {standing for _, standing, *_ in cells()} == {"none", *HISTORIES}


@pytest.mark.parametrize(("command", "standing", "moment", "outcome"), cells())
def test_every_command_in_every_standing_around_the_deadline(
    command: str, standing: str, moment: str, outcome: str
) -> None:
    history = HISTORIES.get(standing, ())
    before = session(*history) if history else None
    ends = deadline(before) if before else D
    clock = {"begin": T0, "D-1": ends - 1, "D": ends, "D+1": ends + 1, "D+year": ends + 365 * 24 * 60 * MINUTE}[moment]

    result = given(*history).when(COMMANDS[command], at=clock)

    if outcome == "refused":
        refused = result.then_refused(CALLED.get(command, command))
        assert refused.session_id == (before.session_id if before else None)
    elif outcome == "nothing":
        result.then_nothing()
    else:
        assert result.events is not None
        (event,) = result.events
        assert event.type == f"session.{outcome}"
        last = before.last_at if before else 0
        assert event.at == (ends if outcome == "timed_out" else max(clock, last))
        result.then(event)


def test_a_stop_one_microsecond_before_the_deadline_is_a_stop() -> None:
    given(created(), started()).when(Close(cause=Cause.STOPPED), at=D - 1).then(closed(at=D - 1))


def test_a_stop_at_the_deadline_records_the_timeout_and_what_was_found() -> None:
    """Invariant 13: one rule for both orders of a simultaneous stop and deadline."""
    given(created(), started()).when(Close(cause=Cause.STOPPED, evidence={"by": "api"}), at=D).then(
        timed_out(at=D, evidence={"by": "api", "found": "close/stopped"})
    )


def test_a_crash_found_late_is_a_timeout_with_the_crash_as_evidence() -> None:
    crash = Fail(cause=Cause.BROWSER_CRASHED, error_type="Crash", error_message="private", evidence={"signal": 11})
    given(created(), started()).when(crash, at=D + MINUTE).then(
        timed_out(at=D, evidence={"signal": 11, "error_type": "Crash", "found": "fail/browser_crashed"})
    )


def test_an_expiry_noticed_late_is_stamped_with_the_deadline() -> None:
    """Invariant 12."""
    given(created(), started()).when(Expire(evidence={"late_us": 5}), at=D + 10 * MINUTE).then(
        timed_out(at=D, evidence={"late_us": 5})
    )


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (Start(event=started()), "start"),
        (Record(event=navigated(0)), "note/session.navigated"),
        (Extend(by_us=MINUTE), "note/session.extended"),
    ],
)
def test_what_came_too_late_is_named_in_the_evidence(command: Start | Record | Extend, found: str) -> None:
    given(created()).when(command, at=D).then(timed_out(at=D, evidence={"found": found}))


def test_a_keeper_that_reports_an_access_too_late_expires_the_session() -> None:
    access = Record(event=accessed(0, last_at=D - 1))
    given(created(), started()).when(access, at=D).then(timed_out(evidence={"found": "note/session.accessed"}))


def test_full_evidence_leaves_room_for_what_was_found() -> None:
    """decide never fails while it records an ending: 32 proofs are allowed, and it adds two."""
    full: Evidence = {f"proof {n}": n for n in range(32)}
    crash = Fail(cause=Cause.EXCEPTION, error_type="E", evidence=full)
    given(created()).when(crash, at=D).then(timed_out(evidence={**full, "error_type": "E", "found": "fail/exception"}))


def test_the_rule_says_which_limit_was_met() -> None:
    used = [accessed(T0 + minute * MINUTE) for minute in range(2, 15, 2)]
    longest = T0 + LONGEST
    given(created(), started(), *used).when(Expire(), at=longest).then(timed_out(at=longest, rule=Cause.MAX_DURATION))


def test_when_both_limits_meet_it_is_the_maximum() -> None:
    both = Limits(idle_timeout_us=IDLE, max_duration_us=IDLE)
    given(created(limits=both)).when(Expire(), at=D).then(timed_out(rule=Cause.MAX_DURATION))


def test_a_session_without_idle_limit_lives_to_its_maximum() -> None:
    limits = Limits(idle_timeout_us=None, max_duration_us=LONGEST)
    story = given(created(limits=limits), started())
    story.when(Expire(), at=T0 + LONGEST - 1).then_nothing()
    story.when(Expire(), at=T0 + LONGEST).then(timed_out(at=T0 + LONGEST, rule=Cause.MAX_DURATION))


def test_a_session_that_never_started_times_out_too() -> None:
    given(created()).when(Expire(), at=D).then(timed_out(at=D))


def test_a_clock_behind_the_history_counts_as_the_last_event() -> None:
    given(created(), started(T0 + SECOND)).when(Close(cause=Cause.STOPPED), at=T0 - MINUTE).then(closed(T0 + SECOND))


def test_a_clock_that_stepped_back_never_un_expires_a_session() -> None:
    """Invariant 17."""
    story = given(created(), timed_out())
    story.when(Expire(), at=T0).then_nothing()
    story.when(Record(event=navigated(0)), at=T0).then_refused("note/session.navigated")


@pytest.mark.parametrize(("clock", "at"), [(-5, 0), (0, 0), (MAX_TIME, MAX_TIME), (MAX_TIME + 1, MAX_TIME)])
def test_a_clock_outside_of_recordable_time_is_clamped_to_it(clock: int, at: int) -> None:
    (event,) = decide(None, COMMANDS["create"], clock)
    assert event.at == at


def test_a_session_created_at_the_end_of_time_times_out_there() -> None:
    given(created(at=MAX_TIME)).when(Close(cause=Cause.STOPPED), at=MAX_TIME).then(
        timed_out(at=MAX_TIME, evidence={"found": "close/stopped"})
    )


@pytest.mark.parametrize("clock", [1.8e9, float("nan"), "now", None, True])
def test_a_clock_that_does_not_read_whole_microseconds_is_refused(clock: object) -> None:
    """A float clock in seconds would pass for 1970 and stamp fractions into the history."""
    with pytest.raises(TypeError, match="µs since the epoch"):
        decide(session(created()), Expire(), clock)  # type: ignore[arg-type]  # that is the test


def test_extending_guarantees_life_until_now_plus_the_time() -> None:
    after = (
        given(created(), started())
        .when(Extend(by_us=20 * MINUTE), at=T0 + MINUTE)
        .then(extended(T0 + MINUTE, until=T0 + 21 * MINUTE))
    )
    assert deadline(after) == T0 + 21 * MINUTE  # past the maximum, and idle until then
    assert after.limits == session(created()).limits


def test_a_short_extension_counts_as_access_and_moves_nothing_back() -> None:
    before = session(created(), started(), extended(T0, until=T0 + 20 * MINUTE))
    (event,) = decide(before, Extend(by_us=1), T0 + MINUTE)
    after = session(created(), started(), extended(T0, until=T0 + 20 * MINUTE), event)
    assert event == SessionExtended(at=T0 + MINUTE, until=T0 + MINUTE + 1)
    assert deadline(after) == deadline(before)
    assert after.last_accessed_at == T0 + MINUTE


def test_extending_at_the_deadline_is_too_late() -> None:
    given(created(), started()).when(Extend(by_us=MINUTE), at=D).then(
        timed_out(evidence={"found": "note/session.extended"})
    )


def test_an_extended_session_times_out_at_its_extension() -> None:
    until = T0 + 20 * MINUTE
    given(created(), started(), extended(T0, until=until)).when(Expire(), at=until).then(timed_out(at=until))


def test_no_extension_reaches_past_the_end_of_time() -> None:
    given(created()).when(Extend(by_us=10**400), at=T0).then(extended(T0, until=MAX_TIME))


def test_an_access_is_not_later_than_its_record() -> None:
    given(created(), started()).when(Record(event=accessed(0, last_at=T0 + MINUTE)), at=T0 + 5).then(
        accessed(T0 + 5, last_at=T0 + 5)
    )


def test_an_access_is_not_earlier_than_the_session() -> None:
    given(created(), started()).when(Record(event=accessed(0, last_at=T0 - MINUTE)), at=T0 + 5).then(
        accessed(T0 + 5, last_at=T0)
    )


def test_a_coalesced_access_moves_the_deadline_to_when_it_happened() -> None:
    after = (
        given(created(), started())
        .when(Record(event=accessed(0, last_at=T0 + MINUTE)), at=T0 + 2 * MINUTE)
        .then(accessed(T0 + 2 * MINUTE, last_at=T0 + MINUTE))
    )
    assert deadline(after) == T0 + MINUTE + IDLE


def test_an_operation_is_access_and_a_navigation_is_none() -> None:
    assert session(created(), started(), operation(T0 + MINUTE)).last_accessed_at == T0 + MINUTE
    assert session(created(), started(), navigated(T0 + MINUTE)).last_accessed_at == T0


@pytest.mark.parametrize("standing", ["closed", "error", "timed_out", "released"])
def test_stopping_an_ended_session_is_accepted_and_adds_no_second_ending(standing: str) -> None:
    """Invariant 36."""
    given(*HISTORIES[standing]).when(Close(cause=Cause.STOPPED), at=D + MINUTE).then_nothing()


@pytest.mark.parametrize("standing", ["closed", "error", "timed_out"])
def test_a_browser_is_released_once(standing: str) -> None:
    history = HISTORIES[standing]
    gone = Release(event=released(0))
    given(*history).when(gone, at=D + 5).then(released(D + 5))
    given(*history, released(D + 5)).when(gone, at=D + 9).then_nothing()


def test_a_live_session_is_not_released_even_past_its_deadline() -> None:
    """First the ending, then the release: intent before act."""
    given(created(), started()).when(Release(event=released(0)), at=D + MINUTE).then_refused("release")


@pytest.mark.parametrize("cause", ["stopped", "exited", "interrupted", "cancelled", "owner_exited", "browser_closed"])
def test_every_cause_of_closed(cause: str) -> None:
    end = given(created(), started()).when(Close(cause=cause), at=T0).then(closed(T0, cause=cause))  # type: ignore[arg-type]  # pydantic takes the word
    assert (end.status, end.cause, end.closed_at) == ("closed", cause, T0)


@pytest.mark.parametrize("cause", ["launch_failed", "browser_crashed", "browser_lost", "keeper_lost", "exception"])
def test_every_cause_of_error(cause: str) -> None:
    fail = Fail(cause=cause, error_type="E", error_message="m", last_words="w", evidence={"a": 1})  # type: ignore[arg-type]  # pydantic takes the word
    end = (
        given(created())
        .when(fail, at=T0)
        .then(failed(T0, cause=cause, error_type="E", error_message="m", last_words="w", evidence={"a": 1}))
    )
    assert (end.status, end.cause, end.error_type, end.error_message) == ("error", cause, "E", "m")


@pytest.mark.parametrize("standing", LIVE)
def test_cookies_are_recorded_like_any_note_while_the_session_lives(standing: str) -> None:
    given(*HISTORIES[standing]).when(Record(event=CookiesSaved(count=2)), at=T0 + 1).then(
        CookiesSaved(at=T0 + 1, count=2)
    )
