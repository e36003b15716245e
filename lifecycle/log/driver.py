"""The one SQLite library of this process. Nothing else imports sqlite3 for a log.

sqlite-utils takes pysqlite3 when it is installed. Two copies of SQLite in one process don't see each other's locks on
the same file, so whoever closes it in one drops the locks of the other and acknowledged events are lost
(research/reliability.md F3): every import goes through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    from sqlite_utils.utils import sqlite3

__all__ = ["Connection", "DatabaseError", "IntegrityError", "SqliteError", "sqlite3"]

Connection = sqlite3.Connection
DatabaseError = sqlite3.DatabaseError
IntegrityError = sqlite3.IntegrityError
SqliteError = sqlite3.Error
