"""`stop`, `reconcile` and `rebuild`: the verbs that write. Browsers are pretended here, the log is not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import Client
from lifecycle.client import adapters
from lifecycle.core import Create, Limits, Start
from lifecycle.core.events import SessionCreated, SessionStarted
from lifecycle.testing.fake_host import FakeBrowser
from lifecycle_chromium import ChromiumHost

if TYPE_CHECKING:
    from click.testing import Result

    from lifecycle import Session
    from tests.cli.conftest import Book, Command


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeBrowser:
    """The host of this process, for the command too."""
    made = FakeBrowser()
    monkeypatch.setitem(adapters._hosts, "chromium", made)  # pyright: ignore[reportPrivateUsage]
    return made


def started(book: Book, host: FakeBrowser, **config: Any) -> Session:
    """A session that another client runs."""
    return Client(book.path, browser=host, actor="owner").Session(page=False, **config).start()


def one(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


class TestStop:
    def test_the_session_ends_and_its_browser_with_it(self, book: Book, host: FakeBrowser, command: Command) -> None:
        session = started(book, host)
        done = one(command("stop", session.session_id, "--log", book.path, "--json", USER="grace"))
        assert (done["session"]["status"], done["session"]["cause"]) == ("closed", "stopped")
        assert (done["ended_now"], done["released"]) == (True, True)
        assert not host.browsers[session.session_id].running
        assert session.status().cause == "stopped"
        closed = next(event for event in done["events"] if event["type"] == "session.closed")
        assert closed["actor"] == "grace"
        assert closed["writer"].startswith("cli@")
        assert not [event for event in done["events"] if event["type"] == "session.accessed"], (
            "stopping is no use of it"
        )

    def test_what_has_ended_keeps_its_ending(self, story: Book, host: FakeBrowser, command: Command) -> None:
        before = story.log.read("failed-1")
        result = command("stop", "failed-1", "--log", story.path)
        assert result.exit_code == 0
        assert "exception" in result.stdout
        assert "it had ended before" in result.stderr
        assert story.log.read("failed-1") == before

    def test_stopping_too_late_records_the_timeout(self, story: Book, host: FakeBrowser, command: Command) -> None:
        done = one(command("stop", "overdue-1", "--log", story.path, "--json"))
        assert (done["session"]["status"], done["session"]["cause"]) == ("timed_out", "max_duration")
        assert done["session"]["closed_at"] == done["session"]["deadline"]
        assert done["released"]

    def test_a_keeper_that_is_gone_is_done_without(self, story: Book, host: FakeBrowser, command: Command) -> None:
        done = one(command("stop", "living-1", "--log", story.path, "--json"))
        assert done["session"]["cause"] == "stopped"
        assert done["released"]
        assert done["events"][-1]["writer"].startswith("cli@")

    def test_of_another_machine_only_the_log_is_told(self, story: Book, command: Command) -> None:
        """The real host: it sees that the session's owner is not of this machine."""
        result = command("stop", "living-1", "--log", story.path, "--json")
        done = one(result, code=1)
        assert done["session"]["cause"] == "stopped"
        assert not done["released"], "nobody here may claim that the browser is gone"
        assert "on another machine" in result.stderr

    @pytest.mark.usefixtures("unknown_event")
    def test_what_a_newer_version_has_added_keeps_nobody_from_ending_it(
        self, story: Book, host: FakeBrowser, command: Command
    ) -> None:
        done = one(command("stop", "strange-1", "--log", story.path, "--json"))
        assert (done["session"]["cause"], done["released"]) == ("stopped", True)


