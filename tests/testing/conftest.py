"""Hypothesis as in tests/core: the same examples in every run."""

from __future__ import annotations

import sys
from pathlib import Path

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[2]))

from tests.core.conftest import pytest_configure

__all__ = ["pytest_configure"]
