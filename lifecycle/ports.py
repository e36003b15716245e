"""What the client asks of the world, as small Protocols: time, ids, a host for browsers, pages on them.

Adapters implement these and are found by the entry-point group `lifecycle.adapters`; nothing in here imports one.
The log is a port too: lifecycle/log/port.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from lifecycle.core import Close, Config, Fail, ProcessIdentity, Session

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lifecycle.actions import Action
    from lifecycle.core.events import CookiesSaved, Evidence
    from lifecycle.log.port import EventLog
    from lifecycle.results import Reason

__all__ = [
    "AsyncPageConnection",
    "AsyncPages",
    "BrowserHost",
    "Clock",
    "Clocked",
    "Examinable",
    "Exit",
    "Finding",
    "Found",
    "Ids",
    "KeptBrowser",
    "PageConnection",
    "Pages",
    "Performed",
    "Plan",
    "ProxyAuth",
    "Receipts",
    "RecordingOrder",
    "Remains",
    "Starting",
    "Sweeping",
    "Talk",
]


class Clock(Protocol):
    """Time, and whatever waits for it to pass. The client and the keeper wait nowhere else but in the ports."""

    def now(self) -> int:
        """Wall time: µs since the Unix epoch, UTC. May step in either direction."""
        ...

    def monotonic(self) -> float:
        """Seconds that only pass, from any beginning."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def wait_for(self, changed: threading.Condition, true: Callable[[], bool], timeout_s: float) -> bool:
        """As changed.wait_for(true, timeout_s): *changed* is held by the caller, and *true* is what it returns."""
        ...

    def start(self, name: str, run: Callable[[], object]) -> None:
        """Run *run* beside the caller, in a thread that does not keep the process alive."""
        ...


@runtime_checkable
class Clocked(Protocol):
    """What a log or a host within this process may offer: to go by its client's clock."""

    def use_clock(self, clock: Clock) -> None:
        """Go by *clock* from now on, unless another one was given; called by the client, when it was given one."""
        ...


class Ids(Protocol):
    """Ids of sessions and events."""

    def new(self) -> str:
        """A new UUIDv7 in its text form; never the same twice."""
        ...


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: by itself with a code, or by a signal; neither is known for a process that isn't ours."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class ProxyAuth:
    """What a proxy asks for. Never recorded, never on a command line."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOrder:
    """A session is to be recorded: by what process, into which file, and how large that may become."""

    command: tuple[str, ...]
    path: str
    limit_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A session that is about to be started, complete and validated. Paths are absolute."""

    session_id: str
    keeper_id: str | None
    config: Config
    browser_path: str | None = None
    browser_args: tuple[str, ...] = ()
    cdp_url: str | None = field(default=None, repr=False)
    cookie_file: str | None = None
    user_data_dir: str | None = None
    downloads_dir: str | None = None
    extra_http_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    proxy: ProxyAuth | None = None
    keep_alive: bool = False
    recording: RecordingOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """What came of what was kept of a session, for `released`: the receipts, and where a recording lies."""

    evidence: Evidence = field(default_factory=dict[str, Any])
    recording: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What ending a session's browser from outside its keeper found and did."""

    how: str  # as SessionReleased.how
    profile_removed: bool
    evidence: Evidence


class KeptBrowser(Protocol):
    """A browser as its keeper holds it. Calls come from the session's own thread unless they say otherwise."""

    def exit(self, timeout_s: float) -> Exit | None:
        """How it ended, waiting up to *timeout_s*; None while it runs."""
        ...

    @property
    def ours(self) -> bool:
        """Whether it is ours to end; another one is only disconnected from."""
        ...

    def ask_to_close(self) -> None:
        """Ask it to end by itself; returns at once, whatever its state."""
        ...

    def kill(self) -> None:
        """End it and everything it started, now."""
        ...

    def save_cookies(self) -> CookiesSaved | None:
        """Save the running browser's cookies; None when that is not asked for, or nothing is new since last time."""
        ...

    def finish(self) -> None:
        """The session has ended: finish what is kept of it besides cookies. Returns at once."""
        ...

    def receipts(self, timeout_s: float) -> Receipts:
        """What came of that, waiting up to *timeout_s* for it; what is not finished by then never will be."""
        ...

    def clients(self) -> tuple[str, ...]:
        """Labels of the clients that are connected now; not who only finishes."""
        ...

    def clean_up(self) -> bool:
        """Remove its profile, endpoint and way in; whether the profile is gone. Idempotent."""
        ...


