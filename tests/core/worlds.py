"""Hypothesis strategies for the core: whole runs of commands under a clock that aims at deadlines, and single events.

A uniform clock misses bugs at the exact deadline (0 of 5 seeds); one that jumps to D - 1, D and D + 1 finds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from lifecycle.core import (
    LIVE,
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
    decide,
    evolve,
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
from lifecycle.errors import IllegalCommand
from tests.core.given import SECOND, T0

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifecycle.core import Command, Event

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
configs = st.builds(
    Config,
    headless=st.booleans(),
    viewport_width=pixels,
    viewport_height=pixels,
    browser=st.sampled_from([None, "chromium", "chrome", "named"]),
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
        "config": configs,
        "browser_path": texts,
        "browser_args": st.none() | st.lists(words, max_size=3).map(tuple),
        "cookie_file": texts,
        "user_data_dir": texts,
        "limits": any_limits,
        "labels": labels,
        "keep_alive": st.booleans(),
        "owner": identities,
        "keeper": st.none() | identities,
        "keeper_id": st.none() | words,
    },
    SessionStarted: {
        "ownership": st.sampled_from(["launched", "attached", "external"]),
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
        "clients": st.lists(words, max_size=3).map(tuple),
        "evidence": evidence,
    },
}


def events_of(cls: type[Event], at: st.SearchStrategy[int] = instants) -> st.SearchStrategy[Event]:
    """Events of type *cls* with every field drawn."""
    return st.builds(cls, at=at, **FIELDS[cls])


any_event = st.sampled_from(sorted(FIELDS, key=lambda cls: cls.type)).flatmap(events_of)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a run: what it met, when by the clock, and what it did. events is None where it was refused."""

    before: Session | None
    command: Command
    clock: int
    events: tuple[Event, ...] | None
    after: Session | None


@dataclass(frozen=True, slots=True)
class Run:
    """A life: the commands in their order. Begins with an accepted create."""

    steps: tuple[Step, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """The history that the run left."""
        return tuple(event for step in self.steps for event in step.events or ())

    @property
    def session(self) -> Session:
        """The session after the run."""
        last = self.steps[-1].after
        assert last is not None
        return last

    @property
    def live(self) -> Run:
        """The run up to where its session still lived."""
        return Run(tuple(step for step in self.steps if step.after and step.after.status in LIVE))

    @property
    def recorded(self) -> Iterable[tuple[Step, Session | None, Event]]:
        """Every event with its step and the session it met."""
        for step in self.steps:
            before = step.before
            for event in step.events or ():
                yield step, before, event
                before = evolve(before, event)


def play(before: Session | None, command: Command, clock: int) -> Step:
    """Give *command* at *clock* and record what happened."""
    try:
        events = decide(before, command, clock)
    except IllegalCommand:
        return Step(before, command, clock, None, before)
    after = before
    for event in events:
        after = evolve(after, event)
    return Step(before, command, clock, events, after)


OWNER: Final = ProcessIdentity(host="h", boot_id="b", pid=1, started=1)
LIMITS: Final = Limits(idle_timeout_us=SECOND, max_duration_us=SECOND)

_beginnings = st.sampled_from([T0, T0, T0, 0, MAX_TIME - 5 * SECOND])
_idle = st.sampled_from([None, SECOND, SECOND + 1, 2 * SECOND, 3 * SECOND])
_longest = st.sampled_from([SECOND, 2 * SECOND, 4 * SECOND, 7 * SECOND])

#: commands as they are; an int stands for an access so many µs after the clock's reading. Few draws keep the laws fast.
_orders: st.SearchStrategy[Command | int] = st.sampled_from(
    [
        *[Start(event=SessionStarted(ownership="launched"))] * 3,
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
)

#: the next reading of the clock: so many µs after its last one, after the deadline, or after the end of time
_moves = st.sampled_from(
    [
        *(("clock", by) for by in (0, 0, 0, 1, 1, SECOND // 2, SECOND // 2, SECOND, 10**12)),
        *(("clock", by) for by in (-1, -1, -5 * SECOND, -(10**16))),
        *(("D", by) for by in (-SECOND, -1, -1, -1, 0, 1, 10**9)),
        ("end", 0),
        ("end", 1),
        ("anywhere", 0),
    ]
)
_anywhere = st.integers(-5 * SECOND, 5 * SECOND)


def _moved(draw: st.DrawFn, clock: int, before: Session) -> int:
    origin, by = draw(_moves)
    if origin == "anywhere":
        return clock + draw(_anywhere)
    return by + {"clock": clock, "D": deadline(before), "end": MAX_TIME}[origin]


def _ordered(draw: st.DrawFn, clock: int) -> Command:
    order = draw(_orders)
    if isinstance(order, int):
        return Record(event=SessionAccessed(last_at=min(max(clock + order, 0), MAX_TIME), by="gate"))
    return order


@st.composite
def runs(draw: st.DrawFn, max_steps: int = 10) -> Run:
    """Runs of up to *max_steps* commands after the first; small limits, a clock that goes anywhere."""
    clock = draw(_beginnings)
    limits = Limits(idle_timeout_us=draw(_idle), max_duration_us=draw(_longest))
    steps = [play(None, Create(event=SessionCreated(session_id="s", owner=OWNER, limits=limits)), clock)]
    for _ in range(draw(st.integers(0, max_steps))):
        before = steps[-1].after
        assert before is not None
        clock = _moved(draw, clock, before)
        steps.append(play(before, _ordered(draw, clock), clock))
    return Run(tuple(steps))
