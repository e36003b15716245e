"""The viewer's own connection to the browser, through the gate like any client: which tab, what it shows.

What is sent here must never count as access, or looking would keep a session alive: discovering and attaching to tabs
(setAutoAttach), asking for a tab's title, the screencast and its acknowledgements (lifecycle_chromium/access.py;
tests/adapters/viewer proves that an idle session ends under a viewer's eyes). `Page.enable` is not among them on
purpose: a page's alert() would wait for an answer that nobody gives.

Frames are acknowledged at `FRAMES_PER_S` at most: the browser has two on their way and waits with the third, so this is
what bounds the work here and there. While nobody looks there is no screencast at all.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from lifecycle.client import redact
from lifecycle_viewer.tabs import Tabs

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

__all__ = ["FRAMES_PER_S", "Camera", "Screen"]

FRAMES_PER_S: Final = 12

_FRAME: Final = {"format": "jpeg", "quality": 65, "maxWidth": 1280, "maxHeight": 1280}
_PAGES: Final = [{"type": "page"}, {"exclude": True}]
_TITLE_S: Final = 1.0  # no event tells of a title that a script changes
_TITLE_CHARACTERS: Final = 300
_CONNECT_S: Final = 10.0
#: A frame is below 2 MiB; what a page can put into a title or an address is more.
_MESSAGE_BYTES: Final = 64 * 2**20


class Screen(Protocol):
    """Where the pictures go: to those who look, or into a film."""

    @property
    def watched(self) -> bool:
        """Whether pictures are wanted now."""
        ...

    def show(self, **changes: Any) -> None:
        """What the picture is of: url, title, tabs, crashed."""
        ...

    def show_frame(self, jpeg: bytes | None, at: float) -> None:
        """The newest picture, drawn at *at* (s since the epoch); None: there is nothing to see."""
        ...


class Camera:
    """Films the tab to look at, as the client *label*. `run` belongs to one thread; `aim` is for any."""

    def __init__(self, cdp_url: str, scene: Screen, label: str = "viewer") -> None:
        self._url = f"{cdp_url}?client={label}"
        self._scene = scene
        self._lock = threading.RLock()
        self._socket: ClientConnection | None = None
        self._tabs = Tabs()
        self._filmed: str | None = None
        self._number = 0
        self._asked: dict[int, str] = {}
        self._acks: deque[tuple[str, int]] = deque()
        self._acked_at = 0.0
        self._asked_at = 0.0

    def run(self) -> None:
        """Film until the browser, or the way to it, is gone. Returns then; raises nothing of the connection's."""
        with contextlib.suppress(OSError, ConnectionClosed), self._connect() as socket:
            with self._lock:
                self._socket = socket
                self._send("Target.setDiscoverTargets", {"discover": True, "filter": _PAGES})
                attach = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True, "filter": _PAGES}
                self._send("Target.setAutoAttach", attach)
            while True:
                with contextlib.suppress(TimeoutError):
                    self._take(json.loads(socket.recv(self._pause())))
                self._when_due()

    def _connect(self) -> ClientConnection:
        # No proxy, whatever the environment names: the token stands in the path.
        return connect(self._url, open_timeout=_CONNECT_S, max_size=_MESSAGE_BYTES, compression=None, proxy=None)

    def close(self) -> None:
        """Leave the browser: run() returns."""
        with self._lock:
            socket = self._socket
        if socket is not None:
            socket.close()

    def aim(self) -> None:
        """Film what is to be looked at, and nothing while nobody looks."""
        with self._lock, contextlib.suppress(ConnectionClosed, OSError):
            tab = self._tabs.current
            wanted = tab.session if tab is not None and not tab.crashed and self._scene.watched else None
            if wanted == self._filmed:
                return
            if self._filmed is not None:
                self._send("Page.stopScreencast", {}, self._filmed)
            if wanted is not None:
                self._send("Page.startScreencast", _FRAME, wanted)
            self._filmed = wanted

    def _take(self, message: dict[str, Any]) -> None:
        with self._lock:
            if message.get("method") == "Page.screencastFrame":
                self._frame(message["sessionId"], message["params"])
            elif message.get("id") in self._asked:
                del self._asked[message["id"]]
                if "result" in message:
                    self._tabs.describe(message["result"]["targetInfo"])
                    self._tell()
            else:
                before = self._tabs.current
                if self._tabs.take(message):
                    self._follow(before.session if before is not None else None)

    def _follow(self, before: str | None) -> None:
        current = self._tabs.current
        if current is None or current.crashed or current.session != before:
            self._scene.show_frame(None, time.time())  # it would be another tab's, or a dead one's
        self.aim()
        self._tell()

    def _frame(self, session: str, params: dict[str, Any]) -> None:
        self._acks.append((session, params["sessionId"]))
        current = self._tabs.current
        if current is not None and current.session == session:
            drawn = params["metadata"].get("timestamp")
            self._scene.show_frame(base64.b64decode(params["data"]), drawn or time.time())

    def _tell(self) -> None:
        tab = self._tabs.current
        self._scene.show(
            tabs=len(self._tabs),
            url=redact.url(tab.url) if tab is not None and tab.url else "",
            title=_title(tab.title, tab.url) if tab is not None else "",
            crashed=tab is not None and tab.crashed,
        )

    def _pause(self) -> float:
        now = time.monotonic()
        due = self._asked_at + _TITLE_S
        if self._acks:
            due = min(due, self._acked_at + 1 / FRAMES_PER_S)
        return max(0.0, due - now)

    def _when_due(self) -> None:
        now = time.monotonic()
        with self._lock:
            if self._acks and now - self._acked_at >= 1 / FRAMES_PER_S:
                session, number = self._acks.popleft()
                self._acked_at = now
                self._send("Page.screencastFrameAck", {"sessionId": number}, session)
            if now - self._asked_at >= _TITLE_S:
                self._asked_at = now
                self._ask_title()

    def _ask_title(self) -> None:
        tab = self._tabs.current
        if tab is not None and self._scene.watched and not self._asked:
            self._asked[self._send("Target.getTargetInfo", {"targetId": tab.target})] = tab.target

    def _send(self, method: str, params: dict[str, Any], session: str | None = None) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        if self._socket is not None:
            self._socket.send(json.dumps(message))
        return self._number


def _title(title: str, url: str) -> str:
    """The title, unless it is the address in disguise, query values and all: that is what stands for a missing one."""
    bare = unquote(url.partition("://")[2])
    if any(whole.startswith(unquote(title)) for whole in (bare, bare.removeprefix("www."), unquote(url))):
        return ""
    return title[:_TITLE_CHARACTERS]
