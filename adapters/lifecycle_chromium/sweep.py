"""What processes that were killed have left in the runtime directory, and nobody's session will take with it.

A keeper killed together with its owner before `created`, or after its last session was released, stands in no session
that reconcile would find; and an endpoint or profile may outlive the session whose keeper was killed right there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from typing import TYPE_CHECKING, Final

from lifecycle_chromium.process import find_by_profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["sweep"]

#: How long what a keeper printed before it went stays for a look.
_WORDS_S: Final = 7 * 24 * 3600.0


def sweep(runtime: Path, unreleased: Callable[[], set[str]]) -> None:
    """Remove the files of keepers that are gone, and of sessions that are not *unreleased*. Safe beside anybody.

    What can't be removed stays: nobody's start fails for that.
    """
    for lock in _inside(runtime / "keepers", ".lock"):
        _remove_if_free(lock)
    for words in _inside(runtime / "keepers", ".err"):
        # A keeper's lock file is there before this one is, and goes after it.
        if not words.with_suffix(".lock").exists():
            _remove_words(words)
    # Looked at before the log is: `created` is durable before anything here is made.
    files = [*_inside(runtime / "endpoints"), *_inside(runtime / "profiles")]
    if not files:
        return
    known = unreleased()
    for path in files:
        session_id = path.name.partition(".")[0]
        if session_id in known or not session_id or find_by_profile(session_id):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def _inside(folder: Path, suffix: str = "") -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():  # what a link leads to is not ours to tidy up
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except OSError:  # another user's, say root's
        return []


def _remove_if_free(lock: Path) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
        try:
            # Shared, so that nobody who looks at the same moment takes us for the keeper. An owner that has made the
            # file and not locked it yet finds it gone once it has, and makes another.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            _remove_words(lock.with_suffix(".err"))
            lock.unlink()
        finally:
            os.close(fd)


def _remove_words(words: Path) -> None:
    with contextlib.suppress(OSError):
        found = words.stat()
        if not found.st_size or time.time() - found.st_mtime > _WORDS_S:
            words.unlink()
