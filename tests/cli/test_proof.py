"""The verbs that prove, carry away, and let go: what they print, how they exit, and that looking changes nothing."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lifecycle.audit.note import load_signing_key, make_key, sign
from lifecycle.log import SqliteLog

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Book, Command


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key to sign with."""
    make_key(tmp_path / "key", "example.com/shop")
    return tmp_path / "key"


def spoil(path: Path) -> None:
    """Change an event behind the guards' back."""
    with closing(sqlite3.connect(path)) as conn, conn:
        (guard,) = conn.execute("SELECT sql FROM sqlite_schema WHERE name = 'events_no_update'").fetchone()
        conn.execute("DROP TRIGGER events_no_update")
        conn.execute("UPDATE events SET actor = 'eve\x1b[31m' WHERE stream = 'failed-1' AND version = 2")
        conn.execute(guard)


def test_verify_says_that_all_is_well_and_how_much_it_was(story: Book, command: Command) -> None:
    result = command("verify", "--log", story.path)
    assert result.exit_code == 0
    assert "of 5 sessions looked at" in result.stdout
    assert result.stdout.endswith("verified: nothing was changed, and the list of sessions is what the events say\n")
    found = json.loads(command("verify", "--log", story.path, "--json").stdout)
    assert found["verified"] is True
    assert (found["sessions"], found["faults"], found["more"]) == (5, [], 0)


def test_verify_names_the_first_fault_and_exits_with_4(story: Book, command: Command) -> None:
    spoil(story.path)
    result = command("verify", "--log", story.path)
    assert result.exit_code == 4
    assert "FAULT events, stream failed-1, version 2, position " in result.stdout
    assert "\x1b" not in result.stdout
    found = json.loads(command("verify", "--log", story.path, "--json").stdout)
    assert found["verified"] is False
    assert found["faults"][0]["stream"] == "failed-1"


def test_verify_looks_at_the_events_though_a_guard_is_missing(story: Book, command: Command) -> None:
    """Whoever took the guard off without putting it back would be told of, and what was done meanwhile would not."""
    spoil(story.path)
    with closing(sqlite3.connect(story.path)) as conn, conn:
        conn.execute("DROP TRIGGER events_no_update")
    result = command("verify", "--log", story.path)
    assert result.exit_code == 4
    assert "of 5 sessions looked at" in result.stdout
    assert "FAULT events, stream failed-1, version 2, position " in result.stdout
    assert "events_no_update is missing" in result.stdout
    assert command("list", "--log", story.path).exit_code == 4, "everybody else is refused"


@pytest.mark.parametrize("verb", ["verify", "list"])
@pytest.mark.parametrize("name", ["events", "private", "sessions", "session_labels", "tree", "unreadable"])
def test_nothing_is_read_through_a_view_of_a_strangers(story: Book, command: Command, name: str, verb: str) -> None:
    """One without an end kept whoever looked into such a log busy for ever."""
    story.log.close()
    with closing(sqlite3.connect(story.path)) as conn:
        columns = ", ".join(f"n AS {row[1]}" for row in conn.execute(f"PRAGMA table_info({name})"))
        endless = "WITH RECURSIVE x (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x)"
        conn.executescript(f"DROP TABLE {name}; CREATE VIEW {name} AS {endless} SELECT {columns} FROM x")
    result = command(verb, "--log", story.path)
    assert result.exit_code == 4
    assert f"{name} is no" in result.output


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE events",
        "DROP TABLE private",
        "DROP TABLE sessions",
        "DROP TABLE tree",
        "PRAGMA user_version = 0",
        "CREATE TRIGGER t AFTER INSERT ON events BEGIN SELECT 1; END",
        "DROP VIEW sessions_view",
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'events_guard'",
    ],
)
def test_verify_of_a_schema_that_was_changed_ends_with_4(story: Book, command: Command, sql: str) -> None:
    story.log.close()
    with closing(sqlite3.connect(story.path)) as conn:
        conn.executescript(sql)
    result = command("verify", "--log", story.path)
    assert result.exit_code == 4, result.output
    assert "FAULT " in result.stdout
    assert json.loads(command("verify", "--log", story.path, "--json").stdout)["verified"] is False


