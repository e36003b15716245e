"""Starts the scripts, watches the log, and does what the plot asks: kill a browser, kill an owner, send a visitor.

All that it knows of a session it has from the log, as any other process could.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

from lifecycle.audit.history import steps
from lifecycle.cli.demo.cast import CAST, Played

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from lifecycle.audit.history import Step
    from lifecycle.client.sessions import Sessions
    from lifecycle.log.port import Cursor, EventLog, Recorded

__all__ = ["LIMIT_S", "Director"]

#: After this the demo ends whatever still runs and says what is missing.
LIMIT_S: Final = 50.0
#: How long the kills wait for the others to be up, so that what is measured is not the start of six browsers.
_CURTAIN_S: Final = 20.0


class Director:
    """One run. *tell* hears of every step and of what the director does himself."""

    def __init__(
        self, log: EventLog, sessions: Sessions, url: str, folder: Path, tell: Callable[[Played, Step | str], None]
    ) -> None:
        self.played = {part.name: Played(part=part) for part in CAST}
        self._log = log
        self._sessions = sessions
        self._url = url
        self._folder = folder
        self._tell = tell
        self._run = f"{os.getpid()}-{time.time_ns()}"
        self._scripts: dict[str, subprocess.Popen[str]] = {}
        self._visitor: subprocess.Popen[str] | None = None
        self._rows: dict[str, list[Recorded]] = {}
        self._began = time.monotonic()

    def run(self) -> list[Played]:
        """See every part through, or give up after LIMIT_S; no script of ours runs afterwards."""
        cursor = self._end_of_log()
        with self._all_scripts():
            for name in self.played:
                self._scripts[name] = self._start(name)
            over = False
            while not over and time.monotonic() - self._began < LIMIT_S:
                self._log.wait(cursor, 0.1)
                over = self._over()  # asked before the log is read: a script that has ended writes nothing more
                page = self._log.read_all(cursor, limit=500)
                cursor = page.cursor
                for row in page.events:
                    self._take(row)
                self._act()
        for name, played in self.played.items():
            self._read_back(name, played)
        return list(self.played.values())

    def _end_of_log(self) -> Cursor | None:
        cursor: Cursor | None = None
        while not (page := self._log.read_all(cursor, limit=1000)).caught_up:
            cursor = page.cursor
        return page.cursor

    def _over(self) -> bool:
        running = [script for script in (*self._scripts.values(), self._visitor) if script is not None]
        ended = all(script.poll() is not None for script in running)
        return ended and all(played.released or played.session_id is None for played in self.played.values())

    # --- the log ----------------------------------------------------------------------------------------------------

    def _take(self, row: Recorded) -> None:
        if row.type == "session.created":
            labels: dict[str, str] = json.loads(row.data).get("labels", {})
            if labels.get("run") != self._run:
                return
            self.played[labels["demo"]].session_id = row.stream
            self._rows[row.stream] = []
        if row.stream not in self._rows:
            return
        played = next(one for one in self.played.values() if one.session_id == row.stream)
        self._rows[row.stream].append(row)
        played.steps = list(steps(self._rows[row.stream]))
        if played.released:
            played.live = self._sessions.get(row.stream)
        self._tell(played, played.steps[-1])

    # --- the plot ---------------------------------------------------------------------------------------------------

    def _act(self) -> None:
        shared = self.played["shared"]
        if self._visitor is None and _has(shared, "ready"):
            self._tell(shared, "a visitor is sent")
            self._visitor = self._start("visitor", "--session", str(shared.session_id))
        if self._visitor is not None and self._visitor.poll() is not None and shared.visitor_exit_code is None:
            shared.visitor_exit_code = self._visitor.returncode
            self._tell(shared, "the visitor has left, its owner goes on")
            self._go_on(self._scripts["shared"])
        if self._curtain():
            self._strike(self.played["killed"], "browser", "session.started")
            self._strike(self.played["orphan"], "owner", "session.created")

    def _curtain(self) -> bool:
        late = time.monotonic() - self._began > _CURTAIN_S
        return late or all(_has(played, "ready") or played.ending is not None for played in self.played.values())

    def _strike(self, played: Played, whom: str, event: str) -> None:
        """SIGKILL to the process that the log names."""
        if played.struck_at is not None or played.ending is not None or not _has(played, "ready"):
            return
        pid = next(step.data[whom]["pid"] for step in played.steps if step.type == event)
        self._tell(played, f"kill -9 {pid}, its {whom}")
        played.struck_at = time.time_ns() // 1000
        os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _go_on(script: subprocess.Popen[str]) -> None:
        assert script.stdin is not None
        try:
            script.stdin.write("go on\n")
            script.stdin.close()
        except BrokenPipeError:
            return  # it has ended; what it printed says why

    # --- the scripts ------------------------------------------------------------------------------------------------

    def _start(self, name: str, *more: str) -> subprocess.Popen[str]:
        with self._paper(name, "out", "w") as out, self._paper(name, "err", "w") as err:
            return subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "lifecycle.cli.demo.scripts", name),
                    *("--log", str(self._log.locator), "--url", self._url, "--run", self._run, *more),
                ],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                text=True,
            )

    def _paper(self, name: str, kind: str, mode: str) -> IO[str]:
        return (self._folder / f"{name}.{kind}").open(mode, encoding="utf-8")

    def _read_back(self, name: str, played: Played) -> None:
        played.exit_code = self._scripts[name].returncode
        with self._paper(name, "out", "r") as out:
            lines = out.read().splitlines()
        said: Any = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
        played.saw = said
        words: list[str] = []
        for who in (name, *(["visitor"] if name == "shared" and self._visitor is not None else [])):
            with self._paper(who, "err", "r") as err:
                words.append(err.read().strip())
        played.words = "\n".join(word for word in words if word)

    @contextmanager
    def _all_scripts(self) -> Generator[None]:
        """However this ends, no script that was started here goes on; their keepers end their browsers."""
        try:
            yield
        finally:
            running = [script for script in (*self._scripts.values(), self._visitor) if script is not None]
            for script in running:
                if script.poll() is None:
                    script.kill()
            for script in running:
                script.wait()
                if script.stdin is not None and not script.stdin.closed:
                    script.stdin.close()


def _has(played: Played, note: str) -> bool:
    return any(step.type == "session.annotated" and step.data.get("name") == note for step in played.steps)
