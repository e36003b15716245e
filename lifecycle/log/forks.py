"""What happens to open logs when the process forks: their connections are closed first, and nothing is inherited.

A child that uses its parent's connection overwrites the parent's events. A child that opens one of its own beside an
inherited one is no better off: SQLite keeps in memory which file locks its process has, the copy says that they are
held, and they are not. The child then writes unprotected, and what it was told is on disk disappears (measured on
3.40.1: the parent closes, and takes the write-ahead log away under the child). So before os.fork the parent closes its
connections, which also keeps its threads out of SQLite meanwhile; both sides open anew when they next need it.

Where that is impossible, because a thread does not come out of SQLite in time, the child's logs refuse to work.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["Forkable", "immortal", "inherited", "poison", "register"]


class Forkable(Protocol):
    """Something that holds SQLite connections and locks."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


_open: weakref.WeakSet[Forkable] = weakref.WeakSet()
#: held through a fork: a log that is opened meanwhile would go into the child as it is, and its parent take what it
#: never closed for closed. Reentrant, for a signal handler in the middle of a fork.
_forking = threading.RLock()
#: who is told of the fork that is under way
_told: list[Forkable] = []
_poisoned: set[tuple[int, int] | None] = set()


def register(log: Forkable) -> None:
    """Have *log* told of forks for as long as it lives; to be said before it opens anything."""
    with _forking:
        _open.add(log)


def poison(identity: tuple[int, int] | None) -> None:
    """Note that this process has inherited an open connection to a file, and can never use that file safely."""
    _poisoned.add(identity)


def inherited(identity: tuple[int, int] | None) -> bool:
    """Whether this process has inherited an open connection to the file."""
    return identity in _poisoned


def immortal(thing: object) -> None:
    """Keep *thing* from ever being freed, at interpreter exit too: freeing a connection closes it."""
    if thing is not None:
        import ctypes  # hardly ever

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _before() -> None:
    _forking.acquire()
    for log in list(_open):
        _told.append(log)
        log.before_fork()


def _in_parent() -> None:
    try:
        for log in _told:
            log.after_fork_in_parent()
    finally:
        _told.clear()
        _forking.release()


def _in_child() -> None:
    global _forking
    for log in list(_open):  # an interrupt may have kept some from being told
        log.after_fork_in_child()
    _told.clear()
    _forking = threading.RLock()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
