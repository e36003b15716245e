"""The part of verify that holds the read model against what the histories came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lifecycle.core.evolve import evolve
from lifecycle.errors import FutureSchema, UnknownEventType
from lifecycle.log.codec import decode
from lifecycle.projections.maintain import failure_of
from lifecycle.projections.rows import COLUMNS, to_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifecycle.audit.faults import Faults
    from lifecycle.audit.histories import Histories, Stream
    from lifecycle.log.material import Material
    from lifecycle.log.port import EventLog, Recorded

__all__ = ["Listed"]

#: sessions whose rows are compared at a time
_BATCH: Final = 200
_VERSION: Final = COLUMNS.index("version")


@dataclass(slots=True)
class Listed:
    """The list of sessions; `sessions` counts those that were compared."""

    log: EventLog
    look: Material
    faults: Faults
    sessions: int = 0
    #: that have come to their end, and are not compared yet
    ended: list[tuple[str, Stream]] = field(default_factory=list["tuple[str, Stream]"])

    def add(self, name: str, stream: Stream) -> None:
        """A session that has come to its end, to be compared now or later."""
        self.ended.append((name, stream))
        if len(self.ended) >= _BATCH:
            self.compare()

    def compare(self) -> None:
        """Compare the sessions that have come to their end."""
        if not self.ended:
            return
        batch, self.ended = self.ended, []
        self.sessions += len(batch)
        rows = self.look.session_rows([name for name, _ in batch])
        for name, stream in batch:
            self._same(name, stream, rows)

    def compare_rest(self, histories: Histories) -> None:
        """Compare the sessions that have not come to their end, and look for what belongs to none."""
        said = self.look.unreadable()
        for batch in histories.sessions(_BATCH):
            self.sessions += len(batch)
            rows = self.look.session_rows([name for name, _ in batch])
            for name, stream in batch:
                if self._catches_up(name, stream, rows, histories.newer):
                    self._same(name, stream, rows)
        for name, reason in histories.unreadable.items():
            # A newer library keeps the row of a session that it can read.
            if name not in said and name not in histories.newer:
                self.faults.add(
                    where="sessions",
                    what="whether it can be read",
                    expected=reason,
                    found="nothing that says so",
                    stream=name,
                )
        for name, reason in said.items():
            if name not in histories.unreadable:
                self.faults.add(
                    where="sessions", what="whether it can be read", expected="yes", found=reason, stream=name
                )
        for name, found in self.look.derived():
            self.faults.add(
                where="sessions", what="the read model", expected="what the events say", found=found, stream=name
            )

    def _catches_up(
        self, name: str, stream: Stream, rows: Mapping[str, Sequence[object]] | None, newer: dict[str, str]
    ) -> bool:
        """A session may go on while we look: follow it to the version that its row has, if it can be read so far."""
        version = rows[name][_VERSION] if rows is not None and name in rows else None
        since: Sequence[Recorded] = ()
        if isinstance(version, int) and version > stream.version:
            since = self.log.read(name, after=stream.version, until=version)
        try:
            for row in since:
                stream.session = evolve(stream.session, decode(row))
                stream.failure_id = failure_of((row,)) or stream.failure_id
        except (UnknownEventType, FutureSchema) as error:
            newer[name] = str(error)
            return False
        return True

    def _same(self, name: str, stream: Stream, rows: Mapping[str, Sequence[object]] | None) -> None:
        session = stream.session
        assert session is not None  # only sessions are compared
        if rows is None:
            stored = self.log.sessions.get(name)
            if stored != session and (stored is None or stored.version <= session.version):
                self.faults.add(where="sessions", what="the session", expected=session, found=stored, stream=name)
            return
        row = rows.get(name)
        if row is None:
            self.faults.add(where="sessions", what="the row", expected="one", found="none", stream=name)
            return
        replayed = to_row(session, stream.failure_id)
        if replayed == row and [*map(type, replayed)] == [*map(type, row)]:
            return
        for column, ours, theirs in zip(COLUMNS, replayed, row, strict=True):
            if ours != theirs:  # the table is STRICT: what is equal is of one type
                self.faults.add(
                    where="sessions",
                    what=f"the column {column}",
                    expected=ours,
                    found=theirs,
                    stream=name,
                    version=session.version,
                )
