"""Histories that end in every way, and some that do not, in any log, without a browser; the same times each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifecycle.client.recorder import Recorder
from lifecycle.client.sessions import Sessions
from lifecycle.core import Cause, Close, Create, Expire, Extend, Fail, Limits, ProcessIdentity, Record, Release, Start
from lifecycle.core.events import (
    ClientConnected,
    ClientDisconnected,
    PageCrashed,
    SessionAccessed,
    SessionAnnotated,
    SessionCreated,
    SessionNavigated,
    SessionOperation,
    SessionReleased,
    SessionStarted,
    TabOpened,
)
from lifecycle.testing.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.core.events import Note
    from lifecycle.log.port import EventLog

#: 2026-09-21 10:13:20 UTC
T0: Final = 1_789_985_600_000_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND

OWNER: Final = ProcessIdentity(host="desk", boot_id="boot", pid_namespace="ns", pid=100, started=5)
KEEPER: Final = ProcessIdentity(host="desk", boot_id="boot", pid_namespace="ns", pid=200, started=6)
BROWSER: Final = ProcessIdentity(host="desk", boot_id="boot", pid_namespace="ns", pid=300, started=7)
TAB: Final = "A" * 32

#: cause -> the command with which it is recorded
ENDINGS: Final[dict[Cause, Close | Fail]] = {
    Cause.STOPPED: Close(cause=Cause.STOPPED),
    Cause.EXITED: Close(cause=Cause.EXITED),
    Cause.INTERRUPTED: Close(cause=Cause.INTERRUPTED),
    Cause.CANCELLED: Close(cause=Cause.CANCELLED, evidence={"exception": "asyncio.CancelledError"}),
    Cause.OWNER_EXITED: Close(cause=Cause.OWNER_EXITED, evidence={"seen_by": "pidfd"}),
    Cause.BROWSER_CLOSED: Close(cause=Cause.BROWSER_CLOSED, evidence={"exit_code": 0}),
    Cause.LAUNCH_FAILED: Fail(
        cause=Cause.LAUNCH_FAILED,
        error_type="LaunchFailed",
        error_message="exited with 127",
        last_words="error while loading shared libraries: libnss3.so",
        evidence={"exit_code": 127, "took_us": 90_000},
    ),
    Cause.BROWSER_CRASHED: Fail(cause=Cause.BROWSER_CRASHED, evidence={"signal": 9}),
    Cause.BROWSER_LOST: Fail(cause=Cause.BROWSER_LOST, evidence={"connection": "closed"}),
    Cause.KEEPER_LOST: Fail(cause=Cause.KEEPER_LOST, evidence={"keeper": "gone"}),
    Cause.EXCEPTION: Fail(cause=Cause.EXCEPTION, error_type="LookupError", error_message="no price for cocoa"),
}
#: who records it, where that is not the client
KEEPERS: Final = (Cause.OWNER_EXITED, Cause.BROWSER_CLOSED, Cause.LAUNCH_FAILED, Cause.BROWSER_CRASHED)


class Writer:
    """Histories in *log*, under a clock that is moved by hand."""

    def __init__(self, make: Callable[[Callable[[], int]], EventLog]) -> None:
        self.clock = ManualClock(T0)
        self.log = make(self.clock.now)
        self._ids = 0
        self.client = self.recorder("ada", "client@desk:100")
        self.keeper = self.recorder("keeper", "keeper@desk:200:k-1")
        self.sessions = Sessions(self.client)

    def recorder(self, actor: str, writer: str) -> Recorder:
        return Recorder(self.log, self.clock, self, actor=actor, writer=writer)

    def new(self) -> str:
        """Event ids that are the same each run."""
        self._ids += 1
        return f"e-{self._ids:06}"

    def create(self, session_id: str, *, idle: float | None = 3, longest: float = 15, **more: Any) -> None:
        limits = Limits(
            idle_timeout_us=None if idle is None else round(idle * MINUTE), max_duration_us=round(longest * MINUTE)
        )
        created = SessionCreated(session_id=session_id, limits=limits, owner=OWNER, keeper=KEEPER, **more)
        self.client.create(Create(event=created))

    def start(self, session_id: str) -> None:
        self.clock.advance(0.5)
        version = "HeadlessChrome/156.0"
        event = SessionStarted(ownership="launched", keeper=KEEPER, browser=BROWSER, browser_version=version)
        self.keeper.execute(session_id, Start(event=event))

    def note(self, session_id: str, event: Note, *, after: float = 1, by: Recorder | None = None) -> None:
        self.clock.advance(after)
        (by or self.keeper).execute(session_id, Record(event=event))

    def work(self, session_id: str) -> None:
        """What a script does in eight seconds."""
        self.note(session_id, ClientConnected(client="client#1", identity=OWNER))
        self.note(session_id, TabOpened(tab=TAB, url="about:blank"))
        self.note(session_id, SessionNavigated(tab=TAB, url="https://shop.example/prices?page=REDACTED"))
        operation = SessionOperation(kind="click", ok=True, took_us=120_000, target="text=Next")
        self.note(session_id, operation, by=self.client)
        self.note(session_id, SessionAnnotated(name="row", data={"item": "cocoa", "n": 3}), by=self.client)
        failed = SessionOperation(kind="fill", ok=False, took_us=30_000, error_type="StaleElement")
        self.note(session_id, failed, by=self.client)
        self.note(session_id, PageCrashed(tab=TAB))
        self.note(session_id, SessionAccessed(last_at=self.clock.now(), by="gate"))

    def release(self, session_id: str, how: str = "graceful", **more: Any) -> None:
        self.clock.advance(0.125)
        event = SessionReleased.model_validate({"how": how, "took_us": 83_500, "profile_removed": True, **more})
        self.keeper.execute(session_id, Release(event=event))

    def end(self, cause: Cause, *, released: bool = True) -> str:
        """A session that worked and ended with *cause*; its id is the cause's word."""
        name = cause.value
        self.clock.advance(60)
        idle = None if cause is Cause.MAX_DURATION else 3
        self.create(name, idle=idle, labels={"job": "nightly", "cause": name})
        if cause is not Cause.LAUNCH_FAILED:
            self.start(name)
            self.work(name)
        if (command := ENDINGS.get(cause)) is None:
            self.clock.advance(900)
            self.keeper.execute(name, Expire(evidence={"clock_step_us": 2 * SECOND}))
        else:
            self.clock.advance(0.25)
            (self.keeper if cause in KEEPERS else self.client).execute(name, command)
        if released:
            never = cause is Cause.LAUNCH_FAILED
            self.release(name, "never_started" if never else "killed" if cause in KEEPERS else "graceful")
        return name

    def every_cause(self) -> list[str]:
        """One session for each cause, oldest first."""
        return [self.end(cause) for cause in Cause]

    def living(self, session_id: str = "living") -> str:
        """A session that was extended and works, with a client that came and went and one that is there."""
        self.clock.advance(60)
        self.create(session_id, labels={"job": "daily"})
        self.start(session_id)
        self.work(session_id)
        self.note(session_id, ClientConnected(client="client#2"))
        self.note(session_id, ClientDisconnected(client="client#1"))
        self.clock.advance(10)
        self.recorder("bob", "client@desk:101").execute(session_id, Extend(by_us=30 * MINUTE))
        return session_id

    def overdue(self, session_id: str = "overdue") -> str:
        """A session past its deadline that nobody has written down as such."""
        self.clock.advance(60)
        self.create(session_id, labels={"job": "daily"})
        self.start(session_id)
        self.clock.advance(600)
        return session_id
