"""What happens to open logs when the process forks: the child never touches what it inherited.

A forked child that uses its parent's connection "commits" at the same place as the parent, and one of the two events is
lost; closing the connection there is as bad. So no thread of ours is inside SQLite while os.fork runs, and the child
puts the inherited connections where nothing ever frees them and opens its own.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Forkable", "immortal", "register"]


class Forkable(Protocol):
    """Something that holds SQLite connections and locks."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


_open: weakref.WeakSet[Forkable] = weakref.WeakSet()


def register(log: Forkable) -> None:
    """Have *log* told of forks for as long as it lives."""
    _open.add(log)


def immortal(thing: object) -> None:
    """Keep *thing* from ever being freed, at interpreter exit too: freeing a connection closes it."""
    if thing is not None:
        import ctypes  # only in forked children

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _before() -> None:
    for log in list(_open):
        log.before_fork()


def _in_parent() -> None:
    for log in list(_open):
        log.after_fork_in_parent()


def _in_child() -> None:
    for log in list(_open):
        log.after_fork_in_child()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
