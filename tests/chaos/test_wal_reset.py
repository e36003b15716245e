"""SQLite's own fault (sqlite.org/wal.html#walresetbug) on the installed SQLite: our checkpoints lose nothing."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from lifecycle.log import SqliteLog
from lifecycle.log.driver import sqlite3
from lifecycle.testing.log_samples import begin
from tests.chaos.check import whole
from tests.log.support import child

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECONDS = float(os.environ.get("CHAOS_SECONDS", "5"))

#: Appends without pause, and cuts the write-ahead log after almost every one.
WRITER = """
import sys
from lifecycle.log import SqliteLog, checkpoint
from lifecycle.testing.log_samples import annotated, begin, new
checkpoint.WAL_LIMIT_BYTES = 16 * 1024
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


def test_our_checkpoints_lose_nothing(memory_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = memory_dir / "log.db"
    with closing(SqliteLog(path, journal="wal")) as log:
        begin(log, "s-0")
    told: list[str] = []
    with child(WRITER, path, "w-1") as one, child(WRITER, path, "w-2") as two, child(WRITER, path, "w-3") as three:
        listeners = [threading.Thread(target=listen, args=(process, told)) for process in (one, two, three)]
        for listener in listeners:
            listener.start()
        listeners[0].join(SECONDS)
        for process in (one, two, three):
            process.kill()
        for listener in listeners:
            listener.join()
    # A last line may have been cut off by the kill.
    acknowledged = [event_id for event_id in told if len(event_id) == 34]
    assert whole(path, acknowledged) == []
    with capsys.disabled():
        print(f"\n[SQLite {sqlite3.sqlite_version}: {len(acknowledged)} acknowledged, lost 0]", end=" ")
    assert len(acknowledged) > 100