def test_verify_of_a_file_that_can_not_be_opened_is_a_fault(story: Book, command: Command) -> None:
    story.log.close()
    with closing(sqlite3.connect(story.path)) as conn, conn:
        conn.execute("DROP INDEX events_one_ending")
    result = command("verify", "--log", story.path)
    assert result.exit_code == 4
    assert "events_one_ending is missing" in result.stdout
    story.path.write_bytes(b"")
    assert command("verify", "--log", story.path).exit_code == 4
    assert command("verify", "--log", story.path.parent / "nothing.db").exit_code == 3


def test_a_checkpoint_holds_until_history_is_rewritten(story: Book, command: Command, key: Path) -> None:
    taken = command("checkpoint", "--key", key, "--log", story.path)
    assert taken.exit_code == 0
    kept = story.path.parent / "kept"
    kept.write_text(taken.stdout)
    public = command("key", key).stdout.strip()
    against = ("verify", "--log", story.path, "--against", kept, "--public", public)
    assert command(*against).exit_code == 0
    forged = sign(9, bytes(32), load_signing_key(key))
    kept.write_text(forged.text)
    result = command(*against)
    assert result.exit_code == 4
    assert f"FAULT checkpoint, position 9: the root over the first 9 events: expected {'0' * 64}" in result.stdout


@pytest.mark.parametrize("change", [("example.com/shop\n", "example.com/else\n"), ("\n\n", "\n"), ("=\n", "=")])
def test_a_forged_checkpoint_is_refused(story: Book, command: Command, key: Path, change: tuple[str, str]) -> None:
    kept = story.path.parent / "kept"
    kept.write_text(command("checkpoint", "--key", key, "--log", story.path).stdout.replace(*change))
    result = command("verify", "--log", story.path, "--against", kept, "--public", key)
    assert result.exit_code == 4
    assert "the checkpoint can't be trusted" in result.stderr


def test_a_wrong_key_is_refused_and_named(story: Book, command: Command, key: Path) -> None:
    kept = story.path.parent / "kept"
    kept.write_text(command("checkpoint", "--key", key, "--log", story.path).stdout)
    other = make_key(story.path.parent / "other", "example.com/other")
    result = command("verify", "--log", story.path, "--against", kept, "--public", str(other.verifying))
    assert result.exit_code == 4
    assert "signed by example.com/shop+" in result.stderr
    assert "not by example.com/other+" in result.stderr


def test_a_recorded_checkpoint_is_an_event_and_no_session(story: Book, command: Command, key: Path) -> None:
    first = command("checkpoint", "--key", key, "--log", story.path, "--record")
    kept = story.path.parent / "kept"
    kept.write_text(first.stdout)
    since = json.loads(command("checkpoint", "--key", key, "--log", story.path, "--since", kept, "--json").stdout)
    assert since["size"] == since["since"]["size"] + 1
    assert since["since"]["proof"]
    listed = command("list", "--log", story.path, "--json").stdout.splitlines()
    assert "log" not in [json.loads(line)["session_id"] for line in listed]
    assert command("show", "log", "--log", story.path).exit_code == 3
    assert command("stop", "log", "--log", story.path).exit_code == 3
    assert json.loads(command("rebuild", "--log", story.path, "--json").stdout)["sessions"] == 5


def test_an_event_is_proved_in_a_file_of_its_own(story: Book, command: Command, key: Path) -> None:
    result = command("prove", "failed-1", 4, "--key", key, "--log", story.path)
    assert result.stdout.startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert "cocoa" not in result.stdout
    assert command("prove", "failed-1", 40, "--key", key, "--log", story.path).exit_code == 2
    assert command("prove", "nobody-1", 1, "--key", key, "--log", story.path).exit_code == 3
    assert command("prove", "failed-1", 4, "--log", story.path).exit_code == 2


