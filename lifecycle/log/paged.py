"""The events of one stream, a page at a time: the longest session fits in no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.log.port import EventLog, Recorded

__all__ = ["paged"]

#: events read at a time
_PAGE: Final = 1000


def paged(log: EventLog, stream: str) -> Iterator[Recorded]:
    """The events of *stream*, oldest first, as they stand when it is read; a gap shorter than a page is passed over."""
    version = 0
    while rows := log.read(stream, after=version, until=version + _PAGE):
        yield from rows
        version += _PAGE  # not the last one's: nobody who writes meanwhile is followed
