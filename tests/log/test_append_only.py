"""History can't be rewritten: every statement that could, from our own connection and from a foreign one.

A foreign connection can drop what guards the record, as it can overwrite the file; then the next opening tells.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from sqlite_utils import Database

from lifecycle.errors import LogTampered
from lifecycle.log import SqliteLog
from lifecycle.log.driver import sqlite3
from lifecycle.testing.log_contract import everything
from lifecycle.testing.log_samples import SECOND, T0, annotated, begin, failed, new, released
from tests.log.support import foreign, ours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lifecycle.log.driver import Connection

_ROW = (
    "position, event_id, stream, version, type, schema_version, at, recorded_at, actor, writer, correlation_id,"
    " causation_id, data, private_sha256, hash"
)


def _insert(verb: str, **changed: str) -> str:
    """An insert of what would be the next event of s-2, but for the columns in *changed*."""
    columns = {
        "position": "(SELECT max(position) + 1 FROM events)",
        "event_id": "'fresh'",
        "stream": "'s-2'",
        "version": "3",
        "type": "'session.annotated'",
        "schema_version": "1",
        "at": "1",
        "recorded_at": "1",
        "actor": "'x'",
        "writer": "'x'",
        "correlation_id": "NULL",
        "causation_id": "NULL",
        "data": "'{}'",
        "private_sha256": "NULL",
        "hash": f"'{'f' * 64}'",
    } | changed
    return f"{verb} INTO events ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


#: what the triggers refuse, whoever asks
REWRITES = {
    "update": "UPDATE events SET data = '{}' WHERE position = 1",
    "update all": "UPDATE events SET actor = 'me'",
    "update or replace": "UPDATE OR REPLACE events SET position = 2 WHERE position = 1",
    "update or ignore": "UPDATE OR IGNORE events SET position = 2 WHERE position = 1",
    "update from": "UPDATE events SET data = o.data FROM events AS o WHERE o.position = 1",
    "update with cte": "WITH c AS (SELECT 1) UPDATE events SET data = '{}' WHERE position IN (SELECT * FROM c)",
    "update rowid": "UPDATE events SET rowid = 99 WHERE position = 1",
    "delete": "DELETE FROM events WHERE position = 1",
    "delete last": "DELETE FROM events WHERE position = (SELECT max(position) FROM events)",
    "delete all": "DELETE FROM events",
    "delete returning": "DELETE FROM events RETURNING *",
    "replace by position": _insert("REPLACE", position="1"),
    "replace by event_id": _insert("REPLACE", event_id="(SELECT event_id FROM events WHERE position = 1)"),
    "replace by stream and version": _insert("REPLACE", version="1"),
    "insert or replace by position": _insert("INSERT OR REPLACE", position="1"),
    "insert or replace by rowid": _insert("INSERT OR REPLACE", position="1").replace("(position,", "(rowid,"),
    "insert or replace by event_id": _insert(
        "INSERT OR REPLACE", event_id="(SELECT event_id FROM events WHERE position = 1)"
    ),
    "insert or replace by stream and version": _insert("INSERT OR REPLACE", version="2"),
    "insert or ignore twice": _insert("INSERT OR IGNORE", position="1"),
    "upsert": _insert("INSERT", position="1") + " ON CONFLICT (position) DO UPDATE SET data = '{\"x\":1}'",
    "upsert by event_id": _insert("INSERT", event_id="(SELECT event_id FROM events WHERE position = 1)")
    + " ON CONFLICT (event_id) DO UPDATE SET data = '{\"x\":1}'",
    "upsert nothing": _insert("INSERT", position="1") + " ON CONFLICT DO NOTHING",
    "insert with a gap in position": _insert("INSERT", position="99"),
    "insert before the first": _insert("INSERT", position="0"),
    "insert without position": _insert("INSERT", position="NULL"),
    "insert with a gap in version": _insert("INSERT", version="4"),
    "insert a version again": _insert("INSERT", version="2"),
    "insert a stream from 2": _insert("INSERT", stream="'s-9'", version="2"),
    "insert after an ending": _insert("INSERT", stream="'s-1'", version="5"),
    "insert a second ending": _insert("INSERT", stream="'s-1'", version="5", type="'session.closed'"),
    "insert a second release": _insert("INSERT", stream="'s-1'", version="5", type="'session.released'"),
    "insert a release before the ending": _insert("INSERT", type="'session.released'"),
    "insert what is no object": _insert("INSERT", data="'[]'"),
    "insert a number as text": _insert("INSERT", at="'soon'"),
    "change what is private": "UPDATE private SET body = '{}'",
    "replace what is private": 'REPLACE INTO private SELECT event_id, salt, \'{"error_message":"ok"}\' FROM private',
    "give an event a private part": "INSERT INTO private SELECT event_id, zeroblob(16), '{}' FROM events"
    " WHERE private_sha256 IS NULL",
}

#: what only our own connections refuse; the last column is what opening says after a foreign one has done it
STRUCTURE = {
    "drop the table": ("DROP TABLE events", "events is missing"),
    "drop the private table": ("DROP TABLE private", "private is missing"),
    "drop a trigger": ("DROP TRIGGER events_no_delete", "events_no_delete is missing"),
    "drop the guard": ("DROP TRIGGER events_guard", "events_guard is missing"),
    "drop an index": ("DROP INDEX events_one_ending", "events_one_ending is missing"),
    "add a trigger": (
        "CREATE TRIGGER evil AFTER INSERT ON events BEGIN DELETE FROM private; END",
        "trigger evil was added to events",
    ),
    "add a trigger on the read model": (
        "CREATE TRIGGER evil AFTER UPDATE ON sessions BEGIN DELETE FROM private; END",
        "trigger evil was added to sessions",
    ),
    "add an index": ("CREATE UNIQUE INDEX one_actor ON events (actor, hash)", "index one_actor was added to events"),
    "rename the table": ("ALTER TABLE events RENAME TO old_events", "events is missing"),
    "rename a column": ("ALTER TABLE events RENAME COLUMN actor TO who", "events is not as it was made"),
    "add a column": ("ALTER TABLE events ADD COLUMN note TEXT", "events is not as it was made"),
    "drop a column": ("ALTER TABLE events DROP COLUMN causation_id", "events is not as it was made"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed log: s-1 over and released, s-2 alive."""
    path = tmp_path_factory.mktemp("template") / "log.db"
    with SqliteLog(path) as made:
        begin(made, "s-1")
        begin(made, "s-2")
        made.append("s-1", [new(failed()), new(released())], expected=2)
    return path


