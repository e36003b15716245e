"""Times as people type and read them; stored text made harmless."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.cli.text import ago, duration, harmless, iso, offset, parse_when, printable

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h ago", NOW - timedelta(hours=2)),
        ("90s ago", NOW - timedelta(seconds=90)),
        (" 1 d 4 h AGO ", NOW - timedelta(days=1, hours=4)),
        ("1.5 hours ago", NOW - timedelta(minutes=90)),
        ("2 weeks, 1 day ago", NOW - timedelta(days=15)),
        ("now", NOW),
        ("2026-11-25T10:30:00Z", datetime(2026, 11, 25, 10, 30, tzinfo=UTC)),
        ("2026-11-25T10:30:00+02:00", datetime(2026, 11, 25, 8, 30, tzinfo=UTC)),
        ("2026-11-25", datetime(2026, 11, 24, 23, 0, tzinfo=UTC)),
        ("2026-11-25 10:30", datetime(2026, 11, 25, 9, 30, tzinfo=UTC)),
        ("2026-07-01 10:30", datetime(2026, 7, 1, 8, 30, tzinfo=UTC)),
        ("today", datetime(2026, 11, 24, 23, 0, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 23, 23, 0, tzinfo=UTC)),
    ],
)
def test_moments_in_berlin(berlin: None, text: str, expected: datetime) -> None:
    found = parse_when(text, NOW)
    assert found == expected
    assert found.tzinfo is UTC


def test_midnight_is_this_machines_on_the_day_of_daylight_saving(berlin: None) -> None:
    noon = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)
    assert parse_when("today", noon) == datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
    assert parse_when("yesterday", datetime(2026, 3, 30, 10, 0, tzinfo=UTC)) == datetime(2026, 3, 28, 23, tzinfo=UTC)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    try:
        found = parse_when(text, NOW)
    except ValueError as error:
        said = str(error)
        assert said.endswith(", yesterday"), "it says what there is"
    else:
        assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 ms"),
        (0.0123, "12.3 ms"),
        (0.1, "0.10 s"),
        (0.8449, "0.84 s"),
        (9.994, "9.99 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (9.996, "10.0 s"),
        (86_399.7, "1 d"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (3600, "1 h"),
        (8040, "2 h 14 min"),
        (86400 * 5 + 3 * 3600 + 59, "5 d 3 h"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(timedelta(seconds=seconds)) == expected


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40_000)))
def test_a_duration_never_names_sixty_of_a_unit(took: timedelta) -> None:
    assert not re.search(r"\b60(\.0+)? (s|min)\b|\b24 h\b", duration(took))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "now"), (0.5, "now"), (1, "1s ago"), (119, "1m ago"), (7260, "2h ago"), (200_000, "2d ago"), (-300, "in 5m")],
)
def test_how_long_ago(seconds: float, expected: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == expected


def test_iso_is_utc_to_the_microsecond() -> None:
    assert iso(datetime.fromisoformat("2026-11-25T13:00:00+01:00")) == "2026-11-25T12:00:00.000000Z"
    assert offset(1_234_567) == "+1.235"


@given(st.text())
def test_printable_text_is_one_line_that_no_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\x00", "\r", "\n"} & set(shown)


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S"))))
def test_what_is_harmless_stays(text: str) -> None:
    assert printable(text) == text


@given(st.text())
def test_json_that_is_shown_is_the_same_json_without_what_a_terminal_obeys(text: str) -> None:
    shown = harmless(json.dumps([text, "\x9b31m\u202e\x7f\u2028"], ensure_ascii=False))
    assert json.loads(shown) == [text, "\x9b31m\u202e\x7f\u2028"]
    assert printable(shown) == shown
