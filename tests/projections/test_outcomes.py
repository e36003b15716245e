"""Status, cause and duration by SQL are what fold says: of every short history, and of long ones at random."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from lifecycle.core import Cause, decide, fold
from lifecycle.core.commands import Close, Create, Expire, Fail, Record, Release, Start
from lifecycle.core.events import SessionReleased
from lifecycle.errors import IllegalCommand, LogTampered
from lifecycle.log import ANY, MemoryLog, SqliteLog, events
from lifecycle.log.driver import sqlite3
from lifecycle.projections import outcomes
from lifecycle.projections.outcomes import OUTCOMES, of_session, of_text
from lifecycle.testing.log_samples import SECOND, T0, accessed, begin, closed, created, fresh_id, new, released, started
from lifecycle.testing.strategies import runs

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.core import Command, Event
    from lifecycle.log.port import EventLog
    from lifecycle.testing.runs import Run

_RELEASED = released()
assert isinstance(_RELEASED, SessionReleased)
COMMANDS: tuple[Command, ...] = (
    Start(event=started()),
    Record(event=accessed(T0)),
    Close(cause=Cause.STOPPED),
    Fail(cause=Cause.EXCEPTION, error_type="ValueError"),
    Expire(),
    Release(event=_RELEASED),
)
LENGTH = 4


def _told(commands: tuple[Command, ...], late: bool, session_id: str) -> list[Event]:
    """The events of *commands*, one a second, those passed over that are refused; *late*: all past the deadline."""
    told = list(decide(None, Create(event=created(session_id)), T0))
    for number, command in enumerate(commands, start=1):
        session = fold(told)
        try:
            told += decide(session, command, T0 + (3600 if late else number) * SECOND)
        except IllegalCommand:
            continue
    return told


def _same(log: EventLog) -> None:
    streams = {row.stream for row in log.read_all(limit=10_000).events}
    folded = {name: fold(events(log.read(name))) for name in streams}
    assert {one.session_id: one for one in log.sessions.outcomes()} == {
        name: of_session(session) for name, session in folded.items() if session is not None
    }


def test_every_short_history(tmp_path: Path) -> None:
    """All sequences of commands up to a length, on time and late."""
    histories = {
        tuple(event.model_dump_json() for event in told): told
        for length in range(LENGTH + 1)
        for commands in product(COMMANDS, repeat=length)
        for late in (False, True)
        for told in [_told(commands, late, "s")]
    }
    assert len(histories) > 40
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        for told in histories.values():
            name = fresh_id("s")
            renamed = [told[0].model_copy(update={"session_id": name}), *told[1:]]
            log.append(name, [new(event) for event in renamed], expected=0)
        _same(log)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=25
)
@given(run=runs())
def test_any_history(tmp_path: Path, run: Run) -> None:
    with SqliteLog(tmp_path / f"{fresh_id()}.db", synchronous="NORMAL") as sqlite, closing(MemoryLog()) as memory:
        for log in (sqlite, memory):
            log.append(run.session.session_id, [new(event) for event in run.events], expected=ANY)
            _same(log)


def test_nobody_waits_for_it_and_it_sees_one_moment(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        begin(log, "s-1")
        begin(log, "s-2")
        told = log.sessions.outcomes()
        first = next(told)
        begin(log, "s-3")
        assert {first.session_id, *(one.session_id for one in told)} == {"s-1", "s-2"}
        assert len(list(log.sessions.outcomes())) == 3


def test_parts_that_are_read_at_different_times_show_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "_PART", 2)
    with SqliteLog(tmp_path / "log.db") as log:
        for number in range(20):
            begin(log, f"s-{number}")
        told = log.sessions.outcomes()
        first = next(told)
        for number in range(20):
            log.append(f"s-{number}", [new(closed())], expected=2)
        begin(log, "late")
        assert {one.status for one in (first, *told)} == {"active"}
        again = list(log.sessions.outcomes())
        assert [one.session_id for one in again] == [*(f"s-{number}" for number in range(20)), "late"]
        assert [one.status for one in again] == ["closed"] * 20 + ["active"]


def test_nothing_is_left_behind_by_who_reads_only_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_PART", 2)
    with SqliteLog(tmp_path / "log.db") as log:
        for number in range(20):
            begin(log, f"s-{number}")
        before = threading.active_count()
        told = log.sessions.outcomes()
        next(told)
        assert threading.active_count() > before
        told.close()  # type: ignore[attr-defined]  # it is a generator
        assert threading.active_count() == before


def test_a_cause_that_is_none_is_not_passed_on() -> None:
    for text in ("s-1 closed because 1 2", "s-1 closed stopped 1", "s-1 ended stopped 1 2"):
        with pytest.raises(LogTampered, match="an ending"):
            list(of_text(text))


def test_the_events_are_read_once_and_endings_by_their_index(tmp_path: Path) -> None:
    SqliteLog(tmp_path / "log.db").close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        plan = [str(row[3]) for row in conn.execute(f"EXPLAIN QUERY PLAN {OUTCOMES}", (1, 1, 0, 1)).fetchall()]
    assert not any(line.startswith("SCAN") for line in plan), plan
    assert sum("first" in line and "PRIMARY KEY" in line for line in plan) == 1, plan
    assert any("events_one_ending" in line for line in plan), plan
