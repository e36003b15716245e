"""Following a log, or one session of it: what came since a cursor, then whatever comes; woken by the log's wait()."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lifecycle.audit.history import step
from lifecycle.errors import LogUnavailable
from lifecycle.log.port import Cursor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from lifecycle.audit.history import Step
    from lifecycle.log.port import EventLog, Recorded

__all__ = ["Follower"]

_PAGE: Final = 500
#: sessions whose beginning is remembered, for the offsets
_REMEMBERED: Final = 4096


class Follower:
    """The steps of *log* after the cursor *after*, of one session where *session_id* names it, in log order.

    Only those of *types*, where that is given. `cursor` is that of the last step given: with it another follower goes
    on. `over`: nothing can follow any more, since the session's browser is confirmed gone.
    """

    def __init__(
        self,
        log: EventLog,
        session_id: str | None = None,
        after: Cursor | None = None,
        types: Collection[str] | None = None,
    ) -> None:
        self._log = log
        self._types = types
        self._session_id = session_id
        self._version = 0
        self._began: dict[str, int] = {}
        self._looked_at: Cursor | None = after
        self.cursor = after
        self.over = False

    def ready(self) -> Iterator[Step]:
        """What is there, without waiting."""
        while True:
            found, caught_up = self._page() if self._session_id is None else self._rest()
            for row in found:
                self.cursor = row.position
                yield step(row, self._beginning(row))
            if caught_up:
                return

    def wait(self, timeout_s: float) -> bool:
        """Block until something may have come (True), or *timeout_s* has passed."""
        return self._log.wait(self._looked_at, timeout_s)

    def _page(self) -> tuple[Iterable[Recorded], bool]:
        page = self._log.read_all(self._looked_at, limit=_PAGE, types=self._types)
        self._looked_at = page.cursor
        return page.events, page.caught_up

    def _rest(self) -> tuple[Iterable[Recorded], bool]:
        # Where the log ends is taken first: what comes between the two reads is then found by the next one.
        end = self._log.last(1)
        rows = self._log.read(self._session_id or "", after=self._version, until=self._version + _PAGE)
        caught_up = len(rows) < _PAGE
        if end and caught_up:
            self._looked_at = end[0].position
        if rows:
            self._version = rows[-1].version
            self.over = rows[-1].type == "session.released"
        wanted = (row for row in rows if self._types is None or row.type in self._types)
        return (row for row in wanted if row.position > (self.cursor or 0)), caught_up

    def _beginning(self, row: Recorded) -> int:
        """When the row's session began."""
        if row.version == 1:
            self._began[row.stream] = row.at
        elif row.stream not in self._began:
            first = next(iter(self._log.read(row.stream, until=1)), None)
            if first is None:  # a reader that lags behind the one before it
                raise LogUnavailable(f"the log does not show the first event of {row.stream}, and shows later ones")
            self._began[row.stream] = first.at
        if len(self._began) > _REMEMBERED:
            del self._began[next(iter(self._began))]
        return self._began.get(row.stream, row.at)
