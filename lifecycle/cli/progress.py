"""A sign of life on stderr, for what takes longer than a second; only where a person looks at it."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from lifecycle.cli.tables import console

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

__all__ = ["working", "working_on"]

_PATIENCE_S: Final = 1.0

_T = TypeVar("_T")


@contextmanager
def working(what: str) -> Generator[None]:
    """While the block runs, and once it has run for a second: *what*, with something that turns."""
    if not sys.stderr.isatty():
        yield
        return
    status = console(stderr=True).status(what)
    begin = threading.Timer(_PATIENCE_S, status.start)
    begin.daemon = True
    begin.start()
    try:
        yield
    finally:
        begin.cancel()
        begin.join()
        status.stop()


def working_on(what: str, found: Iterable[_T]) -> Iterator[_T]:
    """*found*, with working() while its reader waits; output on the same terminal shows by itself that it goes on."""
    left = iter(found)
    if not sys.stdout.isatty():
        with working(what):
            yield from left
        return
    end = object()
    while True:
        with working(what):
            one = next(left, end)
        if one is end:
            return
        yield one  # type: ignore[misc]  # not the end
