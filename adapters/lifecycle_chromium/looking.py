"""What a client with the look-only token may say to the browser; the rest never reaches it.

The live view and the recorder hold that token and nothing else. Both show what pages draw, so a page that takes one of
them over must gain nothing by it: no script, no input, no cookies, no navigation, no other way in.

Whether a message is allowed is decided by parsing all of it, and what is sent on is written anew from what was parsed.
So the browser reads the very words that were judged: a member that is there twice, an escaped name, another encoding
or a number too large for one of the two can't mean one thing here and another there.
"""

from __future__ import annotations

import json
from typing import Any, Final, cast

from lifecycle_chromium.access import Command

__all__ = ["ALLOWED", "Refused", "judge"]

#: Method -> what may be said with it. Attaching must not hold a page up: nobody who only looks could let it go.
ALLOWED: Final = {
    "Page.screencastFrameAck": {"sessionId"},
    "Page.startScreencast": {"format", "quality", "maxWidth", "maxHeight", "everyNthFrame"},
    "Page.stopScreencast": set[str](),
    "Target.getTargetInfo": {"targetId"},
    "Target.setAutoAttach": {"autoAttach", "waitForDebuggerOnStart", "flatten", "filter"},
    "Target.setDiscoverTargets": {"discover", "filter"},
}
_FIXED: Final = {"Target.setAutoAttach": {"waitForDebuggerOnStart": False, "flatten": True}}
_MEMBERS: Final = {"id", "method", "params", "sessionId"}
_MESSAGE_BYTES: Final = 2**16


class Refused(Exception):
    """A command that is none of those who look. `id` is its own; `str()` names the method or the parameter."""

    def __init__(self, id: int, why: str) -> None:
        super().__init__(why)
        self.id = id


def judge(message: bytes) -> tuple[Command, bytes]:
    """A command that is allowed, and the message to send for it: one line of ASCII, the session id at its end.

    Raises:
        Refused: It is a command, and not allowed.
        ValueError: It isn't a CDP command.
    """
    if len(message) > _MESSAGE_BYTES:
        raise ValueError("larger than anything that who looks has to say")
    try:
        parsed: Any = json.loads(message, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("not a CDP command") from None
    match parsed:
        case {"id": int(number), "method": str(method)} if not isinstance(number, bool):
            params: Any = parsed.get("params", {})
            session_id: Any = parsed.get("sessionId")
        case _:
            raise ValueError("not a CDP command")
    if not isinstance(params, dict) or not isinstance(session_id, str | None) or not parsed.keys() <= _MEMBERS:
        raise ValueError("not a CDP command")
    _check(number, method, cast("dict[str, Any]", params))
    said: dict[str, Any] = {"id": number, "method": method, "params": params}
    if session_id is not None:
        said["sessionId"] = session_id
    return Command(number, method, session_id), json.dumps(said, separators=(",", ":")).encode()


def _check(number: int, method: str, params: dict[str, Any]) -> None:
    if method not in ALLOWED:
        raise Refused(number, f"{method[:100]!r} is not allowed: this connection is for looking only")
    if more := params.keys() - ALLOWED[method]:
        raise Refused(number, f"{method} with {min(more)[:100]!r} is not allowed: this connection is for looking only")
    for name, value in _FIXED.get(method, {}).items():
        if params.get(name) is not value:
            raise Refused(number, f"{method}: {name} must be {json.dumps(value)}, on a connection for looking only")


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member is there twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
