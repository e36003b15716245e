"""What holds for every test: what the `browser` marker means, and that Ctrl-C is heard."""

from __future__ import annotations

import os
import signal

import pytest

from lifecycle.errors import BrowserNotFound
from lifecycle_chromium.find import find_browser

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every script that is started here to be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip browser tests where there is no browser; in CI leave them, so that they fail."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    if in_ci or not any(item.get_closest_marker("browser") for item in items):
        return
    try:
        find_browser(headless=True)
    except BrowserNotFound as error:
        skip = pytest.mark.skip(reason=str(error))
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(skip)
