"""Make sure that a browser is on this machine: ``python -m lifecycle_chromium.install``.

Playwright's driver has to start as well; the libraries that it lacks on a minimal system are installed first.

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
from functools import partial
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
    system = _System(surroundings, run, say)
    if not _driver_works(surroundings, run, say, system):
        return None
    named = bool(surroundings.environ.get(VARIABLE))
    try:
        if found := _working(surroundings, run, say):
            say(f"browser: {found.path} ({found.why})")
            return found
    except BrowserNotFound as error:
        say(str(error) if named else "no browser is installed yet")
    if named:  # what somebody named is used or refused: installing another would hide the mistake
        return None
    for step in (partial(_playwright, run, say), system.install_browser):
        step()
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


def _driver_works(surroundings: Surroundings, run: Run, say: Callable[[str], None], system: _System) -> bool:
    """True if Playwright's Node starts; the libraries that it lacks are installed first. A minimal Debian lacks one."""
    if surroundings.playwright_package is None:
        return True
    node = [str(surroundings.playwright_package / "driver" / "node"), "--version"]
    outcome = run(node, CHECK_S, {})
    if outcome.ok:
        return True
    say(f"Playwright's driver does not start: {outcome.one_line()}")
    manager = system.manager
    if manager is not None and manager.driver:
        system.install(manager.driver)
        outcome = run(node, CHECK_S, {})
        if outcome.ok:
            return True
        say(f"Playwright's driver still does not start: install what it lacks, {' '.join(manager.driver)} at least")
    else:
        say("install the library that it lacks")
    return False


def _playwright(run: Run, say: Callable[[str], None]) -> None:
    say("asking Playwright for its headless shell …")
    command = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
    outcome = run(command, PLAYWRIGHT_S, {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "15000"})
    if not outcome.ok:
        say(f"Playwright could not install it: {outcome.one_line()}")


class _System:
    """The system's package manager, as far as it can be used without asking anybody."""

    def __init__(self, surroundings: Surroundings, run: Run, say: Callable[[str], None]) -> None:
        self.manager = package_manager(surroundings)
        self._surroundings = surroundings
        self._run = run
        self._say = say
        self._refreshed = False

    def install_browser(self) -> None:
        if self.manager is None:
            self._say("no package manager that we know is on PATH")
            return
        self.install(self.manager.packages)

    def install(self, packages: Sequence[str]) -> None:
        """Install those of *packages* that there are, one by one, so that one that fails does not stop the others."""
        manager = self.manager
        if manager is None:
            return
        become_root = self._become_root(manager)
        if become_root is None:
            self._say(f"{manager.program} needs root, and sudo would ask for a password")
            return
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        self._refresh(manager, become_root, quiet)
        for package in self._available(manager, packages):
            self._say(f"{' '.join((*manager.install, package))} … (a minute or two)")
            began = time.monotonic()
            outcome = self._run([*become_root, *manager.install, package], SYSTEM_S, quiet)
            took_s = time.monotonic() - began
            self._say(f"{package}: {f'installed in {took_s:.0f} s' if outcome.ok else outcome.one_line()}")

    def _become_root(self, manager: PackageManager) -> tuple[str, ...] | None:
        """What to put before a command; None where root can't be had without a password."""
        if self._surroundings.uid == 0 or not manager.needs_root:
            return ()
        if self._surroundings.which("sudo") is not None and self._run(["sudo", "-n", "true"], CHECK_S, {}).ok:
            # sudo drops the variables of the caller.
            return ("sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive")
        return None

    def _refresh(self, manager: PackageManager, become_root: Sequence[str], quiet: Mapping[str, str]) -> None:
        """A machine fresh from an image has no package lists, or old ones."""
        if manager.refresh is None or self._refreshed:
            return
        self._refreshed = True
        self._say(f"{' '.join(manager.refresh)} …")
        outcome = self._run([*become_root, *manager.refresh], SYSTEM_S, quiet)
        if not outcome.ok:
            self._say(f"{manager.program} could not refresh its lists: {outcome.one_line()}")

    def _available(self, manager: PackageManager, packages: Sequence[str]) -> Sequence[str]:
        """Those of *packages* that are in the lists. If none is, all: installing them says why not."""
        query = manager.available
        if query is None:
            return packages
        return [package for package in packages if self._run([*query, package], CHECK_S, {}).ok] or packages


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
