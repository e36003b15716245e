"""What SQLite's errors mean to a caller: one of our own classes, with the path and what to do about it."""

from __future__ import annotations

import errno
import threading
from typing import Final

from lifecycle.errors import LifecycleError, LogTampered, LogUnavailable, NotALog, ReadOnlyLog
from lifecycle.log.driver import sqlite3

__all__ = ["busy", "full", "interrupted", "needs_writing", "refusal", "translate", "uncertain"]

# Primary result codes (sqlite.org/rescode.html): the low byte of an extended one.
_PERM, _BUSY, _LOCKED, _NOMEM, _READONLY, _INTERRUPT, _IOERR = 3, 5, 6, 7, 8, 9, 10
_FULL, _CANTOPEN, _PROTOCOL, _AUTH, _NOTADB = 13, 14, 15, 23, 26
# SQLITE_IOERR_SHMOPEN, _SHMSIZE and _SHMMAP: the file of locks that WAL needs beside the log.
_SHM: Final = tuple(_IOERR | detail << 8 for detail in (18, 19, 21))

_TRANSIENT: Final = {
    _NOMEM: "out of memory",
    _INTERRUPT: "the operation was interrupted",
    _IOERR: "the disk refused (full, over quota, or failing)",
    _FULL: "the disk is full",
    _PROTOCOL: "the locks could not be taken",
}


def _code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def interrupted(error: BaseException) -> bool:
    """Whether *error* is what SQLite made of an interrupt.

    An exception that a signal handler raises while SQLite asks our authorizer is swallowed there and counts as a
    denial. Our own statements are never denied otherwise, and only the main thread runs signal handlers.
    """
    return _code(error) == _AUTH and threading.current_thread() is threading.main_thread()


def busy(error: BaseException) -> bool:
    """Whether somebody else's lock is in the way: worth another try until the time is over."""
    return _code(error) in (_BUSY, _LOCKED, _PROTOCOL)


def full(error: BaseException) -> bool:
    """Whether there is no room for what was to be written."""
    return _code(error) == _FULL


def needs_writing(error: BaseException | None) -> bool:
    """Whether reading failed since SQLite has to write beside the file: -wal and -shm, or to bring a journal back.

    On a full disk -shm can't be given its size.
    """
    if error is None:
        return False
    return _code(error) in (_READONLY, _CANTOPEN, _PERM, _FULL) or getattr(error, "sqlite_errorcode", 0) in _SHM


def uncertain(error: BaseException) -> bool:
    """Whether a commit that raised *error* may nevertheless have happened."""
    return _code(error) in (_IOERR, _FULL, _NOMEM, _INTERRUPT, _BUSY, _PROTOCOL, _CANTOPEN)


def translate(
    error: Exception, locator: str, *, waited_s: float | None = None, writing: bool = False
) -> LifecycleError:
    """The error of ours that *error* amounts to; raise it `from` the original."""
    code, said = _code(error), f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    if busy(error):
        waited = f" for {waited_s:.1f} s" if waited_s is not None else ""
        return LogUnavailable(f"{locator}: another process has kept the log locked{waited}: {said}")
    if code in _TRANSIENT:
        return LogUnavailable(f"{locator}: {_TRANSIENT[code]}: {said}; nothing was acknowledged, trying again is safe")
    if code in (_READONLY, _PERM) and writing:
        return ReadOnlyLog(locator, f"can be read here but not written: {said}")
    if code in (_READONLY, _PERM):
        return LogUnavailable(
            f"{locator}: can't be read here: {said}; a log in WAL mode can be read where its -wal and -shm files are, "
            "or can be made, and with read_only=True from a private copy"
        )
    if code == _CANTOPEN:
        return LogUnavailable(f"{locator}: can't be opened: {said}; check that the directory exists and may be written")
    if code == _NOTADB:
        return NotALog(locator, f"is not a SQLite database: {said}")
    if isinstance(error, sqlite3.ProgrammingError):
        return LogUnavailable(f"{locator}: the connection can't be used: {said}")
    return LogTampered(locator, "the file", expected="intact pages and text", found=said)


def refusal(error: OSError, locator: str) -> LogUnavailable | ReadOnlyLog:
    """The error of ours for a file or directory beside the log that can't be made or opened."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnlyLog(locator, f"can't be written here: {error.filename}: {error.strerror}")
    return LogUnavailable(f"{locator}: {error.filename}: {error.strerror}")
