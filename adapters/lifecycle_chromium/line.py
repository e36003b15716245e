"""The line between an owner and a keeper process: this owner's own keeper, and the sessions that run over either.

The keeper is a child that inherits two file descriptors: its end of the line, and a lock that shows everybody that it
lives. Another owner's keeper is reached through the session's endpoint alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import uuid_utils

from lifecycle.errors import InvalidConfig, KeeperUnavailable, LaunchFailed
from lifecycle_chromium import paths, process
from lifecycle_chromium.serving import core_identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lifecycle.core import Close, Fail
    from lifecycle.ports import Plan

__all__ = ["PING_S", "Line", "OthersTalk", "OwnTalk", "poke"]

#: Between handing a session over and the keeper's word on it: its launch timeout and room for a busy machine.
_START_WAIT_S: Final = 30.0
_POKE_S: Final = 0.5
#: A keeper answers within milliseconds; one that takes this long is stopped, not busy.
PING_S: Final = 1.0


class Line:
    """The line to one keeper process."""

    def __init__(self, runtime: Path, locator: str, on_idle: Callable[[Line], None]) -> None:
        self.runtime = runtime
        self.locator = locator
        self.retiring = False  # a client has let go of the log: the keeper goes with its last session
        self._on_idle = on_idle
        self.keeper_id = str(uuid_utils.uuid7())
        self.talks: dict[str, OwnTalk] = {}
        self.prepared = 0  # sessions that are about to be handed over
        self.lost = threading.Event()  # the line is closed
        self.gone = threading.Event()  # the process is reaped, its sessions are put right
        self._answers = threading.Event()
        self._sending = threading.Lock()
        # Locked before the keeper exists and inherited by it: a keeper in the log is never seen without its lock.
        with contextlib.ExitStack() as theirs:  # ours only until the keeper has them
            lock_fd = _locked(paths.keeper_lock(runtime, self.keeper_id))
            theirs.callback(os.close, lock_fd)
            err_fd = os.open(
                paths.keeper_err(runtime, self.keeper_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600
            )
            theirs.callback(os.close, err_fd)
            self._socket, control = socket.socketpair()
            theirs.callback(control.close)
            try:
                self.process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "lifecycle_chromium.keeper"),
                        *("--control", str(control.fileno()), "--lock", str(lock_fd)),
                        *("--id", self.keeper_id, "--log", locator, "--runtime", str(runtime)),
                    ],
                    pass_fds=(control.fileno(), lock_fd),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=err_fd,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                self._socket.close()
                raise KeeperUnavailable(f"the keeper can't be started with {sys.executable!r}: {error}") from error
        found = process.identify(self.process.pid)
        self.identity = None if found is None else core_identity(found)
        try:
            threading.Thread(target=self._listen, name="lifecycle-keeper-line", daemon=True).start()
        except RuntimeError as error:  # no thread is left for now
            self.kill()
            self.process.wait()
            self._socket.close()
            paths.remove_keeper(runtime, self.keeper_id)
            raise KeeperUnavailable(f"the keeper can't be listened to: {error}") from error

    def send(self, **message: object) -> bool:
        """Send one message; False when the keeper is gone. A hung keeper's full line does not block for ever."""
        data = json.dumps(message).encode() + b"\n"
        with self._sending:
            try:
                self._socket.settimeout(_POKE_S)
                self._socket.sendall(data)
            except OSError:
                return False
        return True

    def _listen(self) -> None:
        buffer = b""
        while True:
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError:
                continue  # the sender's time limit is the socket's
            except OSError:
                break
            if not chunk:
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
        self.lost.set()
        with contextlib.suppress(ChildProcessError):
            self.process.wait()
        paths.remove_keeper(self.runtime, self.keeper_id)
        for talk in list(self.talks.values()):
            talk.keeper_lost()
        self._socket.close()
        self.gone.set()

    def answers(self) -> bool:
        """Whether the keeper answers at all; one that is stopped or stuck does not."""
        self._answers.clear()
        return self.send(op="ping", session="") and self._answers.wait(PING_S)

    def _take(self, message: dict[str, Any]) -> None:
        if message["event"] == "pong":
            self._answers.set()
        elif (talk := self.talks.get(message["session"])) is not None:
            talk.take(message)
            if message["event"] == "released":
                del self.talks[message["session"]]
                self._on_idle(self)

    def kill(self) -> None:
        """End the keeper process; its browsers end with their pipes."""
        if self.process.poll() is None:
            self.process.kill()

    def hang_up(self) -> None:
        """Close our end: the keeper ends what is not kept alive, and goes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def forget(self) -> None:
        """In a forked child: close the copy of the line, touch nothing else."""
        self._socket.close()

    def last_words(self) -> str:
        """The end of what the keeper printed."""
        try:
            return paths.keeper_err(self.runtime, self.keeper_id).read_text("utf-8", "replace")[-2000:].strip()
        except OSError:
            return ""


class OwnTalk:
    """One session over this process's own keeper; also the Starting of it."""

    def __init__(self, line: Line, plan: Plan, on_keeper_lost: Callable[[], None]) -> None:
        self._line = line
        self._session_id = plan.session_id
        self.keep_alive = plan.keep_alive
        self._on_keeper_lost = on_keeper_lost
        self._answer: dict[str, Any] | None = None
        self._answered = threading.Event()
        self._released = threading.Event()

    def take(self, message: dict[str, Any]) -> None:
        if message["event"] == "released":
            self._released.set()
        else:
            self._answer = message
        self._answered.set()

    def keeper_lost(self) -> None:
        self._answered.set()
        if not self._released.is_set():
            self._on_keeper_lost()
        self._released.set()

    def result(self) -> OwnTalk:
        self._answered.wait(_START_WAIT_S)
        answer = self._answer
        if answer is None:
            self._line.kill()
            words = self._line.last_words()
            raise KeeperUnavailable(f"the keeper is gone before the browser was up{f': {words}' if words else ''}")
        if answer["event"] == "failed":
            raise LaunchFailed(self._session_id, answer["reason"], answer["last_words"])
        return self

    @property
    def cdp_url(self) -> str:
        url: str = (self._answer or {})["url"]
        return url

    @property
    def look_url(self) -> str:
        url: str = (self._answer or {})["look_url"]
        return url

    @property
    def folder(self) -> Path:
        return paths.artifacts(self._line.runtime, self._session_id)

    def look(self) -> None:
        self._line.send(op="look", session=self._session_id)

    def end(self, command: Close | Fail) -> None:
        self._line.send(op="end", session=self._session_id, name=command.name, command=command.model_dump(mode="json"))

    def cdp(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        return _cdp(self.cdp_url, method, params, timeout_s)

    def wait_released(self, timeout_s: float) -> bool:
        return self._released.wait(timeout_s) and not self._line.lost.is_set()


class OthersTalk:
    """One session of another owner's keeper, reached through its endpoint."""

    def __init__(self, runtime: Path, session_id: str, urls: paths.Endpoint) -> None:
        self._runtime = runtime
        self._session_id = session_id
        self.cdp_url, self.look_url = urls
        self.folder = paths.artifacts(runtime, session_id)

    def look(self) -> None:
        """Poke the gate; the log decides, this only saves waiting."""
        poke(self.cdp_url, _POKE_S)

    def end(self, command: Close | Fail) -> None:
        """Another owner's keeper takes no orders but the log's."""

    def cdp(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """As Talk.cdp."""
        return _cdp(self.cdp_url, method, params, timeout_s)

    def wait_released(self, timeout_s: float) -> bool:
        """Released when its endpoint is withdrawn."""
        until = time.monotonic() + timeout_s
        while paths.endpoint(self._runtime, self._session_id).exists():
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        return True


def poke(cdp_url: str, timeout_s: float) -> bool:
    """Have the keeper behind a gate look at its log; whether it answers."""
    # http.client, not urllib: the token in the path must not travel through a proxy that the environment names.
    gate = urlsplit(cdp_url)
    connection = http.client.HTTPConnection(gate.hostname or "", gate.port, timeout=timeout_s)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", f"{gate.path.partition('/devtools/')[0]}/poke")
        connection.getresponse().read()
        return True
    return False


def _cdp(cdp_url: str, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    try:
        # proxy=None: the token in the URL must not travel through a proxy that the environment names.
        with connect(
            f"{cdp_url}?client=lifecycle", open_timeout=timeout_s, max_size=None, compression=None, proxy=None
        ) as line:
            line.send(json.dumps({"id": 1, "method": method, "params": params}))
            answer: dict[str, Any] = {}
            while answer.get("id") != 1:
                answer = json.loads(line.recv(timeout_s))
    except (OSError, WebSocketException) as error:
        raise KeeperUnavailable(f"the browser did not answer {method}: {type(error).__name__}") from None
    if "error" in answer:
        raise InvalidConfig("cookies", "…", f"the browser refuses them: {answer['error'].get('message', method)}")
    result: dict[str, Any] = answer["result"]
    return result


def _locked(lock: Path) -> int:
    """A new lock file, made and locked; again where a sweep took it for a dead keeper's in between."""
    while True:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), lock.stat()):
                return fd
        os.close(fd)
