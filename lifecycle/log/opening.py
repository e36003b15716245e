"""Opening a log file: made if need be, recognised, or refused; and what about it is fixed from then on.

Making one is done by one process at a time, and survives being killed anywhere: a file that is empty, or a database
without anything in it, is finished by whoever comes next.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lifecycle.errors import LogUnavailable, LogUnsuitable, ReadOnlyLog
from lifecycle.log.connection import connect, durability, lift, set_journal
from lifecycle.log.driver import SqliteError
from lifecycle.log.faults import busy, needs_writing, refusal, translate
from lifecycle.log.place import make_file, open_lock
from lifecycle.log.schema import check, is_blank, migrate, only_tables, recognize
from lifecycle.log.turnstile import Turnstile, TurnstileTimeout
from lifecycle.log.versions import choose, explain

if TYPE_CHECKING:
    from collections.abc import Generator

    from lifecycle.errors import LifecycleError
    from lifecycle.log.driver import Connection
    from lifecycle.log.place import Place
    from lifecycle.log.versions import Durability, Journal, Synchronous

__all__ = ["RETRY_S", "Opened", "Options", "open_file", "turnstile"]

#: between attempts at what SQLite refuses at once, whatever the timeout
RETRY_S = 0.01


@dataclass(frozen=True, slots=True)
class Options:
    """How a log file is to be opened."""

    place: Place
    create: bool
    read_only: bool
    synchronous: Synchronous
    journal: Journal | None
    timeout_s: float
    #: to be read whatever became of its guards
    damaged: bool = False
    #: the file to read in its stead; lifecycle.log.private_copy says when there is one
    copy: str | None = None

    def connect(self) -> Connection:
        where = self.place if self.copy is None else replace(self.place, path=self.copy)
        return connect(where, read_only=self.read_only, timeout_s=self.timeout_s)


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection to a log of ours, the file it leads to, and how that survives."""

    conn: Connection
    identity: tuple[int, int] | None
    durability: Durability


def turnstile(options: Options) -> Turnstile:
    """The writers' queue of the log."""
    where = options.place
    return Turnstile(where.lock_path, lambda: open_lock(where))


@contextmanager
def _turn(queue: Turnstile, options: Options) -> Generator[None]:
    """This writer's turn in *queue*; LogUnavailable or ReadOnlyLog when it does not come."""
    try:
        queue.acquire(options.timeout_s)
        yield
    except TurnstileTimeout as error:
        raise LogUnavailable(f"{options.place.locator}: {error}") from error
    except OSError as error:
        raise refusal(error, options.place.locator) from error
    finally:
        queue.release()


def open_file(options: Options, queue: Turnstile) -> Opened:
    """The log, opened for reading.

    Raises:
        LogUnsuitable: Not a place for a log, not a log, or a newer one; or this user may not read it, or not write it.
        LogTampered: Its guards are not whole.
        LogUnavailable: It can't be opened now.
    """
    until = time.monotonic() + options.timeout_s
    while True:
        try:
            return _open(options, queue)
        except (SqliteError, UnicodeDecodeError) as error:
            # The first openings of a new file meet locks that SQLite reports at once (reliability.md §1.1).
            if not busy(error) or time.monotonic() > until:
                raise _refused(error, options) from error
            time.sleep(RETRY_S)


def _refused(error: Exception, options: Options) -> LifecycleError:
    """What *error* amounts to. Where permission is missing, trying again is of no use; SQLite says the same of both."""
    locator = options.place.locator
    if needs_writing(error):
        if what := options.place.denied(writing=False):
            return LogUnsuitable(locator, f"can't be read here: {what}")
        if not options.read_only and (what := options.place.denied(writing=True)):
            return ReadOnlyLog(locator, f"can't be written here: {what}; with read_only=True it can be read")
    return translate(error, locator, waited_s=options.timeout_s)


def _open(options: Options, queue: Turnstile) -> Opened:
    where = options.place
    if not where.check(create=options.create):
        _make(options, queue)
    if not options.read_only:
        where.make_writable()
    conn = options.connect()
    try:
        identity = where.identity()
        if is_blank(conn):  # its making was interrupted, or is under way
            if not options.create:
                raise LogUnsuitable(where.locator, "the database is empty")
            conn.close()
            _make(options, queue)
            conn = options.connect()
            identity = where.identity()
        (recognize if options.damaged else check)(conn, where.locator)
        if options.read_only:  # whoever writes makes the read model anew
            only_tables(conn, where.locator)
        found = durability(conn, options.synchronous)
        why = explain(where, found.journal, asked=options.journal, writing=not options.read_only)
    except BaseException:
        conn.close()
        raise
    return Opened(conn, identity, found.because(why))


def _make(options: Options, queue: Turnstile) -> None:
    mode = choose(options.place, options.journal)
    with _turn(queue, options):
        try:
            make_file(options.place)
        except OSError as error:
            raise LogUnsuitable(options.place.locator, f"can't be made: {error.strerror}") from error
        conn = options.connect()
        lift(conn)
        try:
            if is_blank(conn):
                set_journal(conn, mode)
                durability(conn, options.synchronous)
                conn.execute("BEGIN IMMEDIATE")
                migrate(conn)
                conn.execute("COMMIT")
        finally:
            conn.close()
