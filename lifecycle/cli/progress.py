"""A sign of life on stderr, for what takes longer than a second; only where a person looks at it."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from lifecycle.cli.tables import console

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["working"]

_PATIENCE_S: Final = 1.0


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
