"""The live view of a session, and the window or the view that `headless=False` means.

One viewer process a session in this process, started when it is first asked for. It ends with the session, or with
this process; what it is and does is the adapter's business (entry point `viewer`).
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Protocol

from lifecycle.client import adapters
from lifecycle.errors import LifecycleError, ViewerUnavailable
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle.core import Config

__all__ = ["Showing", "Viewer", "has_display", "in_place_of_a_window", "possible", "show"]


class Showing(Protocol):
    """A viewer that runs, or comes up."""

    def url(self) -> str:
        """Its page's address, as soon as it is served; good for looking only, and a credential.

        Raises:
            ViewerUnavailable: It did not come up.
        """
        ...

    def gone(self) -> bool:
        """Whether it has ended."""
        ...


class Viewer(Protocol):
    """What starts viewers: the adapter."""

    def show(self, session_id: str, locator: str, look_url: str) -> Showing:
        """Start a viewer for a session; returns at once.

        Raises:
            ViewerUnavailable: It can't be started.
        """
        ...


def has_display(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether a window can be opened: there is a display to open it on."""
    return platform == "darwin" or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def possible(config: Config) -> Config:
    """*config* as it can be carried out here: without a window where there is no display."""
    return config if config.headless or has_display() else config.model_copy(update={"headless": True})


_showing: dict[tuple[str, str], Showing] = {}
_lock = threading.Lock()


def show(session_id: str, locator: str | None, look_url: str) -> Showing:
    """The session's viewer in this process, started if there is none (any more); returns at once.

    Raises:
        ViewerUnavailable: It can't be started.
    """
    if locator is None:
        raise ViewerUnavailable(session_id, "the view is a process of its own and needs a log with a locator")
    with _lock:
        for key in [key for key, showing in _showing.items() if showing.gone()]:
            del _showing[key]
        found = _showing.get((locator, session_id))
        if found is None:
            viewer: Viewer = adapters.load("viewer")
            found = _showing[locator, session_id] = viewer.show(session_id, locator, look_url)
        return found


def in_place_of_a_window(session_id: str, locator: str | None, look_url: str) -> None:
    """Serve the live view because no window can be opened; a view that fails costs the session nothing."""
    try:
        show(session_id, locator, look_url)
    except LifecycleError as error:
        logger.warning("live_view_failed", session_id=session_id, error=str(error))
    else:
        logger.info("live_view_served", session_id=session_id, why="no display", where="session.viewer_url()")


def _forget() -> None:
    """In a forked child: the viewers are the parent's."""
    global _lock
    _showing.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
