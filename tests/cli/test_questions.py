"""The verbs that ask: what they print under a fixed clock, in a pipe and as JSON; and how they refuse."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.cli import text
from lifecycle.core import Cause, Expire
from tests.audit.corpus import Writer
from tests.audit.strange import opener, plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Command, User


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """A log of three sessions: stopped, crashed, living; the command's clock is the writer's."""
    made = Writer(opener(tmp_path / "log.db"))
    made.end(Cause.STOPPED)
    made.end(Cause.BROWSER_CRASHED)
    made.living()
    monkeypatch.setattr(text.clock, "now", made.clock.now)
    monkeypatch.setenv("LIFECYCLE_LOG", str(tmp_path / "log.db"))
    yield made
    made.log.close()


def lines(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


HISTORY = """\
version  offset  event             by                detail
1        +0.000  created           ada, client 100   owner pid 100, keeper pid 200
2        +0.500  started           keeper 200        launched, browser_version=HeadlessChrome/156.0,
                                                     keeper pid 200, browser pid 300
3        +1.500  client_connected  keeper 200        client=client#1, identity pid 100
4        +2.500  tab_opened        keeper 200        tab=AAAAAAAA, url=about:blank
5        +3.500  navigated         keeper 200        tab=AAAAAAAA, url=https://shop.example/prices?page=REDACTED
6        +4.500  operation         ada, client 100   kind=click, ok, took=0.12 s, target=text=Next
7        +5.500  annotated         ada, client 100   row, data={"item": "cocoa", "n": 3}
8        +6.500  operation         ada, client 100   error_type=StaleElement, kind=fill, took=30.0 ms
9        +7.500  page_crashed      keeper 200        tab=AAAAAAAA
10       +8.500  accessed          keeper 200        by=gate, last_at=2026-09-21T10:15:36.375000Z
11       +8.750  failed            keeper 200        browser_crashed, signal=9 (SIGKILL)
12       +8.875  released          keeper 200        killed, profile_removed, took=83.5 ms
"""


def test_history(book: Writer, command: Command) -> None:
    shown = command("history", "browser_crashed")
    assert shown.stdout.split() == HISTORY.split()
    last = command("history", "browser_", "-n", 2, "--reverse").stdout.splitlines()
    assert [line.split()[2] for line in last] == ["event", "released", "failed"]
    found = lines(command("history", "browser_crashed", "--json", "-n", 3))
    assert [one["type"] for one in found] == ["session.accessed", "session.failed", "session.released"]
    assert all(one["session_id"] == "browser_crashed" and one["known"] for one in found)


def test_history_detailed_and_event_show_every_column(book: Writer, command: Command) -> None:
    whole = command("history", "browser_crashed", "--detailed").stdout
    event = command("event", "browser_crashed", 11).stdout
    assert event in whole
    assert event.splitlines()[:6] == [
        "event          session.failed",
        "session        browser_crashed",
        "version        11",
        "cursor         23",
        "id             e-000023",
        "schema         1",
    ]
    assert "recorded       2026-09-21T10:15:37.625000Z, 0.0 ms after it" in event
    assert 'data.evidence  {"signal": 9}' in event
    assert json.loads(command("event", "browser_crashed", -2, "--json").stdout)["version"] == 11
    for version in (0, 13, -13):
        refused = command("event", "browser_crashed", version)
        assert refused.exit_code == 3
        assert "it has 1 to 12" in refused.stderr


def test_why(book: Writer, command: Command) -> None:
    assert command("why", "browser_crashed").stdout == (
        "Session browser_crashed is error (browser_crashed) since 2026-09-21T10:15:37.625Z, after 8.75 s. The browser,"
        " pid 300 on desk, died, and nobody here had asked it to. The evidence: signal=9 (SIGKILL). It was recorded 0.0"
        " ms later, by keeper 200. Its deadline was 2026-09-21T10:18:36.375Z (by its idle timeout), 2 min 59 s later;"
        " the last to move it was keeper 200 with accessed at 2026-09-21T10:15:37.375Z. Its page was"
        " https://shop.example/prices?page=REDACTED, since 2026-09-21T10:15:32.375Z; a page had crashed at"
        " 2026-09-21T10:15:36.375Z; the last operations were click of text=Next (ok) at 2026-09-21T10:15:33.375Z, then"
        " fill (failed with StaleElement) at 2026-09-21T10:15:35.375Z; connected was client#1. The browser's processes"
        " were killed or found dead, 0.12 s after the end.\n"
    )
    found = json.loads(command("why", "browser_crashed", "--json").stdout)
    assert (found["cause"], found["moved_by"]["version"], found["ending"]["data"]["evidence"]) == (
        "browser_crashed",
        10,
        {"signal": 9},
    )
    assert found["recorded_after_s"] == 0


def test_tail_shows_the_last_and_goes_on_from_a_cursor(book: Writer, command: Command) -> None:
    shown = command("tail", "-n", 2).stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["36", "37"]
    assert shown[-1].split() == [
        "37",
        "2026-09-21T10:16:58.250000Z",
        "living",
        "extended",
        *["bob,", "client", "101", "until=2026-09-21T10:46:58.250000Z"],
    ]
    assert [one["cursor"] for one in lines(command("tail", "--after", 34, "--json"))] == [35, 36, 37]
    assert [one["version"] for one in lines(command("tail", "stopped", "-n", 1, "--json"))] == [12]
    assert [one["version"] for one in lines(command("tail", "stopped", "-f", "-n", 2, "--json"))] == [11, 12]
    assert len(lines(command("tail", "--json"))) == 10
    assert lines(command("tail", "-n", 0, "--json")) == []
    both = command("tail", "--after", 34, "-n", 2)
    assert (both.exit_code, both.stdout) == (2, "")
    assert "give -n or --after, not both" in both.stderr
    assert lines(command("tail", "--after", 37, "--json")) == []
    assert command("tail", "--after", 99_999).stdout == ""


def test_tail_follows_until_it_is_interrupted(book: Writer) -> None:
    line = [sys.executable, "-m", "lifecycle", "tail", "-f", "-n", "1", "--json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())["cursor"]
        book.release(book.end(Cause.EXITED, released=False))
        until = time.monotonic() + 30
        seen: list[str] = []
        while time.monotonic() < until and "session.released" not in seen:
            seen.append(json.loads(process.stdout.readline())["type"])
        assert seen[0] == "session.created"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert (first, process.returncode) == (37, 130)


def test_the_logs_own_history_is_shown_by_the_name_log(book: Writer, command: Command) -> None:
    nothing = command("history", "log")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no receipts" in nothing.stderr
    assert "the log's own history has no event 1; it has none" in command("event", "log", "1").stderr
    [forgotten] = json.loads(command("list", "--cause", "stopped", "--json").stdout)["session_id"].split()
    assert command("forget", forgotten).exit_code == 0
    for shown in (command("history", "log"), command("tail", "log"), command("tail", "-n", 1)):
        assert "log.forgotten" in shown.stdout
        assert f"session_id={forgotten}" in shown.stdout, "whose"
    found = json.loads(command("event", "log", "-1", "--json").stdout)
    assert (found["type"], found["known"], found["data"]["session_id"]) == ("log.forgotten", True, forgotten)


STATS = """\
sessions        3
durations       p50 8.75 s, p90 8.75 s, p99 8.75 s, max 8.75 s (of 2 that ended)
in all          17.5 s
recorded after  p50 0.0 ms, p90 0.0 ms, p99 0.0 ms, max 0.0 ms (of 2 endings)

