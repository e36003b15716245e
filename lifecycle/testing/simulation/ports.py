"""The ports of the simulated world: a memory log and pretended browsers, a point and faults at each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lifecycle.client.keeping import GRACE_S
from lifecycle.core.events import CookiesSaved, ProcessIdentity
from lifecycle.errors import (
    EventIdReused,
    IllegalHistory,
    KeeperUnavailable,
    LaunchFailed,
    LogUnavailable,
    UnknownEventType,
)
from lifecycle.log.loading import fact, load
from lifecycle.ports import Exit, Found
from lifecycle.testing.fake_host import FakeBrowser, PretendedBrowser
from lifecycle.testing.simulation.kernel import ProcessClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from lifecycle.core import Close, Config, Fail, Session
    from lifecycle.log.port import Appended, Cursor, Expected, NewEvent, Page, Recorded
    from lifecycle.ports import Plan, Remains, Starting, Talk
    from lifecycle.projections import SessionIndex
    from lifecycle.testing.simulation.kernel import Process
    from lifecycle.testing.simulation.world import World

__all__ = ["HostPort", "Keeper", "LogPort", "SimulatedBrowser"]

#: A launch that hangs takes so long: past the deadlines of all simulated sessions.
_HANGS_S = 12.0

#: What Kept remembers between two steps besides its session.
_PLAIN = (
    "_dropped",
    "_accessed_at",
    "_recorded_access",
    "_poked",
    "_stale",
    "_offset_us",
    "_clock_step_us",
    "_cookies_at",
    "_refused_since",
)
_TOLD = ("_facts", "_owner_gone", "_wanted", "_released")


class LogPort:
    """The one log, as every process sees it."""

    locator = None

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def sessions(self) -> SessionIndex:
        """The read model, asked at a point of its own."""
        self._world.kernel.point("log.sessions")
        self._refused("log.sessions")
        self._world.kernel.seen("sessions", self._world.log_print)
        return self._world.log.sessions

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        """Append; or refuse, or write and not know."""
        world = self._world
        world.kernel.point("log.append")
        fault = world.fault("log.append", ("refused", "unknown", "disk_full"))
        if world.disk_full or fault in ("refused", "disk_full"):
            if world.kernel.current is not None:
                world.refusals.add(world.kernel.current.process.name)
            world.kernel.seen("append", "refused")
            raise LogUnavailable("simulated: nothing was written")
        before = world.log.head(stream)
        try:
            appended = world.log.append(stream, events, expected=expected)
        except Exception as error:
            world.kernel.seen("append", type(error).__name__)
            world.mark(f"log.{type(error).__name__}")
            if isinstance(error, IllegalHistory | EventIdReused):
                world.refused(error)
            raise
        world.appended(stream, before)
        if fault == "unknown":
            world.kernel.seen("append", "refused")  # to the process it is the same
            raise LogUnavailable("simulated: it may have been written")
        world.kernel.seen("append", appended.version)
        return appended

    def _refused(self, label: str, *more: str) -> str | None:
        fault = self._world.fault(label, ("refused", *more))
        if fault == "refused":
            self._world.kernel.seen(label, "refused")
            raise LogUnavailable("simulated: it can't be read now")
        return fault

    def load(self, stream: str, since: Session | None = None) -> Session | None:
        """As read, folded."""
        return load(stream, map(fact, self.read(stream, since.version if since else 0)), since)

    def read(self, stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        """Read; or refuse, or miss the newest, or meet what a newer version has written."""
        world = self._world
        world.kernel.point("log.read")
        fault = self._refused("log.read", "stale", "undecodable")
        if fault == "undecodable":
            world.kernel.seen("read", "undecodable")
            raise UnknownEventType("session.from_the_future")
        found = world.log.read(stream, after, until)
        if fault == "stale":
            found = found[:-1]
        world.kernel.seen("read", stream, after, len(found), world.print_of(stream, after + len(found)))
        return found

    def read_all(self, after: Cursor | None = None, *, limit: int, types: Collection[str] | None = None) -> Page:
        """Read everything."""
        self._world.kernel.point("log.read_all")
        self._refused("log.read_all")
        page = self._world.log.read_all(after, limit=limit, types=types)
        self._world.kernel.seen("read_all", after, len(page.events), self._world.log_print)
        return page

    def last(self, limit: int) -> tuple[Recorded, ...]:
        """The newest events."""
        self._world.kernel.point("log.last")
        self._refused("log.read")
        found = tuple(self._world.log.last(limit))
        self._world.kernel.seen("last", self._world.log_print)
        return found

    def head(self, stream: str) -> int:
        """The stream's version."""
        self._world.kernel.point("log.head")
        self._refused("log.head")
        found = self._world.log.head(stream)
        self._world.kernel.seen("head", found)
        return found

    def wait(self, cursor: Cursor | None, timeout_s: float) -> bool:
        """Wait for news; now and then it is wrong, as a hint may be."""
        world = self._world
        if world.fault("log.wait", ("early", "late")) is not None:
            return False
        if len(world.log_rows) <= (cursor or 0):
            world.kernel.wait(lambda: len(world.log_rows) > (cursor or 0), timeout_s)
        world.kernel.seen("wait", len(world.log_rows))
        return len(world.log_rows) > (cursor or 0)

    def close(self) -> None:
        """The simulated machine keeps it."""


