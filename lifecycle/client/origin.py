"""Who acts, and what for: the part of the envelope that an embedder gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lifecycle.client.system import default_actor
from lifecycle.errors import InvalidConfig

__all__ = ["ORIGIN", "Origin", "origin"]

#: The arguments that say it, of a client and of a session alike.
ORIGIN: Final = ("actor", "correlation_id", "causation_id", "traceparent")
#: W3C Trace Context, §3.2: version 00, and what a reader must accept of later ones.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What the events of one writer carry."""

    actor: str
    correlation_id: str | None = None
    causation_id: str | None = None

    def within(self, outer: Origin) -> Origin:
        """The same actor, in the context of *outer* where it has none of its own."""
        if self.correlation_id is None and self.causation_id is None:
            return Origin(self.actor, outer.correlation_id, outer.causation_id)
        return Origin(self.actor, self.correlation_id or outer.correlation_id, self.causation_id)


def origin(given: Mapping[str, Any], default: Origin | None = None) -> Origin:
    """The origin that the arguments say; what they leave out is *default*'s, or this process's.

    Raises:
        InvalidConfig: Names the argument and what is allowed.
    """
    actor = _text("actor", given.get("actor"))
    correlation_id = _text("correlation_id", given.get("correlation_id"))
    causation_id = _text("causation_id", given.get("causation_id"))
    if (traceparent := given.get("traceparent")) is not None:
        if causation_id is not None:
            raise InvalidConfig("causation_id", causation_id, "give traceparent, which is the cause, or causation_id")
        causation_id = _text("traceparent", traceparent) or ""
        found = _TRACEPARENT.fullmatch(causation_id)
        if found is None or (found[1] == "00" and found[4]):
            raise InvalidConfig(
                "traceparent", traceparent, "must be as W3C Trace Context has it: 00-TRACE-PARENT-FLAGS"
            )
        correlation_id = correlation_id or found[2]
    if default is None:
        return Origin(actor or default_actor(), correlation_id, causation_id)
    return Origin(actor or default.actor, correlation_id, causation_id).within(default)


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > 256 or not value.isprintable():
        raise InvalidConfig(name, value, "must be printable text of 1 to 256 characters")
    return value
