"""The rule-based machines pass on what is sound, exercise all they promise, and find the bugs that are planted."""

from __future__ import annotations

import sqlite3
import unittest
from contextlib import closing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lifecycle import Client, SqliteLog
from lifecycle.core import Close, Expire, SessionView, State, deadline, view
from lifecycle.core.events import SessionTimedOut
from lifecycle.log.memory import MemoryLog
from lifecycle.log.record import COLUMNS, recorded
from lifecycle.testing import INVARIANTS, AsyncClientRules, ClientRules, CoreRules, LogRules, Vacuous, prove
from lifecycle.testing.fake_host import FakeBrowser, PretendedBrowser
from lifecycle.testing.invariants import Appending, Store
from lifecycle.testing.runs import Step, play
from tests.testing.broken_logs import BROKEN, SkipsAnEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lifecycle.core import Command, Event, Session
    from lifecycle.log.port import EventLog, Recorded


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
a_few = settings(max_examples=10, stateful_step_count=25, suppress_health_check=SLOW)


def test_the_core_passes() -> None:
    prove(CoreRules, examples=50)


def test_a_memory_log_passes() -> None:
    prove(LogRules.over(MemoryLog), examples=60)


def test_a_sqlite_log_passes_read_past_itself_and_opened_again(tmp_path: Path) -> None:
    made: list[SqliteLog] = []

    def make() -> EventLog:
        made.append(SqliteLog(tmp_path / f"{len(made)}.db", journal="wal"))
        return made[-1]

    def raw(log: EventLog) -> Sequence[Recorded]:
        assert log.locator is not None
        with closing(sqlite3.connect(log.locator.removeprefix("sqlite:"))) as conn:
            rows = conn.execute(
                f"SELECT {COLUMNS} FROM events AS e LEFT JOIN private AS p ON p.event_id = e.event_id ORDER BY position"
            ).fetchall()
        return [recorded(row, log.locator) for row in rows]

    def again(log: EventLog) -> EventLog:
        assert log.locator is not None
        log.close()
        return SqliteLog(log.locator.removeprefix("sqlite:"))

    machine = LogRules.over(make, raw_rows=raw, reopen=again)
    run_state_machine_as_test(machine, settings=a_few)  # disks are slow: what it may leave out, a memory log does not
    of_logs = {invariant.id for invariant in INVARIANTS if invariant.about in (Appending, Store)}
    assert of_logs <= set(machine.checker.report().reached["invariants"])


def test_the_client_passes() -> None:
    prove(ClientRules, examples=10)


def test_the_async_client_passes() -> None:
    run_state_machine_as_test(AsyncClientRules, settings=a_few)
    assert {"21", "46", "50", "53"} <= set(AsyncClientRules.checker.report().reached["invariants"])


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_log_is_found(broken: type[MemoryLog]) -> None:
    with pytest.raises((AssertionError, ExceptionGroup)):
        prove(LogRules.over(broken), examples=200, shrink=False)


def test_a_broken_read_can_not_hide_a_broken_write() -> None:
    """The log reads what should be there; the raw way shows what is."""

    class Hides(MemoryLog):
        def rows(self) -> list[Recorded]:
            return self._log[:-1] if len(self._log) > 3 else self._log

    def raw(log: EventLog) -> list[Recorded]:
        assert isinstance(log, Hides)
        return log.rows()

    prove(LogRules.over(Hides), examples=60)
    with pytest.raises((AssertionError, ExceptionGroup)):
        prove(LogRules.over(Hides, raw_rows=raw), shrink=False)


def late(before: Session | None, command: Command, clock: int) -> Step:
    """> for >= at the deadline."""
    exact = before is not None and before.status in (State.CREATED, State.ACTIVE) and clock == deadline(before)
    return (
        Step(before, command, clock, (), before)
        if exact and isinstance(command, Expire)
        else play(before, command, clock)
    )


def stamped_now(before: Session | None, command: Command, clock: int) -> Step:
    """A timeout that is stamped when it was noticed."""
    step = play(before, command, clock)
    if before is not None and step.events and isinstance(step.events[0], SessionTimedOut) and clock > step.events[0].at:
        event = step.events[0].model_copy(update={"at": clock})
        return Step(before, command, clock, (event,), step.after)
    return step


