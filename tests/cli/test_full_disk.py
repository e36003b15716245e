"""What the verbs that write a file, or print, do where there is no room: a sentence, an exit code, no half file."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lifecycle.cli.app import app
from lifecycle.log import SqliteLog
from lifecycle.testing.log_samples import annotated, begin, new

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with SqliteLog(tmp_path / "log.db") as made:
        begin(made, "s-1")
        made.append("s-1", [new(annotated(text="x" * 16_000))], expected=2)
    return tmp_path / "log.db"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system without room."""
    target = tmp_path / "full"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(target)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    with suppress(OSError), (target / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(4096)):
            pass
    yield target
    subprocess.run(["umount", str(target)], check=True)


def _run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="lifecycle")


def test_an_export_to_a_full_disk_fails_and_goes_on_when_there_is_room(log: Path, full: Path) -> None:
    done = _run("export", "--to", full / "out.jsonl", "--log", log)
    assert done.exit_code == 1, "the command line was not wrong"
    assert f"{full}/out.jsonl does not take events now: No space left on device" in done.output
    (full / "ballast").unlink()
    done = _run("export", "--to", full / "out.jsonl", "--resume", "--log", log)
    assert done.exit_code == 0, done.output


def test_a_backup_to_a_full_disk_names_that_disk_and_leaves_nothing(log: Path, full: Path) -> None:
    done = _run("backup", full / "copy.db", "--log", log)
    assert done.exit_code == 1
    assert f"sqlite:{full}/copy.db: the disk is full" in done.output
    assert [path.name for path in full.iterdir()] == ["ballast"]


@pytest.mark.parametrize("form", ["--svg", "--html", "--trace"])
def test_a_drawing_is_whole_or_not_there(log: Path, full: Path, form: str) -> None:
    (full / "ballast").unlink()
    (full / "there").write_text("what stood there")
    (full / "there").chmod(0o640)
    with suppress(OSError), (full / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(4096)):
            pass
    for name in ("there", "new"):
        done = _run("timeline", form, full / name, "--log", log)
        assert done.exit_code == 1, done.output
        assert f"{full}/{name} can't be written: No space left on device" in done.output
    assert sorted(path.name for path in full.iterdir()) == ["ballast", "there"]
    assert (full / "there").read_text() == "what stood there"
    (full / "ballast").unlink()
    assert _run("timeline", form, full / "there", "--log", log).exit_code == 0
    assert (full / "there").stat().st_mode & 0o777 == 0o640


def test_forwarding_into_a_new_file_leaves_no_empty_one(log: Path, full: Path, tmp_path: Path) -> None:
    verb = ("forward", full / "out.jsonl", "--cursor", tmp_path / "cursor", "--give-up", 0, "--log", log)
    assert _run(*verb).exit_code == 1
    assert [path.name for path in full.iterdir()] == ["ballast"]
    (full / "out.jsonl").touch()
    assert _run(*verb).exit_code == 1
    assert (full / "out.jsonl").exists(), "one that stood there stays"
    (full / "ballast").unlink()
    done = _run(*verb)
    assert done.exit_code == 0, done.output
    assert len((full / "out.jsonl").read_text().splitlines()) == 3


def test_a_key_is_whole_or_not_there(full: Path) -> None:
    done = _run("key", full / "key", "--name", "example.com/crawler")
    assert done.exit_code == 2, done.output
    assert "No space left on device" in done.output
    assert not (full / "key").exists()


def _printing(log: Path, verb: list[str], stdout: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LIFECYCLE_LOG": str(log)}
    command = [sys.executable, "-m", "lifecycle", *verb]
    return subprocess.run(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("verb", [["list", "--json"], ["--version"]])
def test_what_can_not_be_printed_is_told(log: Path, verb: list[str]) -> None:
    with open("/dev/full", "w") as nowhere:
        done = _printing(log, verb, nowhere.fileno())
    assert done.returncode == 1, done.stderr
    assert "what is printed can't be written: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", [["list"], ["--help"], ["--version"]])
def test_a_reader_that_went_away_is_no_failure(log: Path, verb: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = _printing(log, verb, theirs)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")
