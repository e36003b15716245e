"""SessionView: what a reader sees, at any time."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lifecycle.core import Config, Limits, SessionView, instant, moment, view
from lifecycle.core.events import MAX_TIME
from lifecycle.errors import InvalidConfig
from lifecycle.testing.samples import (
    HISTORIES,
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
    released,
    session,
    started,
    timed_out,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.core import Event

BEGIN = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)


def seen(history: Sequence[Event], now: int) -> SessionView:
    return view(session(*history), now)


def test_a_view_says_everything_about_a_running_session() -> None:
    config = Config(headless=False, viewport_width=1920, viewport_height=1080, browser="chromium")
    history = [
        created(config=config, keep_alive=True, labels={"job": "nightly"}),
        started(T0 + SECOND, browser_version="Chrome/150"),
        accessed(T0 + MINUTE, last_at=T0 + 30 * SECOND),
    ]
    assert seen(history, T0 + 2 * MINUTE).model_dump() == {
        "session_id": "s-1",
        "status": "active",
        "created_at": BEGIN,
        "started_at": BEGIN + timedelta(seconds=1),
        "closed_at": None,
        "last_accessed_at": BEGIN + timedelta(seconds=30),
        "timeout_minutes": 3,
        "idle_timeout_minutes": 3,
        "max_duration_minutes": 15,
        "duration": timedelta(minutes=2),
        "deadline": BEGIN + timedelta(minutes=3, seconds=30),
        "cause": None,
        "error": None,
        "headless": False,
        "viewport_width": 1920,
        "viewport_height": 1080,
        "browser": "chromium",
        "browser_version": "Chrome/150",
        "keep_alive": True,
        "labels": {"job": "nightly"},
        "version": 3,
    }


def test_a_view_is_the_reference_page_word_for_word() -> None:
    """The names and types that the page of the project's owner promises."""
    page = seen([created(), started()], T0 + MINUTE)
    assert page.status == "active"
    assert f"{page.status}" == "active"
    assert isinstance(page.created_at, datetime)
    assert page.closed_at is None
    assert isinstance(page.duration, timedelta)
    assert type(page.timeout_minutes) is int


@pytest.mark.parametrize(
    ("now", "status", "duration"),
    [
        (T0, "active", timedelta(0)),
        (D - 1, "active", timedelta(minutes=3, microseconds=-1)),
        (D, "timed_out", timedelta(minutes=3)),
        (D + 1, "timed_out", timedelta(minutes=3)),
        (D + 10**12, "timed_out", timedelta(minutes=3)),
        (MAX_TIME * 10, "timed_out", timedelta(minutes=3)),
        (T0 - MINUTE, "active", timedelta(0)),
        (-MAX_TIME, "active", timedelta(0)),
    ],
)
def test_a_session_past_its_deadline_is_timed_out_for_every_reader(now: int, status: str, duration: timedelta) -> None:
    overdue = seen([created(), started()], now)
    assert (overdue.status, overdue.duration) == (status, duration)
    timed_out = status == "timed_out"
    assert overdue.cause == ("idle" if timed_out else None)
    assert overdue.closed_at == (moment(D) if timed_out else None)


def test_a_reader_whose_clock_is_behind_the_history_sees_its_last_moment() -> None:
    assert seen([created(), navigated(T0 + MINUTE)], T0).duration == timedelta(minutes=1)


def test_an_overdue_session_names_the_rule_that_ends_it() -> None:
    limits = Limits(idle_timeout_us=None, max_duration_us=LONGEST)
    overdue = seen([created(limits=limits)], T0 + LONGEST)
    assert (overdue.cause, overdue.timeout_minutes, overdue.idle_timeout_minutes) == ("max_duration", None, None)


def test_an_extended_session_is_not_overdue_before_its_extension() -> None:
    history = [created(), extended(T0, until=T0 + 20 * MINUTE)]
    assert seen(history, T0 + 20 * MINUTE - 1).status == "created"
    assert seen(history, T0 + 20 * MINUTE).status == "timed_out"
    assert seen(history, T0 + 20 * MINUTE).duration == timedelta(minutes=20)