@pytest.fixture
def log(template: Path, tmp_path: Path) -> Iterator[SqliteLog]:
    """A copy of the template, open."""
    shutil.copy(template, tmp_path / "log.db")
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as made:
        yield made


def _dump(path: Path) -> list[str]:
    with foreign(path) as conn:
        return [
            str(row)
            for sql in (f"SELECT {_ROW} FROM events", "SELECT * FROM private", "SELECT name, sql FROM sqlite_schema")
            for row in conn.execute(sql).fetchall()
        ]


def _refused(conn: Connection, sql: str) -> None:
    with pytest.raises((sqlite3.IntegrityError, sqlite3.DatabaseError)):
        conn.execute(sql).fetchall()


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize("statement", REWRITES)
def test_a_foreign_connection_can_not_rewrite(log: SqliteLog, tmp_path: Path, statement: str, recursive: str) -> None:
    before = _dump(tmp_path / "log.db")
    with foreign(tmp_path / "log.db") as conn:
        conn.execute(f"PRAGMA recursive_triggers = {recursive}")
        _refused(conn, REWRITES[statement])
    assert _dump(tmp_path / "log.db") == before


@pytest.mark.parametrize("statement", [*REWRITES, *STRUCTURE])
def test_our_own_connection_can_not_rewrite(log: SqliteLog, tmp_path: Path, statement: str) -> None:
    sql = REWRITES.get(statement) or STRUCTURE[statement][0]
    before = _dump(tmp_path / "log.db")
    _refused(ours(log), sql)
    assert _dump(tmp_path / "log.db") == before


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA writable_schema = ON",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 7",
        "PRAGMA schema_version = 1",
        "PRAGMA journal_mode = OFF",
        "UPDATE sqlite_schema SET sql = ''",
        "DELETE FROM sqlite_schema WHERE type = 'trigger'",
        "UPDATE sqlite_sequence SET seq = 0",
        "DELETE FROM sqlite_sequence",
        "ATTACH ':memory:' AS other",
        "DROP TABLE sessions",
        "DROP VIEW endings",
        "CREATE TABLE mine (x)",
        "CREATE TRIGGER mine AFTER INSERT ON sessions BEGIN DELETE FROM private; END",
    ],
)
def test_our_own_connection_leaves_the_schema_alone(log: SqliteLog, tmp_path: Path, sql: str) -> None:
    before = _dump(tmp_path / "log.db")
    conn = ours(log)
    try:
        conn.execute(sql).fetchall()
    except sqlite3.DatabaseError:
        pass
    else:
        pytest.fail("it was allowed")
    assert _dump(tmp_path / "log.db") == before


