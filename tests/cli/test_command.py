"""The command as a whole: help, lazy imports, terminals and pipes, exit codes, and nobody's logging touched."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import select
import subprocess
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lifecycle.cli.app import SECTIONS, VERBS, app
from lifecycle.cli.logs import writing
from lifecycle.cli.tables import print_table
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.cli.conftest import Book, Command, User

COLOUR = re.compile(r"\x1b\[[\d;]*m")


def on_a_terminal(arguments: Sequence[object], **environ: str) -> str:
    """What `lifecycle ARGUMENTS` shows on a terminal of 160 columns."""
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", **environ}
    line = [sys.executable, "-m", "lifecycle", *map(str, arguments)]
    shown = b""
    with subprocess.Popen(line, stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        while select.select([master], [], [], 60)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # the last one has closed the terminal
                break
            if not chunk:
                break
            shown += chunk
    os.close(master)
    assert process.returncode == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n")


def test_help_begins_with_examples_and_names_every_verb(command: Command) -> None:
    text = command("--help").stdout
    assert text.index("Examples:") < text.index("Options:")
    for verb, (_, says) in VERBS.items():
        assert re.search(rf"^  {verb} ", text, re.MULTILINE)
        assert says.split()[0] in text


def test_every_verb_stands_in_one_section() -> None:
    assert sorted(verb for verbs in SECTIONS.values() for verb in verbs) == sorted(VERBS)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["lsit"], "No such command 'lsit'. Did you mean list?"),
        (["frobnicate"], "No such command 'frobnicate'. There are: demo, list, "),
        (["--log", "x", "list"], "--log goes after the verb, as in `lifecycle list --log PATH`."),
        (["list", "--log", ""], "Invalid value for '--log': the path is empty; without --log it is the default log"),
    ],
)
def test_a_slip_is_told_what_was_meant(command: Command, typed: list[str], said: str) -> None:
    result = command(*typed)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_log_and_json(command: Command, verb: str) -> None:
    result = command(verb, "--help")
    assert result.exit_code == 0
    assert f"  lifecycle {verb}" in result.stdout
    assert result.stdout.index("Examples:") < result.stdout.index("Options:")
    assert verb == "key" or "--log PATH" in result.stdout  # a key belongs to no log yet
    assert "--json" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_of_verbs_says_what_the_verb_says_of_itself(verb: str) -> None:
    found = app.get_command(app.make_context("lifecycle", [], resilient_parsing=True), verb)
    assert found is not None
    assert found.short_help == VERBS[verb][1]


def test_version(command: Command) -> None:
    assert re.fullmatch(r"lifecycle, version \S+\n", command("--version").stdout)


def loaded_by(*arguments: object) -> set[str]:
    """Top-level names of the modules that the command has loaded when it is done."""
    script = (
        f"import sys\nfrom lifecycle.cli import main\nsys.argv[1:] = {list(map(str, arguments))}\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stderr.splitlines()[-1].split())


def test_help_loads_next_to_nothing() -> None:
    assert not loaded_by("--help") & {"pydantic", "transitions", "sqlite_utils", "structlog", "rich", "playwright"}


def test_reading_loads_no_driver_and_no_adapter(story: Book) -> None:
    for arguments in (["list"], ["show", "closed-1"], ["list", "--json"]):
        loaded = loaded_by(*arguments, "--log", story.path)
        assert "pydantic" in loaded, "else this proves nothing"
        assert not loaded & {"playwright", "greenlet", "lifecycle_chromium", "lifecycle_playwright", "websockets"}


def test_a_terminal_gets_relative_times_and_colours(story: Book) -> None:
    shown = on_a_terminal(["list", "--log", story.path])
    assert COLOUR.search(shown)
    plain = COLOUR.sub("", shown)
    assert re.search(r"living-1 +active +30m ago", plain)
    assert re.search(r"closed-1 +closed +5h ago", plain)


def test_no_colour_where_none_is_wanted(story: Book) -> None:
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert not re.search(r"\x1b\[(\d+;)*[34]\d", on_a_terminal(["list", "--log", story.path], **environ))


def test_rebuild_shows_a_bar_on_a_terminal_and_takes_it_away(story: Book) -> None:
    shown = on_a_terminal(["rebuild", "--log", story.path])
    assert "equal: every session in the list is what its events say" in shown


def test_json_on_a_terminal_is_bare(story: Book) -> None:
    assert "\x1b" not in on_a_terminal(["list", "--json", "--log", story.path])


def test_a_terminal_is_not_flooded(book: Book) -> None:
    for number in range(52):
        book.add(f"s-{number:02}")
    shown = on_a_terminal(["list", "--log", book.path])
    assert len(re.findall(r"^\S*s-\d\d", COLOUR.sub("", shown), re.MULTILINE)) == 50
    assert "more follow: lifecycle list --after s-02" in shown


def test_a_list_is_readable_on_eighty_columns(book: Book) -> None:
    book.begin("0" * 36, hours_ago=1, labels={"customer": "17", "job": "nightly"})
    book.crash("0" * 36)
    shown = COLOUR.sub("", on_a_terminal(["list", "--log", book.path], COLUMNS="80"))
    assert shown.splitlines() == [
        "id                                    status  started  duration  cause",
        "    labels",
        "000000000000000000000000000000000000  error   1h ago   2.00 s    browser_crashed",
        "    customer=17 job=nightly",
    ]


CELLS = st.lists(st.text("ab=,\u4e2d ", max_size=60), min_size=3, max_size=3)


@given(st.lists(CELLS, max_size=4), st.integers(20, 160))
def test_a_table_loses_nothing_and_fits(rows: list[list[str]], width: int) -> None:
    """A cell may go below its row, and only what is longer than a line is broken."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr("lifecycle.cli.tables.on_terminal", lambda: True)
        patch.setenv("COLUMNS", str(width))
        print_table(("id", "status", "labels"), rows)
    shown = out.getvalue()
    assert "".join(shown.split()) == "".join(
        "".join(cell.split()) for row in (["idstatuslabels"], *rows) for cell in row
    )
    first = max([cell_len(row[0]) for row in rows], default=2)
    assert max(map(cell_len, shown.splitlines())) <= max(width, first)


