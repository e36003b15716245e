"""One connection to a log file: how it is opened, set up, and kept from rewriting history by mistake.

The database file is never opened beside SQLite: closing such a descriptor drops SQLite's locks, and acknowledged events
are lost (research/reliability.md F2). What has to be known about the file is asked with stat(2).
"""

from __future__ import annotations

from contextlib import closing, suppress
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from lifecycle.log.driver import sqlite3
from lifecycle.log.versions import Durability

if TYPE_CHECKING:
    from lifecycle.log.driver import Connection
    from lifecycle.log.place import Place
    from lifecycle.log.versions import Journal, Synchronous

__all__ = ["connect", "durability", "guard", "lift", "set_journal", "settle"]

_GUARDED: Final = frozenset({"events", "private"})
_SCHEMA: Final = frozenset({"sqlite_master", "sqlite_schema", "sqlite_sequence"})
_STRUCTURE: Final = frozenset(
    {
        sqlite3.SQLITE_ALTER_TABLE,
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_CREATE_VTABLE,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_DROP_INDEX,
        sqlite3.SQLITE_DROP_TABLE,
        sqlite3.SQLITE_DROP_TRIGGER,
        sqlite3.SQLITE_DROP_VIEW,
        sqlite3.SQLITE_DROP_VTABLE,
    }
)
_DEFENSIVE: Final = 1010  # SQLITE_DBCONFIG_DEFENSIVE
_PRAGMAS: Final = frozenset({"application_id", "journal_mode", "schema_version", "user_version", "writable_schema"})


def connect(where: Place, *, read_only: bool, timeout_s: float) -> Connection:
    """A connection that waits *timeout_s* for locks and refuses to rewrite history.

    Raises:
        sqlite3.Error: As SQLite gives it; lifecycle.log.faults says what it means.
    """
    # By URI even for writing: mode=rw never makes a file, and quoting keeps `?` and `#` in a path what they are.
    uri = f"file:{quote(where.path, safe='/')}?mode={'ro' if read_only else 'rw'}"
    conn = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    try:
        conn.execute("PRAGMA trusted_schema = OFF")
        conn.execute("PRAGMA recursive_triggers = ON")
        conn.execute("PRAGMA cell_size_check = ON")
        conn.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten, not only unlinked
        conn.execute("PRAGMA wal_autocheckpoint = 0")  # lifecycle.log.versions says why
        conn.execute("PRAGMA fullfsync = ON")  # macOS, where fsync alone leaves it in the disk's cache
        conn.execute("PRAGMA checkpoint_fullfsync = ON")
        if read_only:
            conn.execute("PRAGMA query_only = ON")
        if setconfig := getattr(conn, "setconfig", None):  # Python 3.12
            setconfig(_DEFENSIVE, True)
        guard(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def settle(where: Place) -> None:
    """Take away what SQLite has put beside a file that nobody has open; where somebody has it open it stays.

    Reading a file in WAL mode makes -wal and -shm, and only a connection that may write takes them away at its end.
    """
    with suppress(sqlite3.Error), closing(connect(where, read_only=False, timeout_s=0)) as conn:
        conn.execute("SELECT 1 FROM sqlite_schema").fetchone()


@cache
def _allow(action: int, what: str | None, value: str | None, database: str | None, _inside: str | None) -> int:
    """Deny what a log never does. A second belt under the triggers, against mistakes in our own code.

    SQLite asks while it prepares a statement; prepared ones are kept, so an append pays nothing. Cached, because an
    interrupt (Ctrl-C) that hits Python code inside SQLite is swallowed and comes out as a denial; a hit runs none.
    """
    if database == "temp":
        return sqlite3.SQLITE_OK
    denied = (
        action in _STRUCTURE
        or (action == sqlite3.SQLITE_UPDATE and (what in _GUARDED or what in _SCHEMA))
        or (action == sqlite3.SQLITE_DELETE and (what == "events" or what in _SCHEMA))
        or (action == sqlite3.SQLITE_INSERT and what in _SCHEMA)
        or (action == sqlite3.SQLITE_PRAGMA and what in _PRAGMAS and value is not None)
    )
    return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK


def guard(conn: Connection) -> None:
    """Have *conn* refuse what would rewrite history or change the schema."""
    conn.set_authorizer(_allow)


def lift(conn: Connection) -> None:
    """Let *conn* do everything, until it is guarded again."""
    conn.set_authorizer(None)


def set_journal(conn: Connection, journal: Journal) -> None:
    """Give a new file its journal mode; SQLite keeps WAL in the file, the other modes are each connection's own."""
    conn.execute("PRAGMA auto_vacuum = NONE")  # some distributions turn it on; a log only grows
    # An append changes few bytes in each of several trees, and every page changed is written whole: with SQLite's own
    # 4096 it took 1.3 times as long or more, and the file came out as large.
    conn.execute("PRAGMA page_size = 2048")
    conn.execute(f"PRAGMA journal_mode = {journal.upper()}").fetchone()


def durability(conn: Connection, asked: Synchronous) -> Durability:
    """Set synchronous as the journal mode needs it, read both back, and give what they are."""
    (mode,) = conn.execute("PRAGMA journal_mode").fetchone()
    journal: Journal = "wal" if mode == "wal" else "delete"
    # With a rollback journal FULL can bring the last event back undone after a power cut; EXTRA syncs the directory.
    level: Synchronous = "EXTRA" if journal == "delete" and asked == "FULL" else asked
    conn.execute(f"PRAGMA synchronous = {level}")
    (found,) = conn.execute("PRAGMA synchronous").fetchone()
    names: dict[int, Synchronous] = {1: "NORMAL", 2: "FULL", 3: "EXTRA"}
    return Durability(journal, names[found], sqlite3.sqlite_version)
