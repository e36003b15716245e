"""The owner's side: spawn this process's keeper, hand sessions to it, reach or end those of others.

One keeper for each owner process and log. It is a child that inherits two file descriptors: its end of the line, and
a lock that shows everybody that it lives. Nothing here is shared with a forked child: the child's copies are closed.
"""

from __future__ import annotations

import atexit
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
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import uuid_utils

from lifecycle.core import ProcessIdentity, Session
from lifecycle.errors import InvalidConfig, KeeperUnavailable, LaunchFailed
from lifecycle.ports import Found, Plan, Remains
from lifecycle.telemetry import logger
from lifecycle_chromium import paths, process
from lifecycle_chromium.find import find_browser, sandbox_args
from lifecycle_chromium.serving import core_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lifecycle.core import Close, Config, Fail
    from lifecycle.core.events import Evidence
    from lifecycle.log.port import EventLog
    from lifecycle.ports import Finding

__all__ = ["ChromiumHost"]

#: Between handing a session over and the keeper's word on it: its launch timeout and room for a busy machine.
_START_WAIT_S: Final = 30.0
#: How long the end of this process waits for its keepers to end theirs.
_EXIT_WAIT_S: Final = 6.0
_ATTACH_WAIT_S: Final = 5.0
_POKE_S: Final = 0.5
#: The last threads of a killed keeper are gone, and its lock with them, within milliseconds.
_GONE_S: Final = 0.5
#: A keeper answers within milliseconds; one that takes this long is stopped, not busy.
_PING_S: Final = 1.0
#: Where a window goes, as this process has it now; the keeper's own environment is that of its start.
_DISPLAY: Final = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR")


class _Line:
    """The line to one keeper process."""

    def __init__(self, runtime: Path, locator: str, on_idle: Callable[[_Line], None]) -> None:
        self.runtime = runtime
        self.locator = locator
        self.retiring = False  # a client has let go of the log: the keeper goes with its last session
        self._on_idle = on_idle
        self.keeper_id = str(uuid_utils.uuid7())
        self.talks: dict[str, _Talk] = {}
        self.prepared = 0  # sessions that are about to be handed over
        self.lost = threading.Event()  # the line is closed
        self.gone = threading.Event()  # the process is reaped, its sessions are put right
        self._answers = threading.Event()
        self._sending = threading.Lock()
        # Locked before the keeper exists and inherited by it: a keeper in the log is never seen without its lock.
        lock_fd = _locked(paths.keeper_lock(runtime, self.keeper_id))
        err_fd = os.open(
            paths.keeper_err(runtime, self.keeper_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600
        )
        ours, theirs = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "lifecycle_chromium.keeper"),
                    *("--control", str(theirs.fileno()), "--lock", str(lock_fd)),
                    *("--id", self.keeper_id, "--log", locator, "--runtime", str(runtime)),
                ],
                pass_fds=(theirs.fileno(), lock_fd),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err_fd,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise KeeperUnavailable(f"the keeper can't be started with {sys.executable!r}: {error}") from error
        finally:
            theirs.close()
            os.close(lock_fd)
            os.close(err_fd)
        self._socket = ours
        found = process.identify(self.process.pid)
        self.identity = None if found is None else core_identity(found)
        threading.Thread(target=self._listen, name="lifecycle-keeper-line", daemon=True).start()

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
        return self.send(op="ping", session="") and self._answers.wait(_PING_S)

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


class _Talk:
    """One session over this process's own keeper; also the Starting of it."""

    def __init__(self, line: _Line, plan: Plan, on_keeper_lost: Callable[[], None]) -> None:
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

    def result(self) -> _Talk:
        self._answered.wait(_START_WAIT_S)
        answer = self._answer
        if answer is None:
            self._line.kill()
            words = self._line.last_words()
            raise KeeperUnavailable(f"the keeper is gone before the browser was up{f': {words}' if words else ''}")
        if answer["event"] == "failed":
            self._released.wait(_START_WAIT_S)
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


class _Attached:
    """One session of another owner's keeper, reached through its endpoint."""

    def __init__(self, runtime: Path, session_id: str, urls: paths.Endpoint) -> None:
        self._runtime = runtime
        self._session_id = session_id
        self.cdp_url, self.look_url = urls
        self.folder = paths.artifacts(runtime, session_id)

    def look(self) -> None:
        """Poke the gate; the log decides, this only saves waiting."""
        _poke(self.cdp_url, _POKE_S)

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


