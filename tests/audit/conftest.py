"""The corpus in both logs; every test that takes `book` runs in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lifecycle.log import MemoryLog, SqliteLog
from tests.audit.corpus import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lifecycle.log.port import EventLog


@pytest.fixture(params=["memory", "sqlite"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Writer]:
    """An empty log."""

    def make(clock: Callable[[], int]) -> EventLog:
        if request.param == "memory":
            return MemoryLog(clock=clock)
        return SqliteLog(tmp_path / "log.db", synchronous="NORMAL", clock=clock)

    made = Writer(make)
    yield made
    made.log.close()
