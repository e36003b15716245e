"""`lifecycle doctor`: what it finds, and that it only looks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.log.driver import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.cli.conftest import Book, Command


def findings(result: Result) -> dict[str, dict[str, Any]]:
    found = json.loads(result.stdout)
    assert found["ok"] == all(one["ok"] for one in found["findings"])
    assert result.exit_code == (0 if found["ok"] else 1)
    return {one["name"]: one for one in found["findings"]}


def test_versions_journal_log_and_adapters(story: Book, command: Command) -> None:
    found = findings(command("doctor", "--json", "--log", story.path))
    assert found["sqlite"]["found"] == sqlite3.sqlite_version
    assert found["journal"]["found"].startswith(("wal", "delete"))
    assert found["journal"]["why"]
    assert str(story.path) in found["log"]["found"]
    assert found["log"]["why"] == "--log says so"
    assert {"what": "sessions", "found": "5"} in found["log"]["details"]
    assert "lifecycle_chromium" in found["adapter chromium"]["found"]
    assert "lifecycle_playwright" in found["adapter playwright"]["found"]
    assert found["playwright"]["found"][0].isdigit()
    assert {"browser", "browser with a window", "sandbox", "display", "keepers", "leftovers"} <= found.keys()


def test_a_log_that_is_not_there_is_not_made(tmp_path: Path, command: Command) -> None:
    found = findings(command("doctor", "--json", "--log", tmp_path / "none.db"))
    assert "not there yet" in found["log"]["found"]
    assert found["log"]["ok"]
    bad = findings(command("doctor", "--json", "--log", tmp_path / "no" / "none.db"))
    assert not bad["log"]["ok"]
    assert not list(tmp_path.iterdir())


def test_the_default_log_is_named_and_not_made(tmp_path: Path, command: Command) -> None:
    home = {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path), "LIFECYCLE_LOG": ""}
    found = findings(command("doctor", "--json", **home))
    assert found["log"]["why"] == "the default"
    assert found["log"]["ok"]
    assert not list(tmp_path.iterdir())
    named = findings(command("doctor", "--json", LIFECYCLE_LOG=str(tmp_path / "mine.db")))
    assert named["log"]["why"] == "$LIFECYCLE_LOG says so"


def test_a_broken_log_is_a_finding_and_no_end(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    found = findings(command("doctor", "--json", "--log", path))
    assert not found["log"]["ok"]
    assert "browser" in found


@pytest.mark.parametrize("browser", ["/no/such/browser", "/etc/passwd", "/bin/false"])
def test_a_browser_that_cannot_be_used_needs_attention(tmp_path: Path, command: Command, browser: str) -> None:
    result = command("doctor", "--json", "--log", tmp_path / "none.db", LIFECYCLE_BROWSER=browser)
    found = findings(result)
    assert not found["browser"]["ok"]
    assert browser in found["browser"]["found"]
    text = command("doctor", "--log", tmp_path / "none.db", LIFECYCLE_BROWSER=browser)
    assert [line[0] for line in text.stdout.splitlines() if line[2:].startswith("browser ")] == ["!", "!"]


@pytest.mark.browser
def test_the_browser_and_why_it_was_chosen(tmp_path: Path, command: Command) -> None:
    found = findings(command("doctor", "--json", "--log", tmp_path / "none.db"))
    assert found["browser"]["ok"]
    assert found["browser"]["why"]
    assert found["browser"]["found"].endswith(")"), "with its version: it was run"


def test_what_dead_processes_left_needs_attention(book: Book, command: Command) -> None:
    runtime = book.log.runtime_dir
    for name in ("profiles/gone-1", "keepers", "endpoints"):
        (runtime / name).mkdir(parents=True)
    (runtime / "keepers" / "k9.lock").touch()
    (runtime / "keepers" / "k9.err").write_text("out of memory")
    (runtime / "endpoints" / "gone-2.json").touch()
    found = findings(command("doctor", "--json", "--log", book.path))
    assert not found["leftovers"]["ok"]
    assert [one["what"].rpartition("/")[2] for one in found["leftovers"]["details"]] == [
        "gone-2.json",
        "gone-1",
        "k9.lock",
        "k9.err",
    ]
    assert found["keepers"]["found"] == "none"


def test_an_adapter_that_breaks_is_a_finding(story: Book, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifecycle.client import adapters

    def broken(name: str) -> Any:
        raise ImportError(f"no module for {name}")

    monkeypatch.setattr(adapters, "load", broken)
    found = findings(command("doctor", "--json", "--log", story.path))
    assert not found["adapter chromium"]["ok"]
    assert "no module for chromium" in found["adapter chromium"]["found"]
