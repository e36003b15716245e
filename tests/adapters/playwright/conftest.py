"""A real Chromium with a DevTools port, the way to this folder's helpers, and the proof that no driver is left."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[3]))

from tests.adapters.playwright.world import Chromium, drivers, until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    browser = Chromium(tmp_path / "profile")
    yield browser
    browser.kill()


@pytest.fixture(autouse=True)
def no_driver_is_left() -> Iterator[None]:
    yield
    try:
        until(lambda: drivers() == [], "a Playwright driver is left")
    finally:
        for pid in drivers():  # so that the other tests can go on
            os.kill(pid, signal.SIGKILL)
