"""Simulated worlds make the library warn thousands of times; nobody reads that."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

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
