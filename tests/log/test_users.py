"""Whose log it is: no other user can read it, a directory that may not be written lets read, root leaves no traces."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle.log import SqliteLog
from lifecycle.testing.log_samples import begin
from tests.log.support import run_child

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY = 65534


_AS_NOBODY = """
import os, sys
import lifecycle.telemetry  # here, because nobody may not be able to read the checkout
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
def shared() -> Iterator[Path]:
    """A log with two events, in a directory that everybody may enter; pytest's own directories are its user's only."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        with SqliteLog(path / "log.db", journal="delete") as log:
            begin(log, "s-1")
        yield path / "log.db"


@needs_root
@pytest.mark.parametrize("read_only", [False, True])
def test_another_user_can_not_read_a_log(shared: Path, read_only: bool) -> None:
    (said,) = _as_nobody(shared, read_only=read_only)
    assert said == f"LogUnsuitable sqlite:{shared}: can't be read here: {shared} may not be read"


@needs_root
def test_nor_its_write_ahead_log(shared: Path) -> None:
    shared.unlink()
    with SqliteLog(shared, journal="wal") as log:
        begin(log, "s-1")
        shared.parent.chmod(0o777)
        shared.chmod(0o644)
        (said,) = _as_nobody(shared, read_only=True)
    assert said == f"LogUnsuitable sqlite:{shared}: can't be read here: {shared}-wal may not be read"


@needs_root
@pytest.mark.parametrize("read_only", [False, True])
def test_in_a_directory_that_may_not_be_written_a_log_can_be_read(shared: Path, read_only: bool) -> None:
    shared.chmod(0o644)
    opened, events, sessions, append = _as_nobody(shared, read_only=read_only)
    assert (opened, events, sessions) == ("opened", "2", "1")
    assert append.startswith("ReadOnlyLog")


@needs_root
def test_a_wal_log_there_is_read_in_place_or_from_a_private_copy(shared: Path) -> None:
    """SQLite reads a WAL file only with -wal and -shm beside it; immutable=1 would ignore what stands in -wal."""
    path = shared.with_name("wal.db")
    with SqliteLog(path, journal="wal") as log:
        begin(log, "s-1")
        for name in ("", "-wal", "-shm"):
            path.with_name(f"wal.db{name}").chmod(0o644)
        opened, events, sessions, append = _as_nobody(path, read_only=True)
        assert (opened, events, sessions) == ("opened", "2", "1")
        assert append.startswith("ReadOnlyLog")
    opened, events, sessions, append = _as_nobody(path, read_only=True)
    assert (opened, events, sessions) == ("opened", "2", "1")
    assert append.startswith("ReadOnlyLog")


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


def test_a_log_that_was_read_while_it_might_not_be_written_can_be_written_again(tmp_path: Path) -> None:
    """SQLite gives -wal and -shm the mode of the file, and a reader leaves them: later writers were refused."""
    path = tmp_path / "log.db"
    with SqliteLog(path, journal="wal") as log:
        begin(log, "s-1")
        beside = [path.with_name(f"log.db{end}") for end in ("-wal", "-shm")]
        for one in beside:
            one.chmod(0o444)
        with SqliteLog(path) as other:
            begin(other, "s-2")
        assert [one.stat().st_mode & 0o777 for one in beside] == [0o600, 0o600]
