"""What a path must be to serve as a log, and what is said when it can't; first openings by many, and by the killed."""

from __future__ import annotations

import os
import random
import stat
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
from tests.log.support import foreign

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


def test_a_relative_path_in_a_deleted_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(InvalidConfig, match="No such file or directory"):
        SqliteLog("log.db")
