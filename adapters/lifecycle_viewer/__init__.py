"""The live view and recordings: processes of their own that show one session, or film it, and can only look."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle_viewer.opener import Viewer
    from lifecycle_viewer.recording import Recorder

__all__ = ["Recorder", "Viewer"]

_HOME = {"Recorder": "recording", "Viewer": "opener"}


def __getattr__(name: str) -> object:
    # Lazy: the processes that look import this package too, and have no use for the owner's half.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"lifecycle_viewer.{_HOME[name]}"), name)
