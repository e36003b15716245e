"""One connected client: its WebSocket on one side, a browser session of its own on the other.

Messages pass unparsed, except those of a client that may only look (looking.py). A command without a session id gets
the client's; what the browser says on that session loses it. Sessions that the client opens (flat) are learned from
`Target.attachedToTarget` and forgotten on `Target.detachedFromTarget`; a command for anybody else's session is refused
as the browser refuses an unknown one.

Two threads: the client's own reads its socket and writes the pipe; the pipe's reading thread writes the socket. Neither
ever waits for a slow reader: outbox.py.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol

from lifecycle_chromium.access import Command, counts, peek
from lifecycle_chromium.frames import frame_size, text_head, whole_text
from lifecycle_chromium.looking import Refused, judge
from lifecycle_chromium.outbox import Chunk, Outbox
from lifecycle_chromium.pipe import CdpClosed, CdpPipe

__all__ = ["CLIENT_BACKLOG_BYTES", "CLOSE_S", "MESSAGE_BYTES", "Client", "Relay"]

#: A client that leaves more than this waiting, behind the message that it is being sent, is disconnected.
CLIENT_BACKLOG_BYTES: Final = 64 * 2**20
#: The largest command a client may send; a larger one ends its connection (1009).
MESSAGE_BYTES: Final = 96 * 2**20
#: How long a client that is being disconnected has to take what was sent and to close its side.
CLOSE_S: Final = 3.0

_READ_BYTES: Final = 2**18
_SESSION_EVENT: Final = re.compile(
    rb'\{"method":"Target\.(attachedTo|detachedFrom)Target","params":\{"sessionId":"(\w+)"'
)
_FRAME_BYTES: Final = MESSAGE_BYTES + 14  # the longest head
_INVALID_DATA: Final = 1007
_POLICY_VIOLATION: Final = 1008


@dataclass(frozen=True, slots=True)
class Client:
    """Who is connected: `number` counts the gate's clients, `label` is what the client calls itself, or empty.

    `looks`: it came with the token that is good for looking only (looking.py).
    """

    number: int
    session_id: str
    label: str
    looks: bool = False


@dataclass(frozen=True, slots=True)
class _Attached:
    at: float  # monotonic clock
    parent: str | None


class Relay:
    """Relays one client until either side goes. `run` blocks in the client's thread; `close` is for any other."""

    def __init__(
        self,
        client: Client,
        sock: socket.socket,
        websocket: Protocol,
        pipe: CdpPipe,
        browser_session: str,
        *,
        on_access: Callable[[Client, str], None],
        on_connected: Callable[[Client], None],
        on_disconnected: Callable[[Client], None],
    ) -> None:
        self.client: Final = client
        self._sock = sock
        self._websocket = websocket
        self._pipe = pipe
        self._own = browser_session
        self._own_tail = f',"sessionId":"{browser_session}"}}'.encode()
        self._on_access = on_access
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._sessions: dict[str, _Attached] | None = {browser_session: _Attached(time.monotonic(), None)}
        self._sessions_lock = threading.Lock()
        self._websocket_lock = threading.Lock()
        self._parts: list[bytes] = []
        self._closing = False
        self._ended = threading.Event()
        self._outbox = Outbox(
            sock.fileno(), lambda chunks: sock.sendmsg(chunks, (), socket.MSG_DONTWAIT), release=sock.close
        )
        pipe.add_route(browser_session, self._on_own_session)

    def run(self) -> None:
        """Relay until the client or the browser is gone, or `close` was called and answered. Closes the socket."""
        try:
            self._on_connected(self.client)
            with contextlib.suppress(OSError, CdpClosed):  # one side went while the other was talking
                self._read()
        finally:
            self._leave_browser()
            try:
                self._on_disconnected(self.client)
            finally:
                self._hang_up()
                self._ended.set()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and cut the connection when the client hasn't closed it 3 s later. Returns at once."""
        with self._websocket_lock:
            if self._closing:
                return
            self._closing = True
            with contextlib.suppress(InvalidState, OSError):
                self._websocket.send_close(code, reason)
                self._send_protocol()
        threading.Thread(target=self._cut, name="gate-cut", daemon=True).start()

    def join(self, timeout_s: float) -> bool:
        """Wait until the connection is closed and the browser session left; False after *timeout_s*."""
        return self._ended.wait(timeout_s)

    def _read(self) -> None:
        buffer = bytearray()
        while data := self._sock.recv(_READ_BYTES):
            if not buffer and len(data) == frame_size(data):
                finished = self._on_frame(data)
            else:
                buffer += data
                finished = self._on_frames(buffer)
            if finished:
                return

    def _on_frames(self, buffer: bytearray) -> bool:
        """Take the complete frames off *buffer*. Whether the last word was said."""
        while len(buffer) >= (size := frame_size(buffer)):
            finished = self._on_frame(bytes(buffer[:size]))
            del buffer[:size]
            if finished:
                return True
        # One that is too large isn't waited for: the protocol refuses it by its head.
        return size > _FRAME_BYTES and self._feed(bytes(buffer))

    def _on_frame(self, frame: bytes) -> bool:
        """Nearly every frame is a whole command. The others are the protocol's, which so stands between two frames."""
        if self._parts or (message := whole_text(frame)) is None:
            return self._feed(frame)
        self._on_message(message)
        return False

    def _feed(self, data: bytes) -> bool:
        """Have the protocol read *data*; answer and pass on what it makes of it. Whether it said its last word."""
        with self._websocket_lock:
            self._websocket.receive_data(data)
            finished = self._send_protocol()
            events = self._websocket.events_received()
        for event in events:
            assert isinstance(event, Frame)
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    message, self._parts = b"".join(self._parts), []
                    self._on_message(message)
        return finished

    def _send_protocol(self) -> bool:
        """Send what the protocol itself has to say (pongs, close frames). Whether that was its last word."""
        data = self._websocket.data_to_send()
        if any(data):
            self._outbox.put(*data)
        return b"" in data

    def _on_message(self, message: bytes) -> None:
        if self._closing:
            return
        if b"\0" in message:
            # For the browser it would end the message, and what follows would be a command that nobody looked at.
            self.close(_INVALID_DATA, "a NUL in a command")
            return
        try:
            command, message = judge(message) if self.client.looks else (peek(message), message)
        except Refused as refused:
            self._answer({"id": refused.id, "error": {"code": -32000, "message": str(refused)}})
            return
        except ValueError:
            self._answer({"error": {"code": -32700, "message": "the gate can't read this as a CDP command"}})
            return
        attached = self._attached(self._own if command.session_id is None else command.session_id)
        if attached is None:
            error = {"code": -32001, "message": "Session with given id not found."}
            self._answer({"id": command.id, "error": error, "sessionId": command.session_id})
            return
        self._forward(message, command, attached)

    def _forward(self, message: bytes, command: Command, attached: _Attached) -> None:
        now = time.monotonic()
        if command.session_id is None:
            self._pipe.forward(message.rstrip()[:-1], self._own_tail, wanted=self._is_open)
        else:
            self._pipe.forward(message, wanted=self._is_open)
        # Afterwards: the one who is told may have to wait for its log.
        if not self.client.looks and counts(command.method, now - attached.at):
            self._on_access(self.client, command.method)

    def _is_open(self) -> bool:
        return not self._closing

    def _attached(self, session_id: str) -> _Attached | None:
        with self._sessions_lock:
            return self._sessions.get(session_id) if self._sessions is not None else None

    def _on_own_session(self, message: bytes, end: int) -> None:
        self._learn(message, self._own)
        self._send(memoryview(message)[:end], b"}")

    def _on_child_session(self, message: bytes, end: int) -> None:
        if message.startswith(b'{"method":"Target.'):
            self._learn(message, message[end:].split(b'"')[3].decode())
        self._send(message)

    def _learn(self, message: bytes, parent: str) -> None:
        found = _SESSION_EVENT.match(message)
        if found is None:
            return
        session_id = found[2].decode()
        with self._sessions_lock:
            if self._sessions is None:
                return
            if found[1] == b"attachedTo":
                self._sessions[session_id] = _Attached(time.monotonic(), parent)
                self._pipe.add_route(session_id, self._on_child_session)
            else:
                self._forget(self._sessions, session_id)

    def _forget(self, sessions: dict[str, _Attached], session_id: str) -> None:
        """A session ends with all that were opened on it, and not each of them is announced."""
        sessions.pop(session_id, None)
        self._pipe.remove_route(session_id)
        for child in [child for child, attached in sessions.items() if attached.parent == session_id]:
            self._forget(sessions, child)

    def _answer(self, answer: dict[str, object]) -> None:
        self._send(json.dumps(answer).encode())

    def _send(self, *chunks: Chunk) -> None:
        if self._closing:
            return
        try:
            waiting = self._outbox.put(text_head(sum(map(len, chunks))), *chunks)
        except OSError:
            return  # gone; the client's own thread sees it and cleans up
        if waiting > CLIENT_BACKLOG_BYTES:
            self._outbox.drop_waiting()
            self.close(_POLICY_VIOLATION, f"too slow: over {CLIENT_BACKLOG_BYTES >> 20} MiB waited for this client")

    def _leave_browser(self) -> None:
        with self._sessions_lock:
            sessions, self._sessions = self._sessions or {}, None
        for session_id in sessions:
            self._pipe.remove_route(session_id)
        self._pipe.detach(self._own)

    def _hang_up(self) -> None:
        """Close the socket so that the client still gets what was sent: a close with input unread would discard it."""
        with self._websocket_lock:
            self._closing = True
        deadline = time.monotonic() + CLOSE_S
        with contextlib.suppress(OSError):
            if self._outbox.flush(CLOSE_S):
                self._sock.shutdown(socket.SHUT_WR)
                while (left := deadline - time.monotonic()) > 0:
                    self._sock.settimeout(left)
                    if not self._sock.recv(_READ_BYTES):
                        break
        self._outbox.close()

    def _cut(self) -> None:
        if not self._ended.wait(CLOSE_S):
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
