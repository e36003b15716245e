"""What the keeper's sessions share once the slow imports are there: the log, the gate, and how a browser is kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle import crash
from lifecycle.client import redact
from lifecycle.client.keeping import Kept, record_gone
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import SystemClock, Uuid7, writer_name
from lifecycle.core import Close, Fail, ProcessIdentity
from lifecycle.core.events import (
    Cause,
    ClientConnected,
    ClientDisconnected,
    CookiesSaved,
    Note,
    PageCrashed,
    SessionNavigated,
    SessionReleased,
    SessionStarted,
    TabClosed,
    TabOpened,
)
from lifecycle.errors import InvalidConfig
from lifecycle.log.locate import open_log
from lifecycle.ports import Exit, Receipts
from lifecycle_chromium import paths, watch
from lifecycle_chromium.access import RECORDER
from lifecycle_chromium.cookie_jar import CookieJar
from lifecycle_chromium.downloads import Downloads
from lifecycle_chromium.dress import dress, orders
from lifecycle_chromium.gate import Gate
from lifecycle_chromium.launch import BrowserProcess, LaunchError
from lifecycle_chromium.recording import Recording

if TYPE_CHECKING:
    from lifecycle.core.events import Evidence
    from lifecycle_chromium.external import ExternalBrowser
    from lifecycle_chromium.keeper import Keeper
    from lifecycle_chromium.pipe import CdpPipe
    from lifecycle_chromium.process import Identity
    from lifecycle_chromium.relay import Client

__all__ = ["ChromiumKept", "Serving", "core_identity"]

#: What the history names as the actor of everything a keeper does by itself.
ACTOR: Final = "keeper"
_LOG_WAIT_S: Final = 2.0
#: How long a browser that has closed its pipe may take to be gone.
_LAST_BREATH_S: Final = 0.5


def core_identity(identity: Identity) -> ProcessIdentity:
    """A process's identity as the log records it."""
    return ProcessIdentity(
        host=identity.host,
        boot_id=identity.boot_id,
        pid_namespace=None if identity.pid_namespace is None else str(identity.pid_namespace),
        pid=identity.pid,
        started=identity.started,
    )


class ChromiumKept:
    """A Chromium process with its pipe and its place behind the gate; lifecycle.ports.KeptBrowser."""

    def __init__(
        self,
        session_id: str,
        process: BrowserProcess | ExternalBrowser,
        pipe: CdpPipe,
        gate: Gate,
        runtime: Path,
        cookies: CookieJar | None,
        recording: Recording | None,
        downloads: Downloads | None,
        *,
        own: bool,
    ) -> None:
        self._session_id = session_id
        self._process = process
        self._pipe = pipe
        self._gate = gate
        self._runtime = runtime
        self._cookies = cookies
        self._recording = recording
        self._downloads = downloads
        self._own = own  # the profile is the user's, and stays
        self._cleaned = False

    def exit(self, timeout_s: float) -> Exit | None:
        """How the browser ended, waiting up to *timeout_s*."""
        if self._pipe.closed:  # half of those killed close it up to a millisecond before they can be reaped (measured)
            timeout_s = max(timeout_s, _LAST_BREATH_S)
        ended = self._process.wait(timeout_s) if timeout_s else self._process.poll()
        return None if ended is None else Exit(ended.code, ended.signal)

    @property
    def ours(self) -> bool:
        """Not an external one."""
        return isinstance(self._process, BrowserProcess)

    def ask_to_close(self) -> None:
        """Send Browser.close."""
        watch.close_browser(self._pipe)

    def kill(self) -> None:
        """SIGKILL the browser's process group, and what of it has left the group."""
        self._process.kill()

    def save_cookies(self) -> CookiesSaved | None:
        """Merge the browser's cookies into the session's cookie file, if it has one."""
        return self._cookies.save() if self._cookies is not None else None

    def finish(self) -> None:
        """Have the recording finished; downloads that run are cut off by what comes."""
        if self._downloads is not None:
            self._downloads.finish()
        if self._recording is not None:
            self._recording.finish()

    def receipts(self, timeout_s: float) -> Receipts:
        """Those of the downloads and of the recording."""
        until = time.monotonic() + timeout_s
        kept = self._downloads.receipt(timeout_s) if self._downloads is not None else {}
        if self._recording is None:
            return Receipts(evidence=kept)
        filmed = self._recording.receipt(until - time.monotonic())
        made = "recording_why_not" not in filmed
        return Receipts(evidence={**kept, **filmed}, recording=str(self._recording.path) if made else None)

    def clients(self) -> tuple[str, ...]:
        """Labels of connected clients."""
        connected = self._gate.clients(self._session_id)
        return tuple(_label(client) for client in connected if not (client.looks and client.label == RECORDER))

    def clean_up(self) -> bool:
        """Take the session off the gate, close the pipe, remove endpoint and profile."""
        if not self._cleaned:
            self._cleaned = True
            if self._recording is not None:
                self._recording.end()
            paths.remove_endpoint(self._runtime, self._session_id)
            self._gate.remove(self._session_id)
            self._pipe.close()
        return paths.remove_profile(self._runtime, self._session_id) and not self._own


