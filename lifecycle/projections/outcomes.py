"""Status, cause and duration of every session straight from the events: in one SQL statement made from the table.

No payload is read but an ending's cause, no list of sessions is looked at, and nobody who writes has to wait. It holds
for legal histories, which is what append lets in; `rebuild` and verify are who check legality. Each ending leads to one
state wherever it is legal, so the one ending that a history can have tells the state; without one, `started` does.
tests/projections/test_outcomes.py holds it against fold, and the lookup against the Machine (tests/core).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lifecycle.core.events import Cause, SessionCreated, SessionStarted
from lifecycle.core.evolve import ENDINGS, leads_to
from lifecycle.core.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.core.evolve import Session

__all__ = ["OUTCOMES", "Outcome", "of_row", "of_session"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a session. Times in µs since the epoch; cause and closed_at are None while it has no ending."""

    session_id: str
    status: State
    cause: Cause | None
    created_at: int
    closed_at: int | None

    @property
    def duration_us(self) -> int | None:
        """How long it lived; None while it has no ending."""
        return None if self.closed_at is None else self.closed_at - self.created_at


_STATUS: Final = " ".join(f"WHEN '{name}' THEN '{leads_to(name)}'" for name in ENDINGS)
_CAUSE: Final = " ".join(f"WHEN '{name}' THEN json_extract(last.data, '$.{field}')" for name, field in ENDINGS.items())
_ENDINGS: Final = ", ".join(f"'{name}'" for name in ENDINGS)

#: one pass over the events; an ending is found by its own unique index
OUTCOMES: Final = f"""SELECT first.stream,
    CASE last.type {_STATUS} ELSE CASE WHEN EXISTS (
        SELECT 1 FROM events AS s WHERE s.stream = first.stream AND s.type = '{SessionStarted.type}'
    ) THEN '{leads_to(SessionStarted.type)}' ELSE '{State.CREATED.value}' END END,
    CASE last.type {_CAUSE} END,
    first.at,
    last.at
FROM events AS first NOT INDEXED
LEFT JOIN events AS last ON last.stream = first.stream AND last.type IN ({_ENDINGS})
WHERE first.version = 1 AND first.type = '{SessionCreated.type}'"""


def of_row(row: Sequence[Any]) -> Outcome:
    """The outcome of a row of OUTCOMES."""
    session_id, status, cause, created_at, closed_at = row
    return Outcome(session_id, State(status), None if cause is None else Cause(cause), created_at, closed_at)


def of_session(session: Session) -> Outcome:
    """The outcome of a session that was folded."""
    return Outcome(session.session_id, session.status, session.cause, session.created_at, session.closed_at)
