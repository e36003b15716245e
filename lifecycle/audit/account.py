"""One session's history gone through once, and what stands out in it: deadlines and who moved them, who was connected.

Never raises for what it does not know: an event of a newer version counts by its trigger alone, and where even that
can't be, the account ends there and says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lifecycle.audit.history import rows_of, steps
from lifecycle.core import ENDINGS, LIVE, deadline, evolve
from lifecycle.core.evolve import pass_over
from lifecycle.errors import FutureSchema, HistoryError, UnknownEventType
from lifecycle.log.codec import decode

if TYPE_CHECKING:
    from lifecycle.audit.history import Step
    from lifecycle.core import Session
    from lifecycle.log.port import EventLog, Recorded

__all__ = ["OPERATION", "Account", "account", "text_of"]

OPERATION: Final = "session.operation"
_KEPT: Final = 3


@dataclass(slots=True, kw_only=True)
class Account:
    """What a history amounts to. `session` is None when not even its first event can be read."""

    steps: tuple[Step, ...]
    session: Session | None = None
    #: as it stood before its ending, or stands now
    live: Session | None = None
    ending: Step | None = None
    released: Step | None = None
    #: the step that last moved the deadline: the first one, if none did
    moved: Step | None = None
    operations: list[Step] = field(default_factory=list["Step"])
    navigated: Step | None = None
    clients: list[str] = field(default_factory=list[str])
    crashed: Step | None = None
    #: steps that were not weighed, since this version does not know them
    unknown: list[Step] = field(default_factory=list["Step"])
    problem: str | None = None


def account(log: EventLog, session_id: str) -> Account:
    """Go through the session's events.

    Raises:
        UnknownSession: There are none.
    """
    rows = rows_of(log, session_id)
    found = Account(steps=steps(rows))
    for row, step in zip(rows, found.steps, strict=True):
        _see(found, step)
        if found.problem is None:
            try:
                _weigh(found, row, step)
            except HistoryError as error:
                found.problem = str(error)
    return found


def _weigh(found: Account, row: Recorded, step: Step) -> None:
    before = found.session
    try:
        after = evolve(before, decode(row))
    except (UnknownEventType, FutureSchema):
        found.unknown.append(step)
        if before is None:
            raise
        after = pass_over(before, row.type, row.at)
    found.session = after
    if after.status in LIVE:
        found.live = after
        if before is None or deadline(before) != deadline(after):
            found.moved = step


def _see(found: Account, step: Step) -> None:
    match step.type:
        case "session.operation":
            found.operations = [*found.operations, step][-_KEPT:]
        case "session.navigated":
            found.navigated = step
        case "session.page_crashed":
            found.crashed = step
        case "session.client_connected":
            found.clients.append(text_of(step, "client"))
        case "session.client_disconnected":
            if (name := text_of(step, "client")) in found.clients:
                found.clients.remove(name)
        case "session.released":
            found.released = step
        case _ if step.type in ENDINGS and found.ending is None:
            found.ending = step
        case _:
            pass


def text_of(step: Step, name: str) -> str:
    """A field of the step as text; empty where there is none."""
    value = step.data.get(name)
    return "" if value is None else str(value)
