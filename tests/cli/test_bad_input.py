"""Whatever is wrong with what was typed or with the file: one sentence, an exit code, and nothing made or changed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Book, Command, User

#: verbs that work on a log which is there
VERBS = (["list"], ["show", "closed-1"], ["stop", "closed-1"], ["reconcile"], ["rebuild"])


def tampered(book: Book, *statements: str) -> Path:
    """The book's file after a foreign program was at it."""
    book.log.close()
    with closing(sqlite3.connect(book.path)) as other, other:
        for statement in statements:
            other.execute(statement)
    return book.path


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_log_that_is_not_there_is_not_made(tmp_path: Path, command: Command, verb: list[str]) -> None:
    path = tmp_path / "nowhere" / "sessions.db"
    for log in (path, tmp_path / "none.db"):
        result = command(*verb, "--log", log)
        assert result.exit_code == 3
        assert result.stdout == ""
        assert result.stderr == f"Error: no log at {log}; the first session makes one, --log names another\n"
    assert not list(tmp_path.iterdir())


def test_an_import_of_what_can_not_be_read_makes_no_log(tmp_path: Path, command: Command) -> None:
    for file in (tmp_path / "none.jsonl", tmp_path):
        result = command("import", file, "--log", tmp_path / "new.db")
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: FILE='/")  # a long path is cut short there
        assert ": an exported file: " in result.stderr
    assert not list(tmp_path.iterdir())


def test_the_default_log_is_not_made_by_looking(tmp_path: Path, command: Command) -> None:
    result = command("list", XDG_DATA_HOME=str(tmp_path), HOME=str(tmp_path), LIFECYCLE_LOG="")
    assert result.exit_code == 3
    assert str(tmp_path) in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("content", [b"not a database at all, but some text\n" * 40, b""], ids=["text", "empty"])
