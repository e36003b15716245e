"""A host in a process of its own, as a user runs it, and what the log says of it afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lifecycle import Client, SessionView

#: what takes seconds on an idle machine
PATIENCE_S = 90


class Host:
    """Runs a program with the log in *folder*; what it prints is there line by line."""

    def __init__(self, folder: Path, command: Sequence[str], **environment: str) -> None:
        self.log = folder / "log.db"
        self.said: list[str] = []
        self._more = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, "LIFECYCLE_LOG": str(self.log), "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.said.append(line.rstrip())
                self._more.notify_all()

    def until(self, text: str) -> str:
        """The first line that contains *text*, once it is printed."""
        with self._more:
            self._more.wait_for(lambda: any(text in line for line in self.said), PATIENCE_S)
            line = next((line for line in self.said if text in line), None)
        assert line is not None, f"{text!r} was not printed:\n" + "\n".join(self.said[-40:])
        return line

    def kill(self) -> None:
        """As `kill -9` of the host, and of nothing else."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def finish(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        self._reader.join(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


def steps(log: Path, name: str) -> list[Mapping[str, Any]]:
    """What the events of that type carry, oldest first."""
    with Client(log) as client:
        return [
            step.data
            for view in reversed(client.sessions.list())
            for step in client.history(view.session_id)
            if step.name == name
        ]


def kill_browser(log: Path) -> None:
    """As `kill -9` of the Chrome that was started last."""
    pids = [event["browser"]["pid"] for event in steps(log, "started") if "browser" in event]
    os.kill(pids[-1], signal.SIGKILL)


def sessions(log: Path, count: int) -> list[SessionView]:
    """All sessions, oldest first, once *count* of them have ended and are released."""
    with Client(log) as client:
        end = time.monotonic() + PATIENCE_S
        while True:
            views = client.sessions.list()[::-1]
            if len(views) >= count and all(_over(client, view) for view in views):
                break
            assert time.monotonic() < end, [client.why(view.session_id) for view in views]
            time.sleep(0.02)
    assert len(views) == count, views
    assert not list(left(views)), "a browser runs on"
    return views


def story(log: Path, count: int) -> list[str]:
    """How each of *count* sessions ended, oldest first, as `error browser_crashed`."""
    return [f"{view.status} {view.cause}" for view in sessions(log, count)]


def left(views: Sequence[SessionView]) -> Iterator[int]:
    """The processes that still run for one of these sessions."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().decode("utf-8", "replace")
            if any(f"/{view.session_id}" in command for view in views):
                yield int(process.name)


def _over(client: Client, view: SessionView) -> bool:
    return client.history(view.session_id)[-1].name == "released"
