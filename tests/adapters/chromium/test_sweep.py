"""What killed processes leave beside the log goes with the next reconcile, and nothing else goes."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

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
