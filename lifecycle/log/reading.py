"""The reading side of a log file: one connection, whose every use is one SELECT to its end."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from lifecycle.log import forks
from lifecycle.log.driver import SqliteError
from lifecycle.log.faults import busy, interrupted, translate
from lifecycle.log.handle import closed, fit
from lifecycle.log.opening import RETRY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from lifecycle.log.driver import Connection
    from lifecycle.log.handle import Handle

__all__ = ["Reading"]

T = TypeVar("T")


class Reading:
    """Reads from the file of *handle*. Threads take turns."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.lock = threading.Lock()
        self.conn: Connection | None = None

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one SELECT. No cursor and no transaction stay open behind it.

        Raises:
            LogUnavailable, LogTampered, NotALog: As lifecycle.log.faults reads SQLite's error.
        """
        return self.look(lambda conn: conn.execute(sql, values).fetchall())

    def look(self, at: Callable[[Connection], T]) -> T:
        """What *at* finds on the connection; it reads, and leaves no cursor and no transaction open. Errors as ask."""
        handle = self._handle
        began = time.monotonic()
        while True:
            with self.lock:
                handle.check()
                try:
                    if self.conn is None:
                        self.conn = handle.connect()
                    return at(self.conn)
                except (SqliteError, UnicodeDecodeError) as error:
                    if interrupted(error):
                        raise KeyboardInterrupt from error
                    waited = time.monotonic() - began
                    if not busy(error) or waited >= handle.options.timeout_s:
                        self.conn = fit(self.conn, error)
                        raise translate(error, handle.locator, waited_s=waited) from error
            time.sleep(RETRY_S)

    @contextmanager
    def held(self) -> Generator[Connection]:
        """The connection, for more than one SELECT: whoever holds it leaves no transaction open. Errors as ask."""
        handle = self._handle
        with self.lock:
            handle.usable()
            try:
                if self.conn is None:
                    self.conn = handle.connect()
                yield self.conn
            except (SqliteError, UnicodeDecodeError) as error:
                raise translate(error, handle.locator) from error

    def close(self, timeout_s: float) -> None:
        """Close the connection, once the call that is under way has ended, or *timeout_s* is over."""
        if self.lock.acquire(timeout=timeout_s):
            try:
                self.conn = closed(self.conn)
            finally:
                self.lock.release()

    def before_fork(self, timeout_s: float) -> bool:
        """Close the connection and keep everybody out; whether that worked in time."""
        if not self.lock.acquire(timeout=timeout_s):
            return False
        self.conn = closed(self.conn)
        return True

    def after_fork(self) -> None:
        """In the child: begin anew, and leave alone what the parent left open."""
        forks.immortal(self.conn)
        self.conn = None
        self.lock = threading.Lock()