class SimulatedBrowser(PretendedBrowser):
    """A pretended browser in the hands of its keeper: a point before each call."""

    def __init__(self, world: World, keeper: Keeper, session_id: str) -> None:
        super().__init__(keeper.clock)
        self._world = world
        self.session_id = session_id
        self.keeper = keeper
        self.died: Exit | None = None  # by itself, or by what the world did to it
        self.asked = False  # by its keeper, to close

    def _act(self, label: str) -> None:
        self._world.kernel.point(label)

    def exit(self, timeout_s: float) -> Exit | None:
        """As KeptBrowser.exit."""
        self._act("browser.exit")
        found = super().exit(timeout_s)
        self._world.kernel.seen("exit", None if found is None else (found.code, found.signal))
        return found

    def ask_to_close(self) -> None:
        """As KeptBrowser.ask_to_close; a browser may be deaf, or hang."""
        self._act("browser.ask_to_close")
        self.asked = True
        self._world.ending_browser(self)
        if self._world.fault("browser.ask_to_close", ("deaf",)) is None:
            super().ask_to_close()

    def kill(self) -> None:
        """As KeptBrowser.kill."""
        self._act("browser.kill")
        if self.running:
            self._world.ending_browser(self)
        super().kill()

    def save_cookies(self) -> CookiesSaved | None:
        """As KeptBrowser.save_cookies; saving may fail, and says why."""
        self._act("browser.save_cookies")
        self._world.saving_cookies(self)
        if self._world.fault("browser.save_cookies", ("failed",)) is not None:
            return CookiesSaved(why_not="simulated")
        return CookiesSaved(count=1, sha256="0" * 64, path="/cookies.json")

    def clean_up(self) -> bool:
        """As KeptBrowser.clean_up; a profile may be left."""
        self._act("browser.clean_up")
        return super().clean_up()


class Keeper(FakeBrowser):
    """One simulated keeper process and what it keeps; the production Kept runs in it."""

    def __init__(self, world: World, process: Process, owner: Process) -> None:
        self.clock = ProcessClock(world.kernel, process, self._memory)
        super().__init__(clock=self.clock, ids=world.ids(process.name), grace_s=GRACE_S)
        self._world = world
        self.process = process
        self.owner = owner

    def launch(self, session_id: str) -> PretendedBrowser:
        """A browser that comes up, or does not, or takes too long."""
        world = self._world
        world.kernel.point("browser.launch")
        fault = world.fault("browser.launch", ("error", "hangs"))
        if fault == "error":
            raise LaunchFailed(session_id, "simulated: it exited at once")
        browser = self.browsers[session_id] = world.launched(SimulatedBrowser(world, self, session_id))
        if fault == "hangs":
            self.clock.sleep(_HANGS_S)
        if not browser.running:  # somebody ended it from outside meanwhile, or it ended by itself
            browser.clean_up()
            raise LaunchFailed(session_id, "simulated: it ended before its first word")
        return browser

    @property
    def serves(self) -> bool:
        """Whether the process is there: with its owner gone and nothing to keep it goes too."""
        orphan = self._orphaned is not None and all(talk.released for talk in self._talks.values())
        return self.process.alive and not orphan

    @property
    def hangs(self) -> bool:
        """Whether the process is there and does not run, as after a SIGSTOP."""
        return self.process.alive and self.process.stopped_until > self._world.kernel.elapsed_us

    def _memory(self) -> int | None:
        """The keeper's memory between two steps of its one session."""
        kept = self.kept()
        if len(kept) != 1 or not self._world.at_rest(kept[0]):
            return None
        plain = cast("dict[str, Any]", vars(kept[0]))
        session = plain["_session"]
        return hash(
            (
                self._world.print_of(session.session_id, session.version),
                session.version,
                tuple((name, plain[name]) for name in _PLAIN),
                tuple((name, repr(plain[name])) for name in _TOLD),
            )
        )

    def state(self) -> tuple[object, ...]:
        """What its memory amounts to besides what it has seen."""
        return (self.serves, tuple((talk.up, talk.released, talk.gone) for talk in self._talks.values()))

    def kept(self) -> list[Any]:
        """The production objects that see its sessions through."""
        return [talk.kept for talk in self._talks.values() if talk.kept is not None]


