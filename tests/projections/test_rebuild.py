"""The read model can be dropped, damaged or left behind: it is built again from the events, equal to what it was."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lifecycle.audit.verify import verify
from lifecycle.core import view
from lifecycle.core.events import SessionExtended
from lifecycle.errors import (
    HistoryError,
    IllegalHistory,
    InvalidConfig,
    LogTampered,
    LogUnavailable,
    LogUnsuitable,
    ReadOnlyLog,
    UnknownEventType,
)
from lifecycle.log import ANY, MemoryLog, SqliteLog
from lifecycle.log.driver import sqlite3
from lifecycle.log.file import LogFile
from lifecycle.log.receipts import LogForgotten, LogSealed
from lifecycle.log.schema import RECORD, stale
from lifecycle.projections import replay
from lifecycle.projections.query import ORDERS
from lifecycle.projections.rows import COLUMNS
from lifecycle.projections.table import TABLES, VIEWS
from lifecycle.projections.walk import walk
from lifecycle.testing.log_samples import (
    SECOND,
    T0,
    accessed,
    annotated,
    begin,
    closed,
    created,
    failed,
    new,
    released,
    started,
    timed_out,
)
from tests.audit.tampering import unguarded
from tests.log.support import foreign, run_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lifecycle.core import Event, SessionView
    from lifecycle.log.driver import Connection
    from lifecycle.projections import Progress, RebuildReport
    from lifecycle.projections.query import Order

NOW = T0 + 3600 * SECOND


def _fill(log: SqliteLog) -> None:
    for number in range(6):
        name = f"s-{number}"
        begin(log, name, T0 + number * SECOND, {"n": str(number)})
        log.append(name, [new(accessed(T0 + (60 + number) * SECOND))], expected=2)
    late = T0 + 100 * SECOND
    log.append("s-1", [new(closed(late)), new(released(late))], expected=3)
    log.append("s-2", [new(failed(late))], expected=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a closed log with sessions of several statuses."""
    with SqliteLog(tmp_path / "log.db") as log:
        _fill(log)
    return tmp_path / "log.db"


def _views(log: SqliteLog) -> dict[str, SessionView]:
    return {session.session_id: view(session, NOW) for session in log.sessions.list(now=NOW)}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_appends_leave_the_rows_that_a_replay_gives(tmp_path: Path, size: int) -> None:
    """A row is changed where an event changes the session, by batches of any size."""
    extended = SessionExtended(at=T0 + 3 * SECOND, until=T0 + 3600 * SECOND)
    ended = T0 + 4 * SECOND
    lives: list[list[Event]] = [
        [created("s-0"), started(), accessed(T0 + 2 * SECOND), extended, closed(ended), released(ended)],
        [created("s-1"), started(), annotated(), failed(ended), released(ended)],
        [created("s-2"), started(), timed_out(), released(T0 + 3600 * SECOND)],
        [created("s-3"), failed(ended), released(ended)],
        [created("s-4"), closed(ended)],
    ]
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        for number, life in enumerate(lives):
            for first in range(0, len(life), size):
                log.append(f"s-{number}", [new(event) for event in life[first : first + size]], expected=first)
        assert log.sessions.rebuild().equal


@pytest.mark.parametrize("name", [*TABLES, *VIEWS, "everything derived"])
def test_whatever_is_dropped_is_there_again_on_opening(path: Path, name: str) -> None:
    """Restoring only the record gives identical status and duration for every session."""
    with SqliteLog(path) as log:
        before = _views(log)
    with foreign(path) as conn:
        for gone in reversed([*TABLES, *VIEWS]) if name == "everything derived" else [name]:
            (kind,) = conn.execute("SELECT type FROM sqlite_schema WHERE name = ?", (gone,)).fetchone() or ("",)
            if kind:
                conn.execute(f"DROP {kind} {gone}")
    with SqliteLog(path) as log:
        with foreign(path) as conn:  # another program, before anybody has asked here
            assert conn.execute("SELECT count(*) FROM sessions_view").fetchone() == (6,)
        assert _views(log) == before
        assert log.sessions.rebuild().equal
        assert log.sessions.count(now=NOW, labels={"n": "3"}) == 1
        log.append("s-3", [new(closed(T0 + 70 * SECOND))], expected=3)
    with foreign(path) as conn:
        assert {name for (name,) in conn.execute("SELECT name FROM sqlite_schema")} >= {*TABLES, *VIEWS}


