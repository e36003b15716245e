"""The tables, guards and views of a log file, how a file gets them, and how one is recognised.

Two parts. The RECORD (events, private, their guards) is the truth: its stored text must be exactly ours, or the file is
refused. The DERIVED part (sessions, views) can be rebuilt from the record; whatever is missing there is made again.
sqlite-utils runs the migrations; they only add, inside one IMMEDIATE transaction of ours, and write the ids last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lifecycle.errors import LogTampered, NewerLog, NotALog
from lifecycle.projections import table

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

    from lifecycle.log.driver import Connection

__all__ = [
    "APPLICATION_ID",
    "RECORD",
    "VERSION",
    "broken",
    "check",
    "derive",
    "is_blank",
    "migrate",
    "only_tables",
    "recognize",
    "stale",
]

#: "LFCY"; file(1) and SQLite browsers show it
APPLICATION_ID: Final = 0x4C464359
#: user_version of the files this library writes
VERSION: Final = 1

#: name -> the text SQLite must have stored for it
RECORD: Final[dict[str, str]] = {
    # STRICT (3.37): a column holds the type it says. AUTOINCREMENT: sqlite_sequence remembers the last position, so
    # that events cut off the end behind our back are noticed.
    "events": """CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    type TEXT NOT NULL,
    schema_version INTEGER NOT NULL CHECK (schema_version >= 1),
    at INTEGER NOT NULL CHECK (at >= 0),
    recorded_at INTEGER NOT NULL CHECK (recorded_at >= 0),
    actor TEXT NOT NULL,
    writer TEXT NOT NULL,
    correlation_id TEXT,
    causation_id TEXT,
    data TEXT NOT NULL CHECK (data GLOB '{*}'),
    private_sha256 TEXT,
    hash TEXT NOT NULL CHECK (length(hash) = 64),
    UNIQUE (stream, version)
) STRICT""",
    # Rows here may be deleted (that is how something is forgotten), never changed.
    "private": """CREATE TABLE private (
    event_id TEXT PRIMARY KEY NOT NULL,
    salt BLOB NOT NULL CHECK (length(salt) = 16),
    body TEXT NOT NULL CHECK (body GLOB '{*}')
) STRICT, WITHOUT ROWID""",
    "events_one_ending": f"CREATE UNIQUE INDEX events_one_ending ON events (stream) WHERE {table.ended('type')}",
    "events_one_seal": "CREATE UNIQUE INDEX events_one_seal ON events (type) WHERE type = 'log.sealed'",
    "events_no_update": """CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'lifecycle: events are append-only, an UPDATE is refused');
END""",
    "events_no_delete": """CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'lifecycle: events are append-only, a DELETE is refused');
END""",
    # A replacing insert deletes the old row without firing delete triggers (recursive_triggers is off in most clients),
    # so the insert itself has to be refused. Without gaps, the event before the new one tells all that came before.
    "events_guard": f"""CREATE TRIGGER events_guard BEFORE INSERT ON events BEGIN
    SELECT CASE
        WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
            THEN RAISE(ABORT, 'lifecycle: position must be the one after the last')
        WHEN NEW.type <> 'log.forgotten' AND EXISTS (SELECT 1 FROM events WHERE type = 'log.sealed')
            THEN RAISE(ABORT, 'lifecycle: the log is sealed, nothing is added to it')
        WHEN EXISTS (SELECT 1 FROM events WHERE event_id = NEW.event_id)
            THEN RAISE(ABORT, 'lifecycle: event_id is in the log already')
        WHEN NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream = NEW.stream)
            THEN RAISE(ABORT, 'lifecycle: version must be the one after the last of its stream')
        WHEN NEW.version = 1 AND NEW.type = 'session.released'
            THEN RAISE(ABORT, 'lifecycle: session.released follows an ending only')
    END;
    SELECT CASE
        WHEN type = 'session.released'
            THEN RAISE(ABORT, 'lifecycle: nothing follows session.released')
        WHEN {table.ended("type")} AND NEW.type <> 'session.released'
            THEN RAISE(ABORT, 'lifecycle: only session.released follows an ending')
        WHEN NOT {table.ended("type")} AND NEW.type = 'session.released'
            THEN RAISE(ABORT, 'lifecycle: session.released follows an ending only')
    END FROM events WHERE stream = NEW.stream AND version = NEW.version - 1;
END""",
    "private_no_update": """CREATE TRIGGER private_no_update BEFORE UPDATE ON private BEGIN
    SELECT RAISE(ABORT, 'lifecycle: what is private may be forgotten, not changed');
END""",
    # Nothing replaces a row, and nothing comes back once it has been forgotten: only the newest events get one.
    "private_guard": """CREATE TRIGGER private_guard BEFORE INSERT ON private BEGIN
    SELECT RAISE(ABORT, 'lifecycle: what is private may be forgotten, not changed')
        WHERE EXISTS (SELECT 1 FROM private WHERE event_id = NEW.event_id);
    SELECT RAISE(ABORT, 'lifecycle: no event commits to this private part')
        WHERE NOT EXISTS (SELECT 1 FROM events WHERE event_id = NEW.event_id AND private_sha256 IS NOT NULL);
