"""A world for each test, with the proof that nothing is left in it; and the way to this folder's helpers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[2]))

from tests.client.pretended import Pretence
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
    """A log in a folder of its own. When the test is over, no browser, keeper, driver, file or socket may be left."""
    made = World(site)
    yield made
    made.close()


@pytest.fixture
def client(world: World) -> Client:
    """A client of this process."""
    return world.client()


@pytest.fixture(params=["sync", "async"])
def pretence(request: pytest.FixtureRequest) -> Iterator[Pretence]:
    """A session of each twin on pretended pages."""
    made = Pretence(request.param)
    made.run(lambda: made.session.start())
    yield made
    made.close()