class Serving:
    """The keeper's log and gate."""

    def __init__(self, locator: str, keeper_id: str) -> None:
        # A log that stays locked must not hold a keeper up: it retries by itself, and its browsers have deadlines.
        self._log = open_log(locator, timeout_s=_LOG_WAIT_S)
        self._recorder = Recorder(
            self._log, SystemClock(), Uuid7(), actor=ACTOR, writer=f"{writer_name('keeper')}:{keeper_id}"
        )
        self._gate = Gate()

    def begin(
        self, keeper: Keeper, plan: dict[str, Any], process: BrowserProcess | ExternalBrowser, pipe: CdpPipe
    ) -> tuple[Kept, dict[str, object]]:
        """Open the gate and record `started`; the session to see through, and what to tell the owner.

        Raises:
            CdpClosed, CdpError, TimeoutError: The browser does not answer any more.
            LaunchError: The cookie file has become malformed.
        """
        session_id: str = plan["session"]
        recording = Recording(session_id, plan["recording"]) if plan["recording"] else None
        try:
            return self._begin(keeper, plan, process, pipe, recording)
        except BaseException:
            if recording is not None:
                recording.end()
            raise

    def _begin(
        self,
        keeper: Keeper,
        plan: dict[str, Any],
        process: BrowserProcess | ExternalBrowser,
        pipe: CdpPipe,
        recording: Recording | None,
    ) -> tuple[Kept, dict[str, object]]:
        session_id: str = plan["session"]
        cookies = CookieJar(Path(plan["cookie_file"]), pipe) if plan["cookie_file"] else None
        auth = plan["proxy_auth"]
        told = orders(
            viewport=plan["viewport"], locale=plan["locale"], headers=plan["headers"], proxy_auth=auth is not None
        )
        dress(pipe, told, auth and (auth[0], auth[1]))
        directory = plan["downloads_dir"]
        downloads = Downloads(pipe, paths.artifacts(keeper.runtime, session_id), Path(directory)) if directory else None
        try:
            loaded = cookies.load() if cookies is not None else None
        except InvalidConfig as error:  # malformed since the client looked
            raise LaunchError(str(error)) from None
        browser = ChromiumKept(
            session_id,
            process,
            pipe,
            self._gate,
            keeper.runtime,
            cookies,
            recording,
            downloads,
            own=bool(plan["user_data_dir"]),
        )
        kept = Kept(
            self._recorder.load(session_id),
            self._recorder,
            browser,
            on_released=lambda: keeper.released(session_id),
        )
        pipe.on_closed(kept.look)
        watch.Watch(pipe, lambda fact: _note(kept, fact))
        url = self._gate.add(
            session_id,
            pipe,
            admits=kept.lives,
            on_access=lambda client, method: kept.accessed(),
            on_connected=lambda client: _connected(kept, client),
            on_disconnected=lambda client: _disconnected(kept, client, downloads),
            on_poke=kept.look,
        )
        crash.point("keeper.gate_open")
        look_url = self._gate.look_url(session_id)
        if recording is not None:
            recording.begin(session_id, look_url)
        paths.write_endpoint(keeper.runtime, session_id, paths.Endpoint(url, look_url))
        crash.point("keeper.endpoint_published")
        refused = kept.begin(_started(process, plan), *([loaded] if loaded is not None else []))
        crash.point("keeper.started")
        if refused is not None:
            return kept, {"event": "failed", "reason": refused, "last_words": None}
        return kept, {"event": "started", "url": url, "look_url": look_url}

    def ending(self, message: dict[str, Any]) -> Close | Fail:
        """The owner's `end` message as a command."""
        order = Close if message["name"] == Close.name else Fail
        return order.model_validate_json(json.dumps(message["command"]))

    def launch_failed(
        self,
        session_id: str,
        error: LaunchError,
        took_s: float,
        orphaned: Evidence | None,
        *,
        profile_removed: bool,
    ) -> None:
        """Record failed/launch_failed (or that the owner died meanwhile) and released/never_started."""
        evidence: Evidence = {"took_us": round(took_s * 1e6)}
        if error.exit_code is not None:
            evidence["exit_code"] = error.exit_code
        if error.signal is not None:
            evidence["signal"] = error.signal
        command: Close | Fail = Fail(
            cause=Cause.LAUNCH_FAILED,
            error_type="LaunchFailed",
            error_message=redact.message(str(error)),
            last_words=redact.message(error.last_words) or None,
            evidence=evidence,
        )
        if orphaned is not None:
            command = Close(cause=Cause.OWNER_EXITED, evidence={**evidence, **orphaned})
        released = SessionReleased(
            how="never_started",
            exit_code=error.exit_code,
            signal=error.signal,
            took_us=round(took_s * 1e6),
            profile_removed=profile_removed,
        )
        record_gone(self._recorder, session_id, command, released)

    def close(self) -> None:
        """Close gate and log."""
        self._gate.close()
        self._log.close()


