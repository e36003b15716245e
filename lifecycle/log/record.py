"""A Recorded as a row of `events`, and back."""

from __future__ import annotations

from itertools import product
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from lifecycle.errors import LogTampered
from lifecycle.log.port import Cursor, Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLUMNS", "INSERT", "INSERT_PRIVATE", "NAMES", "WIDTH", "recorded", "values"]

#: columns of `events`, in the order in which everything here has them
NAMES: Final = (
    "position",
    "stream",
    "version",
    "event_id",
    "type",
    "schema_version",
    "at",
    "recorded_at",
    "actor",
    "writer",
    "correlation_id",
    "causation_id",
    "data",
    "private_sha256",
    "hash",
)
#: Columns of a query over `events AS e LEFT JOIN private AS p` whose rows recorded() takes.
COLUMNS: Final = ", ".join(f"e.{name}" for name in NAMES) + ", p.body, p.salt"
INSERT: Final = f"INSERT INTO events ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})"
#: columns of an INSERT; the two behind them are the private part
WIDTH: Final = len(NAMES)
INSERT_PRIVATE: Final = "INSERT INTO private (event_id, salt, body) VALUES (?, ?, ?)"

_TEXT: Final = (str,)
_MAYBE: Final = (str, NoneType)
#: every combination of types that a row may have, so that one look tells
_SOUND: Final = frozenset(
    product(
        *((int,), _TEXT, (int,), _TEXT, _TEXT, (int,), (int,), (int,), _TEXT, _TEXT),
        *(_MAYBE, _MAYBE, _TEXT, _MAYBE, _TEXT, _MAYBE, (bytes, NoneType)),
    )
)


def values(row: Recorded) -> tuple[Any, ...]:
    """The parameters of INSERT."""
    return (
        row.position,
        row.stream,
        row.version,
        row.event_id,
        row.type,
        row.schema_version,
        row.at,
        row.recorded_at,
        row.actor,
        row.writer,
        row.correlation_id,
        row.causation_id,
        row.data,
        row.private_sha256,
        row.hash,
    )


def recorded(row: Sequence[Any], locator: str) -> Recorded:
    """The event of a row that COLUMNS gave.

    Raises:
        LogTampered: A column is not of its type: STRICT tables check what is written, not what a failing disk returns.
    """
    kinds = tuple(map(type, row))
    if kinds not in _SOUND:
        found = ", ".join(kind.__name__ for kind in kinds)
        raise LogTampered(locator, f"position {row[0]!r}", expected="the columns' types", found=found)
    return Recorded(
        position=Cursor(row[0]),
        stream=row[1],
        version=row[2],
        event_id=row[3],
        type=row[4],
        schema_version=row[5],
        at=row[6],
        recorded_at=row[7],
        actor=row[8],
        writer=row[9],
        correlation_id=row[10],
        causation_id=row[11],
        data=row[12],
        private_sha256=row[13],
        hash=row[14],
        private=row[15],
        private_salt=row[16],
    )
