"""What a keeper's browsers leave behind when they die: it comes to the keeper, which reaps it.

A browser's helpers outlive it by a moment, and full Chromium's crash handlers are nobody's children from the start.
They would go to the init, which a container mostly does not have: there they stay as zombies, two or more of each
browser, until no process can be started any more.

Reaping must not take the exit of a child from whoever waits for it: those that start children here say so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

__all__ = ["adopt", "reap", "reaped", "start"]

_PR_SET_CHILD_SUBREAPER: Final = 36
_LOOK_S: Final = 0.005
_lock: Final = threading.Lock()
_own: Final[set[int]] = set()
_adopting = False


def adopt() -> None:
    """Have orphans of this process's children come to it; whoever does so calls reap() as well."""
    global _adopting
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _adopting = True


def start(spawn: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """The child that *spawn* starts. It is left to the caller, who calls reaped() once it has waited for it."""
    with _lock:
        process = spawn()
        _own.add(process.pid)
    return process


def reaped(pid: int) -> None:
    """That child is gone, and its number may be another's."""
    with _lock:
        _own.discard(pid)


def reap(patience_s: float = 0.0) -> None:
    """Reap the orphans that are dead, waiting up to *patience_s* for those that are not."""
    until = time.monotonic() + patience_s
    with contextlib.suppress(ChildProcessError):  # no child is left at all
        while _adopting and (_reap_one() or time.monotonic() < until):
            time.sleep(_LOOK_S if time.monotonic() < until else 0)


def _reap_one() -> bool:
    """Whether there was a dead orphan; it is reaped. A dead child of one's own stands before the others until it is."""
    assert sys.platform == "linux"
    with _lock:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None or found.si_pid in _own:
            return False
        os.waitpid(found.si_pid, os.WNOHANG)
        return True
