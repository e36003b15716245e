"""The one pipe to a browser, shared: the keeper's own calls, and every client that the gate lets in.

CDP over `--remote-debugging-pipe` is JSON messages that end with a NUL. A message of a flat session names it in its
last member: ``…,"sessionId":"0123…"}``. So the pipe routes by a message's last bytes and parses only its own answers.
This can't be forged from inside a page: the bytes before the quotes would be escaped in a string, and a deeper object
would end in ``}}``.

One thread reads. It calls routes, and must not be held up by them: a route puts what it gets into an outbox or queue.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import select
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from lifecycle_chromium.outbox import Chunk, Outbox

__all__ = ["BACKLOG_BYTES", "CdpClosed", "CdpError", "CdpPipe", "Route"]

#: Beyond this many bytes that the browser has not taken, `forward` makes its caller wait.
BACKLOG_BYTES: Final = 16 * 2**20

#: Called with a message and the length of its part before the session id: ``message[:n] + b"}"`` is it without.
Route: TypeAlias = Callable[[bytes, int], None]

_READ_BYTES: Final = 2**20
_SESSION: Final = b',"sessionId":"'
# A session id has 32 characters; the window leaves room for longer ones.
_TAIL_BYTES: Final = 128


class CdpError(Exception):
    """The browser refused a command. `code` and `message` are its own words (JSON-RPC)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class CdpClosed(Exception):
    """The pipe is closed: the browser has quit or died, or `close` was called. Trying again can't help."""


