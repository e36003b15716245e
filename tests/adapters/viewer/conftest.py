"""Sessions to watch, browsers to watch them with, and the proof that nothing is left of either."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[3]))

from tests.client.world import World
from tests.site import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle import Client


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the test site."""
    with serve() as address:
        yield address


@pytest.fixture
def world(site: str) -> Iterator[World]:
    """A log in a folder of its own. When the test is over nothing may be left, viewers included."""
    made = World(site)
    yield made
    made.close()


@pytest.fixture
def client(world: World) -> Client:
    """A client of this process."""
    return world.client()
