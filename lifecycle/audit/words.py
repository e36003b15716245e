"""Words for people: stored text made harmless, durations and moments as they are said, and back.

Whatever comes out of a log may have been written by a page or a stranger: none of its control characters gets through.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["ago", "duration", "harmless", "iso", "offset", "parse_span", "parse_when", "printable"]

#: characters that turn the direction of the text after them
_TURNING: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSEEN: Final = frozenset(("Cc", "Cs", "Zl", "Zp"))
#: what a terminal obeys, or a line ends with, that JSON allows in a string as it is
_OBEYED: Final = re.compile(f"[\x7f-\x9f\u2028\u2029{''.join(sorted(_TURNING))}]")
_ALLOWED: Final = 'a time such as 2026-11-25, 2026-11-25T10:30, 2026-11-25T10:30:00Z, "2h ago", "1d 4h ago", yesterday'
_STEP: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]+)")
_UNITS: Final = {
    name: timedelta(**{unit: 1})
    for unit, names in {
        "seconds": "s sec secs second seconds",
        "minutes": "m min mins minute minutes",
        "hours": "h hour hours",
        "days": "d day days",
        "weeks": "w week weeks",
    }.items()
    for name in names.split()
}


def printable(text: str) -> str:
    """*text* on one line, with what a terminal would obey instead of show written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if char in _TURNING or unicodedata.category(char) in _UNSEEN else char
        for char in text
    )


def harmless(text: str) -> str:
    """The same JSON with what a terminal would obey instead of show written as `\\uXXXX`."""
    return text if text.isascii() and "\x7f" not in text else _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def iso(at: datetime) -> str:
    """In UTC, to the microsecond, as every JSON reader takes it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def duration(took: timedelta) -> str:
    """Two units at most: 8.6 ms, 0.84 s, 12.3 s, 3 min 5 s, 2 h 14 min, 5 d 3 h."""
    seconds = took.total_seconds()
    if abs(seconds) < 0.1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for big, small, names in ((86400, 3600, ("d", "h")), (3600, 60, ("h", "min")), (60, 1, ("min", "s"))):
        if whole >= big:
            rest = whole % big // small
            return f"{whole // big} {names[0]}" + (f" {rest} {names[1]}" if rest else "")
    return f"{whole} s"


def offset(us: int) -> str:
    """Since the session's creation, in seconds: +0.843."""
    return f"+{us / 1e6:.3f}"


def ago(at: datetime, now: datetime) -> str:
    """How long ago, in one unit; `in 5m` for what is to come."""
    seconds = (now - at).total_seconds()
    count, unit = next(
        (abs(seconds) // size, unit)
        for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"), (0.001, "ms"))
        if abs(seconds) >= size or unit == "ms"
    )
    if unit == "ms":
        return "now"
    return f"{count:.0f}{unit} ago" if seconds >= 0 else f"in {count:.0f}{unit}"


def parse_when(text: str, now: datetime) -> datetime:
    """A moment, in UTC, from what a person types; without a zone it is meant in this machine's time.

    Raises:
        ValueError: It is none of the forms; says which there are.
    """
    said = text.strip().lower()
    # Naive on purpose: only a naive midnight is this machine's midnight on the day that daylight saving begins.
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    try:
        if said.endswith("ago"):
            return now.astimezone(UTC) - _span(said.removesuffix("ago"))
        found = words[said] if said in words else datetime.fromisoformat(text.strip())
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{printable(text[:80])!r} is not {_ALLOWED}") from None


def parse_span(text: str) -> timedelta:
    """A length of time from what a person types: 90s, 5m, 1h 30m, 2 days.

    Raises:
        ValueError: It is none; says what is allowed.
    """
    try:
        return _span(text.strip().lower())
    except (ValueError, OverflowError):
        raise ValueError(f"{printable(text[:80])!r} is not a length of time such as 90s, 5m, 1h 30m, 2 days") from None


def _span(text: str) -> timedelta:
    total, rest = timedelta(0), text.strip(" ,")
    if not rest:
        raise ValueError
    while rest:
        step = _STEP.match(rest)
        if step is None or step[2] not in _UNITS:
            raise ValueError
        total += float(step[1]) * _UNITS[step[2]]
        rest = rest[step.end() :].lstrip(" ,")
    return total