class CdpPipe:
    """The pipe's two ends. Owns both descriptors. Every method may be called from any thread.

    Raises:
        RuntimeError: No thread can be had to read it; both descriptors are closed.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._answers: dict[int, _Answer] = {}
        self._routes: dict[bytes, Route] = {}
        self._on_closed: list[Callable[[], None]] = []
        self._closed = False
        for fd in (read_fd, write_fd):
            os.set_blocking(fd, False)
            _widen(fd)
        self._outbox = Outbox(write_fd, lambda chunks: os.writev(write_fd, chunks), lambda: os.close(write_fd))
        self._read_fd = read_fd
        self._wake, self._waker = os.pipe()
        self._reader = threading.Thread(target=self._read, name="cdp-pipe", daemon=True)
        try:
            self._reader.start()
        except RuntimeError:  # no thread is left for now
            self._outbox.close()
            for fd in (read_fd, self._wake, self._waker):
                os.close(fd)
            raise

    @property
    def closed(self) -> bool:
        """Whether the browser's side is known to be gone, or `close` was called."""
        return self._closed

    def call(
        self,
        method: str,
        params: Mapping[str, object] | None = None,
        *,
        session_id: str | None = None,
        timeout_s: float,
    ) -> dict[str, Any]:
        """The result of one command, sent to the browser or to a session that has no route.

        Raises:
            CdpError: The browser refused it.
            CdpClosed: The browser is gone, or went before it answered.
            TimeoutError: No answer within *timeout_s*; the command may still take effect.
        """
        answer = _Answer()
        number = next(self._ids)
        with self._lock:
            if self._closed:
                raise CdpClosed(method)
            self._answers[number] = answer
        try:
            self._put(_command(number, method, params, session_id))
            if not answer.there.wait(timeout_s):
                raise TimeoutError(f"{method}: no answer within {timeout_s:g} s")
        finally:
            with self._lock:
                self._answers.pop(number, None)
        if answer.message is None:
            raise CdpClosed(method)
        error = answer.message.get("error")
        if error is not None:
            raise CdpError(error.get("code", 0), error.get("message", ""))
        result: dict[str, Any] = answer.message.get("result", {})
        return result

    def post(self, method: str, params: Mapping[str, object] | None = None, *, session_id: str | None = None) -> None:
        """Send one command and don't wait for the answer. Never blocks.

        Raises:
            CdpClosed: The browser is gone.
        """
        self._put(_command(next(self._ids), method, params, session_id))

    def forward(self, *chunks: Chunk, wanted: Callable[[], bool]) -> None:
        """Send one complete message, without its NUL, as it is.

        Blocks while more than `BACKLOG_BYTES` wait for the browser and *wanted()* is true (asked every 250 ms), so that
        a client can't fill the memory of this process faster than the browser reads.

        Raises:
            CdpClosed: The browser is gone.
        """
        if self._put(*chunks, b"\0") > BACKLOG_BYTES:
            while not self._outbox.wait_until(BACKLOG_BYTES, 0.25) and wanted():
                pass

    def attach_browser(self, *, timeout_s: float = 10.0) -> str:
        """A new browser session (flat), as if a client of its own had connected. Its id.

        Raises: as `call`.
        """
        session_id: str = self.call("Target.attachToBrowserTarget", timeout_s=timeout_s)["sessionId"]
        return session_id

    def detach(self, session_id: str) -> None:
        """End a session; what only it has made (contexts with disposeOnDetach) goes with it. Never blocks or fails."""
        with contextlib.suppress(CdpClosed):
            self.post("Target.detachFromTarget", {"sessionId": session_id})

    def add_route(self, session_id: str, route: Route) -> None:
        """Give every message of *session_id* to *route*, in the reading thread, unparsed."""
        self._routes[session_id.encode()] = route

    def remove_route(self, session_id: str) -> None:
        """Undo `add_route`. Messages of that session that still come are dropped."""
        self._routes.pop(session_id.encode(), None)

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Call *callback* once when the pipe is closed, in the reading thread; at once when it already is."""
        with self._lock:
            if not self._closed:
                self._on_closed.append(callback)
                return
        callback()

    def close(self) -> None:
        """Close the pipe, on which the browser quits, and wait until everybody has been told. Idempotent."""
        self._outbox.close()
        with self._lock:
            if self._waker >= 0:
                os.close(self._waker)
                self._waker = -1
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def _put(self, *chunks: Chunk) -> int:
        try:
            return self._outbox.put(*chunks)
        except OSError as error:
            raise CdpClosed("the browser is gone") from error

    def _read(self) -> None:
        try:
            self._read_messages()
        finally:
            self._outbox.close()
            with self._lock:
                self._closed = True
                waiting = list(self._answers.values())
                callbacks, self._on_closed = self._on_closed, []
                if self._waker >= 0:
                    os.close(self._waker)
                    self._waker = -1
            for answer in waiting:
                answer.there.set()
            for callback in callbacks:
                try:
                    callback()
                except Exception as error:
                    _report(error)
            os.close(self._read_fd)
            os.close(self._wake)

    def _read_messages(self) -> None:
        poll = select.poll()
        poll.register(self._read_fd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        begun: list[bytes] = []
        while True:
            try:
                chunk = os.read(self._read_fd, _READ_BYTES)
            except BlockingIOError:
                # Tried before polling, always: Chromium writes a message and its NUL apart, a few µs from each other,
                # and going to sleep between the two costs 50 µs (measured).
                if any(fd == self._wake for fd, _events in poll.poll()):
                    return
                continue
            if not chunk:
                return
            first, *others = chunk.split(b"\0")
            begun.append(first)
            for rest in others:
                self._deliver(b"".join(begun))
                begun = [rest]

    def _deliver(self, message: bytes) -> None:
        if message.endswith(b'"}'):
            end = message.rfind(_SESSION, -_TAIL_BYTES)
            if end > 0:
                route = self._routes.get(message[end + len(_SESSION) : -2])
                if route is not None:
                    try:
                        route(message, end)
                    except Exception as error:
                        _report(error)
                    return
        # Events have gone to their routes; what is left for this object is answers.
        if not message.startswith(b'{"method":'):
            parsed: dict[str, Any] = json.loads(message)
            with self._lock:
                answer = self._answers.get(parsed.get("id", 0))
            if answer is not None:
                answer.message = parsed
                answer.there.set()


class _Answer:
    """Where a call waits. No message when it is there: the pipe was closed."""

    __slots__ = ("message", "there")

    def __init__(self) -> None:
        self.there = threading.Event()
        self.message: dict[str, Any] | None = None


def _command(number: int, method: str, params: Mapping[str, object] | None, session_id: str | None) -> bytes:
    message: dict[str, object] = {"id": number, "method": method, "params": params or {}}
    if session_id is not None:
        message["sessionId"] = session_id
    return json.dumps(message).encode() + b"\0"


def _report(error: Exception) -> None:
    """Report it as a thread's uncaught error, without ending the thread that serves everybody else."""
    thread = threading.current_thread()
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))


def _widen(fd: int) -> None:
    """Ask for 1 MiB of pipe: a screenshot then takes one wake-up, not ten. May be refused: users have a total."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 2**20)