def test_only_the_events_restored_into_a_new_log_give_the_same_sessions(path: Path, tmp_path: Path) -> None:
    with SqliteLog(path) as log:
        before = _views(log)
    SqliteLog(tmp_path / "new.db").close()
    with foreign(tmp_path / "new.db") as conn:
        conn.execute(f"ATTACH '{path}' AS old")
        conn.execute("INSERT INTO events SELECT * FROM old.events ORDER BY position")
        conn.execute("INSERT INTO private SELECT * FROM old.private")
    with SqliteLog(tmp_path / "new.db") as log:
        assert _views(log) == before
        assert before["s-2"].error == "ValueError: it broke"


def test_a_read_model_that_is_dropped_while_the_log_is_open_comes_back(path: Path) -> None:
    with SqliteLog(path) as log:
        before = _views(log)
        with foreign(path) as conn:
            conn.execute("DROP TABLE sessions")
        assert _views(log) == before
        with foreign(path) as conn:
            conn.execute("DROP TABLE sessions")
        log.append("s-3", [new(annotated(T0 + 70 * SECOND))], expected=3)
        assert log.sessions.rebuild().equal


def test_a_read_model_that_is_behind_catches_up(path: Path) -> None:
    with SqliteLog(path) as log:
        before = _views(log)
    for sql in ("DELETE FROM sessions", "DELETE FROM sessions WHERE session_id = 's-2'"):
        with foreign(path) as conn:
            conn.execute(sql)
        with SqliteLog(path) as log:
            assert _views(log) == before


def test_the_same_columns_in_another_order_are_made_anew(path: Path) -> None:
    with SqliteLog(path) as log:
        before = _views(log)
    with foreign(path) as conn:
        conn.execute("ALTER TABLE sessions ADD COLUMN note TEXT")
    with SqliteLog(path) as log:
        assert _views(log) == before


