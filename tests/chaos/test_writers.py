"""Processes that write into one log and are killed at random, and a reader that looks through SQLite meanwhile."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from typing import TYPE_CHECKING

from lifecycle.log import SqliteLog
from lifecycle.testing.log_processes import Writer
from lifecycle.testing.log_samples import begin
from tests.chaos.check import looked_at, whole

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECONDS = float(os.environ.get("CHAOS_SECONDS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))


def test_writers_that_are_killed_lose_nothing_they_were_told(
    memory_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = memory_dir / "log.db"
    chance, told, looks = random.Random(SEED), 0, 0
    kills: list[Writer] = []
    with closing(SqliteLog(path)) as log:
        begin(log, "shared")
        locator = log.locator
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        writers = [
            Writer(locator, stream, 10_000).start(kill_after=chance.randint(1, 80))
            for stream in ("shared", "shared", "own", "own")
        ]
        while any(writer.process.poll() is None for writer in writers):
            # What was told before the look has to be there in the look.
            acknowledged = {event_id for writer in [*kills, *writers] for event_id in list(writer.acknowledged)}
            assert looked_at(path, acknowledged) == []
            looks += 1
        for writer in writers:
            assert writer.end() == ""
        kills += writers
    acknowledged = {event_id for writer in kills for event_id in writer.acknowledged}
    told = len(acknowledged)
    assert whole(path, acknowledged) == []
    with capsys.disabled():
        print(f"\n[seed {SEED}: {len(kills)} kills, {told} acknowledged, lost 0, {looks} looks meanwhile]", end=" ")
    assert len(kills) >= 4
    assert told > 50
