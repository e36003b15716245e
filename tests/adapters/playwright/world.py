"""What these tests need of the world: a Chromium on a DevTools port, this process's drivers, scripts of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lifecycle_chromium.find import find_browser, sandbox_args

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_QUIET = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")


def until(true: Callable[[], bool], otherwise: str, seconds: float = 5) -> None:
    """Wait until *true* holds; fail with *otherwise* after *seconds*."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


class Chromium:
    """A browser that listens on a DevTools port, in a process group of its own."""

    def __init__(self, profile: Path) -> None:
        binary = find_browser(headless=True).path
        arguments = [
            str(binary),
            "--headless",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            *sandbox_args(binary)[0],
            *_QUIET,
            "about:blank",
        ]
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        told = profile / "DevToolsActivePort"
        until(lambda: told.exists() and "\n" in told.read_text(), "Chromium tells no port", seconds=20)
        port, path = told.read_text().split("\n")[:2]
        self.cdp_url = f"ws://127.0.0.1:{port}{path}"

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def drivers(parent: int | None = None) -> list[int]:
    """Pids of the Playwright drivers that are running children of *parent*, by default this process."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, ppid = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if (
                int(ppid) == (parent or os.getpid())
                and state != "Z"
                and b"run-driver" in (folder / "cmdline").read_bytes()
            ):
                found.append(int(folder.name))
    return found


def gone(pid: int) -> bool:
    """Whether no process of that pid is there, or only what nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def in_thread(work: Callable[[], T]) -> T:
    """What *work* returns or raises, run in a thread of its own."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "the thread hangs"
    if errors:
        raise errors[0]
    return results[0]


def script(text: str, *arguments: str, seconds: float = 60) -> str:
    """What *text* prints, run by a Python of its own that turns warnings into errors; anything on stderr fails."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stderr) == (0, ""), f"exit code {done.returncode}; stderr:\n{done.stderr}"
    return done.stdout
