"""A browser that somebody else runs, reached over its CDP WebSocket: kept like our own, but never ended.

Two threads carry messages between the WebSocket and a pair of pipes, so that everything above (CdpPipe, the gate, the
watch) is the same as for a browser of ours. When the connection is lost nobody can tell why: neither exit code nor
signal is known, and the history says browser_lost.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from lifecycle_chromium.launch import Exit, LaunchError

__all__ = ["ExternalBrowser", "reach"]

_JSON_LIMIT_BYTES: Final = 1 << 20


def reach(cdp_url: str, *, timeout_s: float) -> ExternalBrowser:
    """Connect to the browser behind *cdp_url*: ws:// or wss://, or http:// for one that tells at /json/version.

    Raises:
        LaunchError: It can't be reached, or does not speak CDP. The URL is not in the message: it may be a credential.
    """
    try:
        url = cdp_url if urlsplit(cdp_url).scheme in ("ws", "wss") else _told(cdp_url, timeout_s)
        # No proxy from the environment, no compression: the same as the gate's own side.
        with contextlib.ExitStack() as opened:
            line = opened.enter_context(
                connect(url, open_timeout=timeout_s, max_size=None, compression=None, proxy=None)
            )
            version = _greeted(line, timeout_s)
            opened.pop_all()  # it stays open
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException, WebSocketException) as error:
        raise LaunchError(f"the external browser can't be reached: {type(error).__name__}") from None
    return ExternalBrowser(line, version)


def _told(cdp_url: str, timeout_s: float) -> str:
    parts = urlsplit(cdp_url)
    connection = (http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection)(
        parts.hostname or "", parts.port, timeout=timeout_s
    )
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/json/version")
        told: str = json.loads(connection.getresponse().read(_JSON_LIMIT_BYTES))["webSocketDebuggerUrl"]
    finally:
        connection.close()
    return told


def _greeted(line: ClientConnection, timeout_s: float) -> Mapping[str, str]:
    line.send('{"id":0,"method":"Browser.getVersion"}')
    answer: dict[str, Any] = json.loads(line.recv(timeout_s))
    version: Mapping[str, str] = answer["result"]
    return version


class ExternalBrowser:
    """What BrowserProcess is for a browser of ours, as far as an external one can be that."""

    def __init__(self, line: ClientConnection, version: Mapping[str, str]) -> None:
        self._line = line
        self._gone = threading.Event()
        self.version: Final = version
        self.profile: Path | None = None
        self.read_fd, self._to_us = os.pipe()
        self._from_us, self.write_fd = os.pipe()
        for name, work in (("external-in", self._receive), ("external-out", self._send)):
            threading.Thread(target=work, name=name, daemon=True).start()

    def poll(self) -> Exit | None:
        """Neither code nor signal once the connection is lost."""
        return Exit(None, None) if self._gone.is_set() else None

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """As poll, after up to *timeout_s*."""
        self._gone.wait(timeout_s)
        return self.poll()

    def kill(self) -> Exit:
        """Disconnect; the browser is not ours to end."""
        self._line.close()
        self._gone.wait(2.0)
        return Exit(None, None)

    def last_words(self) -> str:
        """Nothing: its output is elsewhere."""
        return ""

    def _receive(self) -> None:
        try:
            with open(self._to_us, "wb", buffering=0) as pipe:
                for message in self._line:
                    data = message.encode() if isinstance(message, str) else message
                    _write(pipe.fileno(), data + b"\0")
        except (OSError, WebSocketException):
            pass
        finally:
            self._gone.set()
            self._line.close()

    def _send(self) -> None:
        begun = b""
        try:
            with open(self._from_us, "rb", buffering=0) as pipe:
                while chunk := pipe.read(1 << 20):
                    *messages, begun = (begun + chunk).split(b"\0")
                    for message in messages:
                        self._line.send(message, text=True)
        except (OSError, WebSocketException):
            pass
        finally:
            self._line.close()


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
