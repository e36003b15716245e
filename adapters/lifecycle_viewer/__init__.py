"""The live view: a process of its own that shows one session on a page of ours, good for looking only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle_viewer.opener import Viewer

__all__ = ["Viewer"]


def __getattr__(name: str) -> object:
    # Lazy: the viewer's own process imports this package too, and has no use for the owner's half.
    if name != "Viewer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lifecycle_viewer.opener import Viewer

    return Viewer