@pytest.mark.parametrize("statement", STRUCTURE)
def test_a_foreign_change_of_the_record_shows_on_opening(log: SqliteLog, tmp_path: Path, statement: str) -> None:
    sql, found = STRUCTURE[statement]
    log.close()
    with foreign(tmp_path / "log.db") as conn:
        conn.execute(sql)
    for read_only in (False, True):
        with pytest.raises(LogTampered, match=found):
            SqliteLog(tmp_path / "log.db", read_only=read_only)


@pytest.mark.parametrize("statement", STRUCTURE)
def test_a_foreign_change_shows_at_the_next_append_of_a_log_that_is_open(
    log: SqliteLog, tmp_path: Path, statement: str
) -> None:
    sql, found = STRUCTURE[statement]
    log.append("s-2", [new(annotated())], expected=2)
    with foreign(tmp_path / "log.db") as conn:
        conn.execute(sql)
    with pytest.raises(LogTampered, match=found):
        log.append("s-2", [new(annotated())], expected=3)


def test_a_writable_schema_shows_on_opening(log: SqliteLog, tmp_path: Path) -> None:
    log.close()
    with foreign(tmp_path / "log.db") as conn:
        conn.execute("PRAGMA writable_schema = ON")
        conn.execute("UPDATE sqlite_schema SET sql = replace(sql, 'append-only', 'malleable') WHERE type = 'trigger'")
    with pytest.raises(LogTampered, match=r"events_no_update is not as it was made.*events_no_delete is not"):
        SqliteLog(tmp_path / "log.db")


@pytest.mark.parametrize("how", ["transform", "drop", "drop the last event"])
def test_what_sqlite_utils_can_do_shows_on_opening(log: SqliteLog, tmp_path: Path, how: str) -> None:
    """table.transform() makes a new table of the same name and drops every trigger of the old one, without a word."""
    log.close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        db: Any = Database(conn)
        if how == "transform":
            db.table("events").transform(types={"actor": str})
        elif how == "drop":
            db.table("events").drop()
        else:
            db.execute("DROP TRIGGER events_no_delete")
            db.execute("DELETE FROM events WHERE position = 6")
        conn.commit()
    with pytest.raises(LogTampered, match="is missing"):
        SqliteLog(tmp_path / "log.db")


def test_an_end_cut_off_shows_even_when_the_guards_are_back(log: SqliteLog, tmp_path: Path) -> None:
    log.close()
    with foreign(tmp_path / "log.db") as conn:
        (sql,) = conn.execute("SELECT sql FROM sqlite_schema WHERE name = 'events_no_delete'").fetchone()
        conn.execute("DROP TRIGGER events_no_delete")
        conn.execute("DELETE FROM events WHERE position = 6")
        conn.execute(sql)
    with pytest.raises(LogTampered, match="expected position 6 as the last, found position 5"):
        SqliteLog(tmp_path / "log.db")


def test_a_trigger_through_an_attached_file_can_not_reach_the_record(log: SqliteLog, tmp_path: Path) -> None:
    before = _dump(tmp_path / "log.db")
    with foreign(tmp_path / "other.db") as conn:
        conn.execute(f"ATTACH '{tmp_path / 'log.db'}' AS l")
        _refused(conn, "DELETE FROM l.events")
        _refused(conn, f"INSERT OR REPLACE INTO l.events SELECT {_ROW} FROM l.events WHERE position = 1")
        conn.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.OperationalError):  # a trigger can't name another file's table
            conn.execute("CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM l.events; END")
    assert _dump(tmp_path / "log.db") == before


def test_what_is_private_can_be_forgotten_and_nothing_else_changes(log: SqliteLog, tmp_path: Path) -> None:
    before = everything(log)
    with foreign(tmp_path / "log.db") as conn:
        conn.execute("DELETE FROM private WHERE event_id = ?", (before[-2].event_id,))
    after = everything(log)
    assert [row.hash for row in after] == [row.hash for row in before]
    assert after[-2].private is None
    assert after[-2].private_sha256 == before[-2].private_sha256
    session = log.sessions.get("s-1")
    assert session is not None
    assert session.error_message is None
    assert log.sessions.rebuild().equal


def test_legal_appends_by_others_are_taken(log: SqliteLog, tmp_path: Path) -> None:
    """The guards ask for order, not for our library."""
    with foreign(tmp_path / "log.db") as conn:
        conn.execute(_insert("INSERT", data='\'{"name":"x","data":{}}\'', at=str(T0 + SECOND)))
    log.append("s-2", [new(annotated())], expected=3)
    session = log.sessions.get("s-2")
    assert session is not None
    assert session.version == 4
