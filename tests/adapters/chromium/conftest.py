"""Fixtures of the keeper's tools: a browser on a pipe, a gate, a site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lifecycle_chromium.gate import Gate
from tests.adapters.chromium.support import Browser, FakeBrowser, Site, running


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A real browser."""
    with running(tmp_path) as found:
        yield found


@pytest.fixture
def fake() -> Iterator[FakeBrowser]:
    """A pipe whose other side is the test."""
    found = FakeBrowser()
    yield found
    found.die()
    found.pipe.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.close()


@pytest.fixture
def site() -> Iterator[Callable[[dict[str, str]], Site]]:
    """Serves the given pages until the test ends."""
    with ExitStack() as stack:

        def serve(pages: dict[str, str]) -> Site:
            found = Site(pages)
            stack.callback(found.server_close)
            stack.callback(found.shutdown)
            return found

        yield serve
