"""The owner's side of recordings: whether there can be one here, and what makes it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Final

from lifecycle.errors import MissingExtra

__all__ = ["Recorder"]


class Recorder:
    """What the entry point `recorder` of the group `lifecycle.adapters` gives; recorder.py says how it is spoken to."""

    command: Final = (sys.executable, "-P", "-m", "lifecycle_viewer.recorder")

    def check(self) -> None:
        """Refuse what could only fail later.

        Raises:
            MissingExtra: There is no encoder.
        """
        if find_spec("imageio_ffmpeg") is None:
            raise MissingExtra("record", "recording")
