"""Start one Chromium on a profile of its own, reachable through a pair of pipes and by nothing else.

The order:

1. arguments that would open another way in, or put a credential where every local user can read it, are refused;
2. the profile directory is made, 0700;
3. the browser is started in a process group of its own, reading commands from fd 3 and writing answers to fd 4;
4. it must answer `Browser.getVersion`. Whatever happens before that is a `LaunchError` with its last words.

Two cords tie the browser to this process. It quits when its command pipe is closed, on every system. On Linux the
kernel also kills it when *the thread that called `launch`* ends (PR_SET_PDEATHSIG counts threads, not processes):
call it from a thread that lives as long as the browser shall.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lifecycle import crash
from lifecycle_chromium import orphans
from lifecycle_chromium.process import Identity, end_group, identify, watch_exit
from lifecycle_chromium.switches import arguments

__all__ = ["LAST_WORDS_BYTES", "BrowserProcess", "Exit", "LaunchError", "launch", "reserve"]

#: How much of the end of a browser's stderr and stdout is kept.
LAST_WORDS_BYTES: Final = 8192

_HELLO: Final = b'{"id":1,"method":"Browser.getVersion"}\0'
_HELLO_LIMIT_BYTES: Final = 65536
#: How often a browser that says nothing is looked at: the pipe stays open where it left a child and ended.
_LOOK_S: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1
# Looked up here: between fork and exec nothing may be.
_SPAWNING: Final = threading.Lock()
if sys.platform == "linux":
    _PRCTL: Final = ctypes.CDLL(None).prctl


class LaunchError(Exception):
    """No browser came up. Nothing of it is left running, and a profile that was made for it is removed.

    `exit_code` or `signal` tells how it ended, where it ended by itself. `last_words` is the end of what it printed.
    """

    def __init__(
        self, message: str, exit_code: int | None = None, signal: int | None = None, last_words: str = ""
    ) -> None:
        super().__init__(message, exit_code, signal, last_words)
        self.message = message
        self.exit_code = exit_code
        self.signal = signal
        self.last_words = last_words

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: exactly one of the two is not None."""

    code: int | None
    signal: int | None

    def __str__(self) -> str:
        return f"signal {self.signal}" if self.code is None else f"code {self.code}"


class BrowserProcess:
    """A browser that answered. `read_fd` and `write_fd` belong to whoever takes them (`CdpPipe`)."""

    def __init__(self, process: subprocess.Popen[bytes], profile: Path, read_fd: int, write_fd: int) -> None:
        self.pid: Final = process.pid
        #: The group's number; the browser leads a session and a group of its own.
        self.pgid: Final = process.pid
        self.profile: Final = profile
        self.read_fd: Final = read_fd
        self.write_fd: Final = write_fd
        #: What Browser.getVersion said: `product`, `protocolVersion`, `userAgent`, …
        self.version: Mapping[str, str] = {}
        self._process = process
        self._words = _LastWords(process)
        self._identity = identify(process.pid)

    @property
    def identity(self) -> Identity:
        """Who it is; known for every browser that `launch` returned."""
        assert self._identity is not None
        return self._identity

    def poll(self) -> Exit | None:
        """How it ended, None while it runs. Reaps it."""
        status = self._process.poll()
        if status is None:
            return None
        return Exit(status, None) if status >= 0 else Exit(None, -status)

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """Wait for its end up to *timeout_s* (None: as long as it takes); None when it still runs then. Reaps it."""
        if self._identity is not None and self._process.returncode is None:
            with watch_exit(self._identity) as watch:
                if not watch.wait(timeout_s):
                    return None
        # It has exited: this only reaps it, or waits for a thread that does.
        self._process.wait()
        return self.poll()

    def last_words(self) -> str:
        """The end of what it printed to stderr and stdout, at most 8 KiB. May name addresses it visited."""
        return self._words.text(settled=self._process.returncode is None)

    def kill(self) -> Exit:
        """End it and everything in its group now, and reap it."""
        if self._identity is not None:
            end_group(self._identity)
        else:
            # Gone before it could be identified; unreaped, so its number still names its group and nothing else.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pgid, signal.SIGKILL)
        status = self._process.wait()
        orphans.reaped(self.pid)
        orphans.reap()
        return Exit(status, None) if status >= 0 else Exit(None, -status)


def launch(
    binary: Path | str,
    *,
    profile: Path,
    headless: bool,
    args: Sequence[str] = (),
    viewport: tuple[int, int] | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
) -> BrowserProcess:
    """A Chromium that answers on its pipe, showing one blank page.

    *profile* is made if missing; an existing one must be a directory of this user. *viewport* is (width, height) of the
    window in CSS pixels. *env* replaces the environment. Blocks until the browser answers, at most *timeout_s*.

    Raises:
        LaunchError: The binary can't be started, ended, or said nothing in time; or an argument or the profile is
            refused. Whatever was started is ended, whatever was made is removed.
    """
    try:
        switches = arguments(profile, headless=headless, args=args, viewport=viewport)
    except ValueError as error:
        raise LaunchError(str(error)) from None
    command = [str(binary), *switches]
    made = _make_profile(profile)
    crash.point("keeper.profile_made")
    try:
        browser = _spawn(command, profile, env)
        crash.point("keeper.spawned")
        try:
            browser.version = _greet(browser, timeout_s)
        except LaunchError:
            os.close(browser.read_fd)
            os.close(browser.write_fd)
            raise
    except LaunchError:
        if made:
            shutil.rmtree(profile, ignore_errors=True)
        raise
    return browser


