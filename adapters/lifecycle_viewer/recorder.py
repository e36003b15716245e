"""The recorder's process: `python -P -m lifecycle_viewer.recorder PATH PART LIMIT`, started by a session's keeper.

PATH is the film's when it is whole, PART while it is made, LIMIT is how many bytes it may have. One JSON line each:

1. stdin: where the browser is; nothing secret is on the command line or in the environment;
2. stdout: `filming`, once there is a picture;
3. stdin: `end`, when the session ended (s since the epoch). The keeper's death, at which stdin ends, is an end too, and
   so is the browser's, with what was seen of it so far;
4. stdout: the receipt, or `why_not`. Then this process is gone.

It looks and does nothing else; camera.py says what that costs.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from lifecycle_viewer.camera import Camera
from lifecycle_viewer.film import Film, encoder

__all__ = ["main"]


class _Recording:
    """One session on its film."""

    def __init__(self, cdp_url: str, path: Path, part: Path, limit_bytes: int) -> None:
        self._path = path
        self._film = Film(part, limit_bytes=limit_bytes, on_change=self._changed)
        self._camera = Camera(cdp_url, self._film, label="recorder")
        self._said = False

    def run(self) -> None:
        """Film until the keeper says that it is enough."""
        threading.Thread(target=self._camera.run, name="recorder-camera", daemon=True).start()
        line = sys.stdin.buffer.readline()
        at: float = json.loads(line)["end"] if line else time.time()
        _say(**self._film.finish(at, self._path))

    def _changed(self) -> None:
        if not self._said:
            self._said = True
            _say(filming=True)
        self._camera.aim()  # a film that is full is no reason to have pictures drawn


def _say(**answer: object) -> None:
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except OSError:
        return  # the keeper is gone; the film is there all the same


def main(argv: list[str]) -> int:
    """Record one session; started by its keeper, never by hand."""
    path, part, limit_bytes = argv
    line = sys.stdin.buffer.readline()
    if not line:
        return 1  # the keeper is gone already
    try:
        encoder()
    except (ImportError, RuntimeError) as error:
        _say(why_not=f"no encoder: {error}"[:200])
        return 1
    _Recording(json.loads(line)["cdp_url"], Path(path), Path(part), int(limit_bytes)).run()
    return 0


if __name__ == "__main__":
    # Not by way of the interpreter's end, which waits for threads: one may hang with its browser.
    os._exit(main(sys.argv[1:]))