class TestReconcile:
    @pytest.mark.usefixtures("unknown_event")
    def test_what_only_a_newer_version_reads_is_put_right_too(
        self, story: Book, host: FakeBrowser, command: Command
    ) -> None:
        done = [json.loads(line) for line in command("reconcile", "--log", story.path, "--json").stdout.splitlines()]
        assert {one["session_id"]: one["cause"] for one in done}["strange-1"] == "keeper_lost"

    def test_what_killed_processes_have_left_goes(self, book: Book, command: Command) -> None:
        """The real host: `doctor` sends everybody here."""
        lock = book.log.runtime_dir / "keepers" / "dead.lock"
        lock.parent.mkdir()
        lock.touch()
        result = command("reconcile", "--log", book.path)
        assert (result.exit_code, result.stderr) == (0, "nothing to put right\n")
        assert not lock.exists()

    def test_what_nobody_keeps_gets_its_ending(self, story: Book, host: FakeBrowser, command: Command) -> None:
        done = [json.loads(line) for line in command("reconcile", "--log", story.path, "--json").stdout.splitlines()]
        assert {one["session_id"]: one["cause"] for one in done} == {
            "overdue-1": "max_duration",
            "living-1": "keeper_lost",
        }

    def test_the_second_time_there_is_nothing_to_do(self, story: Book, host: FakeBrowser, command: Command) -> None:
        first = command("reconcile", "--log", story.path)
        assert [line.split()[:2] for line in first.stdout.splitlines()[1:]] == [
            ["overdue-1", "max_duration"],
            ["living-1", "keeper_lost"],
        ]
        second = command("reconcile", "--log", story.path)
        assert (second.exit_code, second.stdout, second.stderr) == (0, "", "nothing to put right\n")

    def test_what_somebody_keeps_is_left_alone(self, book: Book, host: FakeBrowser, command: Command) -> None:
        session = started(book, host)
        result = command("reconcile", "--log", book.path)
        assert result.stdout == ""
        assert "1 kept or just ended, left alone" in result.stderr
        assert session.status().status == "active"
        session.stop()


class TestRebuild:
    def test_a_list_that_is_what_the_events_say(self, story: Book, command: Command) -> None:
        found = one(command("rebuild", "--log", story.path, "--json"))
        assert found["equal"]
        assert (found["sessions"], found["events"], found["differing"]) == (5, 21, [])

    def test_a_list_that_is_not_is_found_out_and_put_right(self, story: Book, command: Command) -> None:
        story.log.close()
        with closing(sqlite3.connect(story.path)) as other, other:
            other.execute("UPDATE sessions SET status = 'closed', cause = 'stopped' WHERE session_id = 'crashed-1'")
            other.execute("UPDATE sessions SET closed_at = closed_at + 1 WHERE session_id = 'closed-1'")
        wrong = command("rebuild", "--log", story.path)
        assert wrong.exit_code == 4
        assert "differed: closed-1\ndiffered: crashed-1\nNOT equal" in wrong.stdout
        right = command("rebuild", "--log", story.path)
        assert right.exit_code == 0
        shown = json.loads(command("show", "crashed-1", "--log", story.path, "--json").stdout)
        assert shown["session"]["cause"] == "browser_crashed"

    def test_a_history_that_cannot_be_read_fails_verification(
        self, story: Book, command: Command, unknown_event: None
    ) -> None:
        found = one(command("rebuild", "--log", story.path, "--json"), code=4)
        assert found["equal"]
        assert list(found["unreadable"]) == ["strange-1"]


def test_a_browser_that_somebody_else_launched_has_no_view(book: Book, command: Command) -> None:
    """It was taken for a keeper that hangs, after five seconds."""
    limits = Limits(idle_timeout_us=None, max_duration_us=900_000_000)
    created = SessionCreated(session_id="attached-1", limits=limits, owner=ChromiumHost().identity())
    book.recorder.create(Create(event=created))
    book.recorder.execute("attached-1", Start(event=SessionStarted(ownership="attached", attached_to="browser")))
    done = command("view", "--log", book.path, "attached-1")
    assert done.exit_code == 1
    assert "the live view needs a gate, and session attached-1 has none" in done.stderr
