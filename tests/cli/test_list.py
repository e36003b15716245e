"""`lifecycle list`: which sessions, in which order, and nothing but data on stdout."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from click.testing import Result

    from tests.cli.conftest import Book, Command

ALL = ["living-1", "overdue-1", "crashed-1", "failed-1", "closed-1"]


def found(result: Result) -> list[dict[str, Any]]:
    """Every line of stdout is a JSON object."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def ids(result: Result) -> list[str]:
    return [one["session_id"] for one in found(result)]


def test_all_of_them_newest_first(story: Book, command: Command) -> None:
    assert ids(command("list", "--log", story.path, "--json")) == ALL


def test_a_pipe_gets_aligned_columns_under_a_header(story: Book, command: Command) -> None:
    first, *rest = command("list", "--log", story.path).stdout.splitlines()
    assert first.split() == ["id", "status", "started", "duration", "cause", "labels"]
    assert [line.split()[0] for line in rest] == ALL
    at = first.index("status")
    assert [line[at:].split()[0] for line in rest] == ["active", "timed_out", "error", "error", "closed"]
    assert rest[-1].endswith("job=nightly n=1")
    assert "ago" not in "".join(rest), "a file must not hold times that are wrong tomorrow"


def test_json_has_every_field_of_the_view(story: Book, command: Command) -> None:
    closed = found(command("list", "--log", story.path, "--json"))[-1]
    assert closed["status"] == "closed"
    assert closed["cause"] == "stopped"
    assert closed["duration_s"] == 2.0
    assert closed["labels"] == {"job": "nightly", "n": "1"}
    assert closed["max_duration_minutes"] == 15
    assert datetime.fromisoformat(closed["closed_at"]).tzinfo == UTC
    assert closed["browser_version"] == "HeadlessChrome/156.0"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["active"], ["living-1"]),
        (["timed_out"], ["overdue-1"]),
        (["error"], ["crashed-1", "failed-1"]),
        (["closed", "active"], ["living-1", "closed-1"]),
        (["created"], []),
    ],
)
def test_by_status_where_past_the_deadline_means_timed_out(
    story: Book, command: Command, statuses: list[str], expected: list[str]
) -> None:
    options = [part for status in statuses for part in ("--status", status)]
    assert ids(command("list", "--log", story.path, "--json", *options)) == expected


def test_by_labels_all_of_which_must_match(story: Book, command: Command) -> None:
    assert ids(command("list", "--log", story.path, "--json", "--label", "job=nightly")) == ["failed-1", "closed-1"]
    both = ("--label", "job=nightly", "--label", "n=1")
    assert ids(command("list", "--log", story.path, "--json", *both)) == ["closed-1"]
    assert ids(command("list", "--log", story.path, "--json", "--label", "n=")) == []


def test_a_label_may_hold_an_equals_sign(book: Book, command: Command) -> None:
    book.begin("one", labels={"query": "a=b"})
    assert ids(command("list", "--log", book.path, "--json", "--label", "query=a=b")) == ["one"]


def test_by_time_relative_and_absolute(story: Book, command: Command) -> None:
    between = ("--since", "4h 30 min ago", "--until", "2h 30m ago")
    assert ids(command("list", "--log", story.path, "--json", *between)) == ["crashed-1", "failed-1"]
    moment = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert ids(command("list", "--log", story.path, "--json", "--since", moment)) == ["living-1"]


def test_page_by_page(story: Book, command: Command) -> None:
    first = ids(command("list", "--log", story.path, "--json", "--limit", 2))
    second = ids(command("list", "--log", story.path, "--json", "--limit", 2, "--after", first[-1]))
    third = ids(command("list", "--log", story.path, "--json", "--limit", 2, "--after", second[-1]))
    assert [first, second, third] == [ALL[:2], ALL[2:4], ALL[4:]]


def test_none_found_is_no_failure_and_no_data(story: Book, command: Command) -> None:
    result = command("list", "--log", story.path, "--label", "job=other")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no sessions match\n"


def test_the_log_of_the_environment(story: Book, command: Command) -> None:
    assert ids(command("list", "--json", LIFECYCLE_LOG=str(story.path))) == ALL


def test_a_locator_names_the_log_too(story: Book, command: Command) -> None:
    assert ids(command("list", "--json", "--log", story.log.locator)) == ALL


def test_what_cannot_be_read_is_named_and_left_out(story: Book, command: Command, unknown_event: None) -> None:
    result = command("list", "--log", story.path, "--json")
    assert "strange-1" not in ids(result)
    assert "session strange-1 can't be read here" in command("list", "--log", story.path).stderr


def test_reading_changes_no_byte(story: Book, command: Command) -> None:
    story.log.close()
    command("list", "--log", story.path)  # what opening alone does is done now
    before = {path.name: path.read_bytes() for path in story.path.parent.iterdir() if path.is_file()}
    command("list", "--log", story.path, "--json")
    command("show", "--log", story.path, "overdue-1")
    after = {path.name: path.read_bytes() for path in story.path.parent.iterdir() if path.is_file()}
    assert after[story.path.name] == before[story.path.name]
    assert after.keys() == before.keys()