def _started(process: BrowserProcess | ExternalBrowser, plan: dict[str, Any]) -> SessionStarted:
    version = process.version.get("product")
    if not isinstance(process, BrowserProcess):
        return SessionStarted(ownership="external", browser_version=version)
    return SessionStarted(
        ownership="launched",
        browser=core_identity(process.identity),
        browser_version=version,
        profile=str(process.profile),
        window=not plan["headless"],
    )


def _label(client: Client) -> str:
    """What the history calls a client: its own name, if it gave one, and its number at this gate."""
    return f"{client.label or 'client'}#{client.number}"


def _connected(kept: Kept, client: Client) -> None:
    # No page can make a client connect, and what a script does in the 50 ms after it does not count by itself.
    if not client.looks:
        kept.accessed()
    kept.note(ClientConnected(client=_label(client)))


def _disconnected(kept: Kept, client: Client, downloads: Downloads | None) -> None:
    if downloads is not None:
        downloads.renew()
    kept.note(ClientDisconnected(client=_label(client)))


def _note(kept: Kept, fact: object) -> None:
    if isinstance(fact, watch.Missed):
        kept.missed(fact.count)
    elif (event := _event(fact)) is not None:
        kept.note(event)


def _event(fact: object) -> Note | None:
    match fact:
        case watch.Navigated(tab=tab, url=url):
            return SessionNavigated(tab=tab, url=redact.url(url))
        case watch.TabOpened(tab=tab, url=url):
            return TabOpened(tab=tab, url=redact.url(url))
        case watch.TabClosed(tab=tab):
            return TabClosed(tab=tab)
        case watch.PageCrashed(tab=tab):
            return PageCrashed(tab=tab)
        case _:
            return None
