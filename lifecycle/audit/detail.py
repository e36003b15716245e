"""One step of a history in words: what people want to know of each type of event, and all of those unknown."""

from __future__ import annotations

import json
import re
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from lifecycle.audit.words import duration, iso
from lifecycle.core import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle.audit.history import Step

__all__ = ["by", "detail", "evidence_text", "mapping"]

#: said by their value alone, and first
_WORDS: Final = ("cause", "rule", "how", "ownership", "name")
#: processes; only the pid is for people
_PROCESSES: Final = ("owner", "keeper", "browser", "identity")
_MAPPINGS: Final = ("evidence", "receipts")
#: what `show` has in its head, or a default that says nothing
_LEFT_OUT: Final = frozenset(
    ("session_id", "config", "limits", "labels", "keeper_id", *_WORDS, *_PROCESSES, *_MAPPINGS)
)
_TAB: Final = re.compile(r"[0-9A-F]{32}")


def detail(step: Step) -> str:
    """What the event says beside its name and time."""
    data = step.data
    parts = [str(data[name]) for name in _WORDS if data.get(name)]
    parts += [
        _pair(name, value)
        for name, value in data.items()
        if (name not in _LEFT_OUT or (name == "session_id" and value != step.session_id))
        and value is not False
        and value not in (None, [], {}, "")
    ]
    parts += [f"{name} pid {pid}" for name in _PROCESSES if (pid := mapping(data, name).get("pid")) is not None]
    parts += [evidence_text(found) for name in _MAPPINGS if (found := mapping(data, name))]
    if step.forgotten:
        parts.append("(private part forgotten)")
    return ", ".join(parts)


def by(step: Step) -> str:
    """Who wrote it, short: the actor, and the process in its role."""
    role, _, place = step.writer.partition("@")
    pid = next((part for part in place.split(":")[1:] if part.isdigit()), "")
    process = f"{role} {pid}".strip()
    return process if role == step.actor else f"{step.actor}, {process}"


def mapping(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What stands under *name*, if it is what every known event has there."""
    found: dict[str, Any] = data[name] if isinstance(data.get(name), dict) else {}
    return found


def evidence_text(evidence: Mapping[str, Any]) -> str:
    """Evidence as name=value, signals and durations in words."""
    return ", ".join(_pair(name, value) for name, value in evidence.items())


def _pair(name: str, value: Any) -> str:
    match value:
        case bool():
            return name if value else f"{name}=false"
        case int() if name.endswith("_us"):
            return f"{name.removesuffix('_us')}={_short(value)}"
        case int() if name in ("until", "last_at"):
            return f"{name}={iso(moment(value))}"
        case int() if name == "signal":
            return f"signal={value} ({_signal(value)})"
        case str() if name == "tab" and _TAB.fullmatch(value):
            return f"tab={value[:8]}"
        case str():
            return f"{name}={value}"
        case _:
            return f"{name}={json.dumps(value, ensure_ascii=False)}"


def _short(us: int) -> str:
    return duration(timedelta(microseconds=us))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