@pytest.mark.parametrize("standing", ["closed", "error", "timed_out", "released"])
@pytest.mark.parametrize("now", [0, T0, D - 1, D, D + 1, MAX_TIME])
def test_an_ended_session_looks_the_same_for_ever(standing: str, now: int) -> None:
    assert seen(HISTORIES[standing], now) == seen(HISTORIES[standing], D)


@pytest.mark.parametrize(
    ("ending", "status", "cause"),
    [
        (closed(T0 + MINUTE), "closed", "stopped"),
        (failed(T0 + MINUTE), "error", "browser_crashed"),
        (timed_out(D), "timed_out", "idle"),
    ],
)
def test_closed_at_is_the_time_of_the_ending_whichever_it_is(ending: Event, status: str, cause: str) -> None:
    end = seen([created(), started(), ending, released(D + MINUTE)], D + MINUTE)
    assert (end.status, end.cause, end.closed_at) == (status, cause, moment(ending.at))
    assert end.duration == moment(ending.at) - BEGIN


@pytest.mark.parametrize(
    ("error_type", "error_message", "shown"),
    [
        ("ValueError", "no", "ValueError: no"),
        ("ValueError", None, "ValueError"),
        (None, "no", "no"),
        ("KeyError", "", "KeyError"),
        (None, None, None),
    ],
)
def test_the_error_is_type_and_message_as_far_as_they_are_known(
    error_type: str | None, error_message: str | None, shown: str | None
) -> None:
    """The message is private: forgotten, it leaves the type."""
    end = failed(T0, error_type=error_type, error_message=error_message)
    assert seen([created(), end], T0).error == shown


def test_a_view_can_not_be_changed() -> None:
    page = seen([created(labels={"a": "b"})], T0)
    with pytest.raises(ValidationError):
        page.version = 5
    with pytest.raises(TypeError, match="do not change"):
        page.labels["a"] = "c"


def test_a_view_survives_json_and_pickle() -> None:
    page = seen([created(labels={"a": "b"}), started(), failed(T0 + 1)], T0)
    assert SessionView.model_validate_json(page.model_dump_json()) == page
    assert json.loads(page.model_dump_json())["status"] == "error"
    assert pickle.loads(pickle.dumps(page)) == page


@given(st.integers(-(10**15), MAX_TIME))
def test_instants_and_moments_are_the_same_to_the_microsecond(at: int) -> None:
    assert instant(moment(at)) == at
    assert moment(at).tzinfo is UTC


ZONES = [UTC, *(timezone(timedelta(minutes=offset)) for offset in (-14 * 60, -90, 1, 120, 14 * 60))]
datetimes = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001  # Hypothesis wants the bounds naive
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=st.sampled_from(ZONES),
)


@given(datetimes)
def test_a_datetime_of_any_zone_is_the_instant_it_names(at: datetime) -> None:
    assert moment(instant(at)) == at.astimezone(UTC)


def test_the_epoch_is_zero_in_every_zone() -> None:
    assert instant(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert instant(datetime(1969, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1)))) == 0


class Nowhere(tzinfo):
    """A zone that does not know its offset; to Python such a datetime is naive."""

    def utcoffset(self, dt: datetime | None, /) -> None:
        return None

    def dst(self, dt: datetime | None, /) -> None:
        return None

    def tzname(self, dt: datetime | None, /) -> None:
        return None


@pytest.mark.parametrize("zone", [None, Nowhere()])
def test_a_naive_datetime_is_refused_by_name(zone: tzinfo | None) -> None:
    with pytest.raises(InvalidConfig, match=r"^since=datetime.datetime\(2027.*needs a time zone") as caught:
        instant(datetime(2027, 1, 15, tzinfo=zone), "since")
    assert caught.value.argument == "since"
    assert isinstance(caught.value, ValueError)