class _TalkPort:
    """A line to a keeper, with a point at each call."""

    cdp_url = look_url = "ws://simulated/"
    folder = None

    def __init__(self, world: World, keeper: Keeper, talk: Any) -> None:
        self._world = world
        self._keeper = keeper
        self._talk = talk

    def result(self) -> Talk:
        self._world.kernel.point("talk.result")
        try:
            self._talk.result()
        except (LaunchFailed, KeeperUnavailable) as error:
            self._world.kernel.seen("result", type(error).__name__)
            raise
        self._world.kernel.seen("result", "up")
        return self

    def look(self) -> None:
        """A poke that may get lost."""
        self._world.kernel.point("talk.look")
        if self._keeper.process.alive and self._world.fault("talk.look", ("lost",)) is None:
            self._world.told(self._keeper.process, "look")
            self._talk.look()

    def end(self, command: Close | Fail) -> None:
        self._world.kernel.point("talk.end")
        if self._keeper.process.alive:
            self._world.told(self._keeper.process, "end", command.name)
            self._talk.end(command)

    def cdp(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        raise KeeperUnavailable("a pretended browser speaks no CDP")

    def wait_released(self, timeout_s: float) -> bool:
        self._world.kernel.point("talk.wait_released")
        found: bool = self._talk.wait_released(timeout_s)
        self._world.kernel.seen("released", found)
        return found


class HostPort:
    """lifecycle.ports.BrowserHost of one client process."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def prepare(self, config: Config, browser_path: str | None, log: object) -> Found:
        """This process's keeper, a new one if it has none."""
        self._world.kernel.point("host.prepare")
        keeper = self._world.keeper_of(self._process)
        self._world.kernel.seen("keeper", keeper.process.name)
        return Found(
            keeper_id=keeper.process.name, keeper=keeper.identity(), browser_path="/browser", browser="chromium"
        )

    def start(self, plan: Plan, log: Any, on_keeper_lost: Callable[[], None]) -> Starting:
        """Hand the session over."""
        self._world.kernel.point("host.start")
        keeper = self._world.keepers[plan.keeper_id or ""]
        if not keeper.process.alive:
            self._world.kernel.seen("start", "gone")
            raise KeeperUnavailable("the keeper is gone before it was given the session")
        self._world.told(keeper.process, "start", plan.session_id)
        return _TalkPort(self._world, keeper, keeper.start(plan, log, on_keeper_lost))

    def attach(self, session: Session, log: Any) -> Talk:
        """The line to a session of any keeper; its endpoint may be dead."""
        self._world.kernel.point("host.attach")
        fault = self._world.fault("host.attach", ("dead_endpoint",))
        keeper = self._world.keepers[session.keeper_id or ""]
        try:
            if fault is not None:
                raise KeeperUnavailable("simulated: nobody answers at the endpoint")
            talk = keeper.attach(session, log)
        except KeeperUnavailable:
            self._world.kernel.seen("attach", "gone")
            raise
        return _TalkPort(self._world, keeper, talk)

    def keeper_alive(self, session: Session, log: object) -> bool | None:
        """Whether its lock is held."""
        self._world.kernel.point("host.keeper_alive")
        found = self._world.keepers[session.keeper_id or ""].serves
        self._world.kernel.seen("alive", found)
        return found

    def browser_died(self, session: Session, log: object) -> bool:
        """Whether it is gone, and its keeper is not."""
        self._world.kernel.point("host.browser_died")
        browser = self._world.browsers.get(session.session_id)
        found = browser is not None and not browser.running and self._world.keepers[session.keeper_id or ""].serves
        self._world.kernel.seen("died", found)
        return found

    def end(self, session: Session, log: Any) -> Remains:
        """End its browser from outside."""
        self._world.kernel.point("host.end")
        keeper = self._world.keepers[session.keeper_id or ""]
        if not keeper.owner.alive:
            self._world.asked_after.add((self._process.name, session.session_id))
        if keeper.hangs and not keeper.owner.alive:  # nobody else would end it
            self._world.mark("an orphan that hangs is ended")
            self._world.kill(keeper.process)
        if (browser := self._world.browsers.get(session.session_id)) is not None and browser.running:
            self._world.ending_browser(browser)
        remains = keeper.end(session, log)
        self._world.kernel.seen("end", remains.how)
        return remains

    def drop_keeper(self, session: Session, log: object) -> bool:
        """End the own keeper if it does not answer."""
        self._world.kernel.point("host.drop_keeper")
        keeper = self._world.keepers[session.keeper_id or ""]
        self._world.asked_after.add((self._process.name, session.session_id))
        hangs = keeper.hangs and keeper.owner is self._process
        self._world.kernel.seen("hangs", hangs)
        if hangs:
            self._world.mark("a keeper that hangs is dropped")
            self._world.kill(keeper.process)
        return hangs

    def done(self, log: object) -> None:
        """Nothing to let go of."""

    def identity(self) -> ProcessIdentity:
        """The simulated process."""
        return ProcessIdentity(host="simulated", boot_id="1", pid=self._world.pid_of(self._process), started=0)
