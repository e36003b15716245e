"""`lifecycle show ID`: everything that a log knows of one session, harmless on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.core import Config

if TYPE_CHECKING:
    from tests.cli.conftest import Book, Command


def test_the_head_says_how_it_ended_and_with_what_evidence(story: Book, command: Command) -> None:
    result = command("show", "--log", story.path, "crashed-1")
    assert result.exit_code == 0
    head = dict(line.split(maxsplit=1) for line in result.stdout.split("\n\n")[0].splitlines())
    assert head["session"] == "crashed-1"
    assert head["status"] == "error"
    assert head["cause"] == "browser_crashed"
    assert head["evidence"] == "signal=9 (SIGKILL)"
    assert head["duration"] == "2.00 s"
    assert head["browser"] == "HeadlessChrome/156.0, headless"


def test_whether_a_foreign_browser_has_a_window_is_not_known(book: Book, command: Command) -> None:
    book.begin("theirs", config=Config(browser="external", headless=None, viewport_width=800, viewport_height=600))
    shown = command("show", "--log", book.path, "theirs").stdout
    assert "HeadlessChrome/156.0, 800x600\n" in shown


def test_who_acted_each_with_his_process(story: Book, command: Command) -> None:
    actors = command("show", "--log", story.path, "crashed-1").stdout.split("\n\n")[1]
    assert [line.split() for line in actors.splitlines()[1:]] == [
        ["ada", "client@desk:100", "1"],
        ["keeper", "keeper@desk:200:k1", "4"],
    ]


def test_the_timeline_has_offsets_names_and_writers(story: Book, command: Command) -> None:
    timeline = command("show", "--log", story.path, "failed-1").stdout.split("\n\n")[2].splitlines()
    steps = [line.split(maxsplit=2) for line in timeline[1:]]
    assert [(offset, name) for offset, name, _ in steps] == [
        ("+0.000", "created"),
        ("+0.500", "started"),
        ("+0.750", "navigated"),
        ("+2.000", "failed"),
        ("+2.125", "released"),
    ]
    assert steps[3][2].startswith("ada, client 100")
    assert "error_message=no price for cocoa" in steps[3][2]
    assert steps[4][2].startswith("keeper 200")
    assert "took=83.5 ms" in steps[4][2]


def test_an_url_is_shown_as_it_was_stored(story: Book, command: Command) -> None:
    assert "https://shop.example/prices?page=REDACTED" in command("show", "--log", story.path, "closed-1").stdout


def test_json_is_one_object_with_every_event(story: Book, command: Command) -> None:
    shown: dict[str, Any] = json.loads(command("show", "--log", story.path, "crashed-1", "--json").stdout)
    assert shown["session"]["cause"] == "browser_crashed"
    assert [event["type"] for event in shown["events"]] == [
        "session.created",
        "session.started",
        "session.navigated",
        "session.failed",
        "session.released",
    ]
    assert [event["version"] for event in shown["events"]] == [1, 2, 3, 4, 5]
    assert shown["events"][3]["data"]["evidence"] == {"signal": 9}
    assert shown["actors"][0] == {"actor": "ada", "writer": "client@desk:100", "events": 1}


def test_a_session_past_its_deadline_is_timed_out_though_nobody_wrote_it(story: Book, command: Command) -> None:
    shown = json.loads(command("show", "--log", story.path, "overdue-1", "--json").stdout)
    assert (shown["session"]["status"], shown["session"]["cause"]) == ("timed_out", "max_duration")
    assert shown["session"]["closed_at"] == shown["session"]["deadline"]
    assert shown["events"][-1]["type"] == "session.navigated"


def test_control_characters_from_a_page_do_not_reach_the_terminal(book: Book, command: Command) -> None:
    book.begin("evil", labels={"job": "\x1b[2Jgone\u202e"})
    book.fail("evil", "\x1b]0;owned\x07 \x9b31m \r\n fake line")
    for verb in (["show", "evil"], ["list"]):
        text = command(*verb, "--log", book.path).stdout
        assert not {char for char in text if ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char == "\u202e"} - {"\n"}
    shown = command("show", "--log", book.path, "evil").stdout
    assert "job=\\x1b[2Jgone\\u202e" in shown
    assert "\\x9b31m \\r\\n fake line" in shown


def test_what_was_forgotten_is_said_to_be(story: Book, command: Command) -> None:
    import sqlite3

    story.log.close()
    with sqlite3.connect(story.path) as other:
        other.execute("DELETE FROM private")
    other.close()
    result = command("show", "--log", story.path, "failed-1")
    assert result.exit_code == 0
    assert "(private part forgotten)" in result.stdout
    assert "cocoa" not in result.stdout


@pytest.mark.parametrize("verb", [["list"], ["list", "--json"], ["export", "--since", "2000-01-01"], ["timeline"]])
def test_whoever_chooses_sessions_is_told_of_those_that_no_choice_finds(
    story: Book, command: Command, unknown_event: None, verb: list[str]
) -> None:
    result = command(*verb, "--log", story.path)
    assert result.exit_code == 0
    assert "strange-1" not in result.stdout
    assert "left out: session strange-1" in result.stderr


def test_a_history_with_an_unknown_event_is_shown_raw_and_fails(
    story: Book, command: Command, unknown_event: None
) -> None:
    result = command("show", "--log", story.path, "strange-1")
    assert result.exit_code == 4
    assert "unreadable" in result.stdout
    assert "session.teleported" in result.stdout or "teleported" in result.stdout
    assert "to=the moon" in result.stdout
    assert "unknown event type" in result.stderr
    shown = json.loads(command("show", "--log", story.path, "strange-1", "--json").stdout)
    assert shown["session"] is None
    assert [event["known"] for event in shown["events"]] == [True, True, True, False]