END""",
}

#: tables on which nothing of anybody else's may hang; on the derived ones no trigger may, which runs in our appends
_GUARDED: Final = ("events", "private")


def migrations() -> Migrations:
    """What brings a file from any older version, or none, to VERSION; each step only adds."""
    from sqlite_utils import Migrations  # 150 ms, and only who makes a log needs it

    steps = Migrations("lifecycle.log")
    steps(name="1 the record")(_the_record)
    return steps


def _the_record(db: Database) -> None:
    for sql in RECORD.values():
        db.conn.execute(sql)


def stored(conn: Connection) -> dict[str, tuple[str, str, str]]:
    """What the file holds: name -> (kind, table, text), without SQLite's own."""
    rows = conn.execute("SELECT name, type, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    return {str(name): (str(kind), str(on), str(sql)) for name, kind, on, sql in rows}


def _pragma(conn: Connection, name: str) -> int:
    (value,) = conn.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def is_blank(conn: Connection) -> bool:
    """Whether the file is a database without anything in it, such as one whose creation was interrupted."""
    return not _pragma(conn, "application_id") and not _pragma(conn, "user_version") and not stored(conn)


def check(conn: Connection, locator: str) -> None:
    """Refuse a file that is not a log of this version with its record's guards whole.

    Raises:
        NotALog, NewerLog: As recognize.
        LogTampered: Parts of the record are missing, changed or added; the message names them.
    """
    version = recognize(conn, locator)
    if version < VERSION:
        raise LogTampered(
            locator, "the schema", expected=f"schema version {VERSION}", found=f"schema version {version}"
        )
    found = stored(conn)
    if wrong := [*_missing(found), *_added(found)]:
        raise LogTampered(locator, "the schema", expected="the record with all its guards", found="; ".join(wrong))
    _check_end(conn, locator)


def recognize(conn: Connection, locator: str) -> int:
    """The schema version of a file that says that it is a log of this library, whatever became of it.

    Raises:
        NotALog: By its application_id it is something else.
        NewerLog: By its user_version a newer library made it.
    """
    if _pragma(conn, "application_id") != APPLICATION_ID:
        raise NotALog(locator, "is a SQLite database, but not a log of this library")
    version = _pragma(conn, "user_version")
    if version > VERSION:
        raise NewerLog(locator, f"has schema version {version}, this library knows up to {VERSION}; upgrade it")
    return version


def only_tables(conn: Connection, locator: str) -> None:
    """Refuse a file in which something else stands for a table: to read it is to run what a stranger wrote.

    Raises:
        LogTampered: Names what is no table; it may be a view without an end.
    """
    names = {"events", "private", *table.TABLES}
    wrong = [
        f"{name} is no table"
        for name, (kind, _, sql) in stored(conn).items()
        if name in names and (kind == "view" or sql[:14].upper() == "CREATE VIRTUAL")
    ]
    if wrong:
        raise LogTampered(locator, "the schema", expected="tables where this library made some", found="; ".join(wrong))


def _missing(found: dict[str, tuple[str, str, str]]) -> list[str]:
    wrong: list[str] = []
    for name, sql in RECORD.items():
        if name not in found:
            wrong.append(f"{name} is missing")
        elif found[name][2] != sql:
            wrong.append(f"{name} is not as it was made")
    return wrong


def _added(found: dict[str, tuple[str, str, str]]) -> list[str]:
    return [
        f"{kind} {name} was added to {on}"
        for name, (kind, on, _) in found.items()
        if name not in RECORD and (on.lower() in _GUARDED or (kind == "trigger" and on.lower() in table.TABLES))
    ]


def _check_end(conn: Connection, locator: str) -> None:
    # One statement, so one snapshot: between two, another process may append.
    last, issued = conn.execute(
        "SELECT (SELECT coalesce(max(position), 0) FROM events),"
        " (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events')"
    ).fetchone()
    if last != issued:
        raise LogTampered(locator, "the end", expected=f"position {issued} as the last", found=f"position {last}")


def migrate(conn: Connection) -> None:
    """Give a blank file the record and the derived part; the caller holds an IMMEDIATE transaction."""
    from sqlite_utils import Database

    migrations().apply(Database(conn, execute_plugins=False))
    derive(conn)
    conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    conn.execute(f"PRAGMA user_version = {VERSION}")


def broken(conn: Connection) -> list[str]:
    """What of the derived part is missing or not as this library makes it."""
    found = stored(conn)
    return [name for name, sql in (table.TABLES | table.VIEWS).items() if name not in found or found[name][2] != sql]


def stale(conn: Connection) -> bool:
    """Whether the read model is visibly behind the events: the newest one is not in it, or nothing is."""
    newest = conn.execute(
        "SELECT 1 FROM events AS e WHERE position = (SELECT max(position) FROM events) AND type LIKE 'session.%'"
        " AND version IS NOT (SELECT version FROM sessions WHERE session_id = e.stream)"
        " AND NOT EXISTS (SELECT 1 FROM unreadable WHERE stream = e.stream)"
    ).fetchone()
    empty = conn.execute(
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM sessions) AND NOT EXISTS (SELECT 1 FROM unreadable)"
        " AND EXISTS (SELECT 1 FROM events WHERE type = 'session.created')"
    ).fetchone()
    return bool(newest or empty)


def derive(conn: Connection) -> None:
    """Make the derived part anew, empty; whatever has one of its names goes."""
    parts = table.TABLES | table.VIEWS
    for name, (kind, _, _) in reversed(stored(conn).items()):
        if name in parts:
            # A table takes its indexes and triggers along.
            conn.execute(f"DROP {kind.upper()} IF EXISTS {name}")
    for sql in parts.values():
        conn.execute(sql)
