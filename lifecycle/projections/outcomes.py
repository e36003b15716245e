"""Status, cause and duration of every session straight from the events: by an SQL statement made from the table.

No payload is read but an ending's cause, no list of sessions is looked at, and nobody who writes has to wait. It holds
for legal histories, which is what append lets in; `rebuild` and verify are who check legality. Each ending leads to one
state wherever it is legal, so the one ending that a history can have tells the state; without one, `started` does.
tests/projections/test_outcomes.py holds it against fold, and the lookup against the Machine (tests/core).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from lifecycle.core.events import Cause, SessionCreated, SessionStarted
from lifecycle.core.evolve import ENDINGS, leads_to
from lifecycle.core.states import State
from lifecycle.errors import LogTampered
from lifecycle.projections.table import ended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.core.evolve import Session

__all__ = ["OUTCOMES", "Outcome", "of_session", "of_text", "parts"]


class Outcome(NamedTuple):
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

#: The sessions created in a range of positions, as the events up to one position leave them: one line of text each.
#: Its parameters, as parts() gives them: that position twice, the one before the range, the last of the range. What
#: stands that far in the log never changes, so parts that are read side by side, or later, show one moment. Text,
#: because SQLite then works through a whole part without coming back to Python, and lets go of its lock meanwhile.
OUTCOMES: Final = f"""SELECT group_concat(
    first.stream || ' ' || CASE last.type {_STATUS} ELSE CASE WHEN EXISTS (
        SELECT 1 FROM events AS s
        WHERE s.stream = first.stream AND s.type = '{SessionStarted.type}' AND s.position <= ?
    ) THEN '{leads_to(SessionStarted.type)}' ELSE '{State.CREATED.value}' END END
    || ' ' || coalesce(CASE last.type {_CAUSE} END, '') || ' ' || first.at || ' ' || coalesce(last.at, ''), '\n')
FROM events AS first NOT INDEXED
LEFT JOIN events AS last ON last.stream = first.stream AND {ended("last.type")} AND last.position <= ?
WHERE first.position > ? AND first.position <= ? AND first.version = 1 AND first.type = '{SessionCreated.type}'"""

#: positions of one part: it is worked through in some hundredths of a second
_PART: Final = 20_000
_STATES: Final = {state.value: state for state in State}
_CAUSES: Final[dict[str, Cause | None]] = {"": None, **{cause.value: cause for cause in Cause}}


def parts(end: int) -> Iterator[tuple[int, int, int, int]]:
    """The parameters of OUTCOMES for all parts of a log whose last position is *end*."""
    return ((end, end, after, min(after + _PART, end)) for after in range(0, end, _PART))


def of_text(text: str | None) -> Iterator[Outcome]:
    """The outcomes of what OUTCOMES gave.

    Raises:
        LogTampered: An ending has no cause that this library knows, or none at all.
    """
    for line in text.split("\n") if text else ():
        try:
            session_id, status, cause, created_at, closed_at = line.split(" ")
            yield Outcome(
                session_id, _STATES[status], _CAUSES[cause], int(created_at), int(closed_at) if closed_at else None
            )
        except (KeyError, ValueError):
            raise LogTampered("events", "an ending", expected="a cause", found=line[:200]) from None


def of_session(session: Session) -> Outcome:
    """The outcome of a session that was folded."""
    return Outcome(session.session_id, session.status, session.cause, session.created_at, session.closed_at)
