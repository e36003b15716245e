"""Writes the histories of a release, `python -m tests.histories.record NAME`; never over a file that is there.

One session for every cause, and one with every kind of note, no field left out; the log's own receipts too.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from typing import Final, get_args

from lifecycle.audit.export import export
from lifecycle.core import Cause, Event
from lifecycle.core.events import (
    NOTES,
    ClosedCause,
    FailedCause,
    SessionClosed,
    SessionCreated,
    SessionFailed,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
)
from lifecycle.log import ANY, MemoryLog, NewEvent
from lifecycle.log.receipts import LogForgotten
from lifecycle.testing.samples import IDLE, LONGEST, SAMPLES, SECOND, T0

HERE: Final = Path(__file__).parent
_ids = count(1)


def _sample(kind: type[Event], at: int, **changed: object) -> Event:
    found = next(sample for sample in SAMPLES if type(sample) is kind)
    return found.model_copy(update={"at": at, **changed})


def _ending(cause: Cause, at: int) -> Event:
    if cause in get_args(ClosedCause):
        return _sample(SessionClosed, at + 60 * SECOND, cause=cause)
    if cause in get_args(FailedCause):
        return _sample(SessionFailed, at + 60 * SECOND, cause=cause)
    return SessionTimedOut(at=at + SECOND + IDLE if cause is Cause.IDLE else at + LONGEST, rule=cause)  # type: ignore[arg-type]  # a TimeoutRule


def _timed(note: Event, at: int) -> dict[str, int]:
    """The times in the note itself, in this session's."""
    fields = {"last_at": at + SECOND, "until": at + 2 * LONGEST}
    return {name: value for name, value in fields.items() if name in type(note).model_fields}


def _history(name: str, at: int, cause: Cause | None) -> list[Event]:
    begun: list[Event] = [_sample(SessionCreated, at, session_id=name)]
    if cause is Cause.MAX_DURATION:  # without an idle limit
        limits = begun[0].limits.model_copy(update={"idle_timeout_us": None})  # type: ignore[attr-defined]  # created
        begun = [begun[0].model_copy(update={"limits": limits})]
    if cause is Cause.LAUNCH_FAILED:
        return [*begun, _ending(cause, at), _sample(SessionReleased, at + 61 * SECOND, how="never_started")]
    begun.append(_sample(SessionStarted, at + SECOND))
    if cause is None:
        notes = [_sample(kind, at + SECOND + number) for number, kind in enumerate(NOTES, start=1)]
        return [*begun, *(note.model_copy(update=_timed(note, at)) for note in notes)]
    ending = _ending(cause, at)
    return [*begun, ending, _sample(SessionReleased, ending.at + SECOND)]


def _new(event: Event) -> NewEvent:
    number = next(_ids)
    return NewEvent(
        event_id=f"0197b3a0-0000-7000-8000-{number:012x}",
        event=event,
        actor="ada",
        writer="client@desk:100",
        correlation_id=None if number % 2 else "job-7",
        causation_id=None if number % 3 else "0197b3a0-0000-7000-8000-000000000001",
    )


def recorded() -> list[str]:
    """The lines of the export."""
    log = MemoryLog(clock=lambda: T0)
    for number, cause in enumerate([*Cause, None]):
        name = cause.value if cause is not None else "all-notes"
        log.append(name, [_new(event) for event in _history(name, T0 + number * LONGEST, cause)], expected=ANY)
    receipt = LogForgotten(at=T0, session_id="exception", through_version=4, rows=0)
    log.append("log", [_new(receipt)], expected=ANY)
    return list(export(log))


def main() -> int:
    """Write the file."""
    (name,) = sys.argv[1:]
    with open(HERE / f"{name}.jsonl", "x", encoding="utf-8", newline="") as file:
        file.writelines(recorded())
    return 0


if __name__ == "__main__":
    sys.exit(main())
