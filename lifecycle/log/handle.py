"""What reading and writing share: the file that was opened, and whether it may still be used."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lifecycle.errors import LogClosed
from lifecycle.log import forks
from lifecycle.log.connection import durability
from lifecycle.log.driver import IntegrityError, SqliteError
from lifecycle.log.faults import busy

if TYPE_CHECKING:
    from lifecycle.log.driver import Connection
    from lifecycle.log.opening import Options

__all__ = ["Handle", "closed", "fit"]


class Handle:
    """An open log file, without its connections."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.identity = options.place.identity()
        self.closed = False
        self.pid = os.getpid()

    @property
    def locator(self) -> str:
        return self.options.place.locator

    def check(self) -> None:
        """Make sure that the log may be used, and that its path still leads to the file that was opened.

        SQLite would go on writing to an unlinked file, and acknowledge it.

        Raises:
            LogClosed: Closed, forked in the middle of a call, or another file.
        """
        self.usable()
        if self.options.place.identity() != self.identity:
            raise LogClosed(f"{self.locator}: the file was removed or replaced while it was open; open it again")

    def usable(self) -> None:
        """As check, without a look at the file."""
        if self.closed:
            raise LogClosed(f"{self.locator}: the log has been closed")
        if self.pid != os.getpid() or forks.inherited(self.identity):
            raise LogClosed(
                f"{self.locator}: this process was forked in the middle of using the log, and can't use it safely; "
                "start it with subprocess or multiprocessing's spawn"
            )

    def connect(self) -> Connection:
        """One more connection to the file that was opened first."""
        conn = self.options.connect()
        try:
            self.check()
            durability(conn, self.options.synchronous)
        except BaseException:
            conn.close()
            raise
        return conn


def closed(conn: Connection | None) -> Connection | None:
    """None, *conn* being closed."""
    if conn is not None:
        conn.close()
    return None


def fit(conn: Connection | None, error: BaseException) -> Connection | None:
    """*conn*, unless *error* makes it unfit for further use: then None, it being closed."""
    if isinstance(error, IntegrityError) or busy(error):
        return conn
    with suppress(SqliteError):
        closed(conn)
    return None
