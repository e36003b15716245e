"""Which texts can be recorded and written at all."""

from __future__ import annotations

__all__ = ["clean"]


def clean(text: str) -> bool:
    """Whether *text* can be written as UTF-8 and holds no NUL."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\x00" not in text
