"""A connection's first request: read within bounds, judged by what only a web page would send, answered.

What is checked before anybody looks at the token (gate.py says why): `Origin` must be absent, `Host` must be ours.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import logging
import re
import socket
import time
import urllib.parse
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

__all__ = ["HANDSHAKE_S", "Wish", "is_local", "plain", "read_request", "respond", "websocket_protocol", "wish"]

#: A client has this long to send its request.
HANDSHAKE_S: Final = 10.0
#: And must not send more than this.
_REQUEST_BYTES: Final = 16384
#: How long a connection that was answered with plain HTTP may stay open on the client's side.
_LINGER_S: Final = 1.0
_LABEL_LENGTH: Final = 64

# Not registered with logging, so no handler of the application ever sees a request line: it holds the token.
_SILENT: Final = logging.Logger("lifecycle_chromium.gate", level=logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for: the token it shows, the path behind it, the label the client gives itself."""

    token: str = field(repr=False)
    path: str
    label: str


def websocket_protocol(*, message_bytes: int) -> ServerProtocol:
    """The protocol of one connection: no compression, no logging, messages up to *message_bytes*."""
    return ServerProtocol(max_size=message_bytes, logger=_SILENT)


def read_request(sock: socket.socket, websocket: ServerProtocol) -> Request | None:
    """The request that opens a connection; None when what came is none. Then the connection is to be closed.

    Raises:
        OSError: The client went away or took longer than `HANDSHAKE_S`, however it spread its bytes.
    """
    deadline = time.monotonic() + HANDSHAKE_S
    left = _REQUEST_BYTES
    while left > 0:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        sock.settimeout(remaining)
        data = sock.recv(left)
        if not data:
            return None
        left -= len(data)
        websocket.receive_data(data)
        for event in websocket.events_received():
            if isinstance(event, Request):
                return event
        if websocket.handshake_exc is not None:
            respond(sock, websocket, None)
            return None
    return None


def is_local(request: Request, hosts: Collection[str]) -> bool:
    """Whether *request* can't come from a web page: no Origin, one Host, and that one of *hosts* (``name:port``)."""
    named = request.headers.get_all("Host")
    return "Origin" not in request.headers and len(named) == 1 and named[0].lower() in hosts


def wish(request: Request) -> Wish:
    """The parts of a request's path, /TOKEN/PATH?client=LABEL. A part that is missing is empty."""
    whole, _, query = request.path.partition("?")
    token, _, path = whole.removeprefix("/").partition("/")
    label = urllib.parse.parse_qs(query).get("client", [""])[0]
    # It goes into the history and onto terminals.
    return Wish(token, path.rstrip("/"), re.sub(r"[^\w.@:+/-]", "_", label[:_LABEL_LENGTH]))


def plain(status: HTTPStatus, body: str | dict[str, str] = "") -> Response:
    """A complete HTTP answer: text, or JSON for a dict."""
    kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json; charset=utf-8"
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = Headers(Date=email.utils.formatdate(usegmt=True), Connection="close")
    if status is not HTTPStatus.NO_CONTENT:
        headers.update({"Content-Type": kind, "Content-Length": str(len(content))})
    return Response(status.value, status.phrase, headers, content)


def respond(sock: socket.socket, websocket: ServerProtocol, response: Response | None) -> None:
    """Send *response* (None: what the protocol itself has ready). Unless it is 101, end our side of the connection.

    Raises:
        OSError: The client went away, or what it sent behind its request can't be read: that is the end of it.
    """
    if response is not None:
        if websocket.eof_sent:
            raise ConnectionAbortedError
        websocket.send_response(response)
    sock.settimeout(HANDSHAKE_S)
    sock.sendall(b"".join(websocket.data_to_send()))
    if response is not None and response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
        return
    with contextlib.suppress(TimeoutError):
        sock.shutdown(socket.SHUT_WR)
        # A close with input unread would reset the connection and take the answer with it.
        until = time.monotonic() + _LINGER_S
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(_REQUEST_BYTES):
                break
