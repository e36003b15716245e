"""Laws of the whole: log, browsers and callers, when nothing is under way any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lifecycle.testing.laws.logs import everything
from lifecycle.testing.told import ENDINGS, Fact, Told, tell

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lifecycle.core import SessionView
    from lifecycle.log.port import EventLog
    from lifecycle.testing.laws.facts import Findings

__all__ = ["Answer", "Quiet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody who asked a session to end was told: a view, an error, or (both None) nothing: he died or waits."""

    session_id: str
    view: SessionView | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The world at quiescence: every fault and crash has been dealt with, reconcile has run."""

    log: EventLog
    now: int
    #: session ids whose browser runs
    running: Collection[str] = ()
    #: what callers of stop() got
    answers: Sequence[Answer] = ()
    #: session ids whose browser ended by itself while the session was active
    died: Collection[str] = ()
    #: ids of events whose append was acknowledged to somebody
    acknowledged: Collection[str] = ()
    #: for each command that somebody gave, the ids under which its events were offered
    offered: Sequence[Collection[str]] = field(default=())
    #: session ids whose browser was launched when their session had already ended
    launched_late: Collection[str] = ()


def stories(log: EventLog) -> dict[str, Told]:
    """Every session of *log*, as its history tells it."""
    found: dict[str, Told] = {}
    for row in everything(log, 1000):
        if row.stream in found or row.type == "session.created":
            found[row.stream] = tell(found.get(row.stream), Fact.read(row))
    return found


def _endings(it: Quiet) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in everything(it.log, 1000):
        if row.type in ENDINGS:
            found[row.stream] = found.get(row.stream, 0) + 1
    return found


def one_ending_and_everybody_is_told(it: Quiet) -> Findings:
    told = stories(it.log)
    for stream, count in _endings(it).items():
        yield count == 1 or f"{stream} ended {count} times"
    for answer in it.answers:
        story = told.get(answer.session_id)
        if answer.view is not None and story is not None:
            yield (answer.view.status, answer.view.cause) == (story.status, story.cause) or (
                f"{answer.session_id} is {story.status}/{story.cause};"
                f" somebody was told {answer.view.status}/{answer.view.cause}"
            )


def retried_command_adds_nothing(it: Quiet) -> Findings:
    stored = [row.event_id for row in everything(it.log, 1000)]
    yield len(stored) == len(set(stored)) or "an event id stands in the log twice"
    for ids in it.offered:
        there = [event_id for event_id in stored if event_id in ids]
        yield len(there) <= 1 or f"one command left {len(there)} events"


def acknowledged_is_durable(it: Quiet) -> Findings:
    stored = {row.event_id for row in everything(it.log, 1000)}
    for event_id in it.acknowledged:
        yield event_id in stored or f"{event_id} was acknowledged and is gone"


def browser_runs_while_active(it: Quiet) -> Findings:
    for stream, told in stories(it.log).items():
        active = told.status_at(it.now) == "active"
        runs = stream in it.running
        yield runs == active or f"{stream} is {told.status_at(it.now)} and its browser {'runs' if runs else 'is gone'}"
        yield stream not in it.launched_late or f"a browser was launched for {stream}, which had ended"
        yield told.live or told.released or f"{stream} has ended and was never released"


def one_ending_for_a_death(it: Quiet) -> Findings:
    endings = _endings(it)
    for session_id in it.died:
        yield endings.get(session_id) == 1 or (
            f"the browser of {session_id} died, and its history has {endings.get(session_id, 0)} endings"
        )
