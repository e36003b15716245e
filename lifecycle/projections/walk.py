"""Going through many sessions, a page at a time: all of a log's fit in no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.core.evolve import Session
    from lifecycle.projections import SessionIndex
    from lifecycle.projections.query import Filters

__all__ = ["walk"]

#: sessions fetched at a time
_PAGE: Final = 1000


def walk(
    index: SessionIndex,
    *,
    now: int,
    order: str = "newest",
    after: str | None = None,
    page: int = _PAGE,
    **asked: Unpack[Filters],
) -> Iterator[Session]:
    """What index.list gives, as far as it is wanted."""
    while True:
        found = index.list(now=now, order=order, limit=page, after=after, **asked)
        yield from found
        if len(found) < page:
            return
        after = found[-1].session_id
