"""A forked child never touches its parent's connections: it has its own, and the parent's go on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.log import SqliteLog
from lifecycle.testing.log_samples import begin
from tests.log.support import integrity, run_child, versions

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.log.versions import Journal

pytestmark = pytest.mark.parametrize("journal", ["wal", "delete"])


def _run(tmp_path: Path, journal: Journal, code: str, returncode: int = 0, **options: Any) -> dict[str, list[int]]:
    path = tmp_path / "log.db"
    with SqliteLog(path, journal=journal) as log:
        begin(log, "s-1")
    done = run_child(
        """
        import os, signal, sys, threading
        from lifecycle.log import ANY, SqliteLog
        from lifecycle.testing.log_samples import annotated, begin, new
        log = SqliteLog(sys.argv[1])
        def append(stream="s-1"):
            log.append(stream, [new(annotated())], expected=ANY)
        append()
        """
        + code,
        path,
        **options,
    )
    assert done.returncode == returncode, done.stderr
    assert done.stderr == ""
    with SqliteLog(path) as log:
        found = versions(log)
        assert log.sessions.rebuild().equal
    assert integrity(path) == "ok"
    return found


def test_a_child_s_event_outlives_its_parent_s_closing(tmp_path: Path, journal: Journal) -> None:
    """Without the parent's connections closed before the fork, the child held no locks: the parent, taking itself for
    the last one, removed the write-ahead log under it, and the child's acknowledged event was gone."""
    found = _run(
        tmp_path,
        journal,
        """
        read, write = os.pipe()
        back, forth = os.pipe()
        pid = os.fork()
        if not pid:
            append()
            os.write(forth, b".")
            os.read(read, 1)
            append()
            os._exit(0)
        os.read(back, 1)
        append()
        log.close()
        os.write(write, b".")
        assert os.waitpid(pid, 0)[1] == 0
        """,
    )
    assert found == {"s-1": [1, 2, 3, 4, 5, 6]}


def test_who_reads_ahead_lets_go_for_a_fork_and_goes_on_after_it(tmp_path: Path, journal: Journal) -> None:
    """As above: the connections of one who is in the middle of outcomes() would be inherited like the log's own."""
    found = _run(
        tmp_path,
        journal,
        """
        from lifecycle.projections import outcomes
        outcomes._PART = 1
        begin(log, "s-2")
        reading = log.sessions.outcomes()
        first = next(reading)
        read, write = os.pipe()
        back, forth = os.pipe()
        pid = os.fork()
        if not pid:
            append()
            os.write(forth, b".")
            os.read(read, 1)
            append()
            os._exit(0)
        os.read(back, 1)
        assert [first.session_id, *(one.session_id for one in reading)] == ["s-1", "s-2"]
        append()
        log.close()
        os.write(write, b".")
        assert os.waitpid(pid, 0)[1] == 0
        """,
    )
    assert found == {"s-1": [1, 2, 3, 4, 5, 6], "s-2": [1, 2]}


@pytest.mark.parametrize("work", ["log.sessions.rebuild(fork)", "log.backup(sys.argv[1] + '.copy', fork)"])
def test_a_child_forked_out_of_a_long_reading_can_not_use_the_log(tmp_path: Path, journal: Journal, work: str) -> None:
    """It is one transaction, and can't be begun again for a fork's sake; its parent goes on."""
    _run(
        tmp_path,
        journal,
        f"""
        from lifecycle.errors import LogUnavailable
        from lifecycle.log import file
        file._FORK_WAIT_S = 0.1
        ended = []
        def fork(*_):
            if ended:
                return
            pid = os.fork()
            if not pid:
                try:
                    log.head("s-1")
                except LogUnavailable as error:
                    os._exit(0 if "forked in the middle" in str(error) else 2)
                os._exit(1)
            ended.append(os.waitpid(pid, 0)[1])
        {work}
        assert ended == [0], ended
        append()
        """,
    )


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)", "log.close(); sys.exit(0)", "del log; sys.exit(0)"])
def test_parent_and_child_both_append_and_both_are_kept(tmp_path: Path, journal: Journal, leave: str) -> None:
    """However the child leaves: at interpreter exit too, freeing an inherited connection would close it."""
    found = _run(
        tmp_path,
        journal,
        f"""
        for _ in range(3):
            pid = os.fork()
            if not pid:
                append()
                assert log.head("s-1") >= 4
                {leave}
            append()
            assert os.waitpid(pid, 0)[1] == 0
            append()
        log.close()
        """,
    )
    assert found == {"s-1": list(range(1, 13))}


