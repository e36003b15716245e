"""A user's world around the client: one log in a folder of its own, scripts that use it, and what must be gone after.

Everything that a session starts inherits the folder: the log's path stands on the keeper's command line, the profile's
on the browser's, and TMPDIR points into it. So whatever is left, process, file or socket, is found by it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle import Client
from lifecycle.log.codec import decode
from lifecycle_chromium import ChromiumHost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lifecycle import Session
    from lifecycle.core import Event
    from lifecycle.log.port import Recorded

ROOT = Path(__file__).parents[2]


def inside(session: Session, work: Callable[[Session], object]) -> None:
    """Enter the session's block and do *work* there."""
    with session:
        work(session)


def failing(error: BaseException) -> Callable[[object], None]:
    """Work that raises *error*."""

    def work(_: object) -> None:
        raise error

    return work


def until(true: Callable[[], bool], otherwise: str, seconds: float = 10) -> None:
    """Wait until *true* holds; fail with *otherwise* after *seconds*."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= end:
            raise AssertionError(otherwise)
        time.sleep(0.01)


class Script:
    """A Python of its own that uses the library as a user would: `client`, `log` and `site` are there."""

    BEGIN = """
import os, signal, sys, threading, time
from lifecycle import *
log, site, *arguments = sys.argv[1:]
client = Client(log, actor="{actor}")
def say(*words):
    print(*words, flush=True)
"""

    def __init__(
        self,
        world: World,
        text: str,
        *arguments: str,
        actor: str = "script",
        env: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> None:
        self.process = subprocess.Popen(
            [
                *under,
                # Python 3.12 warns of every fork in a process with threads; the library has some.
                *(sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c"),
                *(self.BEGIN.format(actor=actor) + text, str(world.log), world.site, *arguments),
            ],
            cwd=world.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a test's signal, or Ctrl-C for the tests, reaches whom it is meant for
        )
        #: what it has said and printed, as far as it was heard
        self.printed = ""
        world.scripts.append(self)

    def hear(self) -> list[str]:
        """The words of the next line it says; waits for it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.printed += line
        if not line:
            raise AssertionError(f"the script ended without a word: {self.end()}")
        return line.split()

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send it a signal, or to its whole group as a terminal does."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self, seconds: float = 40) -> tuple[int, str, str]:
        """Wait for its end: exit code, what it said that was not heard yet, and what it printed on stderr."""
        said, printed = self.process.communicate(timeout=seconds)
        self.printed += said + printed
        return self.process.returncode, said, printed

    def ended_with(self, code: int) -> str:
        """What it said; its exit code must be *code* and its stderr empty, or a traceback where *code* is 1."""
        found, said, printed = self.end()
        if found != code or (printed and code != 1) or "Exception ignored" in printed:
            raise AssertionError(f"exit code {found}, expected {code}; stderr:\n{printed}")
        return said

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        if self.process.stdout is not None and not self.process.stdout.closed:
            self.process.communicate()


class World:
    """One log, and everything around it."""

    def __init__(self, site: str) -> None:
        # Not pytest's tmp_path: Chromium makes a socket in TMPDIR, and a socket's path may have 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="lc-", dir="/tmp"))
        self.site = site
        self.log = self.folder / "log.db"
        self.runtime = self.folder / "log.db.d"
        self.tmp = self.folder / "tmp"
        self.tmp.mkdir()
        self.scripts: list[Script] = []
        self._hosts: list[ChromiumHost] = []
        self._clients: list[Client] = []
        os.environ["TMPDIR"] = str(self.tmp)

    def client(self, actor: str = "tester") -> Client:
        """A client of this process, on a host (and so with a keeper) of its own."""
        self._hosts.append(ChromiumHost())
        self._clients.append(Client(self.log, browser=self._hosts[-1], actor=actor))
        return self._clients[-1]

    def script(
        self,
        text: str,
        *arguments: str,
        actor: str = "script",
        env: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> Script:
        """Start a script; *env* replaces its environment, *under* is a command that starts it."""
        return Script(self, text, *arguments, actor=actor, env=env, under=under)

    def history(self, session_id: str) -> list[Event]:
        """A session's events, oldest first."""
        return [decode(row) for row in self.rows(session_id)]

    def rows(self, session_id: str) -> tuple[Recorded, ...]:
        """The same as they are stored."""
        return self._reader().log.read(session_id)

    def _reader(self) -> Client:
        return self._clients[0] if self._clients else self.client()

    def types(self, session_id: str) -> list[str]:
        """The types of a session's events without what the keeper's own eyes saw and coalesced accesses."""
        seen = ("tab_opened", "tab_closed", "navigated", "client_connected", "client_disconnected", "accessed")
        names = [row.type.removeprefix("session.") for row in self.rows(session_id)]
        return [name for name in names if name not in seen]

    def browser_pid(self, session: Session | str) -> int:
        """The pid of a session's browser, from the log."""
        session_id = session if isinstance(session, str) else session.session_id
        [started] = [event for event in self.history(session_id) if event.type == "session.started"]
        pid: int = getattr(started, "browser").pid  # noqa: B009 # the union of events has no such field
        return pid

    def processes(self) -> list[tuple[int, str]]:
        """Processes that belong to this folder, zombies left out: pid and command line."""
        return [(pid, line) for pid, line in _processes() if str(self.folder) in line and pid != os.getpid()]

    def drivers(self) -> list[int]:
        """Playwright drivers of this process."""
        return [pid for pid, line in _processes(os.getpid()) if "run-driver" in line]

    @staticmethod
    def end_process(pid: int) -> None:
        """End a process that a script of ours left to us."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def left(self) -> list[str]:
        """What is left: processes, drivers, profiles, endpoints, keepers' files, sockets, temporary files."""
        found = [f"process {pid}: {line[:200]}" for pid, line in self.processes()]
        found += [f"driver {pid}" for pid in self.drivers()]
        for folder in ("profiles", "endpoints", "keepers"):
            if (self.runtime / folder).is_dir():
                found += [f"file {path}: {_text(path)}" for path in (self.runtime / folder).iterdir()]
        for folder, _, names in os.walk(self.folder):  # unlike rglob it bears folders that vanish
            for path in (Path(folder, name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    if stat.S_ISSOCK(path.lstat().st_mode):
                        found.append(f"socket {path}")
        return found + [f"file {path}" for path in self.tmp.iterdir()]

    def close(self) -> None:
        """End this process's keepers and whatever the test left; fail if that is anything."""
        try:
            for host in self._hosts:
                host.close()
            running = [script for script in self.scripts if script.process.poll() is None]
            assert not running, "a script still runs; let the test end it"
            until(lambda: not self.left(), "", seconds=5)
        except AssertionError as error:
            raise AssertionError(f"left behind: {error} {self.left()}") from None
        finally:
            for client in self._clients:
                client.close()
            for script in self.scripts:
                script.kill()
            for pid in [*(pid for pid, _ in self.processes()), *self.drivers()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.folder, ignore_errors=True)
            os.environ.pop("TMPDIR", None)


def _processes(parent: int | None = None) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, ppid = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
            if state != "Z" and (parent is None or int(ppid) == parent):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found.append((int(folder.name), line))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")[-500:] if path.is_file() else "a directory"
    except OSError:
        return "gone"
