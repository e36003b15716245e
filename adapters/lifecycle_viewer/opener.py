"""The owner's side: start a viewer for a session, hand it what is secret through a pipe, and hold that pipe.

What the viewer is told on its command line is in every process list: the log's locator and the session's id. The CDP
URL, good for looking only, goes in on stdin, the page's address (a token is in it) comes back on stdout. As long as
stdin is open the owner lives; its end, or the session's, is the viewer's end.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
import weakref
from typing import IO, Final

from lifecycle.errors import ViewerUnavailable

__all__ = ["Showing", "Viewer"]

#: A viewer answers within half a second; a machine under load may take longer.
_START_WAIT_S: Final = 20.0
_WORDS: Final = 500


class Showing:
    """One viewer process. Thread-safe."""

    def __init__(self, session_id: str, locator: str, look_url: str) -> None:
        command = [sys.executable, "-P", "-m", "lifecycle_viewer", "--log", locator, "--session", session_id]
        self._session_id = session_id
        self._answer: dict[str, str] = {}
        self._answered = threading.Event()
        self._gone = threading.Event()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the owner; the viewer still has to tell its page
            )
        except OSError as error:
            raise ViewerUnavailable(session_id, f"{sys.executable!r} can't be started: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout
        _showing.add(self)
        with contextlib.suppress(OSError):  # it is gone already; its answer will say so
            self._stdin.write(json.dumps({"cdp_url": look_url}).encode() + b"\n")
            self._stdin.flush()
        threading.Thread(target=self._listen, name="lifecycle-viewer", daemon=True).start()

    @property
    def pid(self) -> int:
        """The viewer's process."""
        return self._process.pid

    def url(self) -> str:
        """The page's address, as soon as the viewer serves it. Opens the view to whoever has it; look-only.

        Raises:
            ViewerUnavailable: The viewer did not come up.
        """
        if not self._answered.wait(_START_WAIT_S):
            self.close()
            raise ViewerUnavailable(self._session_id, f"no answer within {_START_WAIT_S:g} s")
        if "url" not in self._answer:
            raise ViewerUnavailable(self._session_id, self._answer.get("failed", "its process ended without a word"))
        return self._answer["url"]

    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._gone.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the process's end; False after *timeout_s*."""
        return self._gone.wait(timeout_s)

    def close(self) -> None:
        """Hang up: the viewer tells its page and ends by itself. Returns at once; idempotent."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def _listen(self) -> None:
        with self._stdout as lines:
            for line in lines:  # until its end; what is said after the answer is heard by nobody
                if not self._answered.is_set():
                    self._hear(line)
        self._answered.set()
        self._process.wait()
        self.close()
        self._gone.set()

    def _hear(self, line: bytes) -> None:
        try:
            self._answer = dict(json.loads(line))
            self._answered.set()
        except (ValueError, TypeError):
            # A traceback, of which the last line is the reason.
            self._answer = {"failed": line.decode(errors="replace").strip()[:_WORDS]}

    def leave(self) -> None:
        """This process ends: hang up. The viewer has something to tell its page yet, and outlives us for a moment."""
        self.close()
        if self._process.returncode is None:
            self._process.returncode = 0  # or Popen would warn that it still runs

    def forget(self) -> None:
        """In a forked child: drop the copies of the pipe, so that only the parent holds it open."""
        for file in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                os.close(file.fileno())
        self._process.returncode = 0


class Viewer:
    """Starts viewers; what the entry point `viewer` of the group `lifecycle.adapters` gives."""

    def show(self, session_id: str, locator: str, look_url: str) -> Showing:
        """Start a viewer for a session; returns at once.

        Raises:
            ViewerUnavailable: No process can be started.
        """
        return Showing(session_id, locator, look_url)


_showing: weakref.WeakSet[Showing] = weakref.WeakSet()


def _leave() -> None:
    for showing in list(_showing):
        showing.leave()


def _child() -> None:
    for showing in list(_showing):
        showing.forget()
    _showing.clear()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_child)
