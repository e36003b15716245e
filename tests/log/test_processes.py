"""Many processes on one file: nothing acknowledged is lost, nothing is locked for long, whoever is killed wherever."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from lifecycle.errors import LogUnavailable
from lifecycle.log import ANY, SqliteLog, events
from lifecycle.log.writing import Writing
from lifecycle.testing.log_contract import everything
from lifecycle.testing.log_processes import Writer
from lifecycle.testing.log_samples import annotated, begin, created, new
from tests.log.support import child, foreign, integrity, run_child, versions

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.log.versions import Journal

pytestmark = pytest.mark.parametrize("journal", ["wal", "delete"])


def test_eight_writers_some_of_them_killed(tmp_path: Path, journal: Journal) -> None:
    """On one shared stream and on streams of their own; a new writer takes the place of a killed one."""
    path = tmp_path / "log.db"
    with SqliteLog(path, journal=journal) as log:
        begin(log, "shared")
        chance = random.Random(3)
        done: list[Writer] = []
        running = [
            Writer(log.locator, ("shared", "own")[n % 2], 40).start(chance.randrange(3, 30) if n < 4 else None)
            for n in range(8)
        ]
        for number, writer in enumerate(running):
            said = writer.end()
            assert "locked" not in said
            if number < 4:
                assert writer.process.returncode == -signal.SIGKILL
                done.append(Writer(log.locator, "shared", 10).start())
            else:
                assert (said, writer.process.returncode, len(writer.acknowledged)) == ("", 0, 40)
        for writer in done:
            assert writer.end() == ""
            assert len(writer.acknowledged) == 10
        acknowledged = {event_id for writer in (*running, *done) for event_id in writer.acknowledged}
        stored = everything(log, 1000)
        assert acknowledged <= {row.event_id for row in stored}
        assert [row.position for row in stored] == list(range(1, len(stored) + 1)), "positions have no gaps"
        for stream, found in versions(log).items():
            assert found == list(range(1, len(found) + 1)), stream
            events(log.read(stream))
        assert log.sessions.rebuild().equal
    assert integrity(path) == "ok"


_KILLED = """
import os, signal, sys
from lifecycle.log import SqliteLog
from lifecycle.testing.log_samples import failed, new, released, navigated
path, first = sys.argv[1], int(sys.argv[2])
for left in range(first, 1000):
    pid = os.fork()
    if not pid:
        with SqliteLog(path) as log:
            log.head("s-1")
            conn = log._file.writing.run(lambda conn: conn)
            def count(_):
                global left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            conn.set_trace_callback(count)
            log.append(f"s-{left}", [new(navigated()), new(failed())], expected=2)
            os._exit(0)
    if os.waitpid(pid, 0)[1] == 0:
        print(left)
        break