CHANGES = {
    "session_id": "'other'",
    "version": "99",
    "status": "'closed'",
    "config": "'{\"headless\":false}'",
    "labels": "'{}'",
    "owner": '\'{"host":"x","boot_id":"x","pid":1,"started":1}\'',
    "keeper": "NULL",
    "browser": "NULL",
    "cause": "'stopped'",
    "error_type": "'Other'",
    "failure_id": "'e-1'",
    "ownership": "'attached'",
    "keeper_id": "'k-2'",
    "browser_version": "'1'",
    "released": "1",
    "keep_alive": "1",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_difference_in_any_column_is_found_named_and_mended(path: Path, column: str) -> None:
    with SqliteLog(path) as log:
        before = log.sessions.list(now=NOW)
        with foreign(path) as conn:
            value = CHANGES.get(column, f"coalesce({column}, 0) + 1")
            conn.execute(f"UPDATE sessions SET {column} = {value} WHERE session_id = 's-5'")
        report = log.sessions.rebuild()
        assert "s-5" in report.differing
        assert report.differing == (("other", "s-5") if column == "session_id" else ("s-5",))
        assert log.sessions.list(now=NOW) == before
        assert log.sessions.rebuild().equal


def test_a_row_that_only_spells_it_differently_is_equal(path: Path) -> None:
    with SqliteLog(path) as log:
        with foreign(path) as conn:
            conn.execute("UPDATE sessions SET labels = replace(labels, ':', ': '), owner = owner || ' '")
        assert log.sessions.rebuild().equal


def test_a_row_too_much_or_too_little_is_found(path: Path) -> None:
    with SqliteLog(path) as log, foreign(path) as conn:
        conn.execute("DELETE FROM sessions WHERE session_id = 's-0'")
        conn.execute("UPDATE sessions SET session_id = 'ghost' WHERE session_id = 's-4'")
        assert log.sessions.rebuild().differing == ("ghost", "s-0", "s-4")
        assert len(log.sessions.list(now=NOW)) == 6


def test_a_damaged_row_says_so_and_the_next_append_mends_it(path: Path) -> None:
    with SqliteLog(path) as log:
        with foreign(path) as conn:
            conn.execute("UPDATE sessions SET owner = 'nobody' WHERE session_id = 's-5'")
        with pytest.raises(LogTampered, match=r"row of 's-5'.*a rebuild makes it again"):
            log.sessions.get("s-5")
        log.append("s-5", [new(annotated(T0 + 70 * SECOND))], expected=3)
        assert log.sessions.get("s-5") is not None
        assert log.sessions.rebuild().equal


def test_a_log_that_may_only_be_read_says_that_its_read_model_is_missing(path: Path) -> None:
    with foreign(path) as conn:
        conn.execute("DROP TABLE sessions")
    with SqliteLog(path, read_only=True) as log:
        assert len(log.read("s-1")) == 5
        with pytest.raises(ReadOnlyLog, match="has no read model"):
            log.sessions.list(now=NOW)


@pytest.fixture
def planted(path: Path) -> Iterator[SqliteLog]:
    """An open log into which somebody newer has written an event to s-3."""
    with SqliteLog(path) as log:
        with foreign(path) as conn:
            conn.execute(
                "INSERT INTO events SELECT (SELECT max(position) FROM events) + 1, 'new', 's-3', 4, 'session.dreamt',"
                " 1, ?, ?, 'x', 'x', NULL, NULL, '{}', NULL, hash FROM events WHERE position = 1",
                (T0 + 70 * SECOND, T0),
            )
        yield log


def test_a_stream_that_can_not_be_read_goes_on_being_written(planted: SqliteLog, path: Path) -> None:
    """The row is what was known before; the next append finds out, marks the stream, and is written all the same."""
    planted.append("s-3", [new(closed(T0 + 80 * SECOND))], expected=4)
    assert planted.sessions.unreadable() == {"s-3": str(UnknownEventType("session.dreamt"))}
    assert len(planted.sessions.list(now=NOW)) == 5
    with pytest.raises(UnknownEventType):
        planted.sessions.get("s-3")
    with pytest.raises(HistoryError, match=r"only session\.released follows an ending"):
        planted.append("s-3", [new(closed(T0 + 90 * SECOND))], expected=ANY)
    planted.append("s-3", [new(released(T0 + 90 * SECOND))], expected=5)
    with pytest.raises(HistoryError, match=r"nothing follows session\.released"):
        planted.append("s-3", [new(annotated(T0 + 95 * SECOND))], expected=ANY)
    planted.close()
    with SqliteLog(path) as log:
        report = log.sessions.rebuild()
        assert (report.equal, list(report.unreadable)) == (True, ["s-3"])
        assert log.sessions.count(now=NOW) == 5
        assert [session.session_id for session in log.sessions.live()] == ["s-0", "s-2", "s-4", "s-5"]


@pytest.mark.parametrize("order", ORDERS)
def test_a_page_follows_a_session_that_can_not_be_read_any_more(planted: SqliteLog, order: Order) -> None:
    """Who went through all sessions was told of a wrong argument when it happened between two pages."""
    rows = planted.read_all(limit=100).events
    with MemoryLog(rows=rows[:-1]) as whole, MemoryLog(rows=rows) as memory:
        every = [one.session_id for one in whole.sessions.list(now=NOW, order=order)]
        there = every.index("s-3")
        pages = iter(walk(planted.sessions, now=NOW, order=order, page=there + 1))
        first = [next(pages).session_id for _ in range(there + 1)]
        planted.append("s-3", [new(annotated(T0 + 75 * SECOND))], expected=4)
        assert list(planted.sessions.unreadable()) == list(memory.sessions.unreadable()) == ["s-3"]
        assert first + [one.session_id for one in pages] == every
        after = [one.session_id for one in memory.sessions.list(now=NOW, order=order, after="s-3")]
        assert after == every[there + 1 :]
        for log in (planted, memory):
            with pytest.raises(InvalidConfig, match="the last session of the page before"):
                log.sessions.list(now=NOW, after="s-9")


def test_a_stream_that_tells_another_session_s_history_is_unreadable(path: Path) -> None:
    """Its row took that session's place: no log with such a stream could be rebuilt, nor opened without its list."""
    with foreign(path) as conn:
        conn.execute(
            "INSERT INTO events SELECT (SELECT max(position) FROM events) + version, 'again-' || event_id, 'r-1',"
            " version, type, schema_version, at, recorded_at, actor, writer, correlation_id, causation_id, data,"
            " private_sha256, hash FROM events WHERE stream = 's-1' ORDER BY version"
        )
        conn.execute("DELETE FROM sessions")
    why = "history of session r-1, version 1: the history of s-1"
    with SqliteLog(path) as log, MemoryLog(rows=log.read_all(limit=100).events) as memory:
        for one in (log, memory):
            assert one.sessions.unreadable() == {"r-1": why}
            assert one.sessions.count(now=NOW) == 6
            for asked in (one.sessions.get, one.load):
                with pytest.raises(IllegalHistory, match=why):
                    asked("r-1")
        assert log.sessions.rebuild().equal


def test_rows_that_a_log_in_memory_is_given_may_be_a_newer_library_s(planted: SqliteLog) -> None:
    with MemoryLog(rows=planted.read_all(limit=100).events) as memory:
        assert memory.sessions.unreadable() == {"s-3": str(UnknownEventType("session.dreamt"))}
        assert memory.sessions.count(now=NOW) == 5
        assert memory.sessions.ids("s-", 10) == ["s-0", "s-1", "s-2", "s-3", "s-4", "s-5"]
        with pytest.raises(UnknownEventType):
            memory.sessions.get("s-3")


def test_a_stream_that_a_newer_library_can_read_is_listed_again(planted: SqliteLog, path: Path) -> None:
    planted.sessions.rebuild()
    assert planted.sessions.count(now=NOW) == 5
    with foreign(path) as conn:
        # A stand-in for the newer library: the event becomes one that is known.
        conn.execute("DROP TRIGGER events_no_update")
        conn.execute("UPDATE events SET type = 'session.annotated', data = '{\"name\":\"x\"}' WHERE event_id = 'new'")
        conn.execute(RECORD["events_no_update"])
    planted.close()
    with SqliteLog(path) as log:
        assert log.sessions.get("s-3") is not None
        assert log.sessions.rebuild().unreadable == {}
        assert log.sessions.count(now=NOW) == 6


def test_a_rebuild_killed_at_any_statement_breaks_nothing(path: Path, tmp_path: Path) -> None:
    code = """
    import os, signal, sys
    from lifecycle.log import SqliteLog
    for left in range(1, 2000):
        pid = os.fork()
        if not pid:
            log = SqliteLog(sys.argv[1])
            conn = log._file.writing.run(lambda conn: conn)
            def count(_):
                global left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            conn.set_trace_callback(count)
            log.sessions.rebuild()
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            print(left)
            break
    """
    with SqliteLog(path) as log:
        before = _views(log)
    with foreign(path) as conn:
        conn.execute("UPDATE sessions SET version = 99 WHERE session_id = 's-5'")
    shutil.copy(path, tmp_path / "copy.db")
    done = run_child(code, tmp_path / "copy.db")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    with SqliteLog(tmp_path / "copy.db") as log:
        assert _views(log) == before
        assert log.sessions.rebuild().equal


def test_writers_go_on_while_it_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of it, in the same process: a lock held or a transaction open would not let them."""
    monkeypatch.setattr(replay, "_PORTION", 5)
    appended: list[str] = []

    def write(_done: int, _total: int) -> None:
        if len(appended) < 20:
            appended.append(f"a-{len(appended)}")  # before what it has passed
            begin(log, appended[-1], labels={"n": "1"})
            log.append("s-5", [new(annotated(T0 + (70 + len(appended)) * SECOND))], expected=ANY)

    with SqliteLog(path) as log:
        with foreign(path) as conn:
            conn.execute("UPDATE sessions SET version = 99 WHERE session_id = 's-4'")
        report = log.sessions.rebuild(write)
        assert report.differing == ("s-4",)
        assert len(appended) >= 4
        assert log.sessions.rebuild().equal
        assert log.sessions.count(now=NOW) == 6 + len(appended)


@pytest.mark.parametrize("gone", ["DROP TABLE sessions", "DROP INDEX sessions_newest", "DELETE FROM sessions"])
def test_writers_go_on_while_a_missing_one_is_built(path: Path, monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    """The one that builds it and another, each with its first look at a log without a list."""
    monkeypatch.setattr(replay, "_PORTION", 5)
    appended: list[str] = []
    with SqliteLog(path, timeout_s=1) as log, SqliteLog(path, timeout_s=1) as other:
        with foreign(path) as conn:
            conn.execute(gone)

        def write(_done: int, _total: int) -> None:
            if len(appended) < 20:
                writer = (other, log)[len(appended) % 2]  # before and behind what it has passed
                appended.append(f"{'az'[len(appended) % 4 < 2]}-{len(appended)}")
                begin(writer, appended[-1], labels={"n": "1"})
                writer.append("s-5", [new(annotated(T0 + (70 + len(appended)) * SECOND))], expected=ANY)

        report = log.sessions.rebuild(write)
        assert len(appended) >= 4
        assert 6 <= report.sessions <= 6 + len(appended)
        assert [one.sessions.count(now=NOW) for one in (log, other)] == [6 + len(appended)] * 2
        assert log.sessions.rebuild().equal
        assert verify(log).ok


def test_what_is_written_between_reading_and_mending_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = LogFile._mend  # pyright: ignore[reportPrivateUsage]
    with SqliteLog(path) as log, SqliteLog(path) as other:

        def mend(file: LogFile, work: Callable[[Connection], list[str]]) -> list[str]:
            other.append("s-5", [new(annotated(T0 + 70 * SECOND))], expected=ANY)
            return mended(file, work)

        monkeypatch.setattr(LogFile, "_mend", mend)
        with foreign(path) as conn:
            conn.execute("DROP TABLE sessions")
        assert log.sessions.rebuild().sessions == 6
        assert verify(log).ok  # before somebody builds it again, because it is behind
        assert log.sessions.rebuild().equal


def test_two_may_build_it_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between finding that it is missing and beginning, another one has built it."""
    build = LogFile._build  # pyright: ignore[reportPrivateUsage]
    with SqliteLog(path) as log, SqliteLog(path) as other:
        with foreign(path) as conn:
            conn.execute("DROP TABLE sessions")

        def built(file: LogFile, progress: Progress | None) -> RebuildReport:
            monkeypatch.setattr(LogFile, "_build", build)
            assert other.sessions.count(now=NOW) == 6
            return build(file, progress)

        monkeypatch.setattr(LogFile, "_build", built)
        assert [one.sessions.count(now=NOW) for one in (log, other)] == [6, 6]
        assert log.sessions.rebuild().equal


def test_one_that_can_not_catch_up_is_built_once(path: Path) -> None:
    """A version that was tampered with is not what a session comes to."""
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET version = 9 WHERE position = (SELECT max(position) FROM events)")
    with SqliteLog(path) as log:
        assert log.sessions.count(now=NOW) == 6
        assert not verify(log).ok


@pytest.mark.parametrize("gone", ["DROP TABLE sessions", "DELETE FROM sessions"])
def test_nobody_sees_half_a_read_model(path: Path, monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    """Not even who had the log open before it went; nor, by the view, another program."""
    monkeypatch.setattr(replay, "_PORTION", 5)
    seen: list[int] = []
    late: list[SqliteLog] = []
    with ExitStack() as opened:
        log, other = opened.enter_context(SqliteLog(path)), opened.enter_context(SqliteLog(path))
        reader = opened.enter_context(SqliteLog(path, read_only=True))
        assert reader.sessions.count(now=NOW) == 6
        with foreign(path) as conn:
            conn.execute(gone)

        def look(_done: int, _total: int) -> None:
            if not seen:
                with foreign(path) as conn, pytest.raises(sqlite3.OperationalError, match="no such table"):
                    conn.execute("SELECT * FROM sessions_view")
                with pytest.raises(ReadOnlyLog):
                    reader.sessions.count(now=NOW)
                late.append(opened.enter_context(SqliteLog(path, read_only=True)))
                with pytest.raises(ReadOnlyLog, match="no read model"):
                    late[0].sessions.count(now=NOW)
                seen.append(len(other.sessions.list(now=NOW)))

        log.sessions.rebuild(look)
        assert seen == [6]
        assert [one.sessions.count(now=NOW) for one in (log, other, reader, *late)] == [6, 6, 6, 6]


def test_one_that_goes_while_it_is_found_whole_is_not_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the look saw is another schema's by then."""
    with SqliteLog(path) as log, SqliteLog(path) as other:
        with foreign(path) as conn:
            conn.execute("CREATE TABLE note (of_ours)")  # so that it looks again

        def found(conn: Connection) -> bool:
            behind = stale(conn)
            monkeypatch.setattr("lifecycle.log.file.stale", stale)
            with foreign(path) as third:
                third.execute("DROP TABLE sessions")
            other._file.writing.run(other._file._begin)  # pyright: ignore[reportPrivateUsage]
            return behind

        monkeypatch.setattr("lifecycle.log.file.stale", found)
        assert log.sessions.count(now=NOW) == 6


def test_one_that_goes_while_it_is_built_is_built_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_PORTION", 5)
    told: list[int] = []
    with SqliteLog(path) as log, SqliteLog(path) as other:
        with foreign(path) as conn:
            conn.execute("DROP TABLE sessions")

        def drop(done: int, _total: int) -> None:
            told.append(done)
            if len(told) == 2:
                with foreign(path) as conn:
                    conn.execute("DROP TABLE sessions")
                other.append("s-5", [new(annotated(T0 + 70 * SECOND))], expected=ANY)

        log.sessions.rebuild(drop)
        assert log.sessions.count(now=NOW) == 6
        assert log.sessions.rebuild().equal


def test_one_whose_building_was_interrupted_is_built_by_the_next(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_PORTION", 5)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with SqliteLog(path) as log, SqliteLog(path) as other:
        before = _views(log)
        for look in (other, None, log):
            with foreign(path) as conn:
                conn.execute("DROP TABLE sessions")
            with pytest.raises(KeyboardInterrupt):
                log.sessions.rebuild(interrupt)
            if look is not None:
                assert _views(look) == before
            else:
                with SqliteLog(path) as opened:
                    assert _views(opened) == before


def test_a_question_that_a_whole_one_can_not_answer_is_refused(path: Path) -> None:
    """It is not built again and again for it."""
    with SqliteLog(path) as log, pytest.raises(LogTampered, match="no such column: colour"):
        log._file.ask_derived("SELECT colour FROM sessions")  # pyright: ignore[reportPrivateUsage]


def test_a_log_whose_sessions_are_not_all_listed_is_not_sealed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is listed nobody lives."""
    with SqliteLog(path) as log:
        with foreign(path) as conn:
            conn.execute("DROP TABLE sessions")
        with pytest.raises(LogUnsuitable, match="5 sessions"):
            log.seal(new(LogSealed(at=NOW, sessions=6)))
        with foreign(path) as conn:
            conn.execute("DROP TABLE sessions")

        def completed(_file: LogFile) -> None:
            """As if it went only now."""

        monkeypatch.setattr(LogFile, "complete", completed)
        with pytest.raises(LogUnavailable, match="being built"):
            log.seal(new(LogSealed(at=NOW, sessions=6)))


def test_an_interrupted_one_is_resumed_where_it_stopped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_PORTION", 5)
    told: list[int] = []

    def interrupt(done: int, _total: int) -> None:
        told.append(done)
        if done > 8:
            raise KeyboardInterrupt

    with SqliteLog(path) as log:
        with foreign(path) as conn:
            conn.execute("UPDATE sessions SET version = 99 WHERE session_id IN ('s-0', 's-5')")
        with pytest.raises(KeyboardInterrupt):
            log.sessions.rebuild(interrupt)
        stopped = told[-1]
        report = log.sessions.rebuild(lambda done, _total: told.append(done), resume=True)
        assert told[len(told) - 1 :] == [report.events] == [21]
        assert min(told[told.index(stopped) + 1 :]) > stopped
        assert report.differing == ("s-0", "s-5")
        assert report.sessions == 6
        told.clear()
        assert log.sessions.rebuild(lambda done, _total: told.append(done), resume=True).equal
        assert told[0] < stopped  # nothing is left to resume


@pytest.fixture
def planted_and_rebuilt(planted: SqliteLog) -> SqliteLog:
    """With a stream that can't be read from its middle on, and with receipts."""
    planted.append("s-3", [new(closed(T0 + 80 * SECOND))], expected=4)
    for session_id in ("s-0", "s-1"):
        planted.append(
            "log", [new(LogForgotten(at=NOW, session_id=session_id, through_version=1, rows=1))], expected=ANY
        )
    planted.sessions.rebuild()
    return planted


@pytest.mark.parametrize("damaged", [False, True])
def test_portions_of_any_size_come_to_the_same(
    planted_and_rebuilt: SqliteLog, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    """A portion may end with any event; and where nothing differs, no writer is kept waiting."""
    log = planted_and_rebuilt
    taken: list[object] = []

    def write(work: Callable[[Connection], list[str]]) -> list[str]:
        taken.append(work)
        return log._file.writing.run(work)  # pyright: ignore[reportPrivateUsage]

    for size in range(1, 27):
        monkeypatch.setattr(replay, "_PORTION", size)
        if damaged:
            with foreign(path) as conn:
                conn.execute("UPDATE sessions SET version = 99")
                conn.execute("UPDATE unreadable SET reason = 'none'")
        report = log._file.aside(  # pyright: ignore[reportPrivateUsage]
            lambda conn: replay.Rebuild(conn, write, None, tmp_path / "kept", resume=False).run()
        )
        assert (report.sessions, report.events, list(report.unreadable)) == (5, 25, ["s-3"])
        assert bool(taken) is damaged
        assert report.differing == (("s-0", "s-1", "s-2", "s-4", "s-5") if damaged else ())


def test_one_interrupted_while_it_mends_mends_that_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_PORTION", 5)
    with SqliteLog(path) as log:
        with foreign(path) as conn:
            conn.execute("UPDATE sessions SET version = 99 WHERE session_id IN ('s-0', 's-5')")
        run = log._file.writing.run  # pyright: ignore[reportPrivateUsage]
        left = 2

        def busy(work: Callable[[Connection], list[str]]) -> list[str]:
            nonlocal left
            left -= 1
            if not left:
                raise LogUnavailable("busy")
            return run(work)

        kept = log.runtime_dir / "rebuild.json"
        with pytest.raises(LogUnavailable):
            log._file.aside(lambda conn: replay.Rebuild(conn, busy, None, kept, resume=False).run())  # pyright: ignore[reportPrivateUsage]
        report = log.sessions.rebuild(resume=True)
        assert (report.differing, report.sessions, report.events) == (("s-0", "s-5"), 6, 21)
        assert log.sessions.rebuild().equal


def test_another_log_s_interrupted_one_is_not_taken_up(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_PORTION", 5)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with SqliteLog(path) as log, SqliteLog(tmp_path / "other.db") as other:
        begin(other, "s-0")
        with pytest.raises(KeyboardInterrupt):
            log.sessions.rebuild(interrupt)
        shutil.copy(log.runtime_dir / "rebuild.json", other.runtime_dir)
        assert other.sessions.rebuild(resume=True).sessions == 1


def test_labels_that_only_the_index_has_or_does_not_have_are_mended(path: Path) -> None:
    with SqliteLog(path) as log:
        begin(log, "two", T0 + 200 * SECOND, {"a": "1", "b": "2"})
        with foreign(path) as conn:
            conn.execute("DELETE FROM session_labels WHERE session_id = 's-1' OR name = 'b'")
            conn.execute("UPDATE session_labels SET value = 'x' WHERE session_id = 's-2'")
            conn.execute("INSERT INTO session_labels VALUES ('n', 'y', 1, 'nobody')")
        assert log.sessions.rebuild().differing == ("s-1", "s-2", "two")
        assert log.sessions.rebuild().equal
        for value, found in (("1", 1), ("2", 1), ("x", 0), ("y", 0)):
            assert log.sessions.count(now=NOW, labels={"n": value}) == found
    with foreign(path) as conn:
        assert conn.execute("SELECT count(*) FROM session_labels").fetchone() == (8,)


def test_a_row_that_went_alone_comes_back_with_the_next_append(path: Path) -> None:
    """What the index of labels still has of it is in nobody's way."""
    with SqliteLog(path) as log:
        log.append("s-5", [new(annotated(T0 + 70 * SECOND))], expected=3)
        with foreign(path) as conn:
            conn.execute("DELETE FROM sessions WHERE session_id = 's-5'")
        log.append("s-5", [new(annotated(T0 + 80 * SECOND))], expected=4)
        assert log.sessions.count(now=NOW, labels={"n": "5"}) == 1
        assert log.sessions.rebuild().equal


def test_a_damaged_row_is_made_again(path: Path) -> None:
    with SqliteLog(path) as log:
        with foreign(path) as conn:
            conn.execute("UPDATE sessions SET owner = 'nobody' WHERE session_id = 's-5'")
        assert log.sessions.rebuild().differing == ("s-5",)
        assert log.sessions.rebuild().equal


def test_an_entry_of_the_index_whose_session_comes_meanwhile_stays(path: Path, tmp_path: Path) -> None:
    with SqliteLog(path) as log, SqliteLog(path) as other:
        with foreign(path) as conn:
            conn.execute("INSERT INTO session_labels VALUES ('n', 'y', ?, 'late')", (NOW,))

        def write(work: Callable[[Connection], list[str]]) -> list[str]:
            begin(other, "late", NOW, {"n": "y"})
            return log._file.writing.run(work)  # pyright: ignore[reportPrivateUsage]

        log._file.aside(  # pyright: ignore[reportPrivateUsage]
            lambda conn: replay.Rebuild(conn, write, None, tmp_path / "kept", resume=False).run()
        )
        assert log.sessions.count(now=NOW, labels={"n": "y"}) == 1
        assert log.sessions.rebuild().equal


def test_progress_is_told_in_order_and_to_the_end(path: Path) -> None:
    told: list[tuple[int, int]] = []
    with SqliteLog(path) as log:
        log.sessions.rebuild(lambda done, total: told.append((done, total)))
    assert told == [(21, 21)]


def test_a_row_that_lags_behind_its_stream_is_not_trusted(path: Path) -> None:
    """As after somebody else's program has written events, or put back an older copy of the table."""
    late = T0 + 100 * SECOND
    with foreign(path) as conn:
        older = conn.execute("SELECT * FROM sessions WHERE session_id = 's-4'").fetchone()
    with SqliteLog(path) as log:
        log.append("s-4", [new(closed(late))], expected=3)
    with foreign(path) as conn:
        conn.execute("DELETE FROM sessions WHERE session_id = 's-4'")
        conn.execute(f"INSERT INTO sessions VALUES ({', '.join('?' * len(older))})", older)
    with SqliteLog(path) as log:
        with pytest.raises(IllegalHistory):
            log.append("s-4", [new(annotated(late))], expected=4)
        log.append("s-4", [new(released(late))], expected=4)
        assert log.sessions.rebuild().equal
