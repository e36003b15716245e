"""The site, a session of each twin for a whole module of tests, and a fresh tab for each test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[2]))

from tests.actions.site import Pages
from tests.actions.twins import Twin
from tests.site import serve

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the test site."""
    with serve(Pages) as address:
        yield address


@pytest.fixture(scope="module", params=["sync", "async"])
def running(request: pytest.FixtureRequest, site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """A session that the tests of a module share."""
    twin = Twin(request.param, tmp_path_factory.mktemp("log") / "log.db", site, timeout_minutes=5)
    yield twin
    twin.stop()


@pytest.fixture
def twin(running: Twin) -> Twin:
    """The module's session, with one empty tab."""
    running.one_tab()
    return running
