"""The only way to a browser besides its keeper: an authenticated WebSocket on the loopback interface.

One gate serves all sessions of a keeper. Each has a token, at least 128 random bits, in the path of its URL. Who is let
in is decided here, in this order, and everybody else gets the same 403:

1. `Origin` is refused, whatever it says: only a web page sends one;
2. `Host` must be the loopback address or name with our port, or a page could reach us by rebinding its own name;
3. the token is compared with every registered one, each in constant time;
4. a session that has ended, by the log as it stands at that moment, lets in nobody new; its keeper can still be poked.

Tokens and URLs are in no log line, repr or exception.

What the token opens:

| path                            | is                                                                        |
|---------------------------------|---------------------------------------------------------------------------|
| /TOKEN/devtools/browser/SESSION | CDP over WebSocket (relay.py); ``?client=LABEL`` names the client         |
| /TOKEN/json/version             | where tools look for the line above; its ``?client=`` is passed on        |
| /TOKEN/poke                     | 204: the keeper looks at the log at once                                  |

Each session has a second token, for those who only look: it opens the first of the three, until the browser is gone,
and of CDP what looking.py says. Nothing that such a client does is an access.

The protocol is that of `websockets`, without its server: `websockets.sync.server` wakes one more thread for every
message in each direction, and sending to a client that doesn't read would hold up everybody else.
"""

from __future__ import annotations

import contextlib
import hmac
import itertools
import re
import secrets
import select
import socket
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from lifecycle_chromium.handshake import Wish, is_local, plain, read_request, respond, websocket_protocol, wish
from lifecycle_chromium.pipe import CdpClosed, CdpError, CdpPipe
from lifecycle_chromium.relay import CLOSE_S, MESSAGE_BYTES, Client, Relay

__all__ = ["MESSAGE_BYTES", "Client", "Gate"]

#: Connections that may be in their handshake at once: anybody on this machine can open them without a token. The oldest
#: makes room for one more: who has a token needs milliseconds, and is not locked out by those who wait.
_HANDSHAKES: Final = 64
_BROWSER_S: Final = 10.0
_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"[\w-]{22,}", re.ASCII)  # 128 bits in base64
_GOING_AWAY: Final = 1001


@dataclass(slots=True, eq=False)
class _Door:
    """One session's entrance. `look_token` opens it for looking only; `shut` says why nobody is let in any more."""

    session_id: str
    token: str = field(repr=False)
    pipe: CdpPipe
    admits: Callable[[], bool]
    on_access: Callable[[Client, str], None]
    on_connected: Callable[[Client], None]
    on_disconnected: Callable[[Client], None]
    on_poke: Callable[[], None]
    look_token: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES))
    relays: dict[int, Relay] = field(default_factory=dict[int, Relay])
    shut: str | None = None


