"""The sessions table is the fold of every history, its lists cost what they return, and both logs answer alike."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.core import ENDED, Cause, Session, State, deadline, fold, view
from lifecycle.core.events import SessionCreated
from lifecycle.errors import InvalidConfig
from lifecycle.log import ANY, MemoryLog, SqliteLog, events
from lifecycle.log.driver import sqlite3
from lifecycle.projections.query import ORDERS, checked, effective, rank
from lifecycle.projections.rows import COLUMNS, from_row, to_row
from lifecycle.projections.select import select
from lifecycle.testing.log_samples import SECOND, T0, created, fresh_id, new
from lifecycle.testing.runs import Run
from lifecycle.testing.strategies import runs
from tests.log.support import patient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lifecycle.core import Event
    from lifecycle.log.port import EventLog

shared = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=150
)


def _as(session_id: str, history: Sequence[Event], labels: dict[str, str]) -> list[Event]:
    """The history of another session."""
    first = history[0]
    assert isinstance(first, SessionCreated)
    return [first.model_copy(update={"session_id": session_id, "labels": labels}), *history[1:]]


@patient
@given(runs())
def test_a_row_holds_the_whole_session(run: Run) -> None:
    """evolve(row's session, event) == fold(history), at every event; the private message comes from beside the row."""
    for step in run.steps:
        session = step.after
        if session is not None:
            body = None if session.error_message is None else f'{{"error_message":"{session.error_message}"}}'
            assert from_row((*to_row(session, None), body)) == session


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[tuple[EventLog, EventLog]]:
    with closing(MemoryLog()) as memory, SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as sqlite:
        yield memory, sqlite


@shared
@given(
    run=runs(),
    labels=st.fixed_dictionaries({}, optional={"job": st.sampled_from("ab"), "n": st.sampled_from("12")}),
    batch=st.booleans(),
    question=st.fixed_dictionaries(
        {},
        optional={
            "status": st.lists(st.sampled_from(State), max_size=3),
            "labels": st.fixed_dictionaries({}, optional={"job": st.sampled_from("ab"), "n": st.sampled_from("12")}),
            "since": st.integers(T0 - 1, T0 + 1),
            "until": st.integers(T0, T0 + 2),
            "cause": st.lists(st.sampled_from(Cause), max_size=3),
            "ended_since": st.integers(T0 - 1, T0 + 1),
            "ended_until": st.integers(T0, T0 + 2 * SECOND),
            "longer_us": st.sampled_from([0, 1, SECOND, 2 * SECOND]),
            "shorter_us": st.sampled_from([0, 1, SECOND, 2 * SECOND]),
            "owner": st.sampled_from(["h", "h:1", "1", "h:2", "other"]),
            "actor": st.sampled_from(["tester", "nobody"]),
            "correlation_id": st.sampled_from(["c-1", "nothing"]),
            "url": st.sampled_from(["EXAMPLE", "nowhere"]),
            "error": st.sampled_from(["e", "e: M", "nothing"]),
        },
    ),
    order=st.sampled_from(ORDERS),
    limit=st.none() | st.integers(1, 5),
    by=st.sampled_from([-1, 0, 1, 10**7]),
)
def test_any_history_in_any_log_is_listed_as_it_folds(
    logs: tuple[EventLog, EventLog],
    run: Run,
    labels: dict[str, str],
    batch: bool,
    question: dict[str, Any],
    order: str,
    limit: int | None,
    by: int,
) -> None:
    """Sessions pile up from example to example; at each, memory, SQLite and a plain filter over folds agree."""
    session_id = fresh_id("s")
    sent = [new(event) for event in _as(session_id, run.events, labels)]
    for log in logs:
        for part in [sent] if batch else [[one] for one in sent]:
            log.append(session_id, part, expected=ANY)
        assert log.sessions.get(session_id) == fold(events(log.read(session_id)))
    memory, sqlite = logs
    expected = memory.sessions.get(session_id)
    assert expected is not None
    assert sqlite.sessions.get(session_id) == expected
    now = deadline(expected) + by
    every = memory.sessions.list(now=now)
    query = checked(now=now, **question)
    wanted = [s for s in every if query.matches(s, lambda: memory.read(s.session_id))]  # noqa: B023 - called at once
    wanted.sort(key=lambda s: rank(s, order, now), reverse=order in ("newest", "longest"))
    for log in logs:
        assert log.sessions.list(now=now, order=order, **question) == wanted
        page = log.sessions.list(now=now, order=order, limit=limit, **question)
        assert page == wanted[:limit]
        if page:
            after = page[-1].session_id
            assert log.sessions.list(now=now, order=order, after=after, **question) == wanted[len(page) :]
        assert log.sessions.count(now=now, **question) == len(wanted)
        for limit_reached in (Cause.IDLE, Cause.MAX_DURATION):
            seen = [s for s in every if view(s, now).cause is limit_reached]
            assert log.sessions.list(now=now, cause=limit_reached) == seen
        assert log.sessions.live() == [session for session in reversed(every) if not session.released]


@patient
@given(runs(), st.sampled_from([-1, 0, 1, 10**9]))
def test_the_status_of_lists_is_the_status_of_views(run: Run, by: int) -> None:
    """A session past its deadline is timed out for everybody; and a clock behind the history changes nothing."""
    session = run.session
    now = max(deadline(session) + by, session.last_at)
    assert effective(session, now) == view(session, now).status


def test_every_field_of_a_session_is_in_its_row() -> None:
    """A field added to the core must find its way here, or a list would not give what a fold gives."""
    names = {field.name for field in fields(Session)}
    beside = {"deadline", "failure_id", "idle_timeout_us", "max_duration_us"}
    assert {*COLUMNS, "limits", "error_message"} - beside == names
    assert "error_message" not in COLUMNS, "nothing private stands in the read model"


ENDINGS: dict[State, Cause] = {
    State.CLOSED: Cause.STOPPED,
    State.ERROR: Cause.EXCEPTION,
    State.TIMED_OUT: Cause.IDLE,
}
QUESTIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "active": {"status": "active"},
    "error": {"status": "error"},
    "timed_out": {"status": "timed_out"},
    "two": {"status": ["closed", "error"]},
    "every": {"status": list(State)},
    "since": {"since": 5},
    "between": {"status": "closed", "since": 5, "until": 7},
    "label": {"labels": {"job": "x"}},
    "labels": {"labels": {"job": "x", "n": "1"}},
    "label and status": {"labels": {"job": "x"}, "status": "active"},
    "cause": {"cause": "stopped"},
    "causes": {"cause": ["idle", "stopped", "exception"], "since": 5},
    "label and cause": {"labels": {"job": "x"}, "cause": "exception"},
    "oldest": {"order": "oldest"},
    "oldest of a status": {"order": "oldest", "status": ["closed", "timed_out"]},
    "oldest of a label": {"order": "oldest", "labels": {"job": "x"}},
    "longest": {"order": "longest"},
    "shortest": {"order": "shortest"},
}


