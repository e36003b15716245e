"""Limits from what a user gives, and the deadline."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.core import Limits, deadline, limits
from lifecycle.core.deadlines import MAX_MINUTES, microseconds, minutes, rule
from lifecycle.core.events import MAX_TIME
from lifecycle.errors import InvalidConfig
from lifecycle.testing.samples import (
    IDLE,
    LONGEST,
    MINUTE,
    SECOND,
    T0,
    D,
    accessed,
    created,
    extended,
    session,
    started,
)

NAMES = ["timeout_minutes", "idle_timeout_minutes", "max_duration_minutes"]


def made(idle: int, longest: int) -> Limits:
    return Limits(idle_timeout_us=idle, max_duration_us=longest)


def test_the_defaults_are_three_minutes_idle_and_fifteen_in_all() -> None:
    assert limits() == made(3 * MINUTE, 15 * MINUTE)
    assert limits(timeout_minutes=None, idle_timeout_minutes=None, max_duration_minutes=None) == limits()


@pytest.mark.parametrize("value", [5, 5.0, timedelta(minutes=5)])
def test_minutes_are_numbers_or_timedeltas(value: float | timedelta) -> None:
    assert limits(idle_timeout_minutes=value) == limits(timeout_minutes=value) == made(5 * MINUTE, 15 * MINUTE)
    assert limits(max_duration_minutes=value) == made(3 * MINUTE, 5 * MINUTE)


def test_both_names_of_the_idle_timeout_are_refused_even_when_they_agree() -> None:
    with pytest.raises(InvalidConfig, match="another name for idle_timeout_minutes") as caught:
        limits(timeout_minutes=3, idle_timeout_minutes=3)
    assert caught.value.argument == "timeout_minutes"


@pytest.mark.parametrize("name", ["timeout_minutes", "idle_timeout_minutes"])
def test_an_idle_timeout_above_a_given_maximum_is_refused_by_the_name_it_was_given(name: str) -> None:
    with pytest.raises(InvalidConfig, match=f"^{name}=6: must not exceed max_duration_minutes, which is 5$") as caught:
        limits(**{name: 6}, max_duration_minutes=5)
    assert caught.value.argument == name


@pytest.mark.parametrize("value", [15, timedelta(minutes=15)])
def test_an_idle_timeout_equal_to_the_maximum_is_fine(value: int | timedelta) -> None:
    assert limits(idle_timeout_minutes=value, max_duration_minutes=15) == made(15 * MINUTE, 15 * MINUTE)


def test_an_idle_timeout_above_the_default_maximum_lifts_it() -> None:
    assert limits(idle_timeout_minutes=30) == made(30 * MINUTE, 30 * MINUTE)


def test_the_default_idle_timeout_gives_way_to_a_shorter_maximum() -> None:
    assert limits(max_duration_minutes=1) == made(MINUTE, MINUTE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 / 60, SECOND),
        (0.5, 30 * SECOND),
        (0.1, 6 * SECOND),
        (timedelta(seconds=1), SECOND),
        (timedelta(seconds=1, microseconds=1), SECOND + 1),
        (MAX_MINUTES, MAX_MINUTES * MINUTE),
        (timedelta(minutes=MAX_MINUTES), MAX_MINUTES * MINUTE),
    ],
)
def test_any_length_from_one_second_to_a_century(value: float | timedelta, expected: int) -> None:
    assert limits(max_duration_minutes=value, idle_timeout_minutes=value) == made(expected, expected)


WRONG: list[Any] = [
    0, 0.0, -0.0, -1, -0.5, 1 / 61, timedelta(0), timedelta(seconds=-1), timedelta(microseconds=999_999),
    MAX_MINUTES + 1, MAX_MINUTES + 0.1, timedelta(minutes=MAX_MINUTES, microseconds=1), timedelta.max, timedelta.min,
    10**400, -(10**400), 10**5000, 1e308, float("nan"), float("inf"), float("-inf"),
    True, False, "5", "", b"5", [5], {}, Decimal(5), Fraction(5), 5j, object(),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value",
    WRONG,
    ids=lambda value: (
        f"{type(value).__name__}-{len(ascii(value)) if not isinstance(value, int) or abs(value) < 10**99 else 'huge'}"
    ),
)
def test_any_other_value_is_refused_by_name_with_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(InvalidConfig) as caught:
        limits(**{name: value})
    assert caught.value.argument == name
    assert not str(caught.value).startswith(f"{name}=None:")
    assert str(caught.value).startswith(f"{name}=")
    assert "allowed are minutes from 1/60 (one second) to 52560000 (100 years), or a timedelta" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_none_is_no_duration() -> None:
    """limits() takes it for `the default`; where a duration is required it is refused like any other value."""
    with pytest.raises(InvalidConfig, match=r"^minutes=None: allowed are"):
        microseconds("minutes", None)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_a_value_that_can_not_be_shown_is_refused_all_the_same() -> None:
    with pytest.raises(InvalidConfig, match=r"^timeout_minutes=<Hostile>: allowed"):
        limits(timeout_minutes=Hostile())  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    ("us", "expected"), [(10 * MINUTE, 10), (90 * SECOND, 1.5), (SECOND, 1 / 60), (MAX_MINUTES * MINUTE, MAX_MINUTES)]
)
def test_whole_minutes_stay_int(us: int, expected: float) -> None:
    assert minutes(us) == expected
    assert type(minutes(us)) is type(expected)


@given(st.integers(SECOND, 10**5 * MINUTE))
def test_minutes_read_back_are_the_same_to_the_microsecond(us: int) -> None:
    assert microseconds("any", minutes(us)) == us


@given(st.integers(1, MAX_MINUTES))
def test_a_number_of_minutes_is_the_same_as_int_float_and_timedelta(number: int) -> None:
    assert microseconds("m", number) == microseconds("m", float(number)) == microseconds("m", timedelta(minutes=number))


def test_the_deadline_follows_the_last_access_up_to_the_maximum() -> None:
    assert deadline(session(created())) == D
    assert deadline(session(created(), started(T0 + 1))) == D + 1
    used = session(created(), accessed(T0 + MINUTE, last_at=T0 + 1))
    assert deadline(used) == T0 + 1 + IDLE
    often = session(created(), *(accessed(T0 + minute * MINUTE) for minute in range(2, 14, 2)))
    assert deadline(often) == T0 + LONGEST
    assert (rule(used), rule(often)) == ("idle", "max_duration")


def test_an_extension_outweighs_both_limits_but_not_the_end_of_time() -> None:
    assert deadline(session(created(), extended(T0, until=T0 + 2 * LONGEST))) == T0 + 2 * LONGEST
    assert deadline(session(created(), extended(T0, until=T0 + 1))) == D
    assert deadline(session(created(MAX_TIME - 1))) == MAX_TIME
