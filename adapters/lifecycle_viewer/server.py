"""The page and what moves on it, on 127.0.0.1. Who gets in, in this order; everybody else gets the same 403:

1. `Host` must be the loopback address or name with our port, or a web site could reach us by rebinding its own name;
2. `Origin`, where there is one, must be this very page's;
3. the token in the path is compared in constant time.

| path             | is                                                                                        |
|------------------|-------------------------------------------------------------------------------------------|
| /s/TOKEN         | the page, with nothing in it that is the session's                                        |
| /s/TOKEN/live    | a WebSocket: state as JSON text, frames as binary JPEG; the page says `seen` for each frame |

That one word is all that can be said to it. Nothing here knows how to pass anything on to the browser.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import logging
import re
import secrets
import socket
import threading
import time
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response
from websockets.sync.server import serve

if TYPE_CHECKING:
    from websockets.http11 import Request
    from websockets.sync.server import ServerConnection

    from lifecycle_viewer.scene import Scene, Seat

__all__ = ["VIEWERS", "Server"]

#: How many may look at once.
VIEWERS: Final = 16

_TOKEN_BYTES: Final = 32
_HANDSHAKE_S: Final = 5.0
_CLOSE_S: Final = 1.0
_MESSAGE_BYTES: Final = 64
_NORMAL: Final = 1000
_POLICY_VIOLATION: Final = 1008
_TRY_LATER: Final = 1013
_SEEN: Final = "seen"


class Server:
    """Serves a scene until `close`. The address is a credential: it is in no log line and no repr."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._page = files("lifecycle_viewer").joinpath("page.html").read_text("utf-8")
        self._connections: set[ServerConnection] = set()
        self._lock = threading.Lock()
        self._server = serve(
            self._look,
            "127.0.0.1",
            0,
            process_request=self._admit,
            compression=None,
            server_header=None,
            open_timeout=_HANDSHAKE_S,
            close_timeout=_CLOSE_S,
            max_size=_MESSAGE_BYTES,
            logger=_silent(),  # its lines hold paths, and so the token
        )
        port: int = self._server.socket.getsockname()[1]
        self._hosts: Final = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))
        self.url: Final = f"http://127.0.0.1:{port}/s/{self._token}"
        threading.Thread(target=self._server.serve_forever, name="viewer-server", daemon=True).start()

    def close(self, timeout_s: float) -> None:
        """Give everybody the last state, then cut off whoever hasn't taken it within *timeout_s*."""
        if not self._scene.close(timeout_s):
            with self._lock:
                left = list(self._connections)
            for connection in left:
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)
        self._server.socket.close()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request; None lets a WebSocket in."""
        if not self._is_local(request):
            return _plain(HTTPStatus.FORBIDDEN)
        path = request.path.partition("?")[0]
        given, slash, what = path.removeprefix("/s/").partition("/")
        right = hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())
        if not right or not path.startswith("/s/"):
            return _plain(HTTPStatus.FORBIDDEN)
        if getattr(request, "method", "GET") != "GET":  # releases before 16 take nothing else
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        if what == "live":
            return None
        if slash:
            return _plain(HTTPStatus.NOT_FOUND)
        return _html(self._page)

    def _is_local(self, request: Request) -> bool:
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return False
        return all(origin == f"http://{hosts[0]}" for origin in request.headers.get_all("Origin"))

    def _look(self, connection: ServerConnection) -> None:
        """One viewer, in a thread of its own."""
        with self._scene.seat(VIEWERS) as seat, contextlib.suppress(ConnectionClosed, OSError):
            if seat is None:
                connection.close(_TRY_LATER, f"{VIEWERS} are looking already")
                return
            with self._lock:
                self._connections.add(connection)
            reader = threading.Thread(target=self._hear, args=(connection, seat), name="viewer-reader", daemon=True)
            reader.start()
            try:
                while (news := self._scene.next(seat, _now_ms)) is not None:
                    connection.send(news)
                connection.close(_NORMAL, "nothing more to see")
            finally:
                with self._lock:
                    self._connections.discard(connection)

    def _hear(self, connection: ServerConnection, seat: Seat) -> None:
        """What the page says: that it has shown a frame. Anything else ends its connection."""
        try:
            for word in connection:
                if word != _SEEN:
                    connection.close(_POLICY_VIOLATION, "this view is for looking only")
                    break
                self._scene.seen(seat)
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._scene.leave(seat)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _plain(status: HTTPStatus) -> Response:
    return _response(status, f"{status.phrase}\n".encode(), {"Content-Type": "text/plain; charset=utf-8"})


def _html(page: str) -> Response:
    inline = {kind: _hashes(page, kind) for kind in ("script", "style")}
    policy = (
        f"default-src 'none'; script-src {inline['script']}; style-src {inline['style']}; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return _response(
        HTTPStatus.OK,
        page.encode(),
        {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "X-Frame-Options": "DENY"},
    )


def _hashes(page: str, kind: str) -> str:
    """What a policy calls the page's inline scripts or styles."""
    found = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _response(status: HTTPStatus, body: bytes, headers: dict[str, str]) -> Response:
    always = {
        "Content-Length": str(len(body)),
        "Connection": "close",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",  # the token must not travel
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Response(status.value, status.phrase, Headers({**always, **headers}), body)


def _silent() -> logging.Logger:
    logger = logging.getLogger("lifecycle_viewer.websockets")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
