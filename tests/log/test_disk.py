"""A disk that is full, over quota or failing: a clear error, nothing half-written, and it goes on when it can."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.errors import LogUnavailable
from lifecycle.log import ANY, SqliteLog
from lifecycle.log.driver import sqlite3
from lifecycle.log.writing import Writing
from lifecycle.testing.log_samples import annotated, begin, new
from tests.log.support import integrity, ours, run_child, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.log.driver import Connection
    from lifecycle.log.versions import Journal


def _fill(log: SqliteLog, most: int = 2000) -> int:
    """Append until it is refused; how many were taken."""
    taken, said = 0, ""
    while taken < most and not said:
        try:
            log.append("s-1", [new(annotated(text="x" * 8000))], expected=taken + 2)
            taken += 1
        except LogUnavailable as error:
            said = str(error)
    assert "nothing was acknowledged" in said
    return taken


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_limit_on_the_file_s_size_is_met_and_lifted(tmp_path: Path, journal: Journal) -> None:
    """RLIMIT_FSIZE comes out of SQLite as an I/O error, not as a full disk."""
    code = """
    import resource, sys
    from lifecycle.log import SqliteLog
    from lifecycle.testing.log_samples import annotated, begin, new
    sys.path.append(sys.argv[3])  # behind an installed wheel
    from tests.log.test_disk import _fill
    log = SqliteLog(sys.argv[1], journal=sys.argv[2])
    begin(log, "s-1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    taken = _fill(log)
    assert log.head("s-1") == taken + 2, (log.head("s-1"), taken)
    assert len(log.sessions.list(now=0)) == 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append("s-1", [new(annotated())], expected=taken + 2)
    print(taken)
    """
    done = run_child(code, tmp_path / "log.db", journal, str(Path(__file__).parents[2]))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    with SqliteLog(tmp_path / "log.db") as log:
        assert versions(log)["s-1"] == list(range(1, int(done.stdout) + 4))
        assert log.sessions.rebuild().equal
    assert integrity(tmp_path / "log.db") == "ok"


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 2 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_full_disk_is_met_and_freed(tiny: Path, journal: Journal) -> None:
    with SqliteLog(tiny / "log.db", journal=journal) as log:
        begin(log, "s-1")
        (tiny / "ballast").write_bytes(bytes(700_000))
        taken = _fill(log)
        assert taken > 10
        assert log.head("s-1") == taken + 2, "reading goes on, and what was refused is not there"
        event = new(annotated(text="x" * 16_000))  # more than the refused one, which may have missed a page only
        with pytest.raises(LogUnavailable):
            log.append("s-1", [event], expected=ANY)
        (tiny / "ballast").unlink()
        assert log.append("s-1", [event], expected=ANY).duplicate is False
        assert versions(log)["s-1"] == list(range(1, taken + 4))
        assert log.sessions.rebuild().equal
    assert integrity(tiny / "log.db") == "ok"


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_log_can_not_be_made_on_a_full_disk_and_can_when_it_is_free(tiny: Path, journal: Journal) -> None:
    with suppress(OSError), (tiny / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(4096)):
            pass
    with pytest.raises(LogUnavailable):
        SqliteLog(tiny / "log.db", journal=journal)
    (tiny / "ballast").unlink()
    with SqliteLog(tiny / "log.db", journal=journal) as log:
        begin(log, "s-1")


def test_out_of_file_descriptors_is_said_and_passes(tmp_path: Path) -> None:
    code = """
    import os, resource, sys
    from lifecycle.errors import LogUnavailable
    from lifecycle.log import ANY, SqliteLog
    from lifecycle.testing.log_samples import annotated, begin, new
    log = SqliteLog(sys.argv[1])
    begin(log, "s-1")
    log.close()
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for spare in range(8):
        try:
            log = SqliteLog(sys.argv[1])
            try:
                log.append("s-1", [new(annotated())], expected=ANY)
            finally:
                log.close()
            print("worked with", spare)
            break
        except LogUnavailable as error:
            print(error)
        os.close(taken.pop())
    """
    done = run_child(code, tmp_path / "log.db")
    assert done.returncode == 0, done.stderr
    assert "worked with" in done.stdout
    assert "log.db" in done.stdout.splitlines()[0]


def _failing(code: int) -> sqlite3.OperationalError:
    error: Any = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    return error  # type: ignore[no-any-return]


def test_an_error_after_the_commit_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk took it and failed afterwards: what stands in the log decides, once a sync has succeeded."""
    commit = Writing._commit  # pyright: ignore[reportPrivateUsage]
    calls: list[int] = []

    def failing(self: Writing, conn: Connection) -> None:
        commit(self, conn)
        calls.append(1)
        if len(calls) == 1:
            raise _failing(1034)

    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "s-1")
        monkeypatch.setattr(Writing, "_commit", failing)
        event = new(annotated())
        appended = log.append("s-1", [event], expected=2)
        assert (appended.version, appended.duplicate) == (3, False)
        assert log.append("s-1", [event], expected=2) == replace(appended, duplicate=True)
        assert log.head("s-1") == 3


def test_an_error_after_the_commit_stays_one_when_the_disk_does_not_recover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Writing._commit  # pyright: ignore[reportPrivateUsage]

    def failing(self: Writing, conn: Connection) -> None:
        commit(self, conn)
        raise _failing(1034)

    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "s-1")
        event = new(annotated())
        with monkeypatch.context() as patched:
            patched.setattr(Writing, "_commit", failing)
            with pytest.raises(LogUnavailable):
                log.append("s-1", [event], expected=2)
        assert log.append("s-1", [event], expected=2).duplicate, "nothing was promised, and a retry finds it"


def test_an_error_before_the_commit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Writing, conn: Connection) -> None:
        raise _failing(778)

    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "s-1")
        event = new(annotated())
        spoiled = ours(log)
        with monkeypatch.context() as patched:
            patched.setattr(Writing, "_commit", failing)
            with pytest.raises(LogUnavailable, match="the disk refused"):
                log.append("s-1", [event], expected=2)
        assert log.head("s-1") == 2
        assert ours(log) is not spoiled, "after a failed fsync a connection's idea of the file is worth nothing"
        assert log.append("s-1", [event], expected=2).duplicate is False
