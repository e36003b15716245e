"""browser-use's BrowserSession with a lifecycle: its own browser recorded, or a browser of ours under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle_browser_use.launched import LaunchedHost

if TYPE_CHECKING:
    from lifecycle_browser_use.session import KeptBrowserSession, RecordedBrowserSession

__all__ = ["KeptBrowserSession", "LaunchedHost", "RecordedBrowserSession"]


def __getattr__(name: str) -> object:
    # Lazy: browser-use takes a second to import, and the host does without.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lifecycle_browser_use import session

    return getattr(session, name)
