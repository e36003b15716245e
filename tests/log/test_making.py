"""Logs made by many at once, by the killed, and files that were damaged since."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle.errors import (
    LifecycleError,
    LogTampered,
    LogUnsuitable,
)
from lifecycle.log import ANY, SqliteLog
from lifecycle.testing.log_contract import everything
from lifecycle.testing.log_samples import annotated, begin, failed, new
from tests.log.support import child_code, integrity, run_child

if TYPE_CHECKING:
    pass

_NOBODY = 65534


def test_eight_processes_open_a_new_log_at_once(memory_dir: Path) -> None:
    """Fifty times: no error reaches anybody, and everybody has the same log."""
    code = """
    import sys
    from lifecycle.log import SqliteLog
    from lifecycle.testing.log_samples import begin, fresh_id
    for line in sys.stdin:
        with SqliteLog(line.strip()) as log:
            begin(log, fresh_id("s"))
        print("ok", flush=True)
    """
    processes = [
        subprocess.Popen(child_code(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    for number in range(50):
        path = memory_dir / f"{number}.db"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ok\n"
        with SqliteLog(path) as log:
            assert len(everything(log)) == 16
            assert log.sessions.rebuild().equal
    for process in processes:
        process.communicate()


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_process_killed_at_any_statement_of_making_a_log_leaves_a_new_one_or_none(
    memory_dir: Path, journal: str
) -> None:
    code = """
    import os, signal, sys
    import sqlite_utils
    from lifecycle.log import connection, opening
    from lifecycle.log.sqlite import SqliteLog
    left = int(sys.argv[2])
    def count(_):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def connect(*args, **options):
        conn = connection.connect(*args, **options)
        conn.set_trace_callback(count)
        return conn
    opening.connect = connect
    for path in range(1000):
        left = int(sys.argv[2]) + path
        pid = os.fork()
        if not pid:
            SqliteLog(f"{sys.argv[1]}/{left}.db", journal=sys.argv[3]).close()
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            print(path)
            break
    """
    done = run_child(code, memory_dir, 1, journal)
    assert done.returncode == 0, done.stderr
    killed = int(done.stdout)
    assert killed > 20, "it was to be killed at every statement"
    for number in range(1, killed + 1):
        path = memory_dir / f"{number}.db"
        with SqliteLog(path) as log:
            begin(log, "s-1")
        assert integrity(path) == "ok"


@pytest.mark.parametrize("cut", [0, 1, 100, 4096, 8192, 12288])
def test_a_file_cut_short_is_not_taken_for_a_new_log(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        begin(log, "s-1")
    os.truncate(path, cut)
    with pytest.raises((LogUnsuitable, LogTampered)), SqliteLog(path, create=False) as log:
        everything(log)


def test_single_bits_flipped_give_our_errors_only(tmp_path: Path) -> None:
    """300 flips: each is harmless, or found by an error of ours; SQLite's and Python's own never come through."""
    path = tmp_path / "log.db"
    with SqliteLog(path, journal="delete") as log:
        for number in range(4):
            begin(log, f"s-{number}")
            log.append(f"s-{number}", [new(failed())], expected=2)
    whole = path.read_bytes()
    chance = random.Random(7)
    found = 0
    for _ in range(300):
        damaged = bytearray(whole)
        at = chance.randrange(len(damaged))
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            with SqliteLog(path, create=False, synchronous="NORMAL") as log:
                everything(log)
                log.sessions.list(now=0)
                for number in range(4):
                    log.read(f"s-{number}")
                    log.sessions.get(f"s-{number}")
                log.append("s-1", [new(annotated())], expected=ANY)
        except LifecycleError:
            found += 1
    assert found > 30


def test_a_process_that_dies_leaves_nothing_locked(tmp_path: Path) -> None:
    done = run_child(
        f"""
        import os, signal
        from lifecycle.log import SqliteLog
        log = SqliteLog({str(tmp_path / "log.db")!r})
        log._file.writing.run(lambda conn: os.kill(os.getpid(), signal.SIGKILL))
        """
    )
    assert done.returncode == -signal.SIGKILL
    with SqliteLog(tmp_path / "log.db", timeout_s=5) as log:
        begin(log, "s-1")