status  sessions
active  1
closed  1
error   1

cause            sessions
browser_crashed  1
stopped          1

label                  sessions  median duration  in all  by status
job=nightly            2         8.75 s           17.5 s  closed 1, error 1
cause=browser_crashed  1         8.75 s           8.75 s  error 1
cause=stopped          1         8.75 s           8.75 s  closed 1
job=daily              1                                  active 1

day         sessions  median duration  in all  by status
2026-09-21  3         8.75 s           17.5 s  active 1, closed 1, error 1
"""


def test_stats(book: Writer, command: Command) -> None:
    assert command("stats").stdout == STATS
    found = json.loads(command("stats", "--cause", "stopped", "--since", "1d ago", "--json").stdout)
    assert (found["sessions"], found["durations"]["p50_s"], found["by_label"]["job=nightly"]["sessions"]) == (
        1,
        8.75,
        1,
    )
    assert found["total_s"] == found["by_label"]["job=nightly"]["total_s"] == 8.75
    assert found["unreadable"] == 0


def test_diff(book: Writer, command: Command) -> None:
    shown = command("diff", "stopped", "browser_crashed").stdout.splitlines()
    assert shown[0].split() == ["differs", "A", "B"]
    assert ["status", "closed", "error"] in [line.split() for line in shown]
    assert [line.split()[:3] for line in shown if line.startswith(("-", "+"))] == [
        ["-", "+8.750", "closed"],
        ["-", "+8.875", "released"],
        ["+", "+8.750", "failed"],
        ["+", "+8.875", "released"],
    ]
    found = json.loads(command("diff", "stopped", "browser_crashed", "--json").stdout)
    assert found["fields"]["cause"] == {"a": "stopped", "b": "browser_crashed"}
    assert [line["mark"] for line in found["lines"]].count("=") == 10
    same = command("diff", "stopped", "stopped")
    assert "nothing but times differs" in same.stderr


def test_list_by_everything(book: Writer, command: Command) -> None:
    cases: list[tuple[list[str], list[str]]] = [
        (["--cause", "stopped", "--cause", "browser_crashed"], ["browser_crashed", "stopped"]),
        (["--order", "oldest"], ["stopped", "browser_crashed", "living"]),
        (["--order", "longest", "--limit", "1"], ["living"]),
        (["--longer-than", "9s"], ["living"]),
        (["--shorter-than", "9s"], ["browser_crashed", "stopped"]),
        (["--ended-since", "2026-09-21T10:15Z", "--status", "error"], ["browser_crashed"]),
        (["--ended-until", "2026-09-21T10:15Z"], ["stopped"]),
        (["--url", "SHOP.example", "--actor", "bob"], ["living"]),
        (["--error", "nothing of the kind"], []),
        (["--owner", "desk:100", "--until", "2026-09-21T10:15Z"], ["stopped"]),
        (["--at", "2026-09-21T10:14:25Z"], ["stopped"]),
        (["--at", "2026-09-21T10:14:25Z", "--status", "closed"], []),
        (["--after", "browser_"], ["stopped"]),
    ]
    for options, expected in cases:
        assert [one["session_id"] for one in lines(command("list", "--json", *options))] == expected, options
    [was] = lines(command("list", "--json", "--at", "2026-09-21T10:14:25Z"))
    assert (was["status"], was["duration_s"]) == ("active", 5.0)
    for wrong in (["--longer-than", "soon"], ["--cause", "unknown"], ["--order", "best"], ["--at", "whenever"]):
        assert command("list", *wrong).exit_code == 2, wrong


def test_show_at_a_time_at_a_version_and_as_it_was_known(book: Writer, command: Command) -> None:
    book.overdue()
    book.keeper.execute("overdue", Expire())
    for options, status, events in (
        (["--at", "2026-09-21T10:25:00Z"], "timed_out", 3),
        (["--at", "2"], "active", 2),
        (["--at", "2026-09-21T10:18:10.5Z"], "active", 2),
    ):
        shown = json.loads(command("show", "overdue", "--json", *options).stdout)
        assert shown["session"]["status"] == status
        assert len(shown["events"]) == events
    just_after = ("2026-09-21T10:21:15Z",)
    was = json.loads(command("show", "overdue", "--json", "--at", *just_after).stdout)
    known = json.loads(command("show", "overdue", "--json", "--known-at", *just_after).stdout)
    assert [one["type"] for one in was["events"]][-1] == "session.timed_out"
    assert [one["type"] for one in known["events"]][-1] == "session.started"
    assert was["session"]["closed_at"] == known["session"]["closed_at"]
    assert "not yet: whoever reads" in command("show", "overdue", "--known-at", *just_after).stdout
    assert command("show", "overdue", "--at", "2020-01-01").exit_code == 3
    assert command("show", "overdue", "--at", "9").exit_code == 2


def test_an_id_s_beginning_and_what_several_share(book: Writer, command: Command) -> None:
    book.create("same-1")
    book.create("same-2")
    refused = command("why", "same")
    assert refused.exit_code == 2
    assert "same-1, same-2" in refused.stderr
    for verb in (["show"], ["why"], ["history"], ["event", "1"], ["tail"], ["diff", "stopped"]):
        assert command(verb[0], "brow", *verb[1:]).exit_code == 0, verb
        assert command(verb[0], "nope", *verb[1:]).exit_code == 3, verb


def test_what_is_not_known_here_is_shown_raw(book: Writer, command: Command, tmp_path: Path) -> None:
    plant(tmp_path / "log.db", "living", "session.teleported", {"to": "the moon"}, at=book.clock.now())
    assert "to=the moon" in command("history", "living", "-n", 1).stdout
    assert "Not weighed here" in command("why", "living").stdout
    assert command("why", "living").exit_code == 0
    assert lines(command("tail", "-n", 1, "--json"))[0]["known"] is False
    assert "data.to  " in command("event", "living", -1).stdout
    assert "teleported" in command("diff", "stopped", "living").stdout
    plant(tmp_path / "log.db", "broken", "session.created", {"nonsense": 1}, at=book.clock.now())
    assert command("why", "broken").exit_code == 4
    assert "nonsense=1" in command("history", "broken").stdout


def test_a_reader_that_goes_away_ends_a_tail(book: Writer, user: User) -> None:
    line = f"{sys.executable} -m lifecycle tail --after 0 | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("1  ")
    assert "Traceback" not in done.stderr


def test_timeline_here_and_in_files(book: Writer, command: Command, tmp_path: Path) -> None:
    shown = command("timeline").stdout.splitlines()
    assert [line.split()[0] for line in shown[3::2][:3]] == ["stopped", "browser_crashed", "living"]
    files = [tmp_path / name for name in ("t.svg", "t.html", "t.json")]
    done = command("timeline", "stopp", "--svg", files[0], "--html", files[1], "--trace", files[2])
    assert (done.exit_code, done.stdout) == (0, "")
    assert files[0].read_text("utf-8").startswith("<svg ")
    assert files[1].read_text("utf-8").startswith("<!doctype html>")
    assert json.loads(files[2].read_text("utf-8"))["otherData"]["sessions"] == 1
    assert command("timeline", "stopped", "--svg", "-").stdout == files[0].read_text("utf-8")
    found = json.loads(command("timeline", "--cause", "stopped", "--json").stdout)
    assert [one["session_id"] for one in found["sessions"]] == ["stopped"]
    assert len(found["sessions"][0]["events"]) == 12
    assert command("timeline", "stopped", "--cause", "idle").exit_code == 2
    refused = command("timeline", "--html", str(book.log.locator).removeprefix("sqlite:"))
    assert (refused.exit_code, "over the log itself" in refused.stderr) == (2, True)
    refused = command("timeline", "--svg", tmp_path / "nowhere" / "t.svg")
    assert refused.exit_code == 1
    assert "can't be written" in refused.stderr
