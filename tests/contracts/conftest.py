"""The way to `tests.contracts.paths`."""

from __future__ import annotations

import sys
from pathlib import Path

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[2]))
