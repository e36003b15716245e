"""The process under the shim: appends a small history in a fork of its own for each moment, and tells what was left.

LD_PRELOAD=shim.so python -m tests.chaos.victim FOLDER JOURNAL SYNCHRONOUS MODE EVERY     one JSON line per moment
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from pathlib import Path
from typing import Final

from lifecycle.errors import LogUnavailable
from lifecycle.log import SqliteLog, checkpoint
from lifecycle.log.port import ANY, NewEvent
from lifecycle.testing.log_samples import annotated, closed, created, navigated, new, released, started
from tests.chaos.check import whole

MODES: Final = {
    # name: (mode of the shim, errno, syncs only)
    "killed": (1, 0, 0),
    "torn": (2, 0, 0),
    "EIO once": (3, errno.EIO, 0),
    "EIO for ever": (4, errno.EIO, 0),
    "ENOSPC once": (3, errno.ENOSPC, 0),
    "ENOSPC for ever": (4, errno.ENOSPC, 0),
    "EIO in a sync": (3, errno.EIO, 1),
    "recorded": (5, 0, 0),
}
#: An append session of these makes fewer operations; a failed one can't say that it was the last.
LAST: Final = 370
SHIM: Final = ctypes.CDLL(None)


def batches() -> list[list[NewEvent]]:
    """A whole session, and enough text to cut a small write-ahead log on the way."""
    events = [[new(created("s-1")), new(started())], [new(annotated(text="x" * 9000))], [new(navigated())]]
    events += [[new(annotated(n=n, text="y" * 900))] for n in range(3)]
    return [*events, [new(closed())], [new(released())]]


def arm(path: Path, mode: str, moment: int, fd: int = -1) -> None:
    number, error, syncs = MODES[mode]
    SHIM.chaos_arm(os.fsencode(path), number, ctypes.c_long(moment), error, syncs, fd)


def append_all(path: Path, synchronous: str, work: list[list[NewEvent]], tell: int) -> None:
    """Append batch after batch; each acknowledged id goes to *tell*. A refused one is tried once more."""
    checkpoint.WAL_LIMIT_BYTES = 100 * 1024  # type: ignore[misc] # pyright: ignore[reportConstantRedefinition] # cut often
    with SqliteLog(path, synchronous=synchronous) as log:  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        for batch in work:
            for _ in range(2):
                try:
                    log.append("s-1", batch, expected=log.head("s-1"))
                except LogUnavailable:
                    continue
                os.write(tell, "".join(f"a 0 0 {event.event_id}\n" for event in batch).encode())
                break
            else:
                return


def resolve(log: SqliteLog, untold: list[list[NewEvent]], told: int) -> tuple[bool, list[str]]:
    """Write the first of the *untold* batches again, whether it stands or not; and how that went wrong."""
    if not untold:
        return False, []
    batch = untold[0]
    log.append("s-1", batch, expected=ANY)
    rows = log.read("s-1")
    once = [row.event_id for row in rows[told:]] == [event.event_id for event in batch]
    return True, [] if once else [f"doubt: {len(rows)} events after {told} told and {len(batch)} written again"]


def moments(folder: Path, journal: str, synchronous: str, mode: str, every: int) -> None:
    """Every *every*-th moment until one passes without anything having happened."""
    for moment in range(1, 2000, every):
        path = folder / f"{moment}" / "log.db"
        path.parent.mkdir()
        SqliteLog(path, journal=journal).close()  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        work, (hear, tell) = batches(), os.pipe()
        child = os.fork()
        if not child:
            try:
                arm(path, mode, moment)
                append_all(path, synchronous, work, tell)
                os._exit(0)
            except BaseException:
                os._exit(4)
        os.close(tell)
        with open(hear) as lines:
            told = {line.split()[3] for line in lines}
        _, status = os.waitpid(child, 0)
        attempted = {event.event_id for batch in work for event in batch}
        wrong = whole(path, told, attempted)
        with SqliteLog(path) as log:
            stored = log.head("s-1")
            doubt, unresolved = resolve(log, [batch for batch in work if batch[0].event_id not in told], len(told))
        print(
            json.dumps(
                {
                    "moment": moment,
                    "code": os.waitstatus_to_exitcode(status),
                    "told": len(told),
                    "stored": stored,
                    "all": len(attempted),
                    "doubt": doubt,
                    "wrong": wrong + unresolved,
                }
            ),
            flush=True,
        )
        if mode in ("killed", "torn") and status == 0:
            return
        if mode not in ("killed", "torn") and moment > LAST:
            return


def record(path: Path, journal: str, synchronous: str, to: Path) -> None:
    """One run whose every operation is written down, and every acknowledgement between them."""
    SqliteLog(path, journal=journal).close()  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    (to.parent / "before").write_bytes(path.read_bytes())
    fd = os.open(to, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    child = os.fork()
    if not child:
        arm(path, "recorded", 0, fd)
        append_all(path, synchronous, batches(), fd)
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    if sys.argv[4] == "recorded":
        record(Path(sys.argv[1]) / "log.db", sys.argv[2], sys.argv[3], Path(sys.argv[1]) / "operations")
    else:
        moments(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
