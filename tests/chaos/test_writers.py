"""Processes that write into one log and are killed at random, and a reader that looks through SQLite meanwhile."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from typing import TYPE_CHECKING

from lifecycle.log import SqliteLog
from lifecycle.testing.history import rows
from lifecycle.testing.log_processes import Writer
from lifecycle.testing.log_samples import begin
from tests.chaos.check import looked_at, whole
from tests.chaos.record import SEED, judged

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.record import Figures

SECONDS = float(os.environ.get("CHAOS_SECONDS", "3"))


def test_writers_that_are_killed_lose_nothing_they_were_told(memory_dir: Path, figures: Figures) -> None:
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
    found = whole(path, acknowledged)
    assert found == []
    assert len(kills) >= 4
    assert told > 50
    with closing(SqliteLog(path, read_only=True)) as log:
        stored = {row.event_id for row in rows(log) if row.type == "session.annotated"}
    figures(
        "writers killed at random",
        {"looks meanwhile": looks, "stood untold": len(stored - acknowledged)},
        seed=SEED,
        kills=len(kills),
        acknowledged=told,
        **judged([found]),
    )
