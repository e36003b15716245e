"""A log on a file system that may not be written: every reading verb works, and sees the write-ahead log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lifecycle.cli.app import app
from lifecycle.errors import LogUnavailable, ReadOnlyLog
from lifecycle.log import ANY, SqliteLog
from lifecycle.log.driver import sqlite3
from lifecycle.log.place import place
from lifecycle.log.private_copy import PrivateCopy
from lifecycle.testing.log_samples import annotated, begin, closed, new

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.log.versions import Journal

JOURNALS: tuple[Journal, ...] = ("wal", "delete")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A directory, and where it is mounted read-only."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    done = subprocess.run(["mount", "--bind", "-o", "ro", source, target], capture_output=True, check=False)
    if done.returncode or os.access(target, os.W_OK):
        if not done.returncode:
            subprocess.run(["umount", target], check=True)
        pytest.skip("needs the right to mount")
    yield source, target
    subprocess.run(["umount", target], check=True)


def left_over(folder: Path, journal: Journal) -> None:
    """A log whose writer was killed: its last events stand in the write-ahead log only."""
    with tempfile.TemporaryDirectory() as elsewhere:
        path = Path(elsewhere) / "log.db"
        with SqliteLog(path, journal=journal) as log:
            begin(log, "s-1")
            log.append("s-1", [new(closed())], expected=2)
            for name in ("log.db", "log.db-wal"):
                if (path.with_name(name)).exists():
                    shutil.copyfile(path.with_name(name), folder / name)


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_log_is_read_where_nothing_may_be_written(mounted: tuple[Path, Path], journal: Journal) -> None:
    source, target = mounted
    left_over(source, journal)
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    with SqliteLog(target / "log.db", read_only=True) as log:
        assert log.copied == (journal == "wal")
        assert log.locator == f"sqlite:{target}/log.db"
        assert [row.type for row in log.read("s-1")] == ["session.created", "session.started", "session.closed"]
        assert [session.session_id for session in log.sessions.list(now=0)] == ["s-1"]
        with pytest.raises(ReadOnlyLog):
            log.append("s-1", [new(annotated())], expected=ANY)
        folders = list(Path(tempfile.gettempdir()).glob("lifecycle-log-*")) if log.copied else []
        assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before, "nothing is changed by looking"


def test_to_be_written_it_is_refused_for_good(mounted: tuple[Path, Path]) -> None:
    """SQLite says the same as of a process without descriptors, so it was told that trying again may help."""
    source, target = mounted
    left_over(source, "wal")
    with pytest.raises(ReadOnlyLog, match=rf"{target}/log\.db may not be written; with read_only=True") as refused:
        SqliteLog(target / "log.db")
    assert not refused.value.retryable
    (source / "log.db-wal").unlink()
    left_over(source, "delete")
    with SqliteLog(target / "log.db") as log, pytest.raises(ReadOnlyLog, match="can't be written here"):
        log.append("s-1", [new(annotated())], expected=ANY)


def test_every_reading_verb_works_there(mounted: tuple[Path, Path]) -> None:
    source, target = mounted
    left_over(source, "wal")
    for verb in (
        ["list"],
        ["show", "s-1"],
        ["why", "s-1"],
        ["history", "s-1"],
        ["event", "s-1", "3"],
        ["tail", "-f"],
        ["stats"],
        ["diff", "s-1", "s-1"],
        ["timeline"],
        ["verify"],
    ):
        done = CliRunner().invoke(app, [*verb, "--log", str(target / "log.db")], prog_name="lifecycle")
        assert done.exit_code == 0, (verb, done.output)
        assert "private copy" in done.stderr, verb


def test_on_a_full_disk_a_log_that_nobody_has_open_is_read(tmp_path: Path) -> None:
    """Where sessions fill the disk, who looks what runs there would be told of the disk only."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        left_over(tmp_path, "wal")
        with suppress(OSError), (tmp_path / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(bytes(4096)):
                pass
        for verb in ("list", "verify"):
            done = CliRunner().invoke(app, [verb, "--log", str(tmp_path / "log.db")], prog_name="lifecycle")
            assert done.exit_code == 0, (verb, done.output)
            assert "private copy" in done.stderr, verb
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_copy_is_gone_when_the_log_is_closed_and_takes_no_locks_along(tmp_path: Path) -> None:
    """Were the file opened and closed in this process, the writer would lose its lock, and the other one get in."""
    path = tmp_path / "log.db"
    SqliteLog(path, journal="delete").close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    copy = PrivateCopy(place(path))
    assert Path(copy.path).stat().st_size == path.stat().st_size
    script = (
        f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')"
    )
    other = subprocess.run(["python3", "-c", script], capture_output=True, text=True, check=False)
    assert "locked" in other.stderr
    writer.close()
    copy.remove()
    assert not Path(copy.path).parent.exists()


def test_what_can_not_be_copied_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("lifecycle-log-*"))
    with pytest.raises(LogUnavailable, match="can't be copied"):
        PrivateCopy(place(tmp_path / "missing.db"))
    assert set(Path(tempfile.gettempdir()).glob("lifecycle-log-*")) <= before


def test_where_there_is_no_place_for_temporary_files_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    (tmp_path / "log.db").touch()
    with pytest.raises(LogUnavailable, match=r"can't be copied: .*missing"):
        PrivateCopy(place(tmp_path / "log.db"))


def test_the_copy_of_a_killed_reader_goes_with_the_next_one_and_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, temporary = tmp_path / "log.db", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    SqliteLog(path, journal="delete").close()
    script = (
        "import sys; from lifecycle.log.place import place; from lifecycle.log.private_copy import PrivateCopy\n"
        f"copy = PrivateCopy(place({str(path)!r})); print(copy.path, flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin is not None
    assert other.stdout is not None
    with other:
        theirs = Path(other.stdout.readline().strip())
        (temporary / "lifecycle-log-of-somebody").mkdir()
        PrivateCopy(place(path)).remove()
        assert theirs.exists(), "it is being read"
        other.kill()
        other.wait()
    assert theirs.exists()
    PrivateCopy(place(path)).remove()
    assert [folder.name for folder in temporary.iterdir()] == ["lifecycle-log-of-somebody"]
