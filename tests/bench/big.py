"""Logs of any size, fast: rows as append writes them, hashes included, put in by the way of `lifecycle import`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lifecycle.client.system import Uuid7
from lifecycle.errors import LogTampered
from lifecycle.log import SqliteLog
from lifecycle.log.codec import FIRST, commitment, encode, stored_hash
from lifecycle.log.record import NAMES, recorded
from lifecycle.testing.log_samples import SECOND, T0, accessed, closed, created, released, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lifecycle.core import Event
    from lifecycle.log.port import Recorded

__all__ = ["KEPT", "LARGE", "LIFE", "grow", "kept_log", "lives"]

#: where large logs stay
KEPT: Final = Path(__file__).parents[2] / "build" / "growth"
#: so many events are made once only
LARGE: Final = 1_000_000

LIFE: Final = 5
#: so many live at once: their events lie between each other's
_TOGETHER: Final = 200
#: of so many sessions one goes on living
_ALIVE: Final = 10
_PORTION: Final = 20_000
_HASH: Final = NAMES.index("hash")
_NAME: Final = "NAME"
_AT: Final = 1_234_567_890_123_456


def _template(event: Event) -> tuple[str, int, str, str | None]:
    encoded = encode(event)
    return event.type, event.schema_version, encoded.data, encoded.private


_STEPS: Final = tuple(
    _template(event) for event in (created(_NAME), started(_AT), accessed(_AT), closed(_AT), released(_AT))
)


def lives(events: int, after: int = 0) -> Iterator[Recorded]:
    """At least *events* rows after position *after*, whole sessions of five events but for those that still live."""
    ids = Uuid7()
    position = after
    while position < after + events:
        began = T0 + position * SECOND // 1000
        names = [ids.new() for _ in range(_TOGETHER)]
        hashes = [FIRST] * _TOGETHER
        for step, (kind, schema_version, text, private) in enumerate(_STEPS):
            at = began + step * SECOND
            for number, name in enumerate(names):
                if step > 1 and number % _ALIVE == 0:
                    continue
                position += 1
                data = text.replace(_NAME, name).replace(str(_AT), str(at))
                salt = os.urandom(16) if private else None
                hidden = commitment(salt, private) if salt and private else None
                row = (
                    *(position, name, step + 1, ids.new(), kind, schema_version, at, at + 250),
                    *("tester", "w-1", "c-1", None, data, hidden, "", private, salt),
                )
                hashed = stored_hash(row, hashes[number])
                assert hashed is not None
                hashes[number] = hashed
                yield recorded((*row[:_HASH], hashed, private, salt), "log")


def grow(log: SqliteLog, to: int, progress: Callable[[int, int], None] | None = None) -> int:
    """Add to *log* until it holds about *to* events, and list its sessions; how many events it holds then."""
    last = log.last(1)
    there = last[-1].position if last else 0
    portion: list[Recorded] = []
    for row in lives(to - there, there) if there < to else ():
        portion.append(row)
        if len(portion) == _PORTION:
            log.restore(portion)
            portion = []
            if progress is not None:
                progress(row.position, to)
    if portion:
        log.restore(portion)
    if there < to:
        log.sessions.rebuild(progress)
    return log.last(1)[0].position


def kept_log(size: int, progress: Callable[[int, int], None] | None = None, directory: Path = KEPT) -> SqliteLog:
    """The log of about *size* events in *directory*; made, or made larger, where it is not there yet.

    One that another version of this library made, with other guards, is made anew.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{size}.db"
    try:
        log = SqliteLog(path, synchronous="NORMAL")
    except LogTampered:
        for part in ("", "-wal", "-shm"):
            path.with_name(path.name + part).unlink(missing_ok=True)
        log = SqliteLog(path, synchronous="NORMAL")
    try:
        grow(log, size, progress)
    except BaseException:
        log.close()
        raise
    return log
