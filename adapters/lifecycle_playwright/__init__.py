"""Playwright pages on a session, and sessions on browsers that somebody else launched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle_playwright.async_api import AsyncPages
from lifecycle_playwright.sync_api import Pages

if TYPE_CHECKING:
    from lifecycle_playwright.attaching import attach
    from lifecycle_playwright.launching import can_launch, lasting, launch

__all__ = ["AsyncPages", "Pages", "attach", "can_launch", "lasting", "launch"]


def __getattr__(name: str) -> object:
    """What only hosts use, with the first use: it loads what only sessions need."""
    if name == "attach":
        from lifecycle_playwright.attaching import attach

        return attach
    if name in ("can_launch", "lasting", "launch"):
        from lifecycle_playwright import launching

        return getattr(launching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
