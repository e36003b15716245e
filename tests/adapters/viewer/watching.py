"""What the tests look with: a page in a second browser, a bare WebSocket, and a look at the viewers that run."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed

from tests.client.world import until

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from websockets.sync.client import ClientConnection

    from lifecycle import Session
    from tests.client.world import World

#: A page that draws something new all the time, and has no script of ours to thank for it.
RESTLESS: Final = (
    "data:text/html,<title>restless</title><body><h1>0</h1>"
    "<script>setInterval(() => document.querySelector('h1').textContent = Math.random(), 20)</script>"
)


def watch(watcher: Session, url: str) -> Page:
    """*url* in the watcher's browser, with the first picture on it."""
    page: Page = watcher.page
    page.goto(url)
    page.wait_for_selector("#note", state="hidden")
    return page


def text(page: Page, id: str) -> str:
    return page.inner_text(f"#{id}").strip()


def shows(page: Page, id: str, expected: str, seconds: float = 10) -> None:
    """Wait until the element of that id says *expected*."""
    page.wait_for_function("([id, text]) => document.getElementById(id).textContent.includes(text)",
                           arg=[id, expected], timeout=seconds * 1000)  # fmt: skip


def picture(page: Page) -> str:
    """What is in the picture, as a data URL."""
    found: str = page.evaluate("document.getElementById('picture').toDataURL()")
    return found


def frames(page: Page) -> int:
    """How many frames the page has drawn."""
    return int(page.evaluate("document.documentElement.dataset.frames || 0"))


def viewers(world: World) -> list[int]:
    """Pids of the viewers of this world."""
    return [pid for pid, line in world.processes() if "lifecycle_viewer" in line]


def no_viewer(world: World, seconds: float = 10) -> None:
    until(lambda: viewers(world) == [], "a viewer is left", seconds)


def ask(url: str, path: str | None = None, method: str = "GET", **headers: str) -> tuple[int, str]:
    """The answer to a plain request: its status and body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    connection.request(method, parts.path if path is None else path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def live(url: str) -> str:
    """The WebSocket's address."""
    return f"ws{url.removeprefix('http')}/live"


def next_state(socket: ClientConnection, seconds: float = 10) -> dict[str, Any]:
    """The next state that is sent; frames on the way are acknowledged."""
    while True:
        news = socket.recv(seconds)
        if isinstance(news, str):
            found: dict[str, Any] = json.loads(news)
            return found
        _seen(socket)


def next_frame(socket: ClientConnection, seconds: float = 10) -> bytes:
    """The next frame that is sent, acknowledged."""
    while True:
        news = socket.recv(seconds)
        if isinstance(news, bytes):
            _seen(socket)
            return news


def _seen(socket: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):  # what was sent before the end can still be read
        socket.send("seen")


def everything(socket: ClientConnection, seconds: float) -> list[str | bytes]:
    """What is sent until nothing comes for so long, or the connection ends; nothing is acknowledged."""
    found: list[str | bytes] = []
    with contextlib.suppress(TimeoutError, ConnectionClosed):
        while True:
            found.append(socket.recv(seconds))
    return found


def resident_kib(pid: int) -> int:
    """How much memory a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
