"""A world with real browsers, and the way to this folder's helpers."""

from __future__ import annotations

import sys
from pathlib import Path

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[3]))

from tests.client.conftest import site, world

__all__ = ["site", "world"]