def test_a_child_that_does_not_use_the_log_does_the_parent_no_harm(tmp_path: Path, journal: Journal) -> None:
    found = _run(
        tmp_path,
        journal,
        """
        pid = os.fork()
        if not pid:
            sys.exit(0)
        os.waitpid(pid, 0)
        other = os.fork()
        if not other:
            again = SqliteLog(sys.argv[1])
            again.append("s-1", [new(annotated())], expected=ANY)
            again.close()
            sys.exit(0)
        assert os.waitpid(other, 0)[1] == 0
        append()
        assert log.head("s-1") == 5
        """,
    )
    assert found == {"s-1": [1, 2, 3, 4, 5]}


def test_a_fork_while_other_threads_append_does_not_hang_the_child(tmp_path: Path, journal: Journal) -> None:
    """SQLite's mutexes and the log's locks are copied as they stand: nobody may be inside while that happens."""
    found = _run(
        tmp_path,
        journal,
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of exactly this
        over = threading.Event()
        def work(stream):
            begin(log, stream)
            while not over.is_set():
                append(stream)
                log.read(stream, after=10**6)
        threads = [threading.Thread(target=work, args=(f"t-{n}",)) for n in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            pid = os.fork()
            if not pid:
                signal.alarm(20)
                append()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        over.set()
        for thread in threads:
            thread.join()
        """,
    )
    assert found["s-1"] == list(range(1, 24))
    assert all(stream == list(range(1, len(stream) + 1)) for stream in found.values())


def test_a_log_that_is_opened_in_the_middle_of_a_fork_waits_for_its_end(tmp_path: Path, journal: Journal) -> None:
    """Its connections went into the child, which took them for its own; and the parent let go of a lock of its that it
    had never taken."""
    found = _run(
        tmp_path,
        journal,
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads and forks
        under_way, opened = threading.Event(), []
        def opens():
            under_way.wait()
            opened.append(SqliteLog(sys.argv[1]))
        thread = threading.Thread(target=opens)
        thread.start()
        before = log._file.before_fork
        def slowly():
            under_way.set()
            thread.join(0.2)
            before()
        log._file.before_fork = slowly
        pid = os.fork()
        if not pid:
            for one in (log, *opened):
                one.append("s-1", [new(annotated())], expected=ANY)
            os._exit(0 if not opened else 1)
        assert os.waitpid(pid, 0)[1] == 0
        thread.join()
        opened[0].append("s-1", [new(annotated())], expected=ANY)
        append()
        """,
    )
    assert found == {"s-1": [1, 2, 3, 4, 5, 6]}


def test_a_log_that_was_not_told_of_a_fork_is_none_in_the_child(tmp_path: Path, journal: Journal) -> None:
    """As where an interrupt comes while the others are told: what is inherited is not safe to use, and not used."""
    _run(
        tmp_path,
        journal,
        """
        from lifecycle.errors import LogUnavailable
        log._file.before_fork = lambda: None
        pid = os.fork()
        if not pid:
            try:
                append()
            except LogUnavailable as error:
                os._exit(0 if "forked in the middle" in str(error) else 2)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        append()
        """,
    )


def test_a_child_forked_inside_a_turn_keeps_neither_the_queue_nor_the_log(tmp_path: Path, journal: Journal) -> None:
    """flock goes with the open file, of which a child inherits a copy; and with a connection open in its parent, the
    child has no way to use the file safely, not even by opening it again."""
    found = _run(
        tmp_path,
        journal,
        """
        from lifecycle.errors import LogUnavailable
        said, told = os.pipe()
        def work(conn):
            if os.fork():
                os.kill(os.getpid(), signal.SIGKILL)
            for attempt in (append, lambda: log.head("s-1"), lambda: SqliteLog(sys.argv[1])):
                try:
                    attempt()
                except LogUnavailable as error:
                    os.write(told, b"." if "forked in the middle" in str(error) else b"?")
            os.write(told, b"\\n")
            signal.pause()  # lives on, with what it has inherited
        if not os.fork():
            log._file.writing.run(work)
        os.wait()
        line = b""
        while not line.endswith(b"\\n"):
            line += os.read(said, 9)
        assert line == b"...\\n", line
        append()
        os.killpg(0, signal.SIGTERM)
        """,
        returncode=-signal.SIGTERM,
        start_new_session=True,
    )
    assert found == {"s-1": [1, 2, 3, 4]}


def test_multiprocessing_with_fork_works(tmp_path: Path, journal: Journal) -> None:
    found = _run(
        tmp_path,
        journal,
        """
        import multiprocessing
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=append) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        append()
        """,
    )
    assert found == {"s-1": list(range(1, 9))}