class Gate:
    """A server on 127.0.0.1, on a port that the system chooses. Every method may be called from any thread.

    Callbacks come from the client's own thread. One that raises ends its client's connection and nobody else's, and is
    reported by `threading.excepthook`.
    """

    def __init__(self) -> None:
        self._doors: dict[str, _Door] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._coming: dict[socket.socket, None] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self.port: Final[int] = self._listener.getsockname()[1]
        self._hosts = frozenset(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]"))
        self._stop, self._stopper = socket.socketpair()
        self._closed = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, name="gate", daemon=True)
        self._acceptor.start()

    def add(
        self,
        session_id: str,
        pipe: CdpPipe,
        *,
        token: str | None = None,
        admits: Callable[[], bool],
        on_access: Callable[[Client, str], None],
        on_connected: Callable[[Client], None],
        on_disconnected: Callable[[Client], None],
        on_poke: Callable[[], None],
    ) -> str:
        """Let clients in to *session_id*'s browser. The URL that they connect to; it is a credential.

        *admits* is asked of each that comes, but for those who only look. *on_access* gets the client and the method of
        each command that counts (access.py), before it is sent on. When *pipe* is closed the clients are disconnected;
        the door itself stays, and answers pokes, until `remove`.

        Raises:
            ValueError: The session has a door already, or *token* isn't at least 22 characters of A-Z a-z 0-9 _ -.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES) if token is None else token
        if not _TOKEN.fullmatch(token):
            raise ValueError("a token has at least 22 characters of A-Z, a-z, 0-9, _ and -")
        door = _Door(session_id, token, pipe, admits, on_access, on_connected, on_disconnected, on_poke)
        with self._lock:
            if session_id in self._doors:
                raise ValueError(f"session {session_id} has a door already")
            self._doors[session_id] = door
        pipe.on_closed(lambda: self._disconnect(door, "the browser is gone"))
        return self._url(door)

    def look_url(self, session_id: str) -> str:
        """Where clients of *session_id* connect that only look; a credential too.

        Raises:
            KeyError: It has no door.
        """
        with self._lock:
            door = self._doors[session_id]
        return self._url(door, token=door.look_token)

    def remove(self, session_id: str, reason: str = "the session has ended") -> tuple[Client, ...]:
        """Let nobody in to *session_id* any more, and disconnect its clients, telling them *reason*. Who they were.

        Returns at once; a client that doesn't close its side is cut off after 3 s. Idempotent.
        """
        with self._lock:
            door = self._doors.pop(session_id, None)
        if door is None:
            return ()
        with self._lock:
            clients = tuple(relay.client for relay in door.relays.values())
        self._disconnect(door, reason)
        return clients

    def clients(self, session_id: str) -> tuple[Client, ...]:
        """Who is connected to *session_id*, in the order they came."""
        with self._lock:
            door = self._doors.get(session_id)
            return () if door is None else tuple(relay.client for relay in door.relays.values())

    def close(self) -> None:
        """Stop listening, disconnect everybody, and wait until they are gone: at most 6 s. Idempotent."""
        with self._lock:
            doors = list(self._doors.values())
            self._doors.clear()
            relays = [relay for door in doors for relay in door.relays.values()]
        for door in doors:
            self._disconnect(door, "the keeper ends")
        self._closed.set()
        self._stopper.close()
        self._acceptor.join()
        for relay in relays:
            relay.join(2 * CLOSE_S)

    def _url(self, door: _Door, label: str = "", token: str = "") -> str:
        query = f"?client={urllib.parse.quote(label)}" if label else ""
        return f"ws://127.0.0.1:{self.port}/{token or door.token}/devtools/browser/{door.session_id}{query}"

    def _disconnect(self, door: _Door, reason: str) -> None:
        with self._lock:
            if door.shut is None:
                door.shut = reason
            relays = list(door.relays.values())
        for relay in relays:
            relay.close(_GOING_AWAY, reason)

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        with self._listener, self._stop:
            while poll.poll() and not self._closed.is_set():
                try:
                    sock, _address = self._listener.accept()
                except OSError:
                    # Gone before it was accepted; or no descriptors are left, and then this must not spin.
                    self._closed.wait(0.01)
                    continue
                self._make_room(sock)
                try:
                    threading.Thread(target=self._serve, args=(sock,), name="gate-client", daemon=True).start()
                except RuntimeError:  # no thread is left for now; whoever comes later may find one
                    self._leave(sock)

    def _make_room(self, sock: socket.socket) -> None:
        with self._lock:
            if len(self._coming) >= _HANDSHAKES:
                oldest = next(iter(self._coming))
                del self._coming[oldest]
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread closes it
            self._coming[sock] = None

    def _serve(self, sock: socket.socket) -> None:
        """One connection, in a thread of its own."""
        relay: Relay | None = None
        try:
            relay = self._admit(sock)
        except OSError:
            pass  # the client went away, or took too long to say what it wants
        finally:
            self._leave(sock, let_in=relay is not None)
        if relay is not None:
            relay.run()

    def _leave(self, sock: socket.socket, *, let_in: bool = False) -> None:
        with self._lock:
            self._coming.pop(sock, None)
        if not let_in:
            sock.close()

    def _admit(self, sock: socket.socket) -> Relay | None:
        """Read and answer the request; a relay when it was let in to a browser."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        websocket = websocket_protocol(message_bytes=MESSAGE_BYTES)
        request = read_request(sock, websocket)
        if request is None:
            return None
        wanted = wish(request)
        door, looks = self._door(wanted.token) if is_local(request, self._hosts) else (None, False)
        if door is None or not (looks or wanted.path == "poke" or door.admits()):
            respond(sock, websocket, plain(HTTPStatus.FORBIDDEN, "Forbidden\n"))
            return None
        # Releases of websockets before 16 take nothing but GET, and requests have no method there.
        if getattr(request, "method", "GET") != "GET":
            respond(sock, websocket, plain(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed\n"))
            return None
        if wanted.path != f"devtools/browser/{door.session_id}":
            page = plain(HTTPStatus.NOT_FOUND, "Not found\n") if looks else self._page(door, wanted)
            respond(sock, websocket, page)
            return None
        return self._connect(door, request, wanted.label, sock, websocket, looks=looks)

    def _door(self, token: str) -> tuple[_Door | None, bool]:
        """Whose door *token* opens, and whether for looking only."""
        with self._lock:
            doors = list(self._doors.values())
        given = token.encode(errors="surrogateescape")  # what is not ASCII on the wire has become that
        # All are compared, whichever matches: the time taken tells nothing.
        keys = [(door, looks) for door in doors for looks in (False, True)]
        matching = [
            (door, looks)
            for door, looks in keys
            if hmac.compare_digest((door.look_token if looks else door.token).encode(), given)
        ]
        return matching[0] if matching else (None, False)

    def _page(self, door: _Door, wanted: Wish) -> Response:
        match wanted.path:
            case "poke":
                door.on_poke()
                return plain(HTTPStatus.NO_CONTENT)
            case "json/version":
                try:
                    version = door.pipe.call("Browser.getVersion", timeout_s=_BROWSER_S)
                except (CdpClosed, CdpError, TimeoutError):
                    return plain(HTTPStatus.SERVICE_UNAVAILABLE, "the browser does not answer\n")
                return plain(
                    HTTPStatus.OK,
                    {
                        "Browser": version["product"],
                        "Protocol-Version": version["protocolVersion"],
                        "User-Agent": version["userAgent"],
                        "V8-Version": version["jsVersion"],
                        "webSocketDebuggerUrl": self._url(door, wanted.label),
                    },
                )
            case _:
                return plain(HTTPStatus.NOT_FOUND, "Not found\n")

    def _connect(
        self,
        door: _Door,
        request: Request,
        label: str,
        sock: socket.socket,
        websocket: ServerProtocol,
        *,
        looks: bool,
    ) -> Relay | None:
        response = websocket.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            respond(sock, websocket, response)
            return None
        try:
            browser_session = door.pipe.attach_browser(timeout_s=_BROWSER_S)
        except (CdpClosed, CdpError, TimeoutError):
            respond(sock, websocket, plain(HTTPStatus.SERVICE_UNAVAILABLE, door.shut or "the browser does not answer"))
            return None
        try:
            respond(sock, websocket, response)
        except OSError:
            door.pipe.detach(browser_session)
            raise
        sock.settimeout(None)
        client = Client(next(self._numbers), door.session_id, label, looks)
        relay = Relay(
            client,
            sock,
            websocket,
            door.pipe,
            browser_session,
            on_access=door.on_access,
            on_connected=door.on_connected,
            on_disconnected=lambda gone: self._left(door, gone),
        )
        with self._lock:
            door.relays[client.number] = relay
            shut = door.shut
        if shut is not None:  # while it was coming in
            relay.close(_GOING_AWAY, shut)
        return relay

    def _left(self, door: _Door, client: Client) -> None:
        with self._lock:
            del door.relays[client.number]
        door.on_disconnected(client)
