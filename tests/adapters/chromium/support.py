"""What the tests of the keeper's tools share: browsers, a browser that is none, a WebSocket that can refuse to read."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import os
import select
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode

from lifecycle.errors import BrowserNotFound
from lifecycle_chromium.find import find_browser
from lifecycle_chromium.frames import frame_size
from lifecycle_chromium.gate import Client, Gate
from lifecycle_chromium.launch import BrowserProcess, launch
from lifecycle_chromium.pipe import CdpPipe
from lifecycle_chromium.process import end_group, find_by_profile, group_members

SOON_S = 10.0
"""How long a test waits for what it expects: generous, for machines that are busy."""


def binary(*, full: bool = False) -> Path:
    """The browser for tests without a window; *full* prefers one that could have a window, where there is one."""
    if full:
        with contextlib.suppress(BrowserNotFound):
            return find_browser(headless=False).path
    return find_browser(headless=True).path


@dataclass
class Browser:
    """A real browser, its pipe, and the id that its profile's path contains."""

    session_id: str
    process: BrowserProcess
    pipe: CdpPipe

    def page(self) -> str:
        """The target id of its first tab."""
        targets = self.pipe.call("Target.getTargets", timeout_s=SOON_S)["targetInfos"]
        found: str = next(target["targetId"] for target in targets if target["type"] == "page")
        return found

    def attach(self, target: str | None = None) -> str:
        """A session of our own on a tab, for calls over the pipe."""
        params = {"targetId": target or self.page(), "flatten": True}
        session_id: str = self.pipe.call("Target.attachToTarget", params, timeout_s=SOON_S)["sessionId"]
        return session_id

    def evaluate(self, expression: str, session: str | None = None) -> Any:
        """The value of *expression* in the first tab, or on *session*."""
        session = session or self.attach()
        params = {"expression": expression, "returnByValue": True, "userGesture": True}
        result = self.pipe.call("Runtime.evaluate", params, session_id=session, timeout_s=SOON_S)["result"]
        return result.get("value")


@contextlib.contextmanager
def running(profiles: Path, *, full: bool = False) -> Generator[Browser]:
    """A browser for one test. Afterwards nothing of it is left, or the test fails."""
    session_id = f"session-{uuid.uuid4()}"  # other runs of these tests may be under way
    process = launch(binary(full=full), profile=profiles / session_id, headless=True)
    pipe = CdpPipe(process.read_fd, process.write_fd)
    try:
        yield Browser(session_id, process, pipe)
    finally:
        pipe.close()
        process.wait(SOON_S)
        end_group(process.identity)
        process.kill()
    assert group_members(process.identity) == []
    assert find_by_profile(session_id) == []


class FakeBrowser:
    """The browser's ends of a `CdpPipe`, in the hands of a test."""

    def __init__(self) -> None:
        self.reads, write_fd = os.pipe()
        read_fd, self.writes = os.pipe()
        self.pipe = CdpPipe(read_fd, write_fd)
        self._begun = b""

    def command(self) -> dict[str, Any]:
        """The next command that was sent to it."""
        while b"\0" not in self._begun:
            chunk = os.read(self.reads, 65536)
            assert chunk, "the pipe was closed"
            self._begun += chunk
        message, _, self._begun = self._begun.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def say(self, *messages: Mapping[str, object] | bytes) -> None:
        """Send *messages*."""
        for message in messages:
            content = message if isinstance(message, bytes) else json.dumps(message, separators=(",", ":")).encode()
            written = 0
            while written < len(content) + 1:
                written += os.write(self.writes, (content + b"\0")[written:])

    def die(self) -> None:
        """Close both ends. Idempotent."""
        for name in ("reads", "writes"):
            fd: int = getattr(self, name)
            if fd >= 0:
                os.close(fd)
                setattr(self, name, -1)


@dataclass
class Doorman:
    """Records what a gate tells of one session, and lets a test wait for it."""

    told: list[str] = field(default_factory=list[str])
    accesses: list[str] = field(default_factory=list[str])
    admits: bool = True
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, gate: Gate, session_id: str, pipe: CdpPipe, *, token: str | None = None) -> str:
        return gate.add(
            session_id,
            pipe,
            token=token,
            admits=lambda: self.admits,
            on_access=self._accessed,
            on_connected=lambda client: self.tell(f"connected {client.label or client.number}"),
            on_disconnected=lambda client: self.tell(f"disconnected {client.label or client.number}"),
            on_poke=lambda: self.tell("poked"),
        )

    def wait_for(self, what: str, times: int = 1) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.told.count(what) >= times, SOON_S), f"{what} not in {self.told}"

    def tell(self, what: str) -> None:
        with self.changed:
            self.told.append(what)
            self.changed.notify_all()

    def _accessed(self, _client: Client, method: str) -> None:
        with self.changed:
            self.accesses.append(method)
            self.changed.notify_all()