"""


def test_a_writer_killed_at_any_statement_of_an_append_leaves_all_of_it_or_nothing(
    memory_dir: Path, journal: Journal
) -> None:
    path = memory_dir / "log.db"
    with SqliteLog(path, journal=journal) as log:
        for number in range(1, 40):
            begin(log, f"s-{number}")
        done = run_child(_KILLED, path, 1)
        assert done.returncode == 0, done.stderr
        last = int(done.stdout)
        heads = [log.head(f"s-{number}") for number in range(1, last + 1)]
        assert last > 8, "it was to be killed at every statement"
        assert set(heads) == {2, 4}, heads
        assert heads == sorted(heads), "written once COMMIT was given, not before"
        log.append("s-1", [new(annotated())], expected=ANY)
        assert log.sessions.rebuild().equal
    assert integrity(path) == "ok"


def test_a_foreign_process_that_keeps_the_lock_is_waited_for_and_then_named(tmp_path: Path, journal: Journal) -> None:
    with SqliteLog(tmp_path / "log.db", journal=journal, timeout_s=0.3) as log:
        begin(log, "s-1")
        with foreign(tmp_path / "log.db") as conn:
            conn.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            with pytest.raises(LogUnavailable, match=r"kept the log locked for \d+\.\d s") as caught:
                log.append("s-1", [new(annotated())], expected=2)
            assert time.monotonic() - began >= 0.3
            assert caught.value.retryable
            assert log.head("s-1") == 2, "reading goes on"
            conn.execute("ROLLBACK")
        log.append("s-1", [new(annotated())], expected=2)


def test_a_stopped_process_in_the_queue_is_waited_for_and_then_named(tmp_path: Path, journal: Journal) -> None:
    """SIGSTOP inside an append: the others do not wait for ever, and go on when it is gone."""
    code = """
    import sys, time
    from lifecycle.log import SqliteLog
    log = SqliteLog(sys.argv[1])
    def stay(conn):
        print("in", flush=True)
        sys.stdin.read()
    log._file.writing.run(stay)
    """
    with SqliteLog(tmp_path / "log.db", journal=journal, timeout_s=0.3) as log:
        begin(log, "s-1")
        event = new(annotated())
        with child(code, tmp_path / "log.db") as process:
            os.kill(process.pid, signal.SIGSTOP)
            for _ in range(2):
                with pytest.raises(LogUnavailable, match=r"waited \d+\.\d s for other processes that are writing"):
                    log.append("s-1", [event], expected=2)
        assert log.append("s-1", [event], expected=2).duplicate is False
        assert log.head("s-1") == 3


def test_threads_of_one_process_take_turns(tmp_path: Path, journal: Journal) -> None:
    with SqliteLog(tmp_path / "log.db", journal=journal, synchronous="NORMAL") as log:
        for number in range(8):
            begin(log, f"s-{number}")
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for n in range(25):
                    log.append(f"s-{number}", [new(annotated(n=n))], expected=n + 2)
                    assert log.head(f"s-{number}") == n + 3
                    assert log.sessions.get(f"s-{number}") is not None
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert all(found == list(range(1, 28)) for found in versions(log).values())


def test_an_interrupt_storm_leaves_no_half_event_and_no_lock(memory_dir: Path, journal: Journal) -> None:
    """Ctrl-C again and again while appending, in the middle of rolling back too."""
    code = """
    import random, signal, sys, time
    from lifecycle.log import SqliteLog
    from lifecycle.testing.log_samples import annotated, new
    log = SqliteLog(sys.argv[1], synchronous="NORMAL")
    inside = False
    n = interrupts = 0
    def interrupt(*_):
        if inside:
            raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, interrupt)
    chance = random.Random(5)
    began = time.monotonic()
    for n in range(10):
        log.append("s-1", [new(annotated(n=n))], expected=n + 2)
    usual = (time.monotonic() - began) / 10
    n = interrupts = 0
    while n < 50 or interrupts < 200:
        try:
            inside = True
            # Once or several times in a row, somewhere in an append; and sometimes not at all, so that it gets on.
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 3 * usual), chance.choice([0, 5e-5, 2e-4]))
            log.append("s-1", [new(annotated(n=n))], expected=log.head("s-1"))
            inside = False
            n += 1
        except KeyboardInterrupt:
            inside = False
            interrupts += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(n, interrupts)
    """
    with SqliteLog(memory_dir / "log.db", journal=journal, timeout_s=10) as log:
        begin(log, "s-1")
        done = run_child(code, memory_dir / "log.db")
        assert done.returncode == 0, done.stderr
        acknowledged, _ = map(int, done.stdout.split())
        found = versions(log)["s-1"]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= acknowledged + 12
        assert log.sessions.rebuild().equal
        log.append("s-1", [new(annotated())], expected=ANY)


@pytest.mark.parametrize("how", ["clock", "signal handler"])
def test_an_append_inside_an_append_is_refused_and_the_outer_one_goes_on(
    tmp_path: Path, journal: Journal, how: str
) -> None:
    refused: list[str] = []

    def again(*_: object) -> int:
        try:
            log.append("s-2", [new(created("s-2"))], expected=ANY)
        except LogUnavailable as error:
            refused.append(str(error))
        return 1

    def clock() -> int:
        if armed and how == "clock":
            return again()
        if armed:
            signal.raise_signal(signal.SIGUSR1)
        return 1

    armed = False
    old = signal.signal(signal.SIGUSR1, again)
    try:
        with SqliteLog(tmp_path / "log.db", journal=journal, clock=clock) as log:
            begin(log, "s-1")
            armed = True
            log.append("s-1", [new(annotated())], expected=2)
            armed = False
            assert len(refused) == 1
            assert "in the middle of an append already" in refused[0]
            log.append("s-1", [new(annotated())], expected=3)
            assert versions(log) == {"s-1": [1, 2, 3, 4]}
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_a_foreign_writer_outside_the_queue_is_waited_for_each_time(memory_dir: Path, journal: Journal) -> None:
    """Somebody who knows nothing of the queue appends as fast as it can; nobody gets an error, no version is lost."""
    code = """
    import sqlite3, sys
    conn = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(300):
        conn.execute("BEGIN IMMEDIATE")
        conn.execute(
            "INSERT INTO events SELECT max(position) + 1, 'foreign-' || ?, 's-1',"
            " (SELECT max(version) + 1 FROM events WHERE stream = 's-1'), 'session.annotated', 1,"
            " (SELECT at FROM events WHERE stream = 's-1' AND version = 2), 1, 'x', 'x', NULL, NULL,"
            " '{\\"name\\":\\"x\\"}', NULL, hash FROM events", (n,))
        conn.execute("COMMIT")
    print("done", flush=True)
    """
    with SqliteLog(memory_dir / "log.db", journal=journal) as log:
        begin(log, "s-1")
        begin(log, "s-2")
        with child(code, memory_dir / "log.db") as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            for n in range(150):
                log.append("s-2", [new(annotated(n=n))], expected=n + 2)
                log.append("s-1", [new(annotated(n=n))], expected=ANY)
            assert process.stdout.readline() == "done\n"
        log.append("s-1", [new(annotated())], expected=ANY)  # what others wrote last is taken into the read model here
        assert versions(log) == {"s-1": list(range(1, 454)), "s-2": list(range(1, 153))}
        assert log.sessions.rebuild().equal


def test_an_interrupt_in_the_middle_of_giving_back_gives_back_all_the_same(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else can write at once, not only when this thread writes again."""
    rollback = Writing._rollback  # pyright: ignore[reportPrivateUsage]
    hits: list[int] = []

    def hit(self: Writing) -> None:
        if not hits:
            hits.append(1)
            raise KeyboardInterrupt
        rollback(self)

    with SqliteLog(tmp_path / "log.db", journal=journal) as log:
        begin(log, "s-1")
        with SqliteLog(tmp_path / "log.db", timeout_s=0.5) as other:
            monkeypatch.setattr(Writing, "_rollback", hit)
            with pytest.raises(KeyboardInterrupt):
                log.append("s-1", [new(created("s-1"))], expected=0)
            other.append("s-1", [new(annotated())], expected=2)
