"""What every page of a session wears, whoever opens it: viewport, language, headers, and how a proxy is answered.

A session of the keeper's own attaches to each page and frame as it appears, holds it until it is dressed, and lets it
go. Made only for sessions that ask for one of these: nobody else's pages are attached to.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from lifecycle_chromium.pipe import CdpClosed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifecycle_chromium.pipe import CdpPipe

__all__ = ["Order", "dress", "orders"]

#: A CDP method and its parameters.
Order = tuple[str, "Mapping[str, object]"]

_EVERY: Final = {
    "autoAttach": True,
    "waitForDebuggerOnStart": True,  # or a popup's first request goes out undressed
    "flatten": True,
    "filter": [{"type": "page"}, {"type": "iframe"}, {"exclude": True}],
}


def orders(
    *, viewport: Sequence[int] | None, locale: str | None, headers: Mapping[str, str], proxy_auth: bool
) -> list[Order]:
    """What each page is told; [] when nothing is asked for."""
    told: list[Order] = []
    if viewport:
        size = {"width": viewport[0], "height": viewport[1], "deviceScaleFactor": 0, "mobile": False}
        told.append(("Emulation.setDeviceMetricsOverride", size))
    if locale:
        told.append(("Emulation.setLocaleOverride", {"locale": locale}))
    if headers:
        told.append(("Network.enable", {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}))
        told.append(("Network.setExtraHTTPHeaders", {"headers": dict(headers)}))
    if proxy_auth:
        told.append(("Fetch.enable", {"handleAuthRequests": True, "patterns": [{"urlPattern": "*"}]}))
    return told


def dress(pipe: CdpPipe, told: Sequence[Order], auth: tuple[str, str] | None) -> None:
    """Have every page of the browser told *told*, now and as they come; *auth* answers the proxy.

    Raises: as `CdpPipe.call`.
    """
    if told:
        _Dresser(pipe, told, auth).attend(pipe.attach_browser())


class _Dresser:
    """Runs in the pipe's reading thread, which posting never holds up."""

    def __init__(self, pipe: CdpPipe, told: Sequence[Order], auth: tuple[str, str] | None) -> None:
        self._pipe = pipe
        self._told = told
        self._auth = auth

    def attend(self, session_id: str) -> None:
        """Watch what attaches below *session_id*."""
        self._pipe.add_route(session_id, lambda message, _end: self._take(session_id, message))
        self._pipe.post("Target.setAutoAttach", _EVERY, session_id=session_id)

    def _take(self, session_id: str, message: bytes) -> None:
        with contextlib.suppress(CdpClosed):
            if message.startswith(b'{"method":"Target.attachedToTarget"'):
                self._dress(json.loads(message)["params"]["sessionId"])
            elif message.startswith(b'{"method":"Target.detachedFromTarget"'):
                self._pipe.remove_route(json.loads(message)["params"]["sessionId"])
            elif message.startswith(b'{"method":"Fetch.'):
                self._answer(session_id, json.loads(message))

    def _dress(self, session_id: str) -> None:
        self.attend(session_id)
        for method, params in self._told:
            self._pipe.post(method, params, session_id=session_id)
        self._pipe.post("Runtime.runIfWaitingForDebugger", session_id=session_id)

    def _answer(self, session_id: str, message: dict[str, Any]) -> None:
        request = {"requestId": message["params"]["requestId"]}
        if message["method"] == "Fetch.authRequired":
            response: dict[str, str] = {"response": "Default"}
            if self._auth is not None and message["params"]["authChallenge"].get("source") == "Proxy":
                response = {"response": "ProvideCredentials", "username": self._auth[0], "password": self._auth[1]}
            answer = {**request, "authChallengeResponse": response}
            self._pipe.post("Fetch.continueWithAuth", answer, session_id=session_id)
        elif message["method"] == "Fetch.requestPaused":
            self._pipe.post("Fetch.continueRequest", request, session_id=session_id)
