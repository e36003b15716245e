"""Hypothesis strategies: events, commands, clocks, runs, histories, and histories with a fault.

They need the extra `testing`.

A uniform clock misses bugs at the exact deadline (0 of 5 seeds); one that jumps to D - 1, D and D + 1 finds them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from lifecycle.core import (
    Cause,
    Close,
    Config,
    Create,
    Expire,
    Extend,
    Fail,
    Limits,
    ProcessIdentity,
    Record,
    Release,
    Session,
    Start,
    deadline,
    fold,
)
from lifecycle.core.events import (
    MAX_TIME,
    ClientConnected,
    ClientDisconnected,
    CookiesLoaded,
    CookiesSaved,
    PageCrashed,
    SessionAccessed,
    SessionAnnotated,
    SessionClosed,
    SessionCreated,
    SessionExtended,
    SessionFailed,
    SessionNavigated,
    SessionOperation,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
    TabClosed,
    TabOpened,
)
from lifecycle.log.memory import MemoryLog
from lifecycle.log.port import ANY, NewEvent, Recorded
from lifecycle.testing.invariants import orders as registered_orders
from lifecycle.testing.runs import Run, play
from lifecycle.testing.samples import OWNER, SECOND, T0

if TYPE_CHECKING:
    from lifecycle.core import Command, Event

__all__ = [
    "FAULTS",
    "FIELDS",
    "any_event",
    "candidates",
    "clocks",
    "commands",
    "configs",
    "events_of",
    "histories",
    "json_values",
    "mutations",
    "records",
    "runs",
    "tampered",
    "timelines",
]

CLOSED: Final = (
    Cause.STOPPED, Cause.EXITED, Cause.INTERRUPTED, Cause.CANCELLED, Cause.OWNER_EXITED, Cause.BROWSER_CLOSED
)  # fmt: skip
FAILED: Final = (
    Cause.LAUNCH_FAILED, Cause.BROWSER_CRASHED, Cause.BROWSER_LOST, Cause.KEEPER_LOST, Cause.EXCEPTION
)  # fmt: skip

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
words = st.text(characters, max_size=12)
texts = st.none() | st.text(characters, max_size=40)
integers = st.integers(-MAX_TIME, MAX_TIME)
counts = st.integers(0, MAX_TIME)
instants = st.integers(0, MAX_TIME)
evidence = st.dictionaries(words, st.none() | st.booleans() | integers | words, max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
identities = st.builds(
    ProcessIdentity, host=words, boot_id=words, pid_namespace=st.none() | words, pid=counts, started=counts
)
pixels = st.none() | st.integers(1, 16_384)
_configs = st.builds(
    Config,
    headless=st.none() | st.booleans(),
    viewport_width=pixels,
    viewport_height=pixels,
    browser=st.sampled_from([None, "chromium", "chrome", "named", "external", "attached"]),
    user_agent=texts,
    locale=texts,
    timezone=texts,
    proxy=texts,
    extra_http_headers=st.lists(words, max_size=2).map(tuple),
)
durations = st.integers(SECOND, 6_000 * SECOND)
any_limits = st.builds(Limits, idle_timeout_us=st.none() | durations, max_duration_us=durations)
label_keys = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,8}", fullmatch=True)
labels = st.dictionaries(label_keys, words, max_size=3)
session_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(lambda text: text != "log")

FIELDS: Final[dict[type[Event], dict[str, st.SearchStrategy[Any]]]] = {
    SessionCreated: {
        "session_id": session_ids,
        "config": _configs,
        "browser_path": texts,
        "browser_args": st.none() | st.lists(words, max_size=3).map(tuple),
        "cookie_file": texts,
        "user_data_dir": texts,
        "downloads_dir": texts,
        "recording": texts,
        "recording_limit_bytes": st.none() | durations,
        "waited_us": st.none() | durations,
        "limits": any_limits,
        "labels": labels,
        "keep_alive": st.booleans(),
        "owner": identities,
        "keeper": st.none() | identities,
        "keeper_id": st.none() | words,
    },
    SessionStarted: {
        "ownership": st.sampled_from(["launched", "attached", "external"]),
        "attached_to": st.none() | st.sampled_from(["browser", "context"]),
        "keeper": st.none() | identities,
        "browser": st.none() | identities,
        "browser_version": st.none() | words,
        "browser_path": texts,
        "profile": texts,
        "window": st.none() | st.booleans(),
    },
    SessionAccessed: {"last_at": instants, "by": st.sampled_from(["gate", "api", "attach"])},
    ClientConnected: {"client": words, "identity": st.none() | identities},
    ClientDisconnected: {"client": words, "identity": st.none() | identities},
    SessionOperation: {
        "kind": words,
        "ok": st.booleans(),
        "took_us": counts,
        "target": texts,
        "error_type": st.none() | words,
        "error_message": texts,
    },
    SessionExtended: {"until": instants},
    SessionNavigated: {"tab": words, "url": texts},
    TabOpened: {"tab": words, "url": texts},
    TabClosed: {"tab": words},
    PageCrashed: {"tab": words},
    SessionAnnotated: {
        "name": st.text(characters, min_size=1, max_size=12),
        "data": st.dictionaries(words, json_values, max_size=3),
    },
    CookiesLoaded: {"count": st.none() | counts, "sha256": st.none() | words, "why_not": texts, "path": texts},
    CookiesSaved: {"count": st.none() | counts, "sha256": st.none() | words, "why_not": texts, "path": texts},
    SessionClosed: {"cause": st.sampled_from(CLOSED), "evidence": evidence},
    SessionFailed: {
        "cause": st.sampled_from(FAILED),
        "error_type": st.none() | words,
        "error_message": texts,
        "last_words": texts,
        "evidence": evidence,
    },
    SessionTimedOut: {"rule": st.sampled_from([Cause.IDLE, Cause.MAX_DURATION]), "evidence": evidence},
    SessionReleased: {
        "how": st.sampled_from(["graceful", "killed", "detached", "never_started", "left_running"]),
        "exit_code": st.none() | integers,
        "signal": st.none() | counts,
        "took_us": counts,
        "profile_removed": st.booleans(),
        "receipts": evidence,
        "recording": texts,
        "clients": st.lists(words, max_size=3).map(tuple),
        "evidence": evidence,
    },
}


def events_of(cls: type[Event], at: st.SearchStrategy[int] = instants) -> st.SearchStrategy[Event]:
    """Events of type *cls* with every field drawn."""
    return st.builds(cls, at=at, **FIELDS[cls])


any_event = st.sampled_from(sorted(FIELDS, key=lambda cls: cls.type)).flatmap(events_of)


#: what ends with its reason: for checks that need to know what was done to a history
FAULTS: Final = ("drop", "duplicate", "swap", "re-stamp", "truncate", "forge", "graft")
LIMITS: Final = Limits(idle_timeout_us=SECOND, max_duration_us=SECOND)

_beginnings = st.sampled_from([T0, T0, T0, 0, MAX_TIME - 5 * SECOND])
_idle = st.sampled_from([None, SECOND, SECOND + 1, 2 * SECOND, 3 * SECOND])
_longest = st.sampled_from([SECOND, 2 * SECOND, 4 * SECOND, 7 * SECOND])

_START: Final = Start(event=SessionStarted(ownership="launched"))
_STOP: Final = Close(cause=Cause.STOPPED)
_RELEASE: Final = Release(event=SessionReleased(how="graceful"))
_one_in_three = st.sampled_from([False, False, True])
#: commands as they are; an int stands for an access so many µs after the clock's reading. Few draws keep the laws fast.
_ORDERS: Final[list[Command | int]] = [
    *[_START] * 3,
    Start(event=SessionStarted(ownership="attached", keeper=OWNER, browser=OWNER)),
    Record(event=SessionNavigated(tab="t")),
    Record(event=SessionOperation(kind="execute", ok=True, took_us=1)),
    0,
    -SECOND,
    -3 * SECOND,
    SECOND,
    Extend(by_us=1),
    Extend(by_us=SECOND),
    Extend(by_us=5 * SECOND),
    Close(cause=Cause.STOPPED),
    Close(cause=Cause.BROWSER_CLOSED, evidence={"exit_code": 0}),
    Fail(cause=Cause.BROWSER_CRASHED, error_type="E", error_message="m", evidence={"signal": 11}),
    Expire(),
    Expire(evidence={"late_us": 1}),
    Release(event=SessionReleased(how="graceful")),
    Create(event=SessionCreated(session_id="other", owner=OWNER, limits=LIMITS)),
]

#: the next reading of the clock: so many µs after its last one, after the deadline, or after the end of time
_moves = st.sampled_from(
    [
        *(("clock", by) for by in (0, 0, 0, 0, 0, 0, 1, 1, 1, SECOND // 2, SECOND // 2, SECOND, 10**12)),
        *(("clock", by) for by in (-1, -1, -5 * SECOND, -(10**16))),
        *(("D", by) for by in (-SECOND, -1, -1, -1, 0, 1, 10**9)),
        ("end", 0),
        ("end", 1),
        ("anywhere", 0),
    ]
)
_anywhere = st.integers(-5 * SECOND, 5 * SECOND)


def configs() -> st.SearchStrategy[Config]:
    """Configurations of browsers, every field drawn."""
    return _configs


@st.composite
def clocks(draw: st.DrawFn, clock: int, ends: int) -> int:
    """The next reading of a clock that read *clock*, of a session whose deadline is *ends*.

    Stands still, steps back, goes on, jumps far ahead; aims at one before, at and one after the deadline.
    """
    origin, by = draw(_moves)
    if origin == "anywhere":
        return clock + draw(_anywhere)
    return by + {"clock": clock, "D": ends, "end": MAX_TIME}[origin]


@st.composite
def timelines(draw: st.DrawFn, ends: int, *, begin: int = T0, max_size: int = 12) -> list[int]:
    """Readings of a clock that began at *begin*, as clocks() gives them one after another."""
    found = [begin]
    for _ in range(draw(st.integers(0, max_size - 1))):
        found.append(draw(clocks(found[-1], ends)))
    return found


@cache
def _pool(_registered: int) -> st.SearchStrategy[Command | int]:
    # One object for all draws: of strategies that are made anew each time, Hypothesis finds less (it missed a row).
    return st.sampled_from([*_ORDERS, *registered_orders()])


@st.composite
def commands(draw: st.DrawFn, clock: int) -> Command:
    """Commands of every kind, and those that were registered; a recorded access lies around *clock*."""
    order = draw(_pool(len(registered_orders())))
    if isinstance(order, int):
        return Record(event=SessionAccessed(last_at=min(max(clock + order, 0), MAX_TIME), by="gate"))
    return order


@st.composite
def runs(draw: st.DrawFn, max_steps: int = 10) -> Run:
    """Runs of up to *max_steps* commands after the first; small limits, a clock that goes anywhere."""
    clock = draw(_beginnings)
    limits = Limits(idle_timeout_us=draw(_idle), max_duration_us=draw(_longest))
    create = Create(event=SessionCreated(session_id="s", owner=OWNER, limits=limits))
    steps = [play(None, create, clock, ())]
    history: list[Event] = []
    if draw(st.booleans()):  # else few runs would come to an active session before a clock carried it past its end
        history += steps[-1].events or ()
        steps.append(play(steps[-1].after, _START, clock, tuple(history)))
    for _ in range(draw(st.integers(0, max_steps))):
        before = steps[-1].after
        assert before is not None
        history += steps[-1].events or ()
        clock = draw(clocks(clock, deadline(before)))
        steps.append(play(before, draw(commands(clock)), clock, tuple(history)))
    if draw(_one_in_three):  # few would come to their very end by themselves
        for command in (_STOP, _RELEASE):
            history += steps[-1].events or ()
            steps.append(play(steps[-1].after, command, clock, tuple(history)))
    return Run(tuple(steps))


def histories(max_steps: int = 10) -> st.SearchStrategy[tuple[Event, ...]]:
    """Histories that a session's life can leave."""
    return runs(max_steps).map(lambda run: run.events)