def _make_profile(profile: Path) -> bool:
    """Whether the directory was made; an existing one is closed to others."""
    try:
        profile.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            profile.mkdir(mode=0o700)
            return True
        # A link or somebody else's directory may have been put there to collect what a browser stores.
        found = profile.lstat()
        if profile.is_symlink() or not profile.is_dir() or found.st_uid != os.geteuid():
            raise LaunchError(f"the profile {profile} is not a directory of this user")
        profile.chmod(0o700)
    except OSError as error:
        raise LaunchError(f"the profile {profile} can't be made: {error.strerror}") from error
    return False


def _spawn(command: list[str], profile: Path, env: Mapping[str, str] | None) -> BrowserProcess:
    fds: list[int] = []
    try:
        with _SPAWNING:
            theirs_in, ours_out = _pipe(fds)
            ours_in, theirs_out = _pipe(fds)
            reserve()
            process = orphans.start(
                lambda: subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=env,
                    start_new_session=True,
                    pass_fds=(3, 4),
                    # 2.2 ms more than vfork; an exec'd Python that does the same costs 9.3 ms. It takes no lock.
                    preexec_fn=_Preparation(theirs_in, theirs_out),
                )
            )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        for fd in fds:
            os.close(fd)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LaunchError(f"{command[0]} can't be started: {reason}") from error
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        return BrowserProcess(process, profile, ours_in, ours_out)
    except RuntimeError as error:  # no thread is left for now, to read what it prints
        os.killpg(process.pid, signal.SIGKILL)  # unreaped, so the number is its group's and nobody else's
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        os.close(ours_in)
        os.close(ours_out)
        raise LaunchError(f"{command[0]} can't be watched: {error}") from error


def reserve() -> None:
    """Keep the numbers 3 and 4 taken in this process for good. Call it before the process has a second thread.

    In the browser they are the pipe's ends, and Popen insists that they are open here at the fork. Left free, they are
    whatever another thread happens to have open at that moment; or Popen's own pipe, by which it tells of a failed
    exec: overwritten, a missing binary passes for a browser that ended at once. `launch` calls this too, for whoever
    didn't.
    """
    # Never by dup2: a number that was free a moment ago may be another thread's file now.
    while (fd := os.open(os.devnull, os.O_RDONLY)) <= 4:
        pass
    os.close(fd)


def _pipe(fds: list[int]) -> tuple[int, int]:
    """A pipe with both ends well above 3 and 4; both are appended to *fds*."""
    for end in os.pipe():
        try:
            fds.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 16))
        finally:
            os.close(end)
    return fds[-2], fds[-1]


class _Preparation:
    """What the child does between fork and exec: put the pipes on 3 and 4, and die with the thread that forked it."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._parent = os.getpid()

    def __call__(self) -> None:
        os.dup2(self._read_fd, 3)
        os.dup2(self._write_fd, 4)
        if sys.platform == "linux":
            _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self._parent:  # it died before the line above
                os._exit(1)


def _greet(browser: BrowserProcess, timeout_s: float) -> Mapping[str, str]:
    """The answer to Browser.getVersion, the first thing that is said on the pipe.

    Raises:
        LaunchError: No answer; the browser has been ended.
    """
    deadline = time.monotonic() + timeout_s
    with contextlib.suppress(BrokenPipeError):
        os.write(browser.write_fd, _HELLO)
    answer = b""
    poll = select.poll()
    poll.register(browser.read_fd, select.POLLIN)
    while not answer.endswith(b"\0"):
        left_s = deadline - time.monotonic()
        if not poll.poll(max(0.0, min(left_s, _LOOK_S)) * 1000):
            if left_s <= 0:
                raise _failure(browser, f"did not answer within {timeout_s:g} s")
            if browser.poll() is not None and not poll.poll(0):
                raise _failure(browser, "ended before it answered")
            continue
        chunk = os.read(browser.read_fd, 65536)
        if not chunk:
            raise _failure(browser, "closed its pipe before it answered", settle_s=0.5)
        answer += chunk
        if len(answer) > _HELLO_LIMIT_BYTES:
            raise _failure(browser, "answered, but not as a browser does")
    try:
        reply: dict[str, Any] = json.loads(answer[:-1])
        version: dict[str, str] = reply["result"]
    except (ValueError, KeyError, TypeError) as error:
        raise _failure(browser, "answered, but not as a browser does") from error
    return version


def _failure(browser: BrowserProcess, what: str, settle_s: float = 0.0) -> LaunchError:
    """End *browser* and tell why: its own exit, if it has one within *settle_s*, else *what*."""
    # A pipe closes a moment before the exit can be seen.
    own = browser.wait(settle_s)
    browser.kill()
    words = browser.last_words()
    reason = f"ended with {own} before it answered" if own is not None else what
    last = words.rstrip().rpartition("\n")[2].strip()
    message = f"the browser {reason}" + (f"; its last words: {last[:300]}" if last else "")
    return LaunchError(message, own.code if own else None, own.signal if own else None, words)


class _LastWords:
    """The end of what a process prints, read by a thread so that it never waits for a reader."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._stream = process.stdout
        self._tail = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name=f"last-words-{process.pid}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream as stream:
            while chunk := os.read(stream.fileno(), 65536):
                with self._lock:
                    self._tail += chunk
                    del self._tail[:-LAST_WORDS_BYTES]

    def text(self, *, settled: bool) -> str:
        if not settled:
            # What was printed just before the end is on its way. A child that survived may hold the stream open.
            self._thread.join(0.2)
        with self._lock:
            return self._tail.decode(errors="replace").replace("\0", "")