class ChromiumHost:
    """Chromium on this machine; lifecycle.ports.BrowserHost."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._said_sandbox = False
        _hosts.add(self)

    def prepare(self, config: Config, browser_path: str | None, log: EventLog) -> Found:
        """Find the browser and make sure that a keeper runs; see the port for errors."""
        runtime, locator = _runtime(log), log.locator
        if runtime is None or locator is None:
            raise InvalidConfig(
                "log", type(log).__name__, "a browser's keeper is a process of its own and needs a log with a locator"
            )
        if config.browser == "external":
            line = self._line(runtime, locator)
            return Found(keeper_id=line.keeper_id, keeper=line.identity, browser_path=None, browser="external")
        found = find_browser(headless=config.headless is not False, wanted=browser_path or config.browser)
        line = self._line(runtime, locator)
        family: Literal["chromium", "chrome", "named"] = "chromium"
        if found.kind in ("chrome", "named"):
            family = found.kind
        return Found(keeper_id=line.keeper_id, keeper=line.identity, browser_path=str(found.path), browser=family)

    def start(self, plan: Plan, log: EventLog, on_keeper_lost: Callable[[], None]) -> _Talk:
        """Send the plan to the keeper; returns at once."""
        with self._lock:
            line = self._lines.get(log.locator or "")
            if line is None or line.keeper_id != plan.keeper_id:
                # `created` names that keeper: another one must not start what everybody will take for its session.
                raise KeeperUnavailable("the keeper is gone before it was given the session")
            line.prepared -= 1
            talk = line.talks[plan.session_id] = _Talk(line, plan, on_keeper_lost)
        viewport = plan.config.viewport_width and [plan.config.viewport_width, plan.config.viewport_height]
        sent = line.send(
            op="open",
            session=plan.session_id,
            browser=plan.browser_path,
            headless=plan.config.headless,
            display={name: os.environ[name] for name in _DISPLAY if name in os.environ},
            args=[*self._sandbox(), *_looks(plan.config), *plan.browser_args],
            viewport=viewport or None,
            cdp_url=plan.cdp_url,
            cookie_file=plan.cookie_file,
            user_data_dir=plan.user_data_dir,
            downloads_dir=plan.downloads_dir,
            timezone=plan.config.timezone,
            locale=plan.config.locale,
            headers=dict(plan.extra_http_headers),
            recording=plan.recording and asdict(plan.recording),
            proxy_auth=plan.proxy and [plan.proxy.username, plan.proxy.password],
            timeout_s=_START_WAIT_S,
        )
        if not sent:
            talk.keeper_lost()
        return talk

    def attach(self, session: Session, log: EventLog) -> _Attached:
        """Reach the keeper of a session that somebody else started."""
        runtime = _runtime(log)
        if runtime is None or self.keeper_alive(session, log) is None:
            raise KeeperUnavailable(f"session {session.session_id} runs on host {session.owner.host}, not here")
        until = time.monotonic() + _ATTACH_WAIT_S
        while (urls := paths.read_endpoint(runtime, session.session_id)) is None:
            if time.monotonic() >= until:
                raise KeeperUnavailable(f"the keeper of session {session.session_id} has published no endpoint")
            time.sleep(0.02)
        return _Attached(runtime, session.session_id, urls)

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        """Whether the keeper's lock is held, or the owner lives where there is no keeper; None for another host."""
        here = self.identity()
        owner = session.owner
        if not process.is_here(process.Identity(**owner.model_dump())):
            return None
        if owner.boot_id != here.boot_id:
            return False  # this machine, before its last boot
        if session.keeper_id is None:
            return process.is_alive(process.Identity(**owner.model_dump()))
        runtime = _runtime(log)
        if runtime is None:
            return None
        if session.keeper is not None:
            # Not by its lock: one killed just now may hold that for a moment longer, and beside a copy of the log
            # there is none.
            return process.is_alive(process.Identity(**session.keeper.model_dump()))
        return _held(paths.keeper_lock(runtime, session.keeper_id))

    def end(self, session: Session, log: EventLog) -> Remains:
        """Kill what carries the session's id in its profile path, and remove the profile; not without a keeper."""
        if session.keeper_id is None:
            return Remains(how="left_running", profile_removed=False, evidence={})
        runtime = _runtime(log)
        found = process.find_by_profile(session.session_id)
        identities = [identity for pid in found if (identity := process.identify(pid)) is not None]
        if session.browser is not None:
            # Children of a dead browser may be left, stopped; they are known by its group alone.
            identities.append(process.Identity(**session.browser.model_dump()))
        left = [pid for identity in identities for pid in process.end_group(identity).left]
        removed = True
        if runtime is not None:
            self._end_orphaned_keeper(session, runtime)
            paths.remove_endpoint(runtime, session.session_id)
            removed = paths.remove_profile(runtime, session.session_id)
            if not self._held_still(session, paths.keeper_lock(runtime, session.keeper_id)):
                paths.remove_keeper(runtime, session.keeper_id)
        if session.ownership == "external":
            return Remains(how="detached", profile_removed=False, evidence={"by": "identity"})
        never = session.started_at is None and not found
        evidence: Evidence = {"by": "identity", "processes_found": len(found), "processes_left": len(left)}
        return Remains(how="never_started" if never else "killed", profile_removed=removed, evidence=evidence)

    def _held_still(self, session: Session, lock: Path) -> bool:
        """Whether the keeper lives; one that was killed just now is given the moment its threads need to go."""
        until = time.monotonic() + _GONE_S
        while held := _held(lock):
            keeper = session.keeper
            if keeper is None or process.is_alive(process.Identity(**keeper.model_dump())):
                break
            if time.monotonic() >= until:
                break
            time.sleep(0.005)
        return held

    def sweep(self, log: EventLog, unreleased: Callable[[], Sequence[Session]]) -> None:
        """Remove what killed processes have left beside *log*; see sweep.py."""
        from lifecycle_chromium.sweep import sweep

        if (runtime := _runtime(log)) is not None:
            sweep(runtime, lambda: {session.session_id for session in unreleased()})

    def _end_orphaned_keeper(self, session: Session, runtime: Path) -> None:
        """A keeper whose owner is dead and that does not answer has nobody else who would end it."""
        if session.keeper is None or process.is_alive(process.Identity(**session.owner.model_dump())):
            return
        keeper = process.Identity(**session.keeper.model_dump())
        urls = paths.read_endpoint(runtime, session.session_id)
        if process.is_alive(keeper) and urls is not None and not _poke(urls.cdp_url, _PING_S):
            logger.warning("keeper_dropped", keeper_id=session.keeper_id, session_id=session.session_id)
            process.kill(keeper)
            process.wait_gone([keeper.pid], _PING_S)

    def drop_keeper(self, session: Session, log: EventLog) -> bool:
        """Kill this process's keeper if it is the session's and does not answer."""
        with self._lock:
            found = [(key, line) for key, line in self._lines.items() if line.keeper_id == session.keeper_id]
        for key, line in found:
            if line.answers():
                return False
            logger.warning("keeper_dropped", keeper_id=line.keeper_id, session_id=session.session_id)
            line.kill()
            with self._lock:
                self._lines.pop(key, None)
            line.gone.wait(_EXIT_WAIT_S)
            return True
        return False

    def done(self, log: EventLog) -> None:
        """Hang up on the log's keeper as soon as it keeps nothing; the next start brings another one."""
        with self._lock:
            line = self._lines.get(log.locator or "")
            if line is not None:
                line.retiring = True
        if line is not None:
            self._retire(line)

    def _retire(self, line: _Line) -> None:
        with self._lock:
            if not line.retiring or line.talks or line.prepared or self._lines.get(line.locator) is not line:
                return
            del self._lines[line.locator]
        line.hang_up()

    def identity(self) -> ProcessIdentity:
        """This process."""
        found = process.identify(os.getpid())
        assert found is not None  # we are running
        return core_identity(found)

    def examine(self, runtime_dir: Path | None, unreleased: Sequence[Session]) -> Sequence[Finding]:
        """For `lifecycle doctor`; see examine.py."""
        from lifecycle_chromium.examine import examine

        return examine(runtime_dir, unreleased)

    def _line(self, runtime: Path, locator: str) -> _Line:
        with self._lock:
            line = self._lines.get(locator)
            if line is None or line.lost.is_set() or line.process.poll() is not None:
                line = self._lines[locator] = _Line(runtime, locator, self._retire)
            line.prepared += 1
            return line

    def _sandbox(self) -> list[str]:
        args, reason = sandbox_args()
        if reason is not None and not self._said_sandbox:
            self._said_sandbox = True
            logger.warning("browser_sandbox_off", why=reason)
        return args

    def close(self) -> None:
        """Hang up on this process's keepers and wait for them to go; sessions still open end with owner_exited."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            line.hang_up()
        until = time.monotonic() + _EXIT_WAIT_S
        for line in lines:
            if any(talk.keep_alive for talk in list(line.talks.values())):
                line.process.returncode = 0  # it outlives us on purpose; Popen would warn that it does
                continue
            line.gone.wait(max(0.0, until - time.monotonic()))

    def in_child(self) -> None:
        """After fork, in the child: our copies of the lines are closed, so that only the parent holds them."""
        for line in self._lines.values():
            line.forget()
        self._lines = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()


def _poke(cdp_url: str, timeout_s: float) -> bool:
    """Have the keeper behind a gate look at its log; whether it answers."""
    # http.client, not urllib: the token in the path must not travel through a proxy that the environment names.
    gate = urlsplit(cdp_url)
    connection = http.client.HTTPConnection(gate.hostname or "", gate.port, timeout=timeout_s)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", f"{gate.path.partition('/devtools/')[0]}/poke")
        connection.getresponse().read()
        return True
    return False


def _looks(config: Config) -> list[str]:
    args = [] if config.user_agent is None else [f"--user-agent={config.user_agent}"]
    if config.locale is not None:
        args.append(f"--accept-lang={config.locale}")
    return args


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


def _runtime(log: EventLog) -> Path | None:
    """The directory beside the log where its keepers' things lie."""
    found: Path | None = getattr(log, "runtime_dir", None)
    return found


def _locked(lock: Path) -> int:
    """A new lock file, made and locked; again where a sweep took it for a dead keeper's in between."""
    while True:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), lock.stat()):
                return fd
        os.close(fd)


def _held(lock: Path) -> bool:
    """Whether somebody holds the lock file; one that is not there is not held."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at the same moment don't take each other for the keeper.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


_hosts: weakref.WeakSet[ChromiumHost] = weakref.WeakSet()


def _close_all() -> None:
    for host in list(_hosts):
        host.close()


def _child() -> None:
    for host in list(_hosts):
        host.in_child()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_child)