_NEAR: Final = ("last - 1", "last", "last + 1", "D - 1", "D", "D + 1", "anywhere")


@st.composite
def candidates(draw: st.DrawFn, session: Session) -> Event:
    """An event of any type after *session*, legal or not, stamped where it hurts."""
    event = draw(any_event)
    ends = deadline(session)
    at = {
        "last - 1": session.last_at - 1,
        "last": session.last_at,
        "last + 1": session.last_at + 1,
        "D - 1": ends - 1,
        "D": ends,
        "D + 1": ends + 1,
        "anywhere": event.at,
    }[draw(st.sampled_from(_NEAR))]
    changed: dict[str, int] = {"at": min(max(at, 0), MAX_TIME)}
    if isinstance(event, SessionAccessed | SessionExtended):
        field = "last_at" if isinstance(event, SessionAccessed) else "until"
        inner = draw(st.sampled_from([session.created_at - 1, session.created_at, at - 1, at, at + 1]))
        changed[field] = min(max(inner, 0), MAX_TIME)
    return event.model_copy(update=changed)


@st.composite
def mutations(draw: st.DrawFn, history: tuple[Event, ...]) -> tuple[Event, ...]:
    """*history* with one fault of FAULTS; what comes out may be legal all the same (a shorter one always is)."""
    events = list(history)
    index = draw(st.integers(0, len(events) - 1))
    match draw(st.sampled_from(FAULTS)):
        case "drop":
            del events[index]
        case "duplicate":
            events.insert(index, events[index])
        case "swap":
            other = draw(st.integers(0, len(events) - 1))
            events[index], events[other] = events[other], events[index]
        case "re-stamp":
            by = draw(st.sampled_from([-SECOND, -1, 1, SECOND]))
            events[index] = events[index].model_copy(update={"at": min(max(events[index].at + by, 0), MAX_TIME)})
        case "truncate":
            del events[index:]
        case "forge":
            session = fold(events[: index + 1])
            assert session is not None
            events.insert(index + 1, draw(candidates(session)))
        case _:
            events.append(draw(any_event))
    return tuple(events)