def test_a_file_that_is_not_ours_is_left_alone(
    tmp_path: Path, command: Command, verb: list[str], content: bytes
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    result = command(*verb, "--log", path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert path.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_another_programs_database_is_left_alone(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE teas (name TEXT)")
    before = path.read_bytes()
    for verb in VERBS:
        result = command(*verb, "--log", path)
        assert result.exit_code == 1
        assert "not a log of this library" in result.stderr
    assert path.read_bytes() == before


def test_a_log_of_a_newer_library_is_left_alone(story: Book, command: Command) -> None:
    path = tampered(story, "PRAGMA user_version = 999")
    for verb in VERBS:
        result = command(*verb, "--log", path)
        assert result.exit_code == 1
        assert "upgrade" in result.stderr


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_log_without_its_guards_fails_verification(story: Book, command: Command, verb: list[str]) -> None:
    result = command(*verb, "--log", tampered(story, "DROP TRIGGER events_no_delete"))
    assert result.exit_code == 4
    assert result.stdout == ""
    assert "events_no_delete is missing" in result.stderr


def test_events_cut_off_the_end_fail_verification(story: Book, command: Command) -> None:
    path = tampered(
        story,
        "DROP TRIGGER events_no_delete",
        "DELETE FROM events WHERE position = (SELECT max(position) FROM events)",
    )
    assert command("list", "--log", path).exit_code == 4


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_directory_is_no_log(tmp_path: Path, command: Command, verb: list[str]) -> None:
    result = command(*verb, "--log", tmp_path)
    assert result.exit_code == 1
    assert "is a directory" in result.stderr


@pytest.mark.parametrize("verb", ["show", "stop"])
@pytest.mark.parametrize("id", ["nobody-1", "", "../../etc/passwd", "a" * 5000, "%", "log", "närrisch", "a b\n"])
def test_an_id_that_nobody_has_is_not_found(story: Book, command: Command, verb: str, id: str) -> None:
    result = command(verb, "--log", story.path, "--", id)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("Error: no session ")
    assert len(result.stderr) < 400


@pytest.mark.parametrize(
    "time",
    [
        "",
        "soon",
        "2h",
        "ago",
        "h ago",
        "-2h ago",
        "2 parsecs ago",
        "2026-13-01",
        "99999999999999d ago",
        "nan ago",
        "1e9h ago",
    ],
)
@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_time_nobody_understands_is_a_usage_error(story: Book, command: Command, option: str, time: str) -> None:
    result = command("list", "--log", story.path, option, time)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert option in result.stderr
    assert "2h ago" in result.stderr, "it says what would have been understood"


@pytest.mark.parametrize(
    "label", ["", "job", "=nightly", "a b=c", "ä=1", f"{'k' * 65}=v", f"job={'v' * 1025}", "job=\x00"]
)
def test_a_label_that_no_session_can_have_is_a_usage_error(story: Book, command: Command, label: str) -> None:
    result = command("list", "--log", story.path, "--label", label)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr) < 600


def test_two_values_of_one_label_match_nothing_and_are_refused(story: Book, command: Command) -> None:
    assert command("list", "--log", story.path, "--label", "job=a", "--label", "job=b").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--status", "running"],
        ["--limit", "0"],
        ["--limit", "-1"],
        ["--limit", "many"],
        ["--after", "nobody-1"],
        ["--colour"],
        ["surplus"],
    ],
    ids=" ".join,
)
def test_wrong_options_are_usage_errors(story: Book, command: Command, arguments: list[str]) -> None:
    result = command("list", "--log", story.path, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        (["forward", "x.jsonl", "--type", "clsed"], "--type='clsed': no such type of event; known are created, "),
        (["forward", "x.jsonl", "-H", "A: b"], "--header="),
        (["forward", "http://a:b@host/", "--cursor", "c"], "TO='host': must not hold a name and password"),
        (["list", "--label", f"job={'v' * 1025}"], "--label['job']="),
        (["list", "--after", "nobody-1"], "--after='nobody-1': "),
        (["list", "--correlation", ""], "--correlation='': "),
        (["list", "--log", "etcd:whatever"], "--log='etcd:whatever': "),
        (["prove", "closed-1", "1", "--key", "none"], "--key='none': "),
        (["prove", "closed-1", "1", "--at", "none", "--public", "none"], "--public='none': "),
        (["verify", "--against", "none", "--public", "k+00000000+AQ=="], "--public='k+00000000+AQ==': "),
    ],
    ids=str,
)
def test_what_is_wrong_has_the_name_under_which_it_was_typed(
    story: Book, command: Command, typed: list[str], named: str
) -> None:
    """The library's name of a parameter (`types`, `to`, `labels`) would send the reader looking."""
    result = command(*typed, LIFECYCLE_LOG=str(story.path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {named}")
    as_json = command(*typed, "--json", LIFECYCLE_LOG=str(story.path))
    assert json.loads(as_json.stderr)["message"].startswith(named)


@pytest.mark.parametrize("verb", [["show", "closed-1", "--at"], ["forward", "x.jsonl", "--after"]], ids=" ".join)
def test_a_number_of_thousands_of_digits_is_a_usage_error(story: Book, command: Command, verb: list[str]) -> None:
    result = command(*verb, "9" * 5000, "--log", story.path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: Invalid value")


@pytest.mark.parametrize("arguments", [[], ["lst"], ["show"], ["stop"], ["--json"]], ids=" ".join)
def test_a_wrong_command_line_is_a_usage_error(command: Command, arguments: list[str]) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_log_of_an_unknown_kind_is_refused(command: Command) -> None:
    result = command("list", "--log", "etcd:whatever")
    assert result.exit_code == 2
    assert "sqlite" in result.stderr


def test_with_json_the_error_is_json_too_and_on_stderr(story: Book, tmp_path: Path, command: Command) -> None:
    unknown = command("show", "nobody-1", "--log", story.path, "--json")
    assert (unknown.exit_code, unknown.stdout) == (3, "")
    assert json.loads(unknown.stderr)["error"] == "UnknownSession"
    for wrong, said in (
        (["show"], "Missing argument 'ID'."),
        (["list", "word"], "Got unexpected extra argument (word)"),
    ):
        refused = command(*wrong, "--json")
        assert refused.exit_code == 2
        assert json.loads(refused.stderr) == {"error": "UsageError", "message": said, "retryable": False}
    missing = command("list", "--json", "--log", tmp_path / "none.db")
    assert (missing.exit_code, missing.stdout) == (3, "")
    assert json.loads(missing.stderr) == {
        "error": "NotFound",
        "message": f"no log at {tmp_path / 'none.db'}; the first session makes one, --log names another",
        "retryable": False,
    }


def test_a_log_whose_list_is_gone_can_be_rebuilt(story: Book, command: Command) -> None:
    path = tampered(story, "DROP TABLE sessions", "DROP TABLE session_labels")
    shown = command("list", "--log", path)
    assert shown.exit_code in (0, 1), "reading may not repair; it may say so"
    assert command("rebuild", "--log", path).exit_code == 0
    assert len(command("list", "--json", "--log", path).stdout.splitlines()) == 5


def test_no_traceback_reaches_a_user(story: Book, tmp_path: Path, user: User) -> None:
    """As a process: what CliRunner catches would be seen here."""
    shutil.copy(story.path, tmp_path / "copy.db")
    for arguments in (["show", "nobody-1", "--log", story.path], ["list", "--log", tmp_path], ["list", "--since", "x"]):
        done = user(*arguments)
        assert done.returncode in (1, 2, 3)
        assert "Traceback" not in done.stderr
