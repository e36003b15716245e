"""The viewer's process: `python -P -m lifecycle_viewer --log LOCATOR --session ID`, started by its owner.

In this order:

1. the CDP URL comes on stdin, one JSON line; nothing secret is on the command line or in the environment;
2. the page is served, and its address goes to stdout, one JSON line (or why not);
3. every half second, and whenever something happens, the log is read: status, deadline, ending;
4. the session is over, or the browser or the owner is gone (stdin ends): the page is told, and everything ends.

Nothing is written anywhere, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from typing import Any, Final

from lifecycle.client.system import SystemClock
from lifecycle.errors import LifecycleError
from lifecycle_viewer.camera import Camera
from lifecycle_viewer.record import Record
from lifecycle_viewer.scene import Scene
from lifecycle_viewer.server import Server
from lifecycle_viewer.words import state

__all__ = ["main"]

_LOOK_S: Final = 0.5
#: Whoever sees the browser or the owner go waits this long for the log to say what became of the session.
_VERDICT_S: Final = 3.0
_LAST_WORDS_S: Final = 2.0

_OWNER_GONE: Final = "The process that offered this view is gone. The session goes on without it."
_BROWSER_GONE: Final = "The browser can't be reached any more, and the log does not say why yet."


class _Viewing:
    """One session on its page, from the first look to the last."""

    def __init__(self, locator: str, session_id: str, cdp_url: str) -> None:
        self._record = Record(locator, session_id)
        self._clock = SystemClock()
        self._scene = Scene()
        self._camera = Camera(cdp_url, self._scene)
        self._scene.on_audience = self._camera.aim
        self._parent = os.getppid()
        self._wake = threading.Event()
        self._lost: str | None = None
        self._server = Server(self._scene)

    @property
    def url(self) -> str:
        """The page's address; a credential."""
        return self._server.url

    def run(self) -> None:
        """Show until there is nothing to show any more."""
        threading.Thread(target=self._film, name="viewer-camera", daemon=True).start()
        threading.Thread(target=self._hold, name="viewer-owner", daemon=True).start()
        try:
            self._follow()
        except LifecycleError as error:
            self._scene.show(left=f"The log can't be read here: {error}")
        self._server.close(_LAST_WORDS_S)
        self._camera.close()
        self._record.close()

    def _follow(self) -> None:
        lost_at: float | None = None
        while True:
            self._wake.clear()
            session = self._record.read()
            shown: dict[str, Any] = {} if session is None else state(session, self._clock.now())
            self._scene.show(**shown)
            if shown.get("over", True):
                return
            if self._lost is None and os.getppid() != self._parent:
                self._lost = _OWNER_GONE  # a forked child of the owner may hold the pipe open
            if self._lost is not None:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at >= _VERDICT_S:
                    self._scene.show(left=self._lost)
                    return
            self._wake.wait(_LOOK_S if lost_at is None else 0.05)

    def _film(self) -> None:
        try:
            self._camera.run()
        finally:
            self._lose(_BROWSER_GONE)

    def _hold(self) -> None:
        sys.stdin.buffer.read()  # the owner says nothing more: this is the wait for its end
        self._lose(_OWNER_GONE)

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._wake.set()


def _say(**answer: str) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    """Show one session; started by its owner, never by hand."""
    parser = argparse.ArgumentParser(prog="lifecycle_viewer", description=main.__doc__)
    parser.add_argument("--log", required=True, help="the log's locator")
    parser.add_argument("--session", required=True)
    given = parser.parse_args(argv)
    line = sys.stdin.buffer.readline()
    if not line:
        return 1  # the owner is gone already
    try:
        viewing = _Viewing(given.log, given.session, json.loads(line)["cdp_url"])
    except (LifecycleError, OSError, ValueError, KeyError) as error:
        _say(failed=f"{type(error).__name__}: {error}" if isinstance(error, LifecycleError) else type(error).__name__)
        return 1
    _say(url=viewing.url)
    viewing.run()
    return 0


if __name__ == "__main__":
    code = main()
    # Not by way of the interpreter's end, which waits for threads: one may serve a page that takes nothing any more.
    sys.stdout.flush()
    os._exit(code)
