"""The one SQLite library of this process: the one that sqlite-utils takes. Nothing else imports sqlite3 for a log.

sqlite-utils takes pysqlite3 when it is installed. Two copies of SQLite in one process don't see each other's locks on
the same file, so whoever closes it in one drops the locks of the other and acknowledged events are lost
(research/reliability.md F3): every import goes through here, and a test holds it against `sqlite_utils.utils.sqlite3`.
The choice is made here once more because importing sqlite-utils costs 150 ms, which only the making of a log needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        sqlite3 = import_module("pysqlite3")
    except ImportError:
        import sqlite3

__all__ = ["Connection", "DatabaseError", "IntegrityError", "SqliteError", "sqlite3"]

Connection = sqlite3.Connection
DatabaseError = sqlite3.DatabaseError
IntegrityError = sqlite3.IntegrityError
SqliteError = sqlite3.Error
