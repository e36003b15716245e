"""What an append, a load and a list cost, counted: nothing here is a time. `make bench-short` runs this alone.

The limits are what was counted, with room for other versions of Python and SQLite. Whoever makes a count smaller lowers
its limit; whoever has to raise one says in the commit what it buys.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.log import SqliteLog
from lifecycle.testing.log_samples import SECOND, T0, accessed, begin, new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lifecycle.core import Session

APPENDS = 100
#: calls of Python functions: an append, an event of a load, a session of a list; steps of SQLite: an append
LIMITS = {"append": 80, "load": 0.8, "list": 6, "steps": 290}
#: a frame of the write-ahead log: its header, and a page
FRAME = 24 + 2048


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as made:
        begin(made, "s-1")
        _append(made, 2, 10)
        yield made


def _append(log: SqliteLog, head: int, count: int) -> None:
    for number in range(count):
        event = accessed(T0 + 2 * SECOND + head + number)
        log.append("s-1", [new(event)], expected=head + number)


def _calls(work: Callable[[], object]) -> int:
    """Calls of Python functions inside *work*."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before: Any = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def test_an_append_runs_few_statements(log: SqliteLog) -> None:
    """Begin, whether anybody has written, the event, its session's row, commit. A trigger's statement counts too."""
    seen: list[str] = []
    conn = log._file.writing.run(lambda conn: conn)  # pyright: ignore[reportPrivateUsage] # nothing public shows it
    conn.set_trace_callback(seen.append)
    _append(log, 12, 1)
    conn.set_trace_callback(None)
    assert len([sql for index, sql in enumerate(seen) if not index or seen[index - 1] != sql]) <= 5, seen


def test_an_append_writes_few_pages(log: SqliteLog) -> None:
    """Three trees of events, the last position, and the session's row; now and then a page is split."""
    wal = log.locator.removeprefix("sqlite:") + "-wal"
    before = os.stat(wal).st_size
    _append(log, 12, APPENDS)
    pages = (os.stat(wal).st_size - before) / FRAME / APPENDS
    assert pages <= 5.5


def test_an_append_takes_few_steps_of_sqlite(log: SqliteLog) -> None:
    """Instructions of SQLite's own machine, guards included: a list in a guard, made anew for each row, took 26."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    conn = log._file.writing.run(lambda conn: conn)  # pyright: ignore[reportPrivateUsage] # nothing public shows it
    conn.set_progress_handler(step, 1)
    _append(log, 12, APPENDS)
    conn.set_progress_handler(None, 1)
    assert steps / APPENDS <= LIMITS["steps"]


def test_an_append_makes_few_calls(log: SqliteLog) -> None:
    assert _calls(lambda: _append(log, 12, APPENDS)) / APPENDS <= LIMITS["append"]


def test_a_load_makes_few_calls_an_event(log: SqliteLog) -> None:
    _append(log, 12, APPENDS)
    log.load("s-1")  # what is made once a process is not an event's
    assert _calls(lambda: log.load("s-1")) / (APPENDS + 12) <= LIMITS["load"]


def test_a_list_makes_few_calls_a_session(log: SqliteLog) -> None:
    for number in range(APPENDS):
        begin(log, f"t-{number}")

    def listed() -> list[Session]:
        return log.sessions.list(now=T0 + 3 * SECOND, status="active")

    assert len(listed()) == APPENDS + 1
    assert _calls(listed) / APPENDS <= LIMITS["list"]