@st.composite
def records(draw: st.DrawFn, max_sessions: int = 3, max_steps: int = 6) -> tuple[Recorded, ...]:
    """The rows of a log with up to *max_sessions* sessions, their events in turns, as a MemoryLog holds them."""
    log = MemoryLog(clock=lambda: T0)
    left = {f"s-{number}": list(draw(histories(max_steps))) for number in range(draw(st.integers(1, max_sessions)))}
    for number in range(sum(map(len, left.values()))):
        stream = draw(st.sampled_from(sorted(name for name, events in left.items() if events)))
        event = left[stream].pop(0)
        if isinstance(event, SessionCreated):
            event = event.model_copy(update={"session_id": stream})
        new = NewEvent(event_id=f"e-{number}", event=event, actor="kit", writer="kit")
        log.append(stream, [new], expected=ANY)
    return log.read_all(limit=1_000_000).events


@st.composite
def tampered(draw: st.DrawFn, rows: tuple[Recorded, ...]) -> tuple[str, tuple[Recorded, ...]]:
    """What was done to *rows*, and how they are then: one row is lost, doubled, moved, re-stamped or forged.

    The fault is always one that the record shows. A log that lost its end shows nothing: checkpoints are for that.
    """
    found = list(rows)
    kinds = ["duplicate", "re-stamp", "forge", "hash"]
    inner = [index for index, row in enumerate(rows) if any(later.stream == row.stream for later in rows[index + 1 :])]
    if inner:
        kinds += ["drop", "swap"]
    kind = draw(st.sampled_from(kinds))
    index = draw(st.sampled_from(inner) if kind in ("drop", "swap") else st.integers(0, len(rows) - 1))
    row = rows[index]
    match kind:
        case "drop":
            del found[index]
        case "duplicate":
            found.insert(index, row)
        case "swap":
            other = next(i for i in range(index + 1, len(rows)) if rows[i].stream == row.stream)
            found[index], found[other] = found[other], found[index]
        case "re-stamp":
            found[index] = replace(row, at=row.at + draw(st.sampled_from([-1, 1, SECOND])))
        case "forge":
            name = draw(st.sampled_from(["actor", "writer", "event_id", "data", "type"]))
            forged: dict[str, Any] = {name: '{"tab":"forged"}' if name == "data" else "session.forged"}
            found[index] = replace(row, **forged)
        case _:
            found[index] = replace(row, hash=row.hash[::-1])
    return kind, tuple(found)
