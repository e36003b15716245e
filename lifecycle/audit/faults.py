"""What verify finds that is not as it was made, kept in the order in which it was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lifecycle.errors import HistoryError, LogTampered

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.log.port import Recorded

__all__ = ["Fault", "Faults", "told"]

#: faults that are kept; more are counted
_KEPT: Final = 100
#: after so many the part is given up: the file is another one
_HOPELESS: Final = 10_000
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is not as it was made; `where` names the part: events, private, sessions, tree, the schema…"""

    where: str
    what: str
    expected: str
    found: str
    stream: str | None = None
    version: int | None = None
    position: int | None = None

    def __str__(self) -> str:
        named = (("stream", self.stream), ("version", self.version), ("position", self.position))
        place = ", ".join(f"{name} {value}" for name, value in named if value is not None)
        return f"{self.where}{f', {place}' if place else ''}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(slots=True)
class Faults:
    """The first hundred, and how many `more` there are."""

    kept: list[Fault] = field(default_factory=list[Fault])
    more: int = 0

    def guarded(self, where: str, step: Callable[[], None]) -> None:
        """Run *step*; a part of the file that can't even be read is a fault, and the other steps go on."""
        try:
            step()
        except _HopelessError:
            return
        except HistoryError as error:
            self.add(where=where, what="it can't be read", expected="intact pages and rows", found=told(error))

    def add(
        self,
        *,
        where: str,
        what: str,
        expected: object,
        found: object,
        row: Recorded | None = None,
        stream: str | None = None,
        version: int | None = None,
        position: int | None = None,
    ) -> None:
        """One more; *row* says where, in place of the last three."""
        if len(self.kept) + self.more >= _HOPELESS:
            raise _HopelessError
        if len(self.kept) == _KEPT:
            self.more += 1
            return
        if row is not None:
            stream, version, position = row.stream, row.version, row.position
        self.kept.append(
            Fault(
                where=where,
                what=what,
                expected=_short(expected),
                found=_short(found),
                stream=stream,
                version=version,
                position=position,
            )
        )


class _HopelessError(Exception):
    """So much is wrong that looking on tells nothing more."""


def told(error: HistoryError) -> str:
    """What *error* found."""
    return error.found if isinstance(error, LogTampered) else str(error)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