def test_an_export_comes_back(story: Book, command: Command) -> None:
    lines = command("export", "--log", story.path).stdout
    file, copy = story.path.parent / "all.jsonl", story.path.parent / "copy.db"
    file.write_text(lines)
    assert command("import", file, "--log", copy).exit_code == 0
    assert command("export", "--log", copy).stdout == lines
    assert command("export", "--to", "-", "--log", copy).stdout == lines
    assert command("verify", "--log", copy).exit_code == 0
    assert command("check", file).exit_code == 0
    again = json.loads(command("import", file, "--log", copy, "--json").stdout)
    assert again["events"] == 0
    chosen = command("export", "--label", "job=nightly", "--log", story.path).stdout
    assert {json.loads(line).get("stream") for line in chosen.splitlines()} == {"closed-1", "failed-1", None}
    one = command("export", "failed-1", "--log", story.path, "--format", "csv").stdout
    assert one.count("\n") == 1 + len(story.log.read("failed-1"))


def test_an_export_that_was_cut_or_has_a_key_twice_is_named_by_its_line(story: Book, command: Command) -> None:
    lines = command("export", "--log", story.path).stdout.splitlines(keepends=True)
    file = story.path.parent / "bad.jsonl"
    for bad, said in (
        ("".join(lines[:7])[:-10], "line 7 of the export: is cut"),
        ("".join(lines[:7]), "line 8 of the export: is missing"),
        (lines[0].replace("{", '{"type":"x",', 1) + "".join(lines[1:]), "line 1 of the export: .*twice"),
    ):
        file.write_text(bad)
        for verb in (("import", file, "--log", story.path.parent / "other.db"), ("check", file)):
            result = command(*verb)
            assert result.exit_code == 4
            assert re.search(said, result.stderr), result.stderr


def test_check_names_what_today_would_refuse(story: Book, command: Command) -> None:
    assert command("check", "--log", story.path).exit_code == 0
    assert command("check", "x.jsonl", "--log", story.path).exit_code == 2


def test_check_takes_a_log_where_it_takes_an_export(story: Book, command: Command) -> None:
    copy = story.path.parent / "copy.db"
    command("backup", copy, "--log", story.path)
    found = command("check", copy)
    assert (found.exit_code, found.stdout) == (0, command("check", "--log", story.path).stdout)
    assert command("check", story.path.parent).exit_code == 2


def test_a_backup_is_verified_and_never_over_a_file(story: Book, command: Command) -> None:
    to = story.path.parent / "backup.db"
    assert command("backup", to, "--log", story.path).exit_code == 0
    assert command("verify", "--log", to).exit_code == 0
    assert command("backup", to, "--log", story.path).exit_code == 2


def test_forget_and_seal_need_what_has_ended(story: Book, command: Command, key: Path) -> None:
    assert command("forget", "living-1", "--log", story.path).exit_code == 1
    done = json.loads(command("forget", "failed-1", "--log", story.path, "--json").stdout)
    assert done["rows"] == 2
    assert "cocoa" not in command("show", "failed-1", "--log", story.path).stdout
    refused = command("seal", "--key", key, "--log", story.path)
    assert refused.exit_code == 1
    assert "living-1" in refused.stderr
    assert command("verify", "--log", story.path).exit_code == 0


def test_a_sealed_log_is_verified_and_refuses_the_next_event(story: Book, command: Command, key: Path) -> None:
    path = story.path.parent / "small.db"
    SqliteLog(path).close()
    following = story.path.parent / "next.db"
    sealed = command("seal", "--key", key, "--log", path, "--next", following)
    assert sealed.exit_code == 0
    (story.path.parent / "last").write_text(sealed.stdout)
    again = command("verify", "--log", path, "--against", story.path.parent / "last", "--public", key)
    assert again.exit_code == 0
    refused = command("checkpoint", "--record", "--key", key, "--log", path)
    assert refused.exit_code == 1
    assert "is sealed" in refused.stderr
    assert command("verify", "--log", following).exit_code == 0
