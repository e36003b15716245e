"""Make sure that a browser is on this machine: ``python -m lifecycle_chromium.install``.

The order: one that is there already and starts; else Playwright's headless shell; else the system's package manager,
where it can run without asking anybody; else one sentence saying what to install. Progress goes to stderr, the path of
the browser to stdout. Exits 0 with a browser, 1 without.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from lifecycle.errors import BrowserNotFound
from lifecycle_chromium.find import (
    VARIABLE,
    Found,
    PackageManager,
    Surroundings,
    find_browser,
    package_manager,
    what_to_install,
)

__all__ = ["Outcome", "ensure_browser", "main", "run"]

PLAYWRIGHT_S = 300.0
"""A headless shell is about 110 MB; slower lines than 3 Mbit/s are better served by the package manager's resume."""

SYSTEM_S = 900.0
CHECK_S = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `code` is None when it could not be started or ran out of time."""

    code: int | None
    output: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0

    def one_line(self) -> str:
        """The line that says most: the last that speaks of an error, else the last."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line.lower() or line.startswith("E: ")]
        last = (telling or lines or ["it said nothing"])[-1]
        return last if len(last) <= 200 else f"{last[:200]}…"


Run = Callable[[Sequence[str], float, Mapping[str, str]], Outcome]
"""(command, seconds it may take, variables added to the environment) -> how it ended."""


def run(command: Sequence[str], timeout_s: float, variables: Mapping[str, str]) -> Outcome:
    """Run *command* without standard input; at the end of its time its whole process group is killed."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(None, f"{command[0]}: {error.strerror}")
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        return Outcome(None, f"no end after {timeout_s:.0f} s")
    except BaseException:
        _kill_group(process)
        raise
    return Outcome(process.returncode, output)


def _kill_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def ensure_browser(surroundings: Surroundings, run: Run, say: Callable[[str], None]) -> Found | None:
    """The browser to use, installed first if there was none; None if there is no way to get one, and *say* said why."""
    named = surroundings.environ.get(VARIABLE)
    try:
        if found := _working(surroundings, run, say):
            say(f"browser: {found.path} ({found.why})")
            return found
    except BrowserNotFound as error:
        if named:  # replacing what somebody named would hide the mistake
            say(str(error))
            return None
        say("no browser is installed yet")
    for step in (_with_playwright, _with_package_manager):
        step(surroundings, run, say)
        with suppress(BrowserNotFound):
            if found := _working(surroundings, run, say):
                say(f"installed: {found.path} ({found.why})")
                return found
    say(f"no browser could be installed: {what_to_install(surroundings)}")
    return None


def _working(surroundings: Surroundings, run: Run, say: Callable[[str], None]) -> Found | None:
    """The browser that would be used, if it starts: a downloaded one may lack system libraries."""
    found = find_browser(headless=True, surroundings=surroundings)
    outcome = run([str(found.path), "--version"], CHECK_S, {})
    if not outcome.ok:
        say(f"{found.path} does not start: {outcome.one_line()}")
        return None
    return found


def _with_playwright(surroundings: Surroundings, run: Run, say: Callable[[str], None]) -> None:
    say("asking Playwright for its headless shell …")
    command = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
    outcome = run(command, PLAYWRIGHT_S, {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "15000"})
    if not outcome.ok:
        say(f"Playwright could not install it: {outcome.one_line()}")


def _with_package_manager(surroundings: Surroundings, run: Run, say: Callable[[str], None]) -> None:
    manager = package_manager(surroundings)
    if manager is None:
        say("no package manager that we know is on PATH")
        return
    become_root = _become_root(manager, surroundings, run)
    if become_root is None:
        say(f"{manager.program} needs root, and sudo would ask for a password")
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"} if not become_root else {}
    if manager.refresh:
        say(f"{' '.join(manager.refresh)} …")
        outcome = run([*become_root, *manager.refresh], SYSTEM_S, quiet)
        if not outcome.ok:
            say(f"{manager.program} could not refresh its lists: {outcome.one_line()}")
    for package in _available(manager, run):
        say(f"{' '.join((*manager.install, package))} … (a minute or two)")
        began = time.monotonic()
        outcome = run([*become_root, *manager.install, package], SYSTEM_S, quiet)
        took_s = time.monotonic() - began
        say(f"{package}: {f'installed in {took_s:.0f} s' if outcome.ok else outcome.one_line()}")


def _become_root(manager: PackageManager, surroundings: Surroundings, run: Run) -> tuple[str, ...] | None:
    """What to put before a command; None where root can't be had without a password."""
    if surroundings.uid == 0 or not manager.needs_root:
        return ()
    if surroundings.which("sudo") is not None and run(["sudo", "-n", "true"], CHECK_S, {}).ok:
        # sudo drops the variables of the caller.
        return ("sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive")
    return None


def _available(manager: PackageManager, run: Run) -> list[str]:
    """The packages to try. With no answer from the manager, all: installing them says why not."""
    if manager.available is None:
        return list(manager.packages)
    query = manager.available
    known = [package for package in manager.packages if run([*query, package], CHECK_S, {}).ok]
    return known or list(manager.packages)


def main(stdout: TextIO | None = None, stderr: TextIO | None = None) -> int:
    """The exit code."""
    progress = stderr or sys.stderr

    def say(sentence: str) -> None:
        progress.write(f"{sentence}\n")
        progress.flush()

    found = ensure_browser(Surroundings.here(), run, say)
    if found is None:
        return 1
    (stdout or sys.stdout).write(f"{found.path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
