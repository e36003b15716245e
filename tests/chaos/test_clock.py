"""A wall clock that jumps, hours back and days ahead: no history breaks and no duration is negative."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lifecycle import Client
from lifecycle.errors import LifecycleError
from lifecycle.log import MemoryLog
from lifecycle.testing import FakeBrowser, VirtualClock, check_history
from lifecycle.testing.history import rows
from tests.chaos.record import SEED

if TYPE_CHECKING:
    from tests.chaos.record import Figures


@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_a_clock_that_jumps_breaks_no_history(seed: int, figures: Figures) -> None:
    chance, clock, jumps = random.Random(seed), VirtualClock(), 0
    client = Client(log=MemoryLog(), browser=FakeBrowser(), clock=clock)
    for _ in range(20):
        session = client.Session(page=False)
        session.start()
        for _ in range(5):
            jumps += 1
            clock.step(chance.choice([-86_400, -3_600, -0.5, 0, 0.5, 60, 3_600, 86_400]))
            clock.sleep(chance.choice([0, 0.1, 30]))
            try:
                session.annotate("step", {"n": 1})
            except LifecycleError:
                break
        session.stop()
        duration = session.status().duration
        assert duration is not None
        assert duration >= timedelta(0)
    clock.sleep(10)
    assert list(check_history(rows(client.log))) == []
    assert all(view.cause for view in client.sessions.list())
    figures("a clock that jumps", {"jumps": jumps, "sessions": 20}, seed=seed, corrupt=0)
