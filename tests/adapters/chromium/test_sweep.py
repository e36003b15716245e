"""What killed processes leave beside the log goes with the next reconcile, and nothing else goes."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from lifecycle_chromium import paths
from lifecycle_chromium.sweep import sweep

if TYPE_CHECKING:
    from pathlib import Path


def files(runtime: Path) -> set[str]:
    return {path.name for path in runtime.rglob("*") if path.parent != runtime}


def test_the_files_of_dead_keepers_and_released_sessions_go(tmp_path: Path) -> None:
    for keeper in ("dead", "alive"):
        paths.keeper_lock(tmp_path, keeper).touch()
        paths.keeper_err(tmp_path, keeper).touch()
    paths.keeper_err(tmp_path, "gone").touch()
    for session in ("over", "running"):
        paths.profile(tmp_path, session).mkdir()
        paths.write_endpoint(tmp_path, session, paths.Endpoint("ws://x", "ws://y"))
        paths.endpoint(tmp_path, session).with_suffix(".17.tmp").touch()
    with paths.keeper_lock(tmp_path, "alive").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sweep(tmp_path, lambda: {"running"})
    assert files(tmp_path) == {"alive.lock", "alive.err", "running", "running.json", "running.17.tmp"}


def test_what_a_keeper_printed_stays_for_a_week(tmp_path: Path) -> None:
    words = paths.keeper_err(tmp_path, "dead")
    words.write_text("Traceback")
    paths.keeper_lock(tmp_path, "dead").touch()
    sweep(tmp_path, set)
    assert files(tmp_path) == {"dead.err"}
    week_ago = time.time() - 7 * 24 * 3600 - 60
    os.utime(words, (week_ago, week_ago))
    sweep(tmp_path, set)
    assert files(tmp_path) == set()


def test_what_can_not_be_removed_stays_and_keeps_nothing_else(tmp_path: Path) -> None:
    paths.keeper_err(tmp_path, "a").mkdir()
    os.utime(paths.keeper_err(tmp_path, "a"), (0, 0))
    paths.keeper_err(tmp_path, "b").touch()
    sweep(tmp_path, set)
    assert files(tmp_path) == {"a.err"}


def test_two_may_remove_a_keepers_files_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner, and whoever puts its sessions right: a file may go between a look at it and the next."""
    err, lock = paths.keeper_err(tmp_path, "k"), paths.keeper_lock(tmp_path, "k")
    err.touch()
    lock.touch()
    look = type(err).stat

    def gone_behind_it(path: Path, **options: bool) -> os.stat_result:
        found = look(path, **options)
        if path == err:
            os.unlink(path)
        return found

    monkeypatch.setattr(type(err), "stat", gone_behind_it)
    paths.remove_keeper(tmp_path, "k")
    monkeypatch.undo()
    assert files(tmp_path) == set()


def test_the_log_is_asked_after_the_look(tmp_path: Path) -> None:
    """A session that began in between is known by then, and what it made since was not in the look."""

    def begun() -> set[str]:
        paths.profile(tmp_path, "new").mkdir()
        return {"old"}

    paths.profile(tmp_path, "old").mkdir()
    sweep(tmp_path, begun)
    assert files(tmp_path) == {"old", "new"}


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    paths.profile(tmp_path, "link").symlink_to(tmp_path / "elsewhere")
    sweep(tmp_path, set)
    assert files(tmp_path) == {"kept"}


def test_a_folder_that_is_a_link_is_neither_swept_nor_used(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "kept").mkdir(parents=True)
    runtime = tmp_path / "log.db.d"
    runtime.mkdir()
    for name in ("profiles", "endpoints", "keepers"):
        (runtime / name).symlink_to(elsewhere)
    sweep(runtime, set)
    assert (elsewhere / "kept").is_dir()
    for path_of in (paths.profile, paths.endpoint, paths.keeper_lock):
        with pytest.raises(NotADirectoryError, match="not followed"):
            path_of(runtime, "s-1")


GOOD = {"session_id": "s-1", "cdp_url": "ws://127.0.0.1:5/token/s-1", "look_url": "ws://127.0.0.1:5/look/s-1"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        "\xff",
        json.dumps({**GOOD, "cdp_url": 5}),
        json.dumps({**GOOD, "look_url": "ws://192.0.2.1:5/look/s-1"}),
        json.dumps({**GOOD, "cdp_url": "http://127.0.0.1:5/token/s-1"}),
    ],
)
def test_an_endpoint_that_no_keeper_has_written_is_none(tmp_path: Path, content: str) -> None:
    """Such as one that a power cut has left empty."""
    file = paths.endpoint(tmp_path, "s-1")
    file.write_text(json.dumps(GOOD))
    assert paths.read_endpoint(tmp_path, "s-1") == paths.Endpoint(GOOD["cdp_url"], GOOD["look_url"])
    file.write_text(content, "latin-1")
    assert paths.read_endpoint(tmp_path, "s-1") is None


def test_an_endpoint_that_is_no_file_is_none(tmp_path: Path) -> None:
    file = paths.endpoint(tmp_path, "s-1")
    (tmp_path / "file").write_text(json.dumps(GOOD))
    file.symlink_to(tmp_path / "file")
    assert paths.read_endpoint(tmp_path, "s-1") is None
    file.unlink()
    os.mkfifo(file)
    assert paths.read_endpoint(tmp_path, "s-1") is None  # and nobody waits for who would write into it
