"""The keeper: one small process for one owner process, which starts, watches and ends that owner's browsers.

Order on start (the owner's half stands in lifecycle/client/handle.py):
1. the owner spawns the keeper, which inherits the lock that shows it alive, and records `created`;
2. the keeper launches Chromium on a pipe of which it holds the only end: no DevTools port, and the browser ends with
   the pipe;
3. it opens the gate, records `started`, and tells the owner.
From then on lifecycle.client.keeping decides; this file is processes, sockets and messages.

Wire: one JSON object a line over the inherited socket. Owner to keeper: open, look, end, ping. Keeper to owner:
started, failed, released, pong. When the owner's end closes, or the owner's process dies, its sessions end (the leash).

Only the standard library and this package's lean modules are imported before the first browser is on its way.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle import crash
from lifecycle_chromium import orphans, paths
from lifecycle_chromium.launch import BrowserProcess, LaunchError, launch, reserve
from lifecycle_chromium.pipe import CdpClosed, CdpError, CdpPipe
from lifecycle_chromium.process import identify, watch_exit

if TYPE_CHECKING:
    from collections.abc import Generator

    from lifecycle.client.keeping import Kept
    from lifecycle_chromium.external import ExternalBrowser
    from lifecycle_chromium.serving import Serving

__all__ = ["LAUNCH_TIMEOUT_S", "Keeper", "main"]

#: How long a browser may take from its launch to its first word over CDP.
LAUNCH_TIMEOUT_S: Final = 20.0
#: How long a keeper waits, when all is over, for what its last browser left: Chromium's crash handlers need 40 ms.
_LAST_ORPHANS_S: Final = 0.5


class Keeper:
    """The process's one object: the line to the owner, the sessions, and what they share."""

    def __init__(self, control: socket.socket, *, keeper_id: str, locator: str, runtime: Path) -> None:
        self.keeper_id = keeper_id
        self.runtime = runtime
        self._control = control
        self._locator = locator
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}
        self._threads: list[threading.Thread] = []
        self._orphaned: dict[str, Any] | None = None
        self._serving: Serving | None = None
        self._serving_error: BaseException | None = None
        self._serving_ready = threading.Event()

    def run(self) -> None:
        """Serve the owner until it is gone and the last session has ended."""
        threading.Thread(target=self._prepare, name="prepare", daemon=True).start()
        threading.Thread(target=self._leash, args=(os.getppid(),), name="leash", daemon=True).start()
        # An owner that is killed before it has read what we said leaves a reset, not an end: that too is its death.
        with contextlib.suppress(ConnectionResetError), self._control.makefile("rb") as lines:
            for line in lines:
                self._take(json.loads(line))
        self._orphan({"leash": "pipe"})
        for thread in list(self._threads):
            thread.join()
        if self._serving is not None:
            self._serving.close()

    def _prepare(self) -> None:
        """The slow imports and the log, while the first browser boots."""
        try:
            from lifecycle_chromium.serving import Serving

            self._serving = Serving(self._locator, self.keeper_id)
        except BaseException as error:
            self._serving_error = error
        finally:
            self._serving_ready.set()

    def _ready(self) -> Serving:
        self._serving_ready.wait()
        if self._serving is None:
            raise RuntimeError(f"the keeper can't open the log: {self._serving_error}") from self._serving_error
        return self._serving

    def _take(self, message: dict[str, Any]) -> None:
        session_id = message["session"]
        match message["op"]:
            case "open":
                self._take_on(message)
            case "look":
                if (kept := self._kept.get(session_id)) is not None:
                    kept.look()
            case "ping":
                self.say(session=session_id, event="pong")
            case "end":
                if (kept := self._kept.get(session_id)) is not None:
                    kept.end(self._ready().ending(message))
            case other:
                raise ValueError(f"unknown op {other!r}")

    def _take_on(self, message: dict[str, Any]) -> None:
        session_id: str = message["session"]
        thread = threading.Thread(target=self._see_through, args=(message,), name=f"session-{session_id}")
        try:
            thread.start()
        except RuntimeError as error:  # no thread is left for now; the sessions that are there go on
            self.say(session=session_id, event="failed", reason=f"the keeper failed: {error}", last_words=None)
            self.released(session_id)
            return
        self._threads = [*(thread for thread in self._threads if thread.is_alive()), thread]

    def say(self, **message: object) -> None:
        """Tell the owner; an owner that is gone hears nothing, which is fine."""
        data = json.dumps(message).encode() + b"\n"
        with self._sending:
            try:
                self._control.sendall(data)
            except OSError:
                return

    def _leash(self, owner_pid: int) -> None:
        """The second cord: a forked child of the owner may hold the owner's end of the pipe open."""
        owner = identify(owner_pid)
        if owner is not None:
            with watch_exit(owner) as watch:
                watch.wait()
        self._orphan({"leash": "process", "owner_pid": owner_pid})

    def _orphan(self, evidence: dict[str, Any]) -> None:
        with self._lock:
            if self._orphaned is not None:
                return
            self._orphaned = evidence
            kept = list(self._kept.values())
        for session in kept:
            session.owner_gone(evidence)
        # The reader may still block on a line that a forked child holds open.
        try:
            self._control.shutdown(socket.SHUT_RD)
        except OSError:
            return

    def _see_through(self, message: dict[str, Any]) -> None:
        """From launch to released. The thread lives as long as its browser: the parent-death signal needs that."""
        began = time.monotonic()
        crash.point("keeper.taken")
        with contextlib.ExitStack() as held:
            try:
                process = self._launch(message, held)
            except Exception as error:
                why = error if isinstance(error, LaunchError) else LaunchError(f"the keeper failed: {error}")
                self._launch_failed(message, why, time.monotonic() - began)
                return
            crash.point("keeper.launched")
            self._attend(message, process, began)

    def _launch(self, message: dict[str, Any], held: contextlib.ExitStack) -> BrowserProcess | ExternalBrowser:
        session_id: str = message["session"]
        if message["cdp_url"]:
            from lifecycle_chromium.external import reach

            return reach(message["cdp_url"], timeout_s=LAUNCH_TIMEOUT_S)
        profile, args = paths.profile(self.runtime, session_id), list(message["args"])
        if message["user_data_dir"]:
            profile = Path(message["user_data_dir"])
            held.enter_context(_alone(profile))
            args.append(f"--lifecycle-session={session_id}")
        return launch(
            message["browser"],
            profile=profile,
            headless=message["headless"],
            args=args,
            viewport=tuple(message["viewport"]) if message["viewport"] else None,
            env={**os.environ, **message["display"], **({"TZ": message["timezone"]} if message["timezone"] else {})},
            timeout_s=LAUNCH_TIMEOUT_S,
        )

    def _attend(self, message: dict[str, Any], process: BrowserProcess | ExternalBrowser, began: float) -> None:
        session_id: str = message["session"]
        try:
            kept = self._open(message, process, began)
        except BaseException as error:
            process.kill()
            paths.remove_profile(self.runtime, session_id)
            self.say(session=session_id, event="failed", reason=f"the keeper failed: {error}", last_words=None)
            self.released(session_id)
            raise
        if kept is not None:
            self._keep(session_id, kept)

    def _open(self, message: dict[str, Any], process: BrowserProcess | ExternalBrowser, began: float) -> Kept | None:
        """Gate and `started` for a browser that speaks; None when it fell silent again and that is recorded."""
        session_id: str = message["session"]
        serving = self._ready()
        pipe = CdpPipe(process.read_fd, process.write_fd)
        try:
            kept, opened = serving.begin(self, message, process, pipe)
        except (CdpClosed, CdpError, LaunchError, TimeoutError) as error:
            ended = process.kill()
            pipe.close()
            paths.remove_profile(self.runtime, session_id)
            silent = f"it fell silent right after its start: {type(error).__name__}"
            why = LaunchError(
                str(error) if isinstance(error, LaunchError) else silent,
                ended.code,
                ended.signal,
                process.last_words(),
            )
            self._launch_failed(message, why, time.monotonic() - began)
            return None
        with self._lock:
            self._kept[session_id] = kept
        kept.look()  # for what was asked since `started` stands in the log: nobody was there to hear it
        self.say(session=session_id, **opened)  # whatever the owner answers finds the session
        crash.point("keeper.told")
        return kept

    def _keep(self, session_id: str, kept: Kept) -> None:
        with self._lock:
            orphaned = self._orphaned
        if orphaned is not None:
            kept.owner_gone(orphaned)
        try:
            kept.run()
        finally:
            with self._lock:
                del self._kept[session_id]

    def released(self, session_id: str) -> None:
        """Tell the owner that nothing is left of the session."""
        crash.point("keeper.released")
        self.say(session=session_id, event="released")

    def _launch_failed(self, message: dict[str, Any], error: LaunchError, took_s: float) -> None:
        session_id: str = message["session"]
        with self._lock:
            orphaned = self._orphaned
        ours = not (message["user_data_dir"] or message["cdp_url"])  # a profile of the user's own stays
        try:
            removed = ours and paths.remove_profile(self.runtime, session_id)
            self._ready().launch_failed(session_id, error, took_s, orphaned, profile_removed=removed)
        finally:  # an owner that hears nothing takes the keeper for gone, and ends it with all its sessions
            self.say(session=session_id, event="failed", reason=str(error), last_words=error.last_words or None)
            self.released(session_id)


