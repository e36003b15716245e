"""What may enter the log of a URL or an error message: no userinfo, no query values, no fragment, no long text."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

__all__ = ["message", "said", "url"]

_LIMIT: Final = 2000
#: Of a scheme no more than its last 31 characters are looked at: a run of them may be as long as the text.
_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s'\"<>]+")
_REDACTED: Final = "REDACTED"
#: What a gate's token looks like in a path on this machine (a slug that looks so too is no loss in an error message).
_TOKEN: Final = re.compile(r"(?<=/)[A-Za-z0-9_-]{22,}(?=[/?#]|$)")
_LOOPBACK: Final = re.compile(r"[a-z0-9+.-]+://(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?/", re.IGNORECASE)


def url(text: str) -> str:
    """*text* without userinfo, query values and fragment; query keys stay. data: and blob: URLs lose their body.

    WebSocket URLs lose their path: that of a DevTools endpoint is a credential. A text that can't be taken apart as a
    URL becomes its scheme, or nothing: the default is to leave out.
    """
    text = _writable(text)
    scheme = text.partition(":")[0].lower()[:32] if ":" in text else ""
    if scheme in ("about", "chrome", "chrome-error"):
        return text.partition("?")[0].partition("#")[0][:_LIMIT]
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return f"{scheme}:{_REDACTED}" if scheme.isalpha() else _REDACTED
    if not parts.scheme or (not host and scheme != "file"):
        return f"{scheme}:{_REDACTED}" if scheme.isalpha() else _REDACTED
    if ":" in host:
        host = f"[{host}]"
    path = f"/{_REDACTED}" if scheme in ("ws", "wss") and parts.path.strip("/") else parts.path
    query = "&".join(f"{part.partition('=')[0]}={_REDACTED}" if "=" in part else _REDACTED for part in _pairs(parts))
    return f"{parts.scheme}://{host}{port}{path}{'?' + query if query else ''}"[:_LIMIT]


def _writable(text: str) -> str:
    """*text* with what no event may hold taken out: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def _pairs(parts: SplitResult) -> list[str]:
    return [part for part in parts.query.split("&") if part]


def message(text: str) -> str:
    """An error message fit for the log: its URLs redacted, a driver's call log and browser logs cut off, bounded."""
    for marker in ("\nCall log:", "\nBrowser logs:", "\n============"):
        text = text.partition(marker)[0]
    text = _URL.sub(lambda found: _in_message(found.group()), _writable(text).strip())
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}… ({len(text)} characters)"


def said(error: BaseException) -> str:
    """The text of *error*; or that there is none, since __str__ may be anybody's, and do anything."""
    try:
        return str(error)
    except Exception as failed:
        return f"(its text can't be told: {type(failed).__name__})"


def _in_message(found: str) -> str:
    text = url(found)
    return _TOKEN.sub(_REDACTED, text) if _LOOPBACK.match(text) else text
