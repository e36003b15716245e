"""A writer that dies between the statements of one append: at each of them, before and after. Part of ProcessContract.

    python -m lifecycle.testing.log_crashes LOCATOR STREAM      prints what was left after each death, one JSON a line

Every death is that of a process of its own, by os._exit: nothing is flushed, rolled back or closed.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from lifecycle.log.locate import open_log
from lifecycle.log.port import ANY, NewEvent
from lifecycle.testing.log_samples import annotated, new

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["STATEMENTS"]

#: what changes a file or a database, by the names that Python's own functions have
STATEMENTS: Final = frozenset(
    {"commit", "execute", "executemany", "fdatasync", "flush", "fsync", "replace", "truncate", "write"}
)
_DIED: Final = 9
_MOST: Final = 200


def _append_and_die(locator: str, stream: str, batch: list[NewEvent], moment: int) -> None:
    log = open_log(locator)
    seen = 0

    def count(frame: FrameType, event: str, called: Any) -> None:
        nonlocal seen
        if event in ("c_call", "c_return") and getattr(called, "__name__", "") in STATEMENTS:
            seen += 1
            if seen == moment:
                os._exit(_DIED)

    sys.setprofile(count)
    log.append(stream, batch, expected=ANY)
    os._exit(0)


def _main(locator: str, stream: str) -> None:
    for moment in range(1, _MOST):
        batch = [new(annotated(n=moment)), new(annotated(n=moment))]
        child = os.fork()
        if not child:
            try:
                _append_and_die(locator, stream, batch, moment)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        with closing(open_log(locator)) as log:
            left = [row.event_id for row in log.read(stream)][-2:]
            versions = [row.version for row in log.read(stream)]
        there = [event.event_id in left for event in batch]
        print(json.dumps({"moment": moment, "code": code, "there": there, "versions": versions}))  # noqa: T201
        if code != _DIED:
            return


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
