"""Sessions to watch, browsers to watch them with, and the proof that nothing is left of either, viewers included."""

from __future__ import annotations

import sys
from pathlib import Path

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[3]))

from tests.client.conftest import client, site, world

__all__ = ["client", "site", "world"]
