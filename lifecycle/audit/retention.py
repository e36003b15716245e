"""Forgetting what is private, and closing a log for good: the only acts on a log that are not a session's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle.audit.checkpoint import checkpoint
from lifecycle.errors import InvalidConfig, LifecycleError, LogUnsuitable
from lifecycle.log.codec import decode
from lifecycle.log.locate import open_log
from lifecycle.log.place import place
from lifecycle.log.port import NO_STREAM, NewEvent
from lifecycle.log.receipts import STREAM, LogContinued, LogForgotten, LogSealed
from lifecycle.log.sqlite import SqliteLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.audit.note import Checkpoint, SigningKey
    from lifecycle.core.events import Event
    from lifecycle.log.place import Place
    from lifecycle.log.port import EventLog

__all__ = ["Forgotten", "forget", "seal"]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`rows` private parts were deleted now. `scrubbed`: overwritten in the file, and none is left beside it."""

    session_id: str
    rows: int
    scrubbed: bool


def forget(log: EventLog, session_id: str, receipt: Callable[[Event], NewEvent]) -> Forgotten:
    """Delete what is private in the events of a session that has ended, and record that in the stream `log`.

    Hashes, status and proofs are what they were. Not `scrubbed`: somebody read the log at that moment, and old pages
    stay in the write-ahead log until it is called again. Backups and exports keep what they have.

    Raises:
        UnknownSession, LogUnsuitable: No such session; it has not ended, or the log is no file.
        LogUnavailable: Nothing was deleted; trying again is safe.
    """
    if not isinstance(log, SqliteLog):
        raise LogUnsuitable(log.locator, "is no file")
    deleted = 0

    def made(through: int, rows: int) -> NewEvent:
        nonlocal deleted
        deleted = rows
        return receipt(LogForgotten(session_id=session_id, through_version=through, rows=rows))

    scrubbed = log.forget(session_id, made)
    return Forgotten(session_id, deleted, scrubbed)


def seal(
    log: EventLog,
    key: SigningKey,
    receipt: Callable[[Event], NewEvent],
    following: str | os.PathLike[str] | None = None,
) -> Checkpoint:
    """Close *log* for good, and sign what it holds; that checkpoint is the first event of the new log *following*.

    Afterwards it takes nothing but receipts of what is forgotten. A sealed log is sealed again without a change, and
    never gets a second log that follows it: *following* must be what it was the first time, and is made, or given its
    first event, where an interrupt came before that.

    Raises:
        LogUnsuitable: A session lives, the log is no file, *following* can't be made, or the log is sealed and another
            one follows it, or none. Nothing was done.
        InvalidConfig: *following* is there already. Nothing was done.
    """
    if not isinstance(log, SqliteLog):
        raise LogUnsuitable(log.locator, "is no file")
    sealed = next((decode(row) for row in log.read(STREAM) if row.type == LogSealed.type), None)
    wanted = None if following is None else _from(log, following)
    again = isinstance(sealed, LogSealed) and wanted == sealed.following
    if following is not None and os.path.exists(following) and not (again and _begun(following)):
        raise InvalidConfig("following", os.fspath(following), "a file that is not there yet")
    if sealed is None:
        if following is not None:
            _check_directory(place(following))  # first: what is sealed can't be told to go on elsewhere
        log.seal(receipt(LogSealed(sessions=log.sessions.count(now=0), following=wanted)))
    elif isinstance(sealed, LogSealed) and wanted not in (None, sealed.following):
        what = f"{sealed.following} follows it" if sealed.following else "no log follows it"
        raise LogUnsuitable(log.locator, f"was sealed before, and {what}")
    signed = checkpoint(log, key)
    if following is not None:
        opened = open_log(following)
        try:
            opened.append(STREAM, [receipt(LogContinued(note=signed.text))], expected=NO_STREAM)
        finally:
            opened.close()
    return signed


def _check_directory(where: Place) -> None:
    where.check(create=True)
    if not os.access(os.path.dirname(where.path), os.W_OK | os.X_OK):
        raise LogUnsuitable(where.locator, "can't be made: its directory can't be written")


def _begun(following: str | os.PathLike[str]) -> bool:
    """Whether it is a log without an event, as an interrupted seal() leaves it."""
    try:
        opened = open_log(following)
    except LifecycleError:
        return False
    try:
        return not opened.last(1)
    finally:
        opened.close()


def _from(log: SqliteLog, following: str | os.PathLike[str]) -> str:
    """The path of *following* from the directory of *log*: it holds when both are moved."""
    here = os.path.dirname(log.locator.removeprefix("sqlite:"))
    return os.path.relpath(place(following).path, here)