def stops_twice(before: Session | None, command: Command, clock: int) -> Step:
    """A second stop that is refused."""
    if before is not None and before.status is State.CLOSED and isinstance(command, Close):
        return Step(before, command, clock, None, before)
    return play(before, command, clock)


@pytest.mark.parametrize("bug", [late, stamped_now, stops_twice])
def test_a_broken_core_is_found(bug: Any) -> None:
    class Broken(CoreRules):
        def play(self, before: Session | None, command: Command, clock: int, history: tuple[Event, ...]) -> Step:
            step: Step = bug(before, command, clock)
            return Step(before, command, clock, step.events, step.after, step.error, history)

    with pytest.raises((AssertionError, ExceptionGroup)):
        prove(Broken, examples=300, shrink=False)


def test_a_client_whose_keeper_leaves_the_browser_running_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def stay(self: PretendedBrowser) -> None:
        return

    monkeypatch.setattr(PretendedBrowser, "kill", stay)
    monkeypatch.setattr(PretendedBrowser, "ask_to_close", stay)
    with pytest.raises((AssertionError, ExceptionGroup)):
        prove(ClientRules, examples=30, shrink=False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_host_whose_browser_can_not_be_ended_twice_is_found() -> None:
    """The keeper's thread dies of it; the client's guard ends what is left, so that nothing else is wrong."""

    class EndsOnce(PretendedBrowser):
        def kill(self) -> None:
            if not self.running:
                raise ProcessLookupError("no such process")
            super().kill()

    class Host(FakeBrowser):
        def launch(self, session_id: str) -> PretendedBrowser:
            super().launch(session_id)
            return EndsOnce(self._clock)

    class OnIt(ClientRules):
        def make_client(self) -> Client:
            self.host = Host()
            return Client(log=self.log, browser=self.host, clock=self.clock)

    with pytest.raises(AssertionError, match="the thread fake-keeper has failed: ProcessLookupError"):
        prove(OnIt, examples=30, shrink=False)


def test_a_client_that_shows_a_duration_past_the_deadline_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shrinks when the timeout is written."""

    def uncapped(session: Session, now: int) -> SessionView:
        shown = view(session, now)
        if session.status is State.TIMED_OUT:
            shown = shown.model_copy(update={"duration": shown.duration + timedelta(microseconds=1)})
        return shown

    monkeypatch.setattr("lifecycle.client.handle.view", uncapped)
    with pytest.raises((AssertionError, ExceptionGroup)):
        prove(ClientRules, examples=30, shrink=False)


def test_a_machine_that_reaches_too_little_fails() -> None:
    class Idle(CoreRules):
        def give(self, command: Command, clock: int) -> None:
            if self.session is None:
                super().give(command, clock)

    with pytest.raises(Vacuous, match="transitions: created start"):
        prove(Idle, examples=5)


def test_a_machine_is_a_test_case_of_unittest() -> None:
    class Mine(LogRules):
        def make_log(self) -> EventLog:
            return SkipsAnEvent()

    Mine.TestCase.settings = settings(Mine.TestCase.settings, phases=[Phase.generate])

    result = unittest.TestResult()
    with suppress(Exception):
        unittest.defaultTestLoader.loadTestsFromTestCase(Mine.TestCase).run(result)
    assert result.testsRun == 1
    assert result.failures or result.errors


def test_rules_without_a_log_say_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="make_log"):
        LogRules()


@pytest.mark.parametrize("rules", [ClientRules, AsyncClientRules])
def test_a_client_s_rules_give_an_embedder_s_events_and_hold_its_laws(rules: type[ClientRules]) -> None:
    from lifecycle.core import Record
    from lifecycle.core.events import SessionAnnotated
    from lifecycle.testing import Invariant, forget, register
    from lifecycle.testing.invariants import Entry

    def never(entry: Entry) -> Iterator[bool | str]:
        if entry.fact.type == "session.annotated":
            yield entry.fact.data["name"] != "checkout" or "a checkout"

    law = Invariant("shop-1", "Nobody checks out.", Entry, never)
    order = Record(event=SessionAnnotated(name="checkout", data={"total": 3}))
    register(law, order)
    try:
        with pytest.raises(AssertionError, match="a checkout"):
            prove(type("Shop", (rules,), {}), examples=60, shrink=False)
    finally:
        forget(law, order)
