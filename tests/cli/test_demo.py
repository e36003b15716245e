"""`lifecycle demo`: the whole of it on real browsers, and that its proofs and promises can fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.audit.history import history
from lifecycle.cli.demo import proof
from lifecycle.cli.demo.cast import CAST, Played, broken_promises
from lifecycle.client.sessions import Sessions
from lifecycle.core import Cause

if TYPE_CHECKING:
    from tests.cli.conftest import Book, Command, User

PARTS = {part.name: part for part in CAST}


def played(book: Book, name: str, session_id: str, **more: Any) -> Played:
    """The part *name*, played by a session of the book."""
    live = Sessions(book.recorder).get(session_id)
    steps = list(history(book.log, session_id))
    saw = {"view": live.model_dump(mode="json"), "raised": PARTS[name].raised}
    made = Played(part=PARTS[name], session_id=session_id, steps=steps, live=live, saw=saw)
    made.exit_code = PARTS[name].exit_code
    for field, value in more.items():
        setattr(made, field, value)
    return made


def proofs(book: Book, *parts: Played) -> list[bool]:
    scratch = book.path.parent / "scratch"
    scratch.mkdir()
    return [one.holds for one in proof.prove(book.log, book.path, parts, scratch)]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is left at once."""
    monkeypatch.setattr(proof, "_GOING_S", 0.0)


class TestProof:
    def test_holds_for_a_log_that_tells_the_truth(self, story: Book, hasty: None) -> None:
        parts = [played(story, "killed", "crashed-1"), played(story, "raises", "failed-1")]
        assert proofs(story, *parts) == [True] * 5

    def test_sees_a_live_view_that_was_another(self, story: Book, hasty: None) -> None:
        part = played(story, "killed", "crashed-1")
        assert part.live is not None
        part.live = part.live.model_copy(update={"cause": Cause.KEEPER_LOST})
        assert proofs(story, part) == [False, True, False, True, True]

    def test_sees_what_the_owner_saw_otherwise(self, story: Book, hasty: None) -> None:
        part = played(story, "killed", "crashed-1")
        assert part.saw is not None
        part.saw["view"]["labels"] = {"job": "other"}
        assert proofs(story, part) == [True, False, True, True, True]

    def test_sees_a_read_model_that_lies(self, story: Book, hasty: None) -> None:
        import sqlite3

        part = played(story, "killed", "crashed-1")
        other = sqlite3.connect(story.path)
        with other:
            other.execute("UPDATE sessions SET cause = 'browser_lost' WHERE session_id = 'crashed-1'")
        other.close()
        assert proofs(story, part) == [True, True, True, False, True]

    def test_sees_a_process_and_a_profile_that_are_left(self, story: Book, hasty: None) -> None:
        runtime = Path(f"{story.path}.d")
        (runtime / "profiles" / "crashed-1").mkdir(parents=True)
        idle = [sys.executable, "-c", "import time; time.sleep(60)", str(runtime)]
        with subprocess.Popen(idle) as process:
            try:
                left = proof.prove(story.log, story.path, [played(story, "killed", "crashed-1")], story.path.parent)[-1]
            finally:
                process.kill()
        assert any(f"process {process.pid}" in line for line in left.wrong)
        assert any("profiles/crashed-1" in line for line in left.wrong)

    def test_nothing_compared_is_nothing_proved(self, story: Book, hasty: None) -> None:
        assert proofs(story)[0] is False


class TestPromises:
    def test_kept(self, story: Book) -> None:
        assert broken_promises(played(story, "killed", "crashed-1")) == []
        assert broken_promises(played(story, "raises", "failed-1")) == []
        assert broken_promises(played(story, "normal", "closed-1")) == []

    def test_another_ending_than_promised(self, story: Book) -> None:
        [sentence] = broken_promises(played(story, "killed", "closed-1"))
        assert sentence == "it is closed/stopped, promised was error/browser_crashed"

    def test_an_ending_that_is_late(self, story: Book) -> None:
        late = played(story, "killed", "crashed-1")
        assert late.ending is not None
        late.struck_at = late.ending.recorded_at - 9_000_000
        assert "9.00 s late, promised are 0.25 s" in broken_promises(late)[0]

    def test_an_error_that_did_not_reach_the_script(self, story: Book) -> None:
        part = played(story, "killed", "crashed-1", saw=None, exit_code=1, words="Traceback …\nTargetClosedError: gone")
        assert broken_promises(part) == [
            "its script ended with 1, expected 0: TargetClosedError: gone",
            "its script was to get BrowserLost: TargetClosedError: gone",
        ]

    def test_evidence_that_is_missing(self, story: Book) -> None:
        part = played(story, "killed", "crashed-1")
        part.part = replace(part.part, evidence={"signal": 11})
        assert broken_promises(part) == ["its evidence signal is 9, expected 11"]

    def test_a_visit_that_nobody_paid(self, story: Book) -> None:
        assert broken_promises(played(story, "shared", "closed-1", visitor_exit_code=0)) == [
            "its history names no visitor",
            "its owner did not find the page that the visitor had opened",
        ]

    def test_a_session_that_never_came_or_never_went(self, story: Book) -> None:
        never = Played(part=PARTS["normal"], words="lifecycle.errors.BrowserNotFound: none")
        assert broken_promises(never) == [
            "its script has not started a session: lifecycle.errors.BrowserNotFound: none"
        ]
        living = played(story, "normal", "living-1")
        assert broken_promises(living) == ["its history stops at session.navigated"]


def test_without_a_browser_it_fails_with_a_sentence(user: User) -> None:
    done = user("demo", LIFECYCLE_BROWSER="/no/such/browser")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no session could be started" in done.stderr
    assert "/no/such/browser" in done.stderr


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_everything_is_as_promised_in_less_than_a_minute(tmp_path: Path, command: Command) -> None:
    log = tmp_path / "demo.db"
    line = [sys.executable, "-m", "lifecycle", "demo", "--json", "--log", str(log)]
    began = time.monotonic()
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    shown = json.loads(done.stdout)
    assert {one["demo"]: (one["session"]["status"], one["session"]["cause"]) for one in shown["sessions"]} == {
        "normal": ("closed", "stopped"),
        "raises": ("error", "exception"),
        "killed": ("error", "browser_crashed"),
        "idle": ("timed_out", "idle"),
        "shared": ("closed", "stopped"),
        "orphan": ("closed", "owner_exited"),
    }
    assert len(shown["proofs"]) == 5
    assert all(one["holds"] for one in shown["proofs"])
    listed = command("list", "--json", "--log", log).stdout.splitlines()
    assert {json.loads(one)["session_id"] for one in listed} == {one["session_id"] for one in shown["sessions"]}
    assert not list((tmp_path / "demo.db.d" / "profiles").iterdir())
    for name in PARTS:
        assert f" {name:<8}released" in done.stderr, "every step was told while it worked"


@pytest.mark.browser
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "demo.db"
    line = [sys.executable, "-m", "lifecycle", "demo", "--log", str(log)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for told in process.stderr:
            if " started " in told:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    runtime = tmp_path / "demo.db.d"
    until = time.monotonic() + 20
    while (left := [*_mine(tmp_path), *(runtime / "profiles").iterdir()]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


def _mine(folder: Path) -> list[str]:
    """Processes that were started on *folder*."""
    return [command for pid, command in proof.commands() if str(folder) in command and pid != os.getpid()]
