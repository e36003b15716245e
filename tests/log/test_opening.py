"""What a path must be to serve as a log, and what is said when it can't; first openings by many, and by the killed."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.errors import (
    InvalidConfig,
    LifecycleError,
    LogTampered,
    LogUnavailable,
    LogUnsuitable,
    NewerLog,
    NotALog,
    ReadOnlyLog,
)
from lifecycle.log import ANY, SqliteLog, open_log
from lifecycle.testing.log_contract import everything
from lifecycle.testing.log_samples import annotated, begin, failed, new
from tests.log.support import child_code, foreign, integrity, run_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NOBODY = 65534


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_log_is_for_its_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with SqliteLog(tmp_path / "log.db") as log:
            begin(log, "s-1")
            files = [tmp_path / name for name in ("log.db", "log.db-wal", "log.db-shm", "log.db.d/writers")]
            assert [oct(_mode(file)) for file in files] == ["0o600"] * 4
            assert oct(_mode(log.runtime_dir)) == "0o700"
    finally:
        os.umask(old)


def test_a_runtime_directory_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "log.db.d").mkdir(mode=0o755)
    with SqliteLog(tmp_path / "log.db") as log:
        assert oct(_mode(log.runtime_dir)) == "0o700"


def test_the_locator_is_the_absolute_path_with_links_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    with SqliteLog("link/log.db") as log:
        begin(log, "s-1")
        assert log.locator == f"sqlite:{tmp_path}/real/log.db"
        assert log.runtime_dir == tmp_path / "real" / "log.db.d"
        (tmp_path / "alias.db").symlink_to(tmp_path / "real" / "log.db")
        with SqliteLog("alias.db") as other, closing(open_log(log.locator)) as third:
            assert other.locator == third.locator == log.locator
            assert other.head("s-1") == third.head("s-1") == 2


@pytest.mark.parametrize("name", ["what?mode=memory", "a#b", "50%25.db", "file:x", "a b'c\"", "ü\N{SNOWMAN}", "-rf"])
def test_a_path_is_a_path_and_never_a_uri(tmp_path: Path, name: str) -> None:
    with SqliteLog(tmp_path / name) as log:
        begin(log, "s-1")
    assert (tmp_path / name).stat().st_size > 4096
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.d"}
    with closing(open_log(f"sqlite:{tmp_path}/{name}", read_only=True)) as again:
        assert again.head("s-1") == 2


@pytest.mark.parametrize("path", ["", "a\0b", ":memory:", "\udcff.db", b"bytes.db", None, 7])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises((InvalidConfig, TypeError)):
        SqliteLog(path)


@pytest.mark.parametrize(
    "option",
    [
        {"synchronous": "OFF"},
        {"synchronous": "full"},
        {"journal": "off"},
        {"timeout_s": 0},
        {"timeout_s": -1},
        {"timeout_s": float("inf")},
        {"timeout_s": float("nan")},
        {"timeout_s": True},
        {"timeout_s": "30"},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused_before_anything_is_made(tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(option))):
        SqliteLog(tmp_path / "log.db", **option)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scheme_is_refused_and_names_the_known_ones() -> None:
    with pytest.raises(InvalidConfig, match=r"one of these schemes: sqlite"):
        open_log("postgres://host/db")


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(8192))


def _foreign(path: Path) -> None:
    with foreign(path) as conn:
        conn.execute("CREATE TABLE bookmarks (url)")


def _newer(path: Path) -> None:
    SqliteLog(path).close()
    with foreign(path) as conn:
        conn.execute("PRAGMA user_version = 2")


def _unversioned(path: Path) -> None:
    SqliteLog(path).close()
    with foreign(path) as conn:
        conn.execute("PRAGMA user_version = 0")


def _hard_linked(path: Path) -> None:
    SqliteLog(path).close()
    path.with_name("other.db").hardlink_to(path)


UNSUITABLE: dict[str, tuple[Callable[[Path], object], type[LifecycleError], str]] = {
    "directory": (lambda path: path.mkdir(), LogUnsuitable, "is a directory"),
    "fifo": (os.mkfifo, LogUnsuitable, "is not a regular file"),
    "garbage": (_garbage, NotALog, "not a database"),
    "short garbage": (lambda path: path.write_bytes(b"hello"), NotALog, "not a database"),
    "text": (lambda path: path.write_text("SQLite format 3, but not really\n" * 200), NotALog, "not a database"),
    "foreign database": (_foreign, NotALog, "is a SQLite database, but not a log"),
    "newer": (_newer, NewerLog, "has schema version 2, this library knows up to 1"),
    "without a version": (_unversioned, LogTampered, "schema version 0"),
    "hard links": (_hard_linked, LogUnsuitable, "has 2 hard links"),
}


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("what", UNSUITABLE)
def test_an_unsuitable_file_is_named_and_left_alone(tmp_path: Path, what: str, read_only: bool) -> None:
    make, kind, reason = UNSUITABLE[what]
    path = tmp_path / "log.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(kind, match=reason) as caught:
        SqliteLog(path, read_only=read_only)
    assert str(path) in str(caught.value)
    if before is not None:
        assert path.read_bytes() == before


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}, {"create": True, "read_only": True}])
@pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
def test_a_log_is_not_made_unless_asked_for(tmp_path: Path, empty: bool, options: dict[str, Any]) -> None:
    if empty:
        (tmp_path / "log.db").touch()
    before = list(tmp_path.iterdir())
    with pytest.raises(LogUnsuitable, match=r"no such file|is empty"):
        SqliteLog(tmp_path / "log.db", **options)
    assert list(tmp_path.iterdir()) == before


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogUnsuitable, match=rf"the directory {tmp_path}/nowhere does not exist"):
        SqliteLog(tmp_path / "nowhere" / "log.db")


def test_an_empty_file_becomes_a_log(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()
    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "s-1")


def test_a_log_opened_for_reading_reads_everything_and_writes_nothing(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "s-1")
        log.append("s-1", [new(failed())], expected=2)
    with SqliteLog(tmp_path / "log.db", read_only=True) as log:
        assert len(everything(log)) == 3
        session = log.sessions.get("s-1")
        assert session is not None
        assert session.error_message == "it broke"
        with pytest.raises(ReadOnlyLog, match="opened for reading only"):
            log.append("s-1", [new(annotated())], expected=ANY)
        with pytest.raises(ReadOnlyLog):
            log.sessions.rebuild()


def test_a_log_opened_for_reading_sees_what_others_append(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log, SqliteLog(tmp_path / "log.db", read_only=True) as reader:
        begin(log, "s-1")
        assert reader.head("s-1") == 2


_AS_NOBODY = """
import os, sys
from lifecycle.errors import LifecycleError
from lifecycle.log import ANY, SqliteLog
from lifecycle.testing.log_samples import annotated, new
os.setgid(65534)
os.setuid(65534)
for step in (lambda: SqliteLog(sys.argv[1], read_only=sys.argv[2] == "True"),
             lambda: len(log.read_all(limit=10).events),
             lambda: len(log.sessions.list(now=0)),
             lambda: log.append("s-1", [new(annotated())], expected=ANY)):
    try:
        result = step()
        if isinstance(result, SqliteLog):
            log = result
            result = "opened"
        print(result)
    except LifecycleError as error:
        print(type(error).__name__, error)
        if step.__code__.co_names[0] == "SqliteLog":
            break
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def _as_nobody(path: Path, *, read_only: bool) -> list[str]:
    done = run_child(_AS_NOBODY, path, read_only)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A log with two events, in a directory that everybody may enter."""
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    with SqliteLog(tmp_path / "log.db", journal="delete") as log:
        begin(log, "s-1")
    return tmp_path / "log.db"


@needs_root
@pytest.mark.parametrize("read_only", [False, True])
def test_another_user_can_not_read_a_log(shared: Path, read_only: bool) -> None:
    (said,) = _as_nobody(shared, read_only=read_only)
    assert said.startswith("LogUnavailable")
    assert str(shared) in said


@needs_root
@pytest.mark.parametrize("read_only", [False, True])
def test_in_a_directory_that_may_not_be_written_a_log_can_be_read(shared: Path, read_only: bool) -> None:
    shared.chmod(0o644)
    opened, events, sessions, append = _as_nobody(shared, read_only=read_only)
    assert (opened, events, sessions) == ("opened", "2", "1")
    assert append.startswith("ReadOnlyLog")


@needs_root
def test_a_wal_log_there_needs_somebody_who_has_it_open(shared: Path) -> None:
    """SQLite reads a WAL file only with -wal and -shm beside it; immutable=1 would ignore what stands in -wal."""
    path = shared.with_name("wal.db")
    with SqliteLog(path, journal="wal") as log:
        begin(log, "s-1")
        for name in ("", "-wal", "-shm"):
            path.with_name(f"wal.db{name}").chmod(0o644)
        opened, events, sessions, append = _as_nobody(path, read_only=True)
        assert (opened, events, sessions) == ("opened", "2", "1")
        assert append.startswith("ReadOnlyLog")
    (said,) = _as_nobody(path, read_only=True)
    assert said.startswith("LogUnavailable")
    assert "can't be read here" in said


@needs_root
def test_a_log_can_not_be_made_where_nothing_may_be_written(shared: Path) -> None:
    (said,) = _as_nobody(shared.with_name("new.db"), read_only=False)
    assert said.startswith(("LogUnsuitable", "ReadOnlyLog"))
    assert "Permission denied" in said


@needs_root
def test_what_root_makes_beside_a_user_s_log_is_the_user_s(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with SqliteLog(tmp_path / "log.db", journal="wal") as log:
        begin(log, "s-1")
    for path in (tmp_path / "log.db.d" / "writers", tmp_path / "log.db.d"):
        path.unlink() if path.is_file() else path.rmdir()
    os.chown(tmp_path / "log.db", _NOBODY, _NOBODY)
    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "s-2")
        made = [path for path in (tmp_path, tmp_path / "log.db.d") for path in path.iterdir()]
        assert {path.name: path.stat().st_uid for path in made} == dict.fromkeys(
            ["log.db", "log.db-wal", "log.db-shm", "log.db.d", "writers"], _NOBODY
        )


def test_a_file_removed_or_replaced_while_open_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        begin(log, "s-1")
        path.rename(tmp_path / "away.db")
        for call in (
            lambda: log.append("s-1", [new(annotated())], expected=ANY),
            lambda: log.read("s-1"),
            lambda: log.sessions.list(now=0),
        ):
            with pytest.raises(LogUnavailable, match="removed or replaced"):
                call()
        SqliteLog(path).close()
        with pytest.raises(LogUnavailable, match="removed or replaced"):
            log.append("s-1", [new(annotated())], expected=ANY)


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
