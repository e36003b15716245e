"""Start, watch, relay and end a real Chromium. Does not import Playwright."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle_chromium.host import ChromiumHost

__all__ = ["ChromiumHost"]


def __getattr__(name: str) -> object:
    # Lazy: the keeper imports this package too, and must not load the owner's half.
    if name != "ChromiumHost":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lifecycle_chromium.host import ChromiumHost

    return ChromiumHost
