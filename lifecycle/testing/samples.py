"""One example of everything in the core: times, limits, events, commands, and histories for every standing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
    Start,
    fold,
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

if TYPE_CHECKING:
    from lifecycle.core import Command, Event, Session

__all__ = [
    "BROWSER",
    "COMMANDS",
    "HISTORIES",
    "IDLE",
    "KEEPER",
    "LIMITS",
    "LONGEST",
    "MINUTE",
    "OWNER",
    "SAMPLES",
    "SECOND",
    "T0",
    "D",
    "accessed",
    "closed",
    "created",
    "extended",
    "failed",
    "navigated",
    "operation",
    "released",
    "session",
    "started",
    "timed_out",
]

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
    """Created at T0 as session s-1, unless given otherwise."""
    return SessionCreated(**_over({"at": at, "session_id": "s-1", "owner": OWNER, "limits": LIMITS}, fields))


def started(at: int = T0, **fields: Any) -> SessionStarted:
    """The browser runs."""
    return SessionStarted(**_over({"at": at, "ownership": "launched"}, fields))


def accessed(at: int, last_at: int | None = None) -> SessionAccessed:
    """Somebody used it."""
    return SessionAccessed(at=at, last_at=at if last_at is None else last_at, by="gate")


def navigated(at: int, **fields: Any) -> SessionNavigated:
    """A tab went somewhere."""
    return SessionNavigated(**_over({"at": at, "tab": "tab-1", "url": "https://example.com/"}, fields))


def operation(at: int) -> SessionOperation:
    """An operation was carried out."""
    return SessionOperation(at=at, kind="execute", ok=True, took_us=5)


def extended(at: int, until: int) -> SessionExtended:
    """Promised life until then."""
    return SessionExtended(at=at, until=until)


def closed(at: int, **fields: Any) -> SessionClosed:
    """Stopped."""
    return SessionClosed(**_over({"at": at, "cause": Cause.STOPPED}, fields))


def failed(at: int, **fields: Any) -> SessionFailed:
    """Its browser crashed."""
    return SessionFailed(**_over({"at": at, "cause": Cause.BROWSER_CRASHED}, fields))


def timed_out(at: int = D, **fields: Any) -> SessionTimedOut:
    """Idle until D."""
    return SessionTimedOut(**_over({"at": at, "rule": Cause.IDLE}, fields))


def released(at: int, **fields: Any) -> SessionReleased:
    """The browser is gone."""
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
        downloads_dir="/home/u/downloads",
        recording="/home/u/video.mp4",
        recording_limit_bytes=1_000_000,
        limits=LIMITS,
        labels={"job": "nightly", "team/owner": "größe ✓"},
        keep_alive=True,
        owner=OWNER,
        keeper=KEEPER,
        keeper_id="keeper-1",
        waited_us=2_500_000,
    ),
    SessionStarted(
        at=T0 + 1,
        ownership="external",
        attached_to="context",
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
        recording="/home/u/video.mp4",
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