class RawClient:
    """A WebSocket client that sends and reads exactly what and when it is told."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        host, _, path = url.removeprefix("ws://").partition("/")
        self.sock = socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), timeout=SOON_S)
        sent = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }
        self.sock.sendall(
            f"GET /{path} HTTP/1.1\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in sent.items()).encode() + b"\r\n"
        )
        self.texts = 0
        """How many text frames were read."""
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer and (chunk := self.sock.recv(65536)):
            self._buffer += chunk
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.status = int(head.split()[1]) if head else None
        self.head = head.decode()

    def send(self, message: Mapping[str, object] | bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> None:
        content = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.sock.sendall(Frame(opcode, content, fin).serialize(mask=True))

    def frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload; (8, b"") when the connection is over."""
        while len(self._buffer) < frame_size(self._buffer):
            chunk = self.sock.recv(2**20)
            if not chunk:
                return Opcode.CLOSE, b""
            self._buffer += chunk
        size = frame_size(self._buffer)
        frame, self._buffer = self._buffer[:size], self._buffer[size:]
        head = {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
        self.texts += frame[0] & 0x0F == Opcode.TEXT
        return frame[0] & 0x0F, frame[head:]

    def call(self, method: str, params: Mapping[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
        """Send a command and read up to its answer."""
        number = time.monotonic_ns() % 10**9
        message: dict[str, object] = {"id": number, "method": method, "params": params or {}}
        self.send(message if session is None else {**message, "sessionId": session})
        return self.answer(number)

    def answer(self, number: int) -> dict[str, Any]:
        while True:
            opcode, payload = self.frame()
            assert opcode == Opcode.TEXT, (opcode, payload)
            parsed: dict[str, Any] = json.loads(payload)
            if parsed.get("id") == number:
                return parsed

    def closed(self) -> tuple[int, str]:
        """Read up to the close frame; its code and reason. (1006, "") when there is none."""
        with contextlib.suppress(ConnectionError):
            while True:
                opcode, payload = self.frame()
                if opcode == Opcode.CLOSE:
                    return (int.from_bytes(payload[:2]), payload[2:].decode()) if payload else (1006, "")
        return 1006, ""

    def close(self) -> None:
        self.sock.close()


class Site(http.server.ThreadingHTTPServer):
    """A web site on the loopback interface. `pages` maps paths (without query) to HTML; others are 404."""

    daemon_threads = True

    def __init__(self, pages: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages = dict(pages)
        self.visits: list[str] = []
        self.base = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Site)
        path = self.path.partition("?")[0]
        self.server.visits.append(self.path)
        page = self.server.pages.get(path)
        self.send_response(404 if page is None else 204 if path == "/nothing" else 200)
        self.send_header("Content-Type", "text/javascript" if path.endswith(".js") else "text/html")
        if path == "/download":
            self.send_header("Content-Disposition", "attachment; filename=a.bin")
        content = (page or "").encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def listening_sockets() -> set[str]:
    """Inodes of all listening TCP sockets of this machine."""
    lines = [
        line.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for line in Path(table).read_text().splitlines()[1:]
    ]
    return {columns[9] for columns in lines if columns[3] == "0A"}


def sockets_of(pids: list[int]) -> set[str]:
    """Inodes of all sockets that *pids* hold."""
    found: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = os.readlink(link)
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
    return found


def eventually(condition: Callable[[], bool], timeout_s: float = SOON_S) -> bool:
    """Whether *condition* comes true in time: for what nobody can be told of, like other processes' ends."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.005)
    return True


def script(path: Path, body: str, *, interpreter: str = sys.executable) -> Path:
    """An executable script at *path*."""
    path.write_text(f"#!{interpreter}\n{body}")
    path.chmod(0o755)
    return path


def get(gate: Gate, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> tuple[int, str]:
    """Status and body of a plain HTTP request."""
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=SOON_S)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()


def token_of(url: str) -> str:
    return url.split("/")[3]