def test_a_reader_that_goes_away_is_no_traceback(book: Book) -> None:
    """`lifecycle list --json | head -1`"""
    for number in range(150):
        book.add(f"s-{number:03}")
    line = [sys.executable, "-m", "lifecycle", "list", "--json", "--log", str(book.path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"session_id": "s-149"')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_locale_without_umlauts_gets_escapes(book: Book, user: User) -> None:
    book.begin("one", labels={"city": "Köln"})
    done = user("list", "--log", book.path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "city=K\\xf6ln" in done.stdout
    as_json = user("list", "--json", "--log", book.path, PYTHONIOENCODING="ascii")
    assert json.loads(as_json.stdout)["labels"] == {"city": "Köln"}
    assert "Köln" in user("list", "--json", "--log", book.path, PYTHONIOENCODING="utf-8").stdout


def test_a_closed_stdout_is_no_traceback(story: Book) -> None:
    line = f"{sys.executable} -m lifecycle list --log {story.path} >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_is_130(book: Book, user: User) -> None:
    script = (
        "import lifecycle.cli.listing as verb, lifecycle.cli as cli\n"
        "def interrupted(*_): raise KeyboardInterrupt\n"
        "verb.reading = interrupted\nimport sys; sys.argv = ['lifecycle', 'list']\ncli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "interrupted"


def test_python_m_and_the_installed_script_are_one(story: Book, user: User) -> None:
    script = [os.path.join(os.path.dirname(sys.executable), "lifecycle"), "list", "--json", "--log", str(story.path)]
    done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=60)
    again = user("list", "--json", "--log", story.path)
    assert [line[:60] for line in done.stdout.splitlines()] == [line[:60] for line in again.stdout.splitlines()]


def test_nobodys_logging_is_touched(story: Book, command: Command) -> None:
    ours, root = logging.getLogger("lifecycle"), logging.getLogger()
    before = (list(ours.handlers), ours.level, ours.propagate, list(root.handlers), root.level)
    for arguments in (["list"], ["show", "closed-1"], ["reconcile"], ["rebuild"], ["doctor"]):
        command(*arguments, "--log", story.path)
    assert (list(ours.handlers), ours.level, ours.propagate, list(root.handlers), root.level) == before
    assert not structlog.is_configured()


def test_the_librarys_warnings_go_to_stderr_while_a_verb_acts(story: Book, capsys: pytest.CaptureFixture[str]) -> None:
    with writing(str(story.path)):
        logger.warning("something_odd", session_id="s1")
        logger.warning("log.sqlite_affected", why="doctor says so")
    logger.warning("afterwards")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Warning: event='something_odd' session_id='s1'\n"


def test_what_a_page_says_commands_no_terminal_in_json_either(book: Book) -> None:
    """U+009B alone begins a control sequence on a terminal that reads UTF-8."""
    obeyed = set("\x9b\x9d\x9c\u202e")
    said = "\x9b31m \x9d0;title\x9c \u202e"
    book.begin("said-1", labels={"job": said})
    book.fail("said-1", said)
    for verb in (("show", "said-1"), ("list",)):
        shown = on_a_terminal([*verb, "--json", "--log", book.path], PYTHONUTF8="1")
        assert not obeyed & set(shown), verb
        assert "\\u009b31m" in shown, verb
    assert not obeyed & set(on_a_terminal(["export", "--log", book.path], PYTHONUTF8="1"))
