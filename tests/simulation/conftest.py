"""Simulated worlds make the library warn thousands of times; nobody reads that."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[2]))

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No warnings of the library during a simulation."""
    log = logging.getLogger("lifecycle")
    before = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)
