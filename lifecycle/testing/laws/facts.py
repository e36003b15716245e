"""Laws of one event in its history. They stand on Told, not on the core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from lifecycle.errors import LifecycleError, LogTampered
from lifecycle.log.codec import FIRST, check_hash, check_private, decode
from lifecycle.testing.told import ENDINGS, MAY_FOLLOW, Fact, Told, tell, trigger

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entry", "Finding", "Findings"]

#: True: judged and kept; a sentence: what is wrong.
Finding: TypeAlias = bool | str
Findings: TypeAlias = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and what it met: the story of its session so far, the last position of the log, the writer's clock.

    `stray` says that the stream is no session's (the log's own acts stand in such a one).
    """

    told: Told | None
    fact: Fact
    position: int | None = None
    clock: int | None = None
    stray: bool = False

    @property
    def after(self) -> Told:
        """The story with this event."""
        return tell(self.told, self.fact)


_CAUSES: Final[Mapping[str, frozenset[str]]] = {
    "session.closed": frozenset({"stopped", "exited", "interrupted", "cancelled", "owner_exited", "browser_closed"}),
    "session.failed": frozenset({"launch_failed", "browser_crashed", "browser_lost", "keeper_lost", "exception"}),
    "session.timed_out": frozenset({"idle", "max_duration"}),
}


def created_first(it: Entry) -> Findings:
    if it.stray:
        return
    first = it.told is None
    yield (it.fact.type == "session.created") == first or (
        f"the first event is {it.fact.type}" if first else "a second session.created"
    )


def in_the_table(it: Entry) -> Findings:
    if it.told is not None and not it.stray and it.fact.type != "session.created":
        allowed = MAY_FOLLOW[it.told.status]
        yield trigger(it.fact.type) in allowed or (
            f"{it.fact.type} in status {it.told.status}, where {', '.join(sorted(allowed))} may follow"
        )


def one_ending(it: Entry) -> Findings:
    if it.told is not None and it.fact.type in ENDINGS:
        yield it.told.live or f"{it.fact.type} after the session was {it.told.status}"


def after_the_ending(it: Entry) -> Findings:
    if it.told is not None and not it.told.live and not it.stray:
        yield it.fact.type == "session.released" or f"{it.fact.type} after the ending"
        yield not it.told.released or f"{it.fact.type} after session.released"
        after = it.after
        same = (after.status, after.ended_at, after.duration_us(0)) == (
            it.told.status,
            it.told.ended_at,
            it.told.duration_us(0),
        )
        yield same or f"{it.fact.type} changed the ended session"


def versions_count(it: Entry) -> Findings:
    expected = it.told.version + 1 if it.told is not None else 1
    yield it.fact.version == expected or f"version {it.fact.version} where {expected} was expected"


def positions_rise(it: Entry) -> Findings:
    if it.fact.position is not None and it.position is not None:
        yield it.fact.position > it.position or f"position {it.fact.position} after {it.position}"


def started_once(it: Entry) -> Findings:
    if it.told is not None and it.fact.type == "session.started":
        yield it.told.started_at is None or "a second session.started"


def known_shape(it: Entry) -> Findings:
    if it.fact.unreadable is not None:
        yield it.fact.unreadable
    elif it.fact.recorded is not None:
        try:
            decode(it.fact.recorded)
        except LifecycleError as error:
            yield str(error)
        else:
            yield True


def own_session(it: Entry) -> Findings:
    if it.fact.type == "session.created":
        named = it.fact.data.get("session_id")
        yield named == it.fact.stream or f"session.created of {named} in the stream {it.fact.stream}"


def time_runs_forward(it: Entry) -> Findings:
    if it.told is not None:
        yield it.fact.at >= it.told.last_at or f"at {it.fact.at}, after an event at {it.told.last_at}"


def not_in_the_future(it: Entry) -> Findings:
    if it.clock is not None:
        now = max(it.clock, it.told.last_at if it.told is not None else 0)
        yield it.fact.at <= now or f"at {it.fact.at}, written when it was {now}"


def timeout_at_the_deadline(it: Entry) -> Findings:
    if it.told is not None and it.told.live and it.fact.type == "session.timed_out":
        yield it.fact.at == it.told.deadline or f"at {it.fact.at}, the deadline is {it.told.deadline}"


def before_the_deadline(it: Entry) -> Findings:
    if it.told is not None and it.told.live and not it.stray and it.fact.type != "session.timed_out":
        yield it.fact.at < it.told.deadline or f"at {it.fact.at}, at or after the deadline {it.told.deadline}"


def access_in_between(it: Entry) -> Findings:
    if it.told is not None and it.fact.type == "session.accessed":
        last_at = it.fact.data.get("last_at")
        inside = type(last_at) is int and it.told.created_at <= last_at <= it.fact.at
        yield inside or f"last access {last_at}, not between {it.told.created_at} and {it.fact.at}"
        yield it.after.used_at >= it.told.used_at or "the last access moved back"


def chained(it: Entry) -> Findings:
    if (row := it.fact.recorded) is not None:
        before = FIRST if it.told is None else it.told.hash
        try:
            check_hash(row, before or FIRST)
        except LogTampered as error:
            yield str(error)
        else:
            yield True


def private_fits(it: Entry) -> Findings:
    if (row := it.fact.recorded) is not None and row.private is not None:
        yield row.private_sha256 is not None or "a private part that the event says nothing of"
        try:
            check_private(row)
        except LogTampered as error:
            yield str(error)
        else:
            yield True


def rule_is_the_smaller_limit(it: Entry) -> Findings:
    if it.told is not None and it.told.live and it.fact.type == "session.timed_out":
        named = it.fact.data.get("rule")
        yield named == it.told.rule or f"rule {named}, the smaller limit is {it.told.rule}"


def extended_ahead(it: Entry) -> Findings:
    if it.fact.type == "session.extended":
        until = it.fact.data.get("until")
        yield (type(until) is int and until > it.fact.at) or f"extended at {it.fact.at} until {until}"


def cause_of_its_ending(it: Entry) -> Findings:
    if it.fact.type in ENDINGS:
        cause = it.fact.data.get("rule" if it.fact.type == "session.timed_out" else "cause")
        yield cause in _CAUSES[it.fact.type] or f"cause {cause} on {it.fact.type}"