class Talk(Protocol):
    """The line between an owner and its keeper, about one session."""

    @property
    def cdp_url(self) -> str:
        """Where CDP clients connect; a credential. Empty where there is no gate."""
        ...

    @property
    def look_url(self) -> str:
        """Where those connect that only look, which is no access; a credential. Empty where there is no gate."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where clients may put downloads and traces: it goes with the session. None where there is no such place."""
        ...

    def look(self) -> None:
        """Tell the keeper that the log has news of this session. Never blocks, never fails."""
        ...

    def end(self, command: Close | Fail) -> None:
        """Have the keeper offer the ending to a log that refuses it now, and end the browser meanwhile."""
        ...

    def cdp(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """One CDP command to the browser, on a connection of its own; its result.

        Raises:
            InvalidConfig: The browser refuses it; says why, and nothing of *params*.
            KeeperUnavailable: No answer in time.
        """
        ...

    def wait_released(self, timeout_s: float) -> bool:
        """Wait until the keeper has appended `released`; False after *timeout_s* or when the keeper is gone."""
        ...


class BrowserHost(Protocol):
    """Where browsers run. Safe to use from several threads."""

    def prepare(self, config: Config, browser_path: str | None, log: EventLog) -> Found:
        """Find the browser (but an external one) and make sure that this process has a keeper for *log*.

        Nothing is spawned for a session yet.

        Raises:
            BrowserNotFound: No usable browser; says what to install.
            KeeperUnavailable: The keeper can't be started.
            InvalidConfig: The host can't serve this log or configuration.
        """
        ...

    def start(self, plan: Plan, log: EventLog, on_keeper_lost: Callable[[], None]) -> Starting:
        """Hand the session to the keeper; returns at once. `created` must be durable before."""
        ...

    def attach(self, session: Session, log: EventLog) -> Talk:
        """The line to the keeper of a session that another process (or client) started.

        Raises:
            KeeperUnavailable: It can't be reached from here.
        """
        ...

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        """Whether the session's keeper lives (its owner, where it has no keeper); None when that can't be told here."""
        ...

    def browser_died(self, session: Session, log: EventLog) -> bool:
        """Whether its browser is provably gone while its keeper lives, who is about to write down why."""
        ...

    def end(self, session: Session, log: EventLog) -> Remains:
        """End, from outside its keeper, what is provably this session's browser, and remove its profile.

        A browser without a keeper was launched by somebody else, and is left running.
        """
        ...

    def drop_keeper(self, session: Session, log: EventLog) -> bool:
        """End the session's keeper if it is this very process's and does not answer; whether it was ended.

        A stopped keeper may hold the log's write lock, and one that is stuck will not end its browsers.
        """
        ...

    def done(self, log: EventLog) -> None:
        """A client (or a session with a host of its own) has let go of *log*: what has nothing to keep may go too."""
        ...

    def identity(self) -> ProcessIdentity:
        """This process."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What prepare() found: the keeper that will own the session and the browser it will start."""

    keeper_id: str | None  # None: nobody but the owner keeps it, as for a browser that somebody else launched
    keeper: ProcessIdentity | None
    browser_path: str | None
    browser: Literal["chromium", "chrome", "named", "external", "attached"]
    unused: Callable[[], object] = lambda: None  # to be called when nothing is handed over after all


class Starting(Protocol):
    """A session on its way up."""

    def result(self) -> Talk:
        """Wait for the keeper's word that `started` is durable.

        Raises:
            LaunchFailed: The browser did not come up; `failed/launch_failed` stands in the log.
            KeeperUnavailable: The keeper went away meanwhile.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """How an operation went on the page. Only `summary` and `target` are recorded."""

    ok: bool
    message: str
    data: Any = None
    reason: Reason | None = None
    summary: str = ""  # why it failed, without what must not be recorded
    target: str | None = None  # the element: its selector, or its role and name


class PageConnection(Protocol):
    """A driver's connection to one session's browser, bound to the thread that made it."""

    @property
    def page(self) -> Any:
        """The session's first existing tab, as the driver's own Page."""
        ...

    def connected(self) -> bool:
        """Whether the browser still answers this connection, as far as the driver knows."""
        ...

    def operate(self, action: Action) -> Performed:
        """Do *action* in the active tab, which this connection keeps. Failures are outcomes, not errors of the driver.

        Ends within the action's timeout and a few seconds, whatever the page does.
        """
        ...

    def close(self) -> None:
        """Disconnect and leave the browser running. Idempotent; never raises."""
        ...


class Pages(Protocol):
    """Pages on a session, for the thread that asks: one driver a thread, stopped with the thread's last connection.

    But for a thread that holds it: there it waits for the next one.
    """

    def check(self) -> None:
        """Refuse a thread that can't have a driver, before anything is started.

        Raises:
            WrongThread: The driver can't be used from this thread.
        """
        ...

    def warm(self) -> Callable[[], None]:
        """Start this thread's driver so that it is there when connect() comes; the result gives it back.

        Raises:
            WrongThread: As check().
        """
        ...

    def hold(self) -> Callable[[], None]:
        """Keep this thread's driver beyond its last connection, until the result is called, or the thread ends.

        Raises:
            WrongThread: As check().
        """
        ...

    def connect(
        self, cdp_url: str, tabs: Callable[[], Sequence[str]], folder: Path | None, limit_s: float | None = None
    ) -> PageConnection:
        """Connect this thread to the browser behind *cdp_url*; *tabs* gives the ids of its tabs, oldest first.

        Downloads and traces go to *folder*, which is the session's to remove; without it, where the driver puts them.
        Gives up after *limit_s*; without it, when the driver does.

        Raises:
            WrongThread: As check().
        """
        ...

    def is_driver_error(self, error: BaseException) -> bool:
        """Whether *error* came from the driver."""
        ...


class AsyncPageConnection(Protocol):
    """PageConnection for asyncio, bound to the loop that made it."""

    @property
    def page(self) -> Any:
        """As PageConnection.page."""
        ...

    def connected(self) -> bool:
        """As PageConnection.connected."""
        ...

    async def operate(self, action: Action) -> Performed:
        """As PageConnection.operate. A cancellation goes through at once."""
        ...

    async def close(self) -> None:
        """As PageConnection.close."""
        ...


class AsyncPages(Protocol):
    """Pages for asyncio: one driver a loop, stopped with the loop's last connection."""

    async def warm(self) -> Callable[[], Awaitable[None]]:
        """Start this loop's driver ahead of connect(); awaiting a call of the result gives it back."""
        ...

    async def connect(
        self, cdp_url: str, tabs: Callable[[], Sequence[str]], folder: Path | None, limit_s: float | None = None
    ) -> AsyncPageConnection:
        """As Pages.connect."""
        ...

    def is_driver_error(self, error: BaseException) -> bool:
        """As Pages.is_driver_error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something an adapter found on this machine, for `lifecycle doctor`. `ok` is False where it needs attention."""

    name: str
    found: str
    ok: bool = True
    why: str | None = None
    details: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Examinable(Protocol):
    """What an adapter may offer besides its port."""

    def examine(self, runtime_dir: Path | None, unreleased: Sequence[Session]) -> Sequence[Finding]:
        """What it found; starts nothing that stays, and changes nothing.

        *runtime_dir* is the log's, None where there is none yet; *unreleased* are the sessions whose browser the log
        does not say is gone.
        """
        ...


@runtime_checkable
class Sweeping(Protocol):
    """What a host may offer besides its port, for `reconcile`."""

    def sweep(self, log: EventLog, unreleased: Callable[[], Sequence[Session]]) -> None:
        """Remove what killed processes have left beside *log*, but nothing of the sessions that are *unreleased*."""
        ...
