"""SQLite's own fault (sqlite.org/wal.html#walresetbug): our checkpoints lose nothing, on whatever SQLite is loaded.

`make chaos` plays this a second time with a SQLite that has no such fault (tests/chaos/fixed_sqlite.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from lifecycle.log import SqliteLog
from lifecycle.log.driver import SqliteError, sqlite3
from lifecycle.log.versions import loses_commits
from lifecycle.testing.log_samples import begin
from tests.chaos.check import whole
from tests.chaos.record import judged
from tests.log.support import child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.record import Figures

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("CHAOS_SECONDS", "5"))

#: Appends without pause, and cuts the write-ahead log after every second one.
WRITER = """
import sys
from lifecycle.log import SqliteLog, checkpoint
from lifecycle.testing.log_samples import annotated, begin, new
checkpoint.WAL_LIMIT_BYTES = 16 * 1024
checkpoint._LOOK_EVERY = 2
log = SqliteLog(sys.argv[1], synchronous="NORMAL")
print("ready", flush=True)
begin(log, sys.argv[2])
n = 2
while True:
    event = new(annotated(n=n))
    log.append(sys.argv[2], [event], expected=n)
    print(event.event_id, flush=True)
    n += 1
"""


def listen(process: subprocess.Popen[str], told: list[str]) -> None:
    """Take down what *process* says was acknowledged, until it is gone."""
    assert process.stdout is not None
    told.extend(map(str.strip, process.stdout))


def test_our_checkpoints_lose_nothing(memory_dir: Path, figures: Figures) -> None:
    path = memory_dir / "log.db"
    with closing(SqliteLog(path, journal="wal")) as log:
        begin(log, "s-0")
    acknowledged = write_for(path, SECONDS)
    found = whole(path, acknowledged)
    assert found == []
    assert len(acknowledged) > 100
    figures("WAL reset beside our own checkpoints, wal", kills=3, acknowledged=len(acknowledged), **judged([found]))


def write_for(path: Path, seconds: float) -> list[str]:
    """The events that three writers were told of in *seconds*."""
    told: list[str] = []
    with child(WRITER, path, "w-1") as one, child(WRITER, path, "w-2") as two, child(WRITER, path, "w-3") as three:
        listeners = [threading.Thread(target=listen, args=(process, told)) for process in (one, two, three)]
        for listener in listeners:
            listener.start()
        listeners[0].join(seconds)
        for process in (one, two, three):
            process.kill()
        for listener in listeners:
            listener.join()
    # A last line may have been cut off by the kill.
    return [event_id for event_id in told if len(event_id) == 34]


def race(path: Path, *roles: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    """Processes of wal_race on *path*, all ready."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.wal_race", role, str(path), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for role, *more in roles
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    yield from processes


def over(process: subprocess.Popen[str]) -> int:
    """End one of them; how often it did what it does."""
    done, _ = process.communicate(timeout=60)
    return int(done)


@pytest.mark.skipif(SECONDS < 30, reason="a race that takes up to a minute: make chaos")
def test_plain_wal_loses_commits_where_sqlite_has_the_bug(memory_dir: Path, figures: Figures) -> None:
    """The attack can see: what a program without the library's care loses, on the same machine and SQLite."""
    affected = loses_commits(sqlite3.sqlite_version_info)
    told = lost = rounds = 0
    while rounds < 6 and not lost:
        rounds += 1
        path = memory_dir / f"plain-{rounds}.db"
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("PRAGMA journal_mode = WAL")
            conn.execute("CREATE TABLE rows (writer, n)")
        writers, others = [("writer", "0"), ("writer", "1")], [("checkpointer",)] * 3
        processes = list(race(path, *writers, *others))
        time.sleep(10)  # the race is the attack
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        done = [over(process) for process in processes]
        told += sum(done[:2])
        try:
            with closing(sqlite3.connect(path)) as conn:
                stored = dict(conn.execute("SELECT writer, COUNT(*) FROM rows GROUP BY writer").fetchall())
        except SqliteError:
            stored = {}  # damaged beyond reading
        lost += sum(done[:2]) - sum(stored.values())
    figures(
        "plain programs, WAL beside foreign checkpoints",
        {"runs of ten seconds": rounds},
        control=True,
        acknowledged=told,
        lost=lost,
    )
    assert (lost > 0) == affected


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_foreign_checkpoints_beside_our_writers(
    journal: Literal["wal", "delete"], memory_dir: Path, figures: Figures
) -> None:
    """Each mode is held to it where it is promised: WAL where SQLite is sound, a rollback journal anywhere."""
    path = memory_dir / "log.db"
    with closing(SqliteLog(path, journal=journal)) as log:
        begin(log, "s-0")
        safe = journal == "delete" or not loses_commits(sqlite3.sqlite_version_info)
        assert safe or "where other programs open it too, journal='delete' is safe" in log.durability.why
    others = list(race(path, *[("checkpointer",)] * 3))
    acknowledged = write_for(path, SECONDS / 2)
    checkpoints = 0
    for process in others:
        checkpoints += over(process)
    found = whole(path, acknowledged)
    figures(
        f"foreign checkpoints beside our writers, {journal}",
        {"foreign checkpoints": checkpoints},
        control=not safe,
        kills=3,
        acknowledged=len(acknowledged),
        **judged([found]),
    )
    if safe:
        assert found == []
