"""A session straight from its stored events: what fold makes of the decoded ones, without decoding them.

Most events are notes, and most of those accesses: they move three numbers, and pass here in one loop. It takes an event
only where it can see that evolve would; everything else, and every refusal, is evolve's. Whether that is the same is
proved in tests/log/test_loading.py.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lifecycle.core.deadlines import deadline
from lifecycle.core.events import MAX_TIME, SessionAccessed, SessionFailed, SessionOperation
from lifecycle.core.evolve import Session, draft, evolve, pass_notes, step
from lifecycle.core.machine import LOOKUP
from lifecycle.core.states import State, Trigger
from lifecycle.errors import IllegalHistory
from lifecycle.log.codec import typed
from lifecycle.log.outline import NOTES, outline
from lifecycle.log.record import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lifecycle.log.port import Recorded

__all__ = ["FACT", "Fact", "fact", "fact_of", "load"]

#: in place of the type of an access in its first shape: a small number is read and compared faster than a text
_ACCESS: Final = 1
_OPERATION: Final = SessionOperation.type
_covers_access: Final = NOTES[SessionAccessed.type]

#: type, at, public text, schema version, and the private text where it is needed
Fact: TypeAlias = tuple[str | int, int, str, int, str | None]
#: Columns of a query over `events AS e` whose rows are Facts.
FACT: Final = (
    f"CASE WHEN e.type = '{SessionAccessed.type}' AND e.schema_version = 1 THEN {_ACCESS} ELSE e.type END,"
    f" e.at, e.data, e.schema_version, CASE WHEN e.type = '{SessionFailed.type}' THEN"
    " (SELECT body FROM private AS p WHERE p.event_id = e.event_id) END"
)
_TYPE, _SCHEMA_VERSION, _AT, _DATA = (NAMES.index(name) for name in ("type", "schema_version", "at", "data"))
_BODY: Final = len(NAMES)
#: where a note changes nothing but what it says itself
_NOTED: Final = frozenset(state for state in State if LOOKUP.get((state, Trigger.NOTE)) is state)


def fact(row: Recorded) -> Fact:
    """*row* as FACT gives it."""
    access = row.type == SessionAccessed.type and row.schema_version == 1
    private = row.private if row.type == SessionFailed.type else None
    return (_ACCESS if access else row.type, row.at, row.data, row.schema_version, private)


def fact_of(row: Sequence[Any]) -> Fact:
    """A row of lifecycle.log.record.COLUMNS as FACT gives it."""
    name, schema_version = row[_TYPE], row[_SCHEMA_VERSION]
    if name == SessionAccessed.type and schema_version == 1:
        return _ACCESS, row[_AT], row[_DATA], schema_version, None
    return name, row[_AT], row[_DATA], schema_version, row[_BODY] if name == SessionFailed.type else None


def load(stream: str, facts: Iterable[Fact], since: Session | None = None) -> Session | None:
    """The session after *facts*, oldest first, which follow on *since*; *since* when there are none.

    Raises:
        HistoryError: As decode and evolve; or it is another session's history.
    """
    own: Session | None = None
    rest = iter(facts)
    told = next(rest, None)
    if told is not None and since is not None:
        own = draft(since)
    while told is not None:
        if own is not None and (told[0] == _ACCESS or told[0] in NOTES) and own.status in _NOTED:
            told = _pass(own, told, rest)
            if told is None:
                break
        kind, at, text, schema_version, private = told
        name = SessionAccessed.type if kind == _ACCESS else str(kind)
        event = outline(name, schema_version, at, text)
        if event is None:
            version = 1 if own is None else own.version + 1
            event = typed(name, schema_version, at, text, private, stream, version)
        if own is None:
            own = evolve(None, event)
        else:
            step(own, event)
        told = next(rest, None)
    if own is None:
        return since
    if own.session_id != stream:
        raise IllegalHistory(stream, 1, f"the history of {own.session_id}")
    return own


def _pass(session: Session, first: Fact, rest: Iterator[Fact]) -> Fact | None:
    """Bring *session*, a draft, past notes; the first event that is not plainly one that evolve takes, if any."""
    created_at, last_at, seen = session.created_at, session.last_at, session.last_accessed_at
    longest = min(created_at + session.limits.max_duration_us, MAX_TIME)
    least = min(session.extended_until or 0, MAX_TIME)
    idle, ends = session.limits.idle_timeout_us, deadline(session)
    count, left = 0, None
    for told in chain((first,), rest):
        kind, at, text, schema_version, _ = told
        try:
            if not last_at <= at < ends:
                left = told
                break
            if kind == _ACCESS:
                if (found := _covers_access(text)) is None or not created_at <= (used := int(found[1])) <= at:
                    left = told
                    break
            elif schema_version == 1 and (covers := NOTES.get(str(kind))) and covers(text):
                used = at if kind == _OPERATION else 0
            else:
                left = told
                break
        except TypeError:  # not of its column's type: a disk that fails
            left = told
            break
        count += 1
        last_at = at
        if used > seen:
            seen = used
            if idle is not None:
                ends = seen + idle  # then as core.deadlines has it, in plain comparisons
                if ends > longest:
                    ends = longest
                if ends < least:
                    ends = least
    pass_notes(session, count, last_at, seen)
    return left