@contextlib.contextmanager
def _alone(profile: Path) -> Generator[None]:
    """Hold a profile of the user's own for one session; the headless shell would open it a second time silently."""
    try:
        profile.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(profile / ".lifecycle.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LaunchError(f"the profile {profile} can't be used: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise LaunchError(f"the profile {profile} is in use by another session") from None
    try:
        yield
    finally:
        os.close(fd)


def main(argv: list[str] | None = None) -> int:
    """Run a keeper on an inherited socket; ends by itself. Started by ChromiumHost, never by hand."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--control", type=int, required=True, help="file descriptor of the line to the owner")
    parser.add_argument("--lock", type=int, required=True, help="file descriptor that holds the keeper's lock")
    parser.add_argument("--id", required=True)
    parser.add_argument("--log", required=True, help="the log's locator")
    parser.add_argument("--runtime", type=Path, required=True)
    given = parser.parse_args(argv)
    reserve()
    orphans.adopt()
    os.set_inheritable(given.lock, False)  # a browser that held the lock would make a dead keeper look alive
    os.set_inheritable(given.control, False)
    control = socket.socket(fileno=given.control)
    Keeper(control, keeper_id=given.id, locator=given.log, runtime=given.runtime).run()
    crash.point("keeper.leaving")
    paths.remove_keeper(given.runtime, given.id)
    orphans.reap(_LAST_ORPHANS_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