def _asked(question: dict[str, Any], after: bool = False, limit: int = 10) -> tuple[str, tuple[Any, ...]]:
    order = question.get("order", "newest")
    return select(checked(now=10, **question), order, (5, "s-5") if after else None, limit)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_list_costs_what_it_returns(tmp_path: Path, question: str, after: bool) -> None:
    """The plan goes along an index in the order of the answer: nothing is sorted, and no table is read through."""
    SqliteLog(tmp_path / "log.db").close()
    sql, values = _asked(QUESTIONS[question], after)
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        plan = [str(row[3]) for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()]
    # By duration, what lives is sorted: its duration changes with every look.
    alive = 2 if QUESTIONS[question].get("order") in ("longest", "shortest") else 0
    assert len([line for line in plan if "TEMP B-TREE" in line]) <= alive, plan
    scans = [line for line in plan if line.startswith("SCAN") and "USING" not in line and "CONSTANT" not in line]
    assert not scans, plan


def test_a_page_of_a_large_log_reads_no_more_than_its_rows(tmp_path: Path) -> None:
    """Counted in SQLite's own steps: ten times the ended sessions, the same work for a page of any status."""
    counts: dict[int, list[int]] = {}
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        _populate(log, 100, list(State))
        for size in (200, 2000):
            _populate(log, size, list(ENDED))
            with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
                counts[size] = [_steps(conn, question) for question in QUESTIONS.values()]
    for name, small, large in zip(QUESTIONS, counts[200], counts[2000], strict=True):
        assert large < 1.5 * small + 200, f"{name}: {small} steps, then {large}"


def _populate(log: SqliteLog, size: int, statuses: list[State]) -> None:
    """Sessions straight into the read model, all alike but for status, age and labels."""
    template = log.sessions.get("template")
    if template is None:
        log.append("template", [new(created("template"))], expected=0)
        template = log.sessions.get("template")
    assert template is not None
    with closing(sqlite3.connect(log.locator.removeprefix("sqlite:"))) as conn:
        for number in range(size):
            status = statuses[number % len(statuses)]
            ended: dict[str, Any] = {"cause": ENDINGS[status], "closed_at": 3 * number} if status in ENDED else {}
            made = replace(template, session_id=fresh_id("s"), created_at=number, status=status, **ended)
            row = list(to_row(made, None))
            conn.execute(f"INSERT INTO sessions VALUES ({', '.join('?' * len(row))})", row)
            conn.execute("INSERT INTO session_labels VALUES ('job', 'x', ?, ?)", (number, row[0]))
            conn.execute("INSERT INTO session_labels VALUES ('n', '1', ?, ?)", (number, row[0]))
        conn.commit()


def _steps(conn: sqlite3.Connection, question: dict[str, Any]) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    sql, values = _asked(question, limit=20)
    conn.execute("SELECT count(*) FROM sessions").fetchone()
    conn.set_progress_handler(count, 1)
    conn.execute(sql, values).fetchall()
    conn.set_progress_handler(None, 1)
    return steps


def test_a_list_without_a_limit_holds_no_cursor_open(tmp_path: Path) -> None:
    """1000 rows at a time, and everything in the end."""
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        _populate(log, 2500, list(State))
        found = log.sessions.list(now=10)
        assert len(found) == 2501
        assert [s.created_at for s in found] == sorted((s.created_at for s in found), reverse=True)
        assert log.sessions.count(now=10) == 2501


@pytest.mark.parametrize(
    "question",
    [
        {"status": "gone"},
        {"status": 5},
        {"labels": {1: "x"}},
        {"labels": 5},
        {"labels": "ab"},
        {"labels": {str(number): "x" for number in range(65)}},
        {"since": True},
        {"limit": 0},
        {"now": 1.0},
        {"now": 2**64},
        {"cause": "unknown"},
        {"order": "best"},
        {"order": None},
        {"owner": ""},
        {"correlation_id": ""},
        {"actor": 5},
        {"url": "\ud800"},
        {"error": ""},
        {"longer_us": 1.5},
    ],
)
def test_both_logs_refuse_the_same_questions(tmp_path: Path, question: dict[str, Any]) -> None:
    with ExitStack() as stack:
        for log in (MemoryLog(), SqliteLog(tmp_path / "log.db")):
            stack.enter_context(closing(log))
            asked: dict[str, Any] = {"now": 1} | question
            with pytest.raises(InvalidConfig, match=next(iter(question))):
                log.sessions.list(**asked)
