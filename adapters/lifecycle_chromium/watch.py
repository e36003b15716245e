"""What happens in a browser, whoever makes it happen: tabs, navigations, page crashes, seen on a session of our own.

Only the browser is asked (`Target.setDiscoverTargets`); no page is attached to. That is why a page that hangs can't
disturb this, and why this can't disturb a page: `Page.enable` would tell of navigations too, but it turns an `alert()`
that the headless shell ignores into one that waits for a client's answer, for ever when there is none (measured).

Chromium sends `Target.targetInfoChanged` once for every navigation that the main frame commits, and once when the first
client attaches or the last one detaches; then, and only then, `attached` differs from what it was. Titles, frames,
downloads and 204s send none (measured, tests/adapters/chromium/test_watch.py).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from lifecycle_chromium.pipe import CdpClosed, CdpPipe

__all__ = [
    "QUEUE_BYTES",
    "Fact",
    "Missed",
    "Navigated",
    "PageCrashed",
    "TabClosed",
    "TabOpened",
    "Watch",
    "close_browser",
    "read_cookies",
]

#: What may wait for a slow consumer, in bytes of CDP. What comes beyond is dropped and counted (`Missed`).
QUEUE_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class TabOpened:
    """A tab is there. *url* is empty where the browser doesn't know yet; `Navigated` follows then."""

    tab: str
    url: str


@dataclass(frozen=True, slots=True)
class Navigated:
    """A tab's main frame went to *url*: once for each navigation that was committed.

    Reloads, history moves, error pages and navigations within the document (pushState, fragments) are among them. The
    blank document that every tab begins with is not; nor is what ended as a download or without an answer.
    """

    tab: str
    url: str


@dataclass(frozen=True, slots=True)
class TabClosed:
    """A tab is gone. Not sent for those that end with their browser."""

    tab: str


@dataclass(frozen=True, slots=True)
class PageCrashed:
    """A tab's renderer died; the tab stays, and shows an error until it navigates."""

    tab: str


@dataclass(frozen=True, slots=True)
class Missed:
    """*count* messages about tabs were dropped here, because the consumer was too slow."""

    count: int


_BLANK: Final = ("", "about:blank")

Fact: TypeAlias = TabOpened | Navigated | TabClosed | PageCrashed | Missed


class Watch:
    """Watches a browser until its pipe is closed, or `close`. Keeps itself alive.

    *on_fact* is called with one fact after the other, in order, in a thread of its own. It may be slow. An exception
    from it is reported by `threading.excepthook` and ends the watch. Tabs that exist already are told first.

    Raises: as `CdpPipe.call`.
    """

    def __init__(self, pipe: CdpPipe, on_fact: Callable[[Fact], None]) -> None:
        self._pipe = pipe
        self._on_fact = on_fact
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._missed = 0
        self._over = False
        self._changed = threading.Condition()
        self._session_id = pipe.attach_browser()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        pipe.add_route(self._session_id, self._on_message)
        pipe.on_closed(self._finish)
        pages = [{"type": "page"}, {"exclude": True}]
        pipe.post("Target.setDiscoverTargets", {"discover": True, "filter": pages}, session_id=self._session_id)

    def close(self) -> None:
        """Stop watching; what was seen before is still told. Waits for that, except in *on_fact* itself. Idempotent."""
        self._pipe.remove_route(self._session_id)
        self._pipe.detach(self._session_id)
        self._finish()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _on_message(self, message: bytes, _end: int) -> None:
        if not message.startswith(b'{"method":"Target.target'):
            return
        with self._changed:
            if self._queued_bytes + len(message) > QUEUE_BYTES:
                self._missed += 1
                return
            self._queue.append(message)
            self._queued_bytes += len(message)
            self._changed.notify()

    def _finish(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()

    def _run(self) -> None:
        tabs = _Tabs()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._missed or self._over)
                message = self._queue.popleft() if self._queue else None
                if message is not None:
                    self._queued_bytes -= len(message)
                # What was dropped came after everything that waits.
                missed, self._missed = (0, self._missed) if self._queue or message else (self._missed, 0)
            if message is not None:
                for fact in tabs.facts(json.loads(message)):
                    self._on_fact(fact)
            elif missed:
                self._on_fact(Missed(missed))
            else:
                return


@dataclass(slots=True)
class _Tab:
    """`fresh` until it leaves the blank document that it began with; a starting browser may tell of that twice."""

    attached: bool
    fresh: bool = True
    crashed: bool = False


class _Tabs:
    """What the messages about targets mean, given those before."""

    def __init__(self) -> None:
        self._tabs: dict[str, _Tab] = {}

    def facts(self, message: dict[str, Any]) -> list[Fact]:
        params: dict[str, Any] = message["params"]
        info: dict[str, Any] = params.get("targetInfo", params)
        tab: str = info["targetId"]
        match message["method"]:
            case "Target.targetCreated":
                return self._opened(tab, info)
            case "Target.targetInfoChanged":
                return self._changed(tab, info) if tab in self._tabs else self._opened(tab, info)
            case "Target.targetCrashed":
                return self._crashed(tab)
            case "Target.targetDestroyed":
                return [TabClosed(tab)] if self._tabs.pop(tab, None) is not None else []
            case _:
                return []

    def _opened(self, tab: str, info: dict[str, Any]) -> list[Fact]:
        self._tabs[tab] = _Tab(attached=info["attached"])
        return [TabOpened(tab, info["url"])]

    def _changed(self, tab: str, info: dict[str, Any]) -> list[Fact]:
        known = self._tabs[tab]
        if info["attached"] != known.attached:
            known.attached = info["attached"]
            return []
        known.crashed = False
        if known.fresh and info["url"] in _BLANK:
            return []
        known.fresh = False
        return [Navigated(tab, info["url"])]

    def _crashed(self, tab: str) -> list[Fact]:
        """The headless shell tells of each crash twice."""
        known = self._tabs.get(tab)
        if known is None or known.crashed:
            return []
        known.crashed = True
        return [PageCrashed(tab)]


def read_cookies(pipe: CdpPipe, *, timeout_s: float = 2.0) -> list[dict[str, Any]]:
    """All cookies of the default context, as CDP's Network.Cookie. Under 1 ms, also while every page hangs.

    Raises: as `CdpPipe.call`.
    """
    cookies: list[dict[str, Any]] = pipe.call("Storage.getCookies", timeout_s=timeout_s)["cookies"]
    return cookies


def close_browser(pipe: CdpPipe) -> None:
    """Ask the browser to quit, as a person does: it stores what it has and ends with code 0. Never blocks or fails."""
    with contextlib.suppress(CdpClosed):
        pipe.post("Browser.close")
