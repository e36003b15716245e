"""No row is met by leaving something out: what is measured is the log that applications get."""

from __future__ import annotations

import inspect
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lifecycle import Client
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import SystemClock, Uuid7
from lifecycle.core import Start, fold
from lifecycle.errors import IllegalCommand
from lifecycle.log import MemoryLog, SqliteLog, events
from lifecycle.log.codec import FIRST, check_hash
from lifecycle.log.driver import sqlite3
from lifecycle.log.schema import check
from lifecycle.testing import FakeBrowser, VirtualClock
from lifecycle.testing.log_samples import started
from tests.bench import work

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.core import Session
    from lifecycle.log.versions import Synchronous


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_the_measured_log_is_the_one_that_applications_get(tmp_path: Path, synchronous: Synchronous) -> None:
    with work.sqlite_log(tmp_path / "log.db", synchronous) as measured, SqliteLog(tmp_path / "plain.db") as plain:
        assert type(measured) is SqliteLog
        assert measured.durability.synchronous == synchronous
        assert measured.durability.journal == plain.durability.journal
        assert plain.durability.synchronous == "FULL"
        name = "s-1"
        measured.append(name, work.life(name), expected=0)
        rows = measured.read(name)
        prev = FIRST
        for row in rows:
            check_hash(row, prev)
            prev = row.hash
        assert measured.sessions.get(name) == fold(events(rows))
        assert measured.sessions.rebuild().equal
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        check(conn, "log")  # every guard is in the file


def test_the_measured_load_is_the_one_before_every_command_and_of_sessions_get() -> None:
    loads: list[str] = []

    class Counting(MemoryLog):
        def load(self, stream: str, since: Session | None = None) -> Session | None:
            loads.append(stream)
            return super().load(stream, since)

    with Counting() as log, Client(log=log, browser=FakeBrowser(), clock=VirtualClock()) as client:
        with client.Session(page=False) as session:
            session.annotate("step", {})
        loads.clear()
        assert client.sessions.get(session.session_id).status == "closed"
        assert loads == [session.session_id]
        with pytest.raises(IllegalCommand):
            Recorder(log, SystemClock(), Uuid7(), actor="a", writer="w").execute(
                session.session_id, Start(event=started())
            )
        assert loads == [session.session_id] * 2


def test_nothing_that_is_measured_reaches_past_the_public_way() -> None:
    """No private name of ours, nothing patched, no pragma on our own connections."""
    source = inspect.getsource(work)
    assert "log._" not in source
    assert "setattr" not in source
    assert source.count("SqliteLog(") == 1


def test_the_floor_writes_the_very_rows_that_ours_does(tmp_path: Path) -> None:
    name = "s-1"
    batches = [(name, work.life(name))]
    rows = work.bare_rows(tmp_path, batches)
    with work.sqlite_log(tmp_path / "rows.db", "NORMAL") as log:
        assert [row[-1] for row in rows] == [row.hash for row in log.read(name)]
