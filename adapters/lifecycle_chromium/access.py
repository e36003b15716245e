"""Which of a client's commands are an *access*: something its script wanted, which no page can make its driver send.

A session whose script hangs must run into its idle timeout although its page reloads itself, opens popups, polls a
server, alerts or crashes: all of that makes a driver talk. So what counts is not traffic. What does not count:

- `QUIET_DOMAINS`: continuing, fulfilling or failing intercepted requests, whose number the page decides;
- `QUIET_METHODS`: what drivers send to set up a page, frame or worker that appeared, and acknowledgements;
- every ``*.enable`` and ``*.disable``;
- whatever reaches a page, frame or worker within `SETUP_S` of its attachment;
- all that a client with the look-only token does, its coming included (looking.py).

Everything else counts, unknown methods too: a command that is missing here keeps a session alive for longer, and that
shows in the history; a command that is here by mistake would end a session in use. tests/adapters/chromium/
test_access.py keeps the set true with the installed Playwright.

Known to count although a page caused it: the answer to an exposed function (the script's own code ran, so it doesn't
hang), and what Playwright evaluates in new frames while it records a trace with snapshots.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

__all__ = ["QUIET_DOMAINS", "QUIET_METHODS", "RECORDER", "SETUP_S", "Command", "counts", "peek"]

#: How long after its attachment whatever is sent to a target is taken for its driver's setting it up.
SETUP_S: Final = 0.05

#: What the recorder calls itself.
RECORDER: Final = "recorder"

# Intercepted requests: the page decides how many there are. Emulation is set anew on every page that appears.
QUIET_DOMAINS: Final = frozenset({"Emulation", "Fetch"})

QUIET_METHODS: Final = frozenset(
    {
        # Connecting, and setting up a page, frame or worker that appeared.
        "Browser.getVersion",
        "Browser.getWindowForTarget",
        "Browser.setDownloadBehavior",
        "Browser.setWindowBounds",
        "Network.emulateNetworkConditions",
        "Network.emulateNetworkConditionsByRule",
        "Network.overrideNetworkState",
        "Network.setBypassServiceWorker",
        "Network.setCacheDisabled",
        "Network.setExtraHTTPHeaders",
        "Page.addScriptToEvaluateOnNewDocument",
        "Page.createIsolatedWorld",
        "Page.getFrameTree",
        "Page.setBypassCSP",
        "Page.setFontFamilies",
        "Page.setInterceptFileChooserDialog",
        "Page.setLifecycleEventsEnabled",
        "Page.startScreencast",
        "Runtime.addBinding",
        "Runtime.runIfWaitingForDebugger",
        "Security.setIgnoreCertificateErrors",
        "Target.getTargetInfo",
        "Target.setAutoAttach",
        "Target.setDiscoverTargets",
        # Tidying up after one that went: its worker, its handles, its picture.
        "Page.stopScreencast",
        "Runtime.releaseObject",
        "Target.detachFromTarget",
        # Answers to what a page does by itself: frames drawn, alerts, responses kept for a trace or HAR.
        "DOM.getFrameOwner",
        "DOM.resolveNode",
        "IO.close",
        "IO.read",
        "Network.getRequestPostData",
        "Network.getResponseBody",
        "Network.loadNetworkResource",
        "Page.handleJavaScriptDialog",
        "Page.screencastFrameAck",
    }
)

# How every known driver begins a command; whitespace is what Python's json puts there.
_HEAD: Final = re.compile(rb'\{\s*"id"\s*:\s*(-?\d{1,18})\s*,\s*"method"\s*:\s*"([A-Za-z]+\.[A-Za-z]+)"\s*[,}]')
_TAIL: Final = re.compile(rb',\s*"sessionId"\s*:\s*"([^"\\]*)"\s*\}\s*\Z')
_TAIL_BYTES: Final = 160


class Command(NamedTuple):
    """What the gate must know of a command. *session_id* is None for the client's own browser session."""

    id: int
    method: str
    session_id: str | None


def counts(method: str, since_attach_s: float) -> bool:
    """Whether *method*, sent *since_attach_s* seconds after its target was attached, is an access.

    For a command to the browser itself *since_attach_s* counts from when the client connected.
    """
    domain, _, name = method.partition(".")
    return not (
        since_attach_s < SETUP_S or domain in QUIET_DOMAINS or method in QUIET_METHODS or name in ("enable", "disable")
    )


def peek(message: bytes) -> Command:
    """The head and the addressee of a client's command; the body is parsed only where that can't be seen otherwise.

    Raises:
        ValueError: It isn't a CDP command.
    """
    head = _HEAD.match(message)
    if head is not None:
        tail = _TAIL.search(message, max(0, len(message) - _TAIL_BYTES))
        if tail is not None:
            return Command(int(head[1]), head[2].decode(), tail[1].decode())
        if b'"sessionId"' not in message and message.endswith(b"}"):
            return Command(int(head[1]), head[2].decode(), None)
    return _parse(message)


def _parse(message: bytes) -> Command:
    try:
        parsed: Any = json.loads(message)
    except RecursionError as error:
        raise ValueError("not a CDP command") from error
    match parsed:
        case {"id": int(number), "method": str(method), "sessionId": str(session_id)}:
            return Command(number, method, session_id)
        case {"id": int(number), "method": str(method)} if "sessionId" not in parsed:
            return Command(number, method, None)
        case _:
            raise ValueError("not a CDP command")
