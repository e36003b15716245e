"""The owner's side: spawn this process's keeper, hand sessions to it, reach or end those of others.

One keeper for each owner process and log (line.py). Nothing here is shared with a forked child: the child's copies are
closed.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import threading
import time
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from lifecycle.core import ProcessIdentity, Session
from lifecycle.errors import InvalidConfig, KeeperUnavailable
from lifecycle.ports import Found, Plan, Remains
from lifecycle.telemetry import logger
from lifecycle_chromium import paths, process
from lifecycle_chromium.find import find_browser, sandbox_args
from lifecycle_chromium.line import PING_S, Line, OthersTalk, OwnTalk, poke
from lifecycle_chromium.serving import core_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lifecycle.core import Config
    from lifecycle.core.events import Evidence
    from lifecycle.log.port import EventLog
    from lifecycle.ports import Finding

__all__ = ["ChromiumHost"]

#: How long the end of this process waits for its keepers to end theirs.
_EXIT_WAIT_S: Final = 6.0
_ATTACH_WAIT_S: Final = 5.0
#: The last threads of a killed keeper are gone, and its lock with them, within milliseconds.
_GONE_S: Final = 0.5
#: Where a window goes, as this process has it now; the keeper's own environment is that of its start.
_DISPLAY: Final = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR")


class ChromiumHost:
    """Chromium on this machine; lifecycle.ports.BrowserHost."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._said_sandbox = False
        _hosts.add(self)

    def prepare(self, config: Config, browser_path: str | None, log: EventLog) -> Found:
        """Find the browser and make sure that a keeper runs; see the port for errors."""
        runtime, locator = _runtime(log), log.locator
        if runtime is None or locator is None:
            raise InvalidConfig(
                "log",
                type(log).__name__,
                "a browser's keeper is a process of its own and needs a log with a locator and a runtime_dir",
            )
        family: Literal["chromium", "chrome", "named", "external"] = "external"
        path: str | None = None
        if config.browser != "external":
            found = find_browser(headless=config.headless is not False, wanted=browser_path or config.browser)
            family = found.kind if found.kind in ("chrome", "named") else "chromium"
            path = str(found.path)
        line = self._line(runtime, locator)
        return Found(
            keeper_id=line.keeper_id,
            keeper=line.identity,
            browser_path=path,
            browser=family,
            unused=lambda: self._unused(line),
        )

    def start(self, plan: Plan, log: EventLog, on_keeper_lost: Callable[[], None]) -> OwnTalk:
        """Send the plan to the keeper; returns at once."""
        with self._lock:
            line = self._lines.get(log.locator or "")
            if line is None or line.keeper_id != plan.keeper_id:
                # `created` names that keeper: another one must not start what everybody will take for its session.
                raise KeeperUnavailable("the keeper is gone before it was given the session")
            line.prepared -= 1
            talk = line.talks[plan.session_id] = OwnTalk(line, plan, on_keeper_lost)
        viewport = plan.config.viewport_width and [plan.config.viewport_width, plan.config.viewport_height]
        sent = line.send(
            op="open",
            session=plan.session_id,
            browser=plan.browser_path,
            headless=plan.config.headless,
            display={name: os.environ[name] for name in _DISPLAY if name in os.environ},
            args=[*self._sandbox(plan.browser_path), *_looks(plan.config), *plan.browser_args],
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
        )
        if not sent:
            talk.keeper_lost()
        return talk

    def attach(self, session: Session, log: EventLog) -> OthersTalk:
        """Reach the keeper of a session that somebody else started."""
        runtime = _runtime(log)
        alive = self.keeper_alive(session, log)
        if runtime is None or alive is None:
            raise KeeperUnavailable(f"session {session.session_id} runs on host {session.owner.host}, not here")
        if session.keeper_id is None:
            raise KeeperUnavailable(
                f"session {session.session_id} has no keeper: it was attached to a browser that somebody else launched"
            )
        if not alive:
            raise KeeperUnavailable(f"the keeper of session {session.session_id} is gone")
        until = time.monotonic() + _ATTACH_WAIT_S
        while (urls := paths.read_endpoint(runtime, session.session_id)) is None:
            if time.monotonic() >= until:
                raise KeeperUnavailable(
                    f"the keeper of session {session.session_id} has published no endpoint: it hangs, or its files "
                    "beside the log were removed; `lifecycle stop` ends the session in any case"
                )
            time.sleep(0.02)
        return OthersTalk(runtime, session.session_id, urls)

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        """Whether the keeper's lock is held, or the owner lives where there is no keeper; None for another host."""
        here = self.identity()
        owner = session.owner
        if not process.is_here(_stored(owner)):
            return False if owner.boot_id == here.boot_id and self._let_go(session, log) else None
        if owner.boot_id != here.boot_id:
            return False  # this machine, before its last boot
        if session.keeper_id is None:
            return process.is_alive(_stored(owner))
        runtime = _runtime(log)
        if runtime is None:
            return None
        if session.keeper is not None:
            # Not by its lock: one killed just now may hold that for a moment longer, and beside a copy of the log
            # there is none.
            return process.is_alive(_stored(session.keeper))
        return _held(paths.keeper_lock(runtime, session.keeper_id))

    def browser_died(self, session: Session, log: EventLog) -> bool:
        """By its identity, and the keeper by its own or its lock; a zombie is dead."""
        browser = None if session.browser is None else _stored(session.browser)
        if browser is None or not process.is_here(browser) or process.is_alive(browser):
            return False
        return self.keeper_alive(session, log) is True

    def _let_go(self, session: Session, log: EventLog) -> bool:
        """Whether a keeper of another pid namespace, such as a container's before its restart, has let go of its lock.

        One kernel has locked the file for all its namespaces. A file that is not there tells nothing.
        """
        runtime = _runtime(log)
        if runtime is None or session.keeper_id is None:
            return False
        lock = paths.keeper_lock(runtime, session.keeper_id)
        return lock.is_file() and not _held(lock)

    def end(self, session: Session, log: EventLog) -> Remains:
        """Kill what carries the session's id in its profile path, and remove the profile; not without a keeper."""
        if session.keeper_id is None:
            return Remains(how="left_running", profile_removed=False, evidence={})
        runtime = _runtime(log)
        found = process.find_by_profile(session.session_id)
        identities = [identity for pid in found if (identity := process.identify(pid)) is not None]
        if session.browser is not None:
            # Children of a dead browser may be left, stopped; they are known by its group alone.
            identities.append(_stored(session.browser))
        left = [pid for identity in identities for pid in process.end_group(identity).left]
        removed = True
        if runtime is not None:
            self._end_orphaned_keeper(session, runtime)
            paths.remove_endpoint(runtime, session.session_id)
            removed = paths.remove_profile(runtime, session.session_id) and not _of_the_user(session, log)
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
            if keeper is None or process.is_alive(_stored(keeper)):
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
        if session.keeper is None or process.is_alive(_stored(session.owner)):
            return
        keeper = _stored(session.keeper)
        urls = paths.read_endpoint(runtime, session.session_id)
        if process.is_alive(keeper) and urls is not None and not poke(urls.cdp_url, PING_S):
            logger.warning("keeper_dropped", keeper_id=session.keeper_id, session_id=session.session_id)
            process.kill(keeper)
            process.wait_gone([keeper.pid], PING_S)

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

    def _retire(self, line: Line) -> None:
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

    def _line(self, runtime: Path, locator: str) -> Line:
        with self._lock:
            line = self._lines.get(locator)
            if line is None or line.lost.is_set() or line.process.poll() is not None:
                try:
                    line = self._lines[locator] = Line(runtime, locator, self._retire)
                except OSError as error:
                    raise KeeperUnavailable(f"the keeper's files can't be made: {error}") from error
            line.prepared += 1
            return line

    def _unused(self, line: Line) -> None:
        with self._lock:
            line.prepared -= 1
        self._retire(line)

    def _sandbox(self, browser_path: str | None) -> list[str]:
        args, reason = sandbox_args(None if browser_path is None else Path(browser_path))
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


def _looks(config: Config) -> list[str]:
    args = [] if config.user_agent is None else [f"--user-agent={config.user_agent}"]
    if config.locale is not None:
        args.append(f"--accept-lang={config.locale}")
    return args


def _stored(identity: ProcessIdentity) -> process.Identity:
    """An identity that stands in the log, as processes are compared."""
    return process.Identity(**identity.model_dump())


def _runtime(log: EventLog) -> Path | None:
    """The directory beside the log where its keepers' things lie."""
    found: Path | None = getattr(log, "runtime_dir", None)
    return found


def _of_the_user(session: Session, log: EventLog) -> bool:
    """Whether its profile is the user's own, which stays, or may be: `created` says so, until that is forgotten."""
    first = log.read(session.session_id, until=1)
    # The browser's path is as private: without any of it, it was forgotten.
    return any(row.private is None or "user_data_dir" in json.loads(row.private) for row in first)


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
