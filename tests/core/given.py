"""given / when / then for the core, and one example of everything: times, limits, events, commands.

given(created(), started()).when(Close(cause=Cause.STOPPED), at=T0 + MINUTE).then(closed(at=T0 + MINUTE))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from lifecycle.core import (
    Close,
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
    State,
    decide,
    evolve,
    fold,
    legal,
)
from lifecycle.core.events import (
    Cause,
    ClientConnected,
    ClientDisconnected,
    Config,
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
from lifecycle.errors import IllegalCommand, IllegalHistory

if TYPE_CHECKING:
    from lifecycle.core import Command, Event

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
#: when every example begins: 2027-01-15 08:00:00 UTC
T0: Final = 1_800_000_000 * SECOND
IDLE: Final = 3 * MINUTE
LONGEST: Final = 15 * MINUTE
#: the deadline of a session that began at T0 and was not used since
D: Final = T0 + IDLE

LIMITS: Final = Limits(idle_timeout_us=IDLE, max_duration_us=LONGEST)
OWNER: Final = ProcessIdentity(host="host", boot_id="boot", pid=100, started=1000)
KEEPER: Final = ProcessIdentity(host="host", boot_id="boot", pid=101, started=1001)
BROWSER: Final = ProcessIdentity(host="host", boot_id="boot", pid_namespace="pid:[1]", pid=102, started=1002)


def _over(fields: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {**fields, **more}


def created(at: int = T0, **fields: Any) -> SessionCreated:
    return SessionCreated(**_over({"at": at, "session_id": "s-1", "owner": OWNER, "limits": LIMITS}, fields))


def started(at: int = T0, **fields: Any) -> SessionStarted:
    return SessionStarted(**_over({"at": at, "ownership": "launched"}, fields))


def accessed(at: int, last_at: int | None = None) -> SessionAccessed:
    return SessionAccessed(at=at, last_at=at if last_at is None else last_at, by="gate")


def navigated(at: int) -> SessionNavigated:
    return SessionNavigated(at=at, tab="tab-1", url="https://example.com/")


def operation(at: int) -> SessionOperation:
    return SessionOperation(at=at, kind="execute", ok=True, took_us=5)


def extended(at: int, until: int) -> SessionExtended:
    return SessionExtended(at=at, until=until)


def closed(at: int, **fields: Any) -> SessionClosed:
    return SessionClosed(**_over({"at": at, "cause": Cause.STOPPED}, fields))


def failed(at: int, **fields: Any) -> SessionFailed:
    return SessionFailed(**_over({"at": at, "cause": Cause.BROWSER_CRASHED}, fields))


def timed_out(at: int = D, **fields: Any) -> SessionTimedOut:
    return SessionTimedOut(**_over({"at": at, "rule": Cause.IDLE}, fields))


def released(at: int, **fields: Any) -> SessionReleased:
    return SessionReleased(**_over({"at": at, "how": "graceful"}, fields))


#: one event of every type, no field left at its default
SAMPLES: Final[tuple[Event, ...]] = (
    SessionCreated(
        at=T0,
        session_id="0197b3a0-1111-7000-8000-000000000001",
        config=Config(
            headless=False,
            viewport_width=1920,
            viewport_height=1080,
            browser="named",
            user_agent="Mozilla/5.0 (test)",
            locale="de-DE",
            timezone="Europe/Berlin",
            proxy="http://proxy.example:3128",
            extra_http_headers=("X-Test", "X-Other"),
        ),
        browser_path="/usr/bin/chromium",
        browser_args=("--disable-gpu", "--lang=de"),
        cookie_file="/home/u/cookies.json",
        user_data_dir="/home/u/profile",
        limits=LIMITS,
        labels={"job": "nightly", "team/owner": "größe ✓"},
        keep_alive=True,
        owner=OWNER,
        keeper=KEEPER,
        keeper_id="keeper-1",
    ),
    SessionStarted(
        at=T0 + 1,
        ownership="external",
        keeper=KEEPER,
        browser=BROWSER,
        browser_version="Chrome/150.0",
        browser_path="/usr/bin/chromium",
        profile="/run/profile",
        window=True,
    ),
    SessionAccessed(at=T0 + 2, last_at=T0 + 1, by="attach"),
    ClientConnected(at=T0 + 2, client="client-1", identity=OWNER),
    ClientDisconnected(at=T0 + 2, client="client-1", identity=OWNER),
    SessionOperation(
        at=T0 + 2, kind="scrape", ok=False, took_us=7, target="#id", error_type="TimeoutError", error_message="too slow"
    ),
    SessionExtended(at=T0 + 3, until=T0 + MINUTE),
    SessionNavigated(at=T0 + 3, tab="tab-1", url="https://example.com/?q=REDACTED"),
    TabOpened(at=T0 + 3, tab="tab-2", url="about:blank"),
    TabClosed(at=T0 + 3, tab="tab-2"),
    PageCrashed(at=T0 + 3, tab="tab-1"),
    SessionAnnotated(at=T0 + 3, name="step", data={"n": 1, "deep": [{"x": 1.5}, None, True, "ü"]}),
    CookiesLoaded(at=T0 + 3, count=2, sha256="ab" * 32, why_not="none", path="/home/u/cookies.json"),
    CookiesSaved(at=T0 + 3, count=2, sha256="ab" * 32, why_not="none", path="/home/u/cookies.json"),
    SessionClosed(at=T0 + 4, cause=Cause.STOPPED, evidence={"by": "api"}),
    SessionFailed(
        at=T0 + 4,
        cause=Cause.BROWSER_CRASHED,
        error_type="Crash",
        error_message="gone",
        last_words="segfault",
        evidence={"signal": 11, "core": False, "code": None},
    ),
    SessionTimedOut(at=D, rule=Cause.IDLE, evidence={"found": "close/stopped"}),
    SessionReleased(
        at=D + 1,
        how="killed",
        exit_code=-9,
        signal=9,
        took_us=11,
        profile_removed=True,
        receipts={"cookies": 2},
        clients=("client-1", "client-2"),
        evidence={"clock_step_us": -5},
    ),
)

#: one command of every kind; a Record and an Extend are both notes
COMMANDS: Final[dict[str, Command]] = {
    "create": Create(event=created()),
    "start": Start(event=started()),
    "note": Record(event=navigated(0)),
    "extend": Extend(by_us=MINUTE),
    "close": Close(cause=Cause.STOPPED),
    "fail": Fail(cause=Cause.EXCEPTION, error_type="ValueError", error_message="no"),
    "expire": Expire(),
    "release": Release(event=released(0)),
}

#: a history for every kind of standing, none of them past its deadline
HISTORIES: Final[dict[str, tuple[Event, ...]]] = {
    "created": (created(),),
    "active": (created(), started()),
    "extended": (created(), started(), extended(T0, until=T0 + 20 * MINUTE)),
    "closed": (created(), started(), closed(T0 + 1)),
    "error": (created(), failed(T0 + 1)),
    "timed_out": (created(), started(), timed_out()),
    "released": (created(), started(), closed(T0 + 1), released(T0 + 2)),
}


def session(*events: Event) -> Session:
    """The session that *events* amount to."""
    made = fold(events)
    assert made is not None
    return made


def order(event: Event) -> Command | None:
    """The command that would make decide emit *event* at its own time, if any could."""
    match event:
        case SessionCreated():
            return Create(event=event)
        case SessionStarted():
            return Start(event=event)
        case SessionExtended(at=at, until=until):
            return Extend(by_us=until - at) if until > at else None
        case SessionClosed(cause=cause, evidence=evidence):
            return Close(cause=cause, evidence=evidence)
        case SessionFailed():
            # Without Fail's cutting: a history may hold longer texts than today's command would record.
            return Fail.model_construct(**{name: getattr(event, name) for name in Fail.model_fields})
        case SessionTimedOut(evidence=evidence):
            return Expire(evidence=evidence)
        case SessionReleased():
            return Release(event=event)
        case _:
            return Record(event=event)  # type: ignore[arg-type]  # pydantic refuses what is not a note


def emitted(before: Session | None, event: Event) -> bool:
    """Whether decide would emit exactly *event* on *before*."""
    command = order(event)
    if command is None:
        return False
    try:
        return decide(before, command, event.at) == (event,)
    except IllegalCommand:
        return False


def accepted(before: Session | None, event: Event) -> bool:
    """Whether evolve takes *event* after *before*."""
    try:
        evolve(before, event)
    except IllegalHistory:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    before: Session | None
    events: tuple[Event, ...] | None
    error: IllegalCommand | None

    def then(self, *expected: Event) -> Session:
        """Exactly these events, in this order; returns the session after them."""
        assert self.events == expected, self.error or self.events
        after = fold(expected, self.before)
        assert after is not None
        return after

    def then_nothing(self) -> None:
        """Accepted, and nothing happens."""
        assert self.events == (), self.error or self.events

    def then_refused(self, command: str) -> None:
        """Refused, naming the command, the state and what is legal there."""
        assert self.error is not None, self.events
        state = "not created" if self.before is None else self.before.status
        options = legal(None if self.before is None else State(self.before.status))
        assert (self.error.command, self.error.state, self.error.legal) == (command, state, options)
        for word in (command, state, *options):
            assert word in str(self.error)


@dataclass(frozen=True, slots=True)
class Given:
    """A history to begin with."""

    before: Session | None

    def when(self, command: Command, at: int) -> Outcome:
        """Give *command* when the clock reads *at*."""
        try:
            return Outcome(self.before, decide(self.before, command, at), None)
        except IllegalCommand as error:
            return Outcome(self.before, None, error)


def given(*events: Event) -> Given:
    """A session with this history; none without events."""
    return Given(fold(events))


def refuses(before: Session | None, event: Event, match: str) -> None:
    """evolve refuses *event* after *before*, and names the version it would have had."""
    with pytest.raises(IllegalHistory, match=match) as caught:
        evolve(before, event)
    assert caught.value.version == (before.version if before else 0) + 1
