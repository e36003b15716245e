"""Reading is bounded, never opens the file beside SQLite, and goes through the one SQLite of the process."""

from __future__ import annotations

import gc
import math
import threading
import time
import warnings
from typing import TYPE_CHECKING

import pytest
import sqlite_utils.utils

from lifecycle.log import MemoryLog, SqliteLog, driver
from lifecycle.log import sqlite as module
from lifecycle.testing.log_contract import everything
from lifecycle.testing.log_samples import accessed, annotated, begin, new
from tests.log.support import run_child

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.log.port import Cursor, Recorded


def test_there_is_one_sqlite_in_the_process() -> None:
    """Two copies don't see each other's locks, and whoever closes the file in one drops those of the other."""
    assert driver.sqlite3 is sqlite_utils.utils.sqlite3  # type: ignore[attr-defined]  # pyright: ignore[reportPrivateImportUsage]


def test_a_filtered_page_looks_at_so_many_positions_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rare type in a long log: pages may be empty, the cursor goes on, and nothing is missed or seen twice."""
    monkeypatch.setattr(module, "_SPAN", 5)
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        begin(log, "s-1")
        at = log.read("s-1")[-1].at
        for number in range(60):
            event = accessed(at) if number % 17 == 16 else annotated(at, n=number)
            log.append("s-1", [new(event)], expected=number + 2)
        wanted = [row for row in everything(log) if row.type == "session.accessed"]
        found: list[Recorded] = []
        pages = empty = 0
        cursor: Cursor | None = None
        while True:
            page = log.read_all(cursor, limit=2, types=["session.accessed"])
            found += page.events
            pages, empty, cursor = pages + 1, empty + (not page.events), page.cursor
            if page.caught_up:
                break
        assert found == wanted
        assert len(wanted) == 3
        assert empty > 5
        assert pages >= 62 // 5
        assert log.read_all(cursor, limit=2, types=["session.accessed"]).events == ()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_wait_may_take_as_long_as_it_takes(tmp_path: Path, kind: str) -> None:
    with MemoryLog() if kind == "memory" else SqliteLog(tmp_path / "log.db") as log:
        writes = threading.Timer(0.02, begin, (log, "s-1"))
        writes.start()
        assert log.wait(None, math.inf)
        writes.join()


def test_the_last_events_may_be_more_than_sqlite_can_count(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "s-1")
        assert log.last(10**30) == log.read("s-1")


def test_a_page_has_an_upper_limit_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_PAGE", 4)
    with SqliteLog(tmp_path / "log.db") as log:
        for number in range(3):
            begin(log, f"s-{number}")
        page = log.read_all(limit=10**9)
        assert (len(page.events), page.caught_up) == (4, False)
        assert len(everything(log, 10**9)) == 6


def test_the_file_is_never_opened_beside_sqlite(tmp_path: Path) -> None:
    """Closing such a descriptor drops SQLite's locks: acknowledged events were lost (research/reliability.md F2)."""
    code = """
    import os, sys
    opened = []
    def watch(event, args):
        if event == "open" and str(args[0]).startswith(sys.argv[1]):
            opened.append((args[0][len(sys.argv[1]):], bool(args[2] & os.O_EXCL)))
    sys.addaudithook(watch)
    from lifecycle.log import ANY, SqliteLog, open_log
    from lifecycle.testing.log_samples import annotated, begin, failed, new
    path = sys.argv[1] + "/log.db"
    for options in ({}, {"read_only": True}, {"create": False}):
        with SqliteLog(path, **options) as log:
            log.durability
            if not options:
                begin(log, "s-1")
                log.append("s-1", [new(failed())], expected=2)
                log.sessions.rebuild()
            log.read("s-1")
            log.read_all(limit=5)
            log.sessions.list(now=0)
            log.wait(None, 0)
    print(sorted(set(opened)))
    """
    done = run_child(code, tmp_path)
    assert done.returncode == 0, done.stderr
    # The directory; the file once, to make it before SQLite has it; and the queue's own file.
    assert done.stdout.strip() == "[('', False), ('/log.db', True), ('/log.db.d/writers', True)]"


def test_a_log_that_is_forgotten_closes_itself(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Python 3.13 warns of connections that nobody closed
        log = SqliteLog(tmp_path / "log.db")
        begin(log, "s-1")
        assert (tmp_path / "log.db-wal").exists()
        del log
        gc.collect()
    assert not (tmp_path / "log.db-wal").exists(), "the last to close takes it along"


def test_a_log_that_is_never_closed_is_quiet_at_exit(tmp_path: Path) -> None:
    code = """
    import sys
    from lifecycle.log import SqliteLog
    from lifecycle.testing.log_samples import begin
    log = SqliteLog(sys.argv[1])
    begin(log, "s-1")
    """
    done = run_child(code, tmp_path / "log.db")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "log.db-wal").exists()


def test_an_append_wakes_who_waits_in_this_process_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not when it next looks by itself, as it has to for other processes."""
    monkeypatch.setattr(module, "_LOOK_S", 60)
    woken: list[bool] = []
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        waiting = threading.Thread(target=lambda: woken.append(log.wait(None, 60)))
        waiting.start()
        while not log._waiters:  # pyright: ignore[reportPrivateUsage]
            time.sleep(0.001)
        begin(log, "s-1")
        waiting.join(20)
        assert woken == [True]


def test_a_log_in_memory_begins_with_all_it_is_given(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        begin(log, "s-1")
        rows = everything(log)
    assert everything(MemoryLog(rows=rows)) == rows
