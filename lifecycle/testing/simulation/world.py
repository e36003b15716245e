"""One simulated machine: a log, browsers, processes and their clocks, and what the world does to them.

The client and the keeper in it are the production ones; the world only stands in for their ports. At every step it
asks one function what happens next (choice.py), and holds what happened against the invariants.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from lifecycle.client.async_api import AsyncClient
from lifecycle.client.sync_api import Client
from lifecycle.errors import LifecycleError, LogUnavailable
from lifecycle.log.memory import MemoryLog
from lifecycle.ports import Exit
from lifecycle.testing.fake_host import NoPages
from lifecycle.testing.invariants import Checker, Entry, Quiet, invariants
from lifecycle.testing.laws.worlds import Answer
from lifecycle.testing.simulation.kernel import Kernel, Process, ProcessClock
from lifecycle.testing.simulation.laws import LAWS, Acting, Ended, NotBegun, Rest, Stopped
from lifecycle.testing.simulation.loops import Awaited, DriverError, Loop, Pages
from lifecycle.testing.simulation.ports import HostPort, Keeper, LogPort, SimulatedBrowser
from lifecycle.testing.told import ENDINGS, Fact, Told, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from lifecycle.client.shared import Shared
    from lifecycle.log.port import Cursor, Recorded
    from lifecycle.testing.simulation.choice import Choose
    from lifecycle.testing.simulation.kernel import Task

__all__ = ["EVENTS", "FAULTS", "Actor", "Budget", "Stuck", "Trouble", "World"]

_BEGIN_US: Final = 1_790_000_000_000_000
#: What ports may do wrong, by the name under which coverage counts it.
FAULTS: Final = (
    "log.append refused",
    "log.append unknown",
    "log.append disk_full",
    "log.read refused",
    "log.read stale",
    "log.read undecodable",
    "log.sessions refused",
    "browser.launch error",
    "browser.launch hangs",
    "browser.ask_to_close deaf",
    "browser.save_cookies failed",
    "host.attach dead_endpoint",
    "talk.look lost",
    "pages.warm error",
    "pages.connect error",
)
#: What happens without anybody's doing.
EVENTS: Final = (
    "crash owner",
    "crash keeper",
    "crash other",
    "browser exits",
    "browser crashes",
    "browser vanishes",
    "signalled twice",
    "clock jumps to D - 1",
    "clock jumps to D",
    "clock jumps past D",
    "clock steps back",
    "clock steps forward",
    "time passes",
    "interrupt",
    "interrupt a wait",
    "cancel",
    "keeper hangs",
    "skew",
)
_BY_ITSELF: Final = {
    "browser exits": Exit(code=0),
    "browser crashes": Exit(signal=11),
    "browser vanishes": Exit(),
}
_STEPS: Final = 20_000


class Trouble(Exception):  # what a user's script raises
    """The script's own exception."""


class Stuck(AssertionError):
    """Somebody waits for ever, or runs for ever."""


@dataclass
class Budget:
    """How much may go wrong in one run, and which kinds (all, when not given)."""

    faults: int = 1
    crashes: int = 1
    events: int = 1
    kinds: frozenset[str] | None = None

    def allows(self, name: str) -> bool:
        """Whether *name* may happen at all."""
        return self.kinds is None or name in self.kinds


@dataclass
class Actor:
    """A client process and its program; with a *loop*, its client is the asynchronous one."""

    process: Process
    client: Any  # Client, or Awaited, which looks like one
    clock: ProcessClock
    world: World
    loop: Loop | None = None
    commands: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    @property
    def shared(self) -> Shared:
        """The client's working parts, for programs that do what the command line does."""
        if isinstance(self.client, Awaited):
            return self.client.shared()
        client: Client = self.client
        found: Shared = vars(client)["_shared"]
        return found

    def sleep(self, seconds: float) -> None:
        """Do nothing for a while."""
        if self.loop is None:
            self.clock.sleep(seconds)
        else:
            self.loop.await_(asyncio.sleep(seconds))

    def remembered(self) -> tuple[object, ...]:
        """What the tasks of a living process share: how far its client has read each session."""
        if not self.process.alive:
            return ()
        known = vars(self.shared.recorder)["_known"]
        return tuple((name, session.version) for name, (session, _) in known.items())

    def do(self, name: str, session_id: str, call: Callable[[], Any]) -> Any:
        """Give a command and remember how it went: ok, fail (certainly not done), unknown."""
        self.commands.append((name, session_id, "unknown"))
        at = len(self.commands) - 1
        try:
            found = call()
        except LogUnavailable:
            raise
        except LifecycleError:
            self.commands[at] = (name, session_id, "fail")
            raise
        self.commands[at] = (name, session_id, "ok")
        return found

    @contextmanager
    def starting(self, session_id: str) -> Generator[None]:
        """Whatever keeps a session from starting in here, may leave nothing behind."""
        try:
            yield
        except BaseException as error:
            if self.process.alive:
                self.world.mark(f"start ended with {type(error).__name__}")
                failed = NotBegun(self, session_id, error, self.world.log.head(session_id))
                self.world.not_begun.append(failed)
                self.world.check(failed)
            raise
        self.world.mark("started")

    def stop(self, session_id: str, call: Callable[[], Any]) -> None:
        """End a session, and remember what was told."""
        try:
            view = call()
        except LifecycleError as error:
            self.world.answers.append(Answer(session_id=session_id, error=error))
            raise
        self.world.answers.append(Answer(session_id=session_id, view=view))


class World:
    """Everything of one run. `play` runs the programs that `actor` was given to the end, and past it to rest."""

    def __init__(self, choose: Choose, budget: Budget, checker: Checker | None = None) -> None:
        self.choose = choose
        self.budget = budget
        self.checker = checker or Checker([*invariants(), *LAWS])
        self.kernel = Kernel(_BEGIN_US)
        self.kernel.failed = self._failed
        self.log = MemoryLog(clock=lambda: self.kernel.now_us, salt=lambda: b"\0" * 16)
        self.port: Any = LogPort(self)
        self.log_print = 0
        self.log_rows: list[Recorded] = []
        self.disk_full = False
        self._exits: list[Process] = []
        self.broken: AssertionError | None = None
        self.calm = False  # nothing is chosen
        self.storm = False  # the calm ends with the first process
        self.keepers: dict[str, Keeper] = {}
        self.browsers: dict[str, SimulatedBrowser] = {}
        self.actors: list[Actor] = []
        self.answers: list[Answer] = []
        self.not_begun: list[NotBegun] = []
        self.handed: list[Cursor] = []  # what a subscriber has dealt with, and kept
        self.followed: str | None = None  # the session whose end it was told
        self.asked_after: set[tuple[str, str]] = set()  # who has looked whether the keeper of which session hangs
        self.refusals: set[str] = set()  # processes that the log has failed
        self.stories: dict[str, Told] = {}
        self.interrupted = False
        self.cancelled = False
        self.twins = False  # whether a process may have the asynchronous client
        self.history: list[str] = []  # for people: what happened, in order
        self._prints: dict[tuple[str, int], int] = {}
        self._pids: dict[str, int] = {}
        self._resting = False
        self._jumped = False

    # What the ports ask for

    def ids(self, name: str) -> Any:
        """A maker of ids that gives the same ones in every run."""
        return _Ids(name)

    def pid_of(self, process: Process) -> int:
        """A number for a process."""
        return self._pids.setdefault(process.name, len(self._pids) + 1)

    def print_of(self, stream: str, version: int) -> int:
        """What stands in *stream* up to *version*, as one number."""
        return self._prints.get((stream, version), 0)

    def at_rest(self, kept: Any) -> bool:
        """Whether the keeper of *kept* is between two steps: its browser is neither asked to close nor waited for."""
        browser = self.browsers.get(kept.session_id)
        return browser is not None and not browser.asked

    def mark(self, what: str) -> None:
        """Count something that production met."""
        self.checker.saw("met", what)

    def told(self, process: Process, *what: object) -> None:
        """A message reaches *process*: from now on its memory depends on it."""
        process.trace = hash((process.trace, "told", what))

    def keeper_of(self, owner: Process) -> Keeper:
        """The owner's keeper; a new one where it has none that lives."""
        for keeper in self.keepers.values():
            if keeper.owner is owner and keeper.process.alive:
                return keeper
        process = Process(f"keeper-{len(self.keepers)}", skew_us=owner.skew_us)
        keeper = self.keepers[process.name] = Keeper(self, process, owner)
        return keeper

    def launched(self, browser: SimulatedBrowser) -> SimulatedBrowser:
        """A browser runs."""
        self.browsers[browser.session_id] = browser
        self._say(f"browser of {browser.session_id} runs")
        return browser

    def fault(self, label: str, kinds: tuple[str, ...]) -> str | None:
        """What goes wrong at this call, if anything."""
        if self.calm or self._resting or self.budget.faults <= 0 or self.kernel.current is None:
            return None
        allowed = [kind for kind in kinds if self.budget.allows(f"{label} {kind}")]
        chosen = self.choose(1 + len(allowed), label, rare=True)
        if chosen == 0:
            return None
        kind = allowed[chosen - 1]
        self.budget.faults -= 1
        self.checker.saw("faults", f"{label} {kind}")
        self._say(f"FAULT {label} {kind} for {self.kernel.current.process.name}")
        if label.startswith("log."):
            self.refusals.add(self.kernel.current.process.name)
        if kind == "disk_full":
            self.refusals.update(self.keepers)
            self.disk_full = True
            self.kernel.start(_outside(), "disk", self._disk)
        return kind

    def _disk(self) -> None:
        self.kernel.wait(None, 4.0)
        self.disk_full = False

    # What is held against the invariants

    def appended(self, stream: str, before: int) -> None:
        """Rows stand in the log: check each in its history."""
        task = self.kernel.current
        for row in self.log.read(stream, before):
            fact = Fact.read(row)
            told = self.stories.get(stream)
            clock = task.process.read_us if task else None
            position = self.log_rows[-1].position if self.log_rows else None
            self._say(f"{task.process.name if task else 'world'} appends {row.type} {row.data}")
            self.check(Entry(told, fact, position, clock=clock))
            if row.type in ENDINGS or row.type == "session.released":
                self.check(Ended(self, row, fact))
            self.stories[stream] = tell(told, fact)
            self.log_rows.append(row)
            self.log_print = hash((self.log_print, stream, row.type, row.at, row.data))
            self._prints[stream, row.version] = hash(
                (self._prints.get((stream, row.version - 1), 0), row.type, row.at, row.data)
            )

    def check(self, subject: object) -> None:
        """Hold *subject* against the invariants; production code that catches everything hides nothing."""
        try:
            self.checker.check(subject)
        except AssertionError as error:
            self.broken = self.broken or error
            raise

    def refused(self, error: LifecycleError) -> None:
        """The log has refused what a process has decided: it is the last line, and should never be reached."""
        self.broken = self.broken or AssertionError(f"the log had to refuse: {error}")

    def ending_browser(self, browser: SimulatedBrowser) -> None:
        """Somebody is about to end a browser."""
        self.check(Acting(self, browser, "end"))

    def saving_cookies(self, browser: SimulatedBrowser) -> None:
        """A keeper saves the cookies of a browser."""
        self.check(Acting(self, browser, "save"))

    def _failed(self, task: Task, error: BaseException) -> None:
        if isinstance(error, AssertionError):
            raise error
        expected = (
            isinstance(error, LifecycleError | Trouble | DriverError)
            or (isinstance(error, KeyboardInterrupt) and self.interrupted)
            or (isinstance(error, asyncio.CancelledError) and self.cancelled)
        )
        self.mark(f"{task.name} ended with {type(error).__name__}")
        self._say(f"{task.process.name}/{task.name} ended with {type(error).__name__}: {error}")
        if not expected:
            raise AssertionError(f"{task.process.name}/{task.name} failed: {error!r}") from error

    def _say(self, what: str) -> None:
        self.history.append(f"{self.kernel.elapsed_us / 1e6:9.6f} {what}")

    # Running

    def actor(
        self,
        process_name: str,
        program: Callable[[Actor], object],
        *,
        skew_us: int = 0,
        stays: bool = False,
        name: str = "main",
    ) -> Actor:
        """A client process that runs *program*, and ends with it unless it *stays*. play() waits for a main."""
        process = Process(process_name, skew_us=skew_us)
        if skew_us:
            self.checker.saw("events", "skew")
        clock = ProcessClock(self.kernel, process)
        parts: dict[str, Any] = {
            "browser": HostPort(self, process),
            "clock": clock,
            "ids": self.ids(process_name),
            "actor": process_name,
        }
        loop, client = None, None
        if self.twins and self.choose(2, "twin"):
            self.mark("an asynchronous client")
            loop = Loop(self.kernel, process)
            client = Awaited(AsyncClient(self.port, pages=Pages(self), **parts), loop)
        actor = Actor(process, client or Client(self.port, pages=NoPages(), **parts), clock, self, loop)
        self.actors.append(actor)

        def main() -> None:
            try:
                program(actor)
            finally:
                if process.alive and not stays:
                    self._exits.append(process)

        task = self.kernel.start(process, name, main)
        task.trace = hash(loop is not None)  # where it stands depends on it from the first step on
        return actor

    def play(self) -> None:
        """Run everything to its end, then to rest, and check the world at rest."""
        try:
            self._run(self._mains)
            self._rest()
        finally:
            self.close()

    def close(self) -> None:
        """Unwind what still waits."""
        self.kernel.close()
        for actor in self.actors:
            if actor.loop is not None:
                actor.loop.close()

    def _mains(self) -> bool:
        """Whether somebody still runs whose end matters: programs, and keepers that keep something."""
        return any(task.name in ("main", "fake-keeper") for task in self.kernel.tasks)

    def _run(self, going: Callable[[], bool]) -> None:
        for _ in range(_STEPS):
            if not going():
                return
            self._step()
            if self.broken is not None:
                raise self.broken
        self._stuck(f"no end after {_STEPS} steps")

    def _stuck(self, why: str) -> NoReturn:
        waiting = f"{why}: {[(task.process.name, task.name, task.label) for task in self.kernel.tasks]}"
        self.check(Stopped(self, waiting))
        raise Stuck(waiting)

    def _step(self) -> None:
        while self._exits:
            self.crash(self._exits.pop())
            self.calm = self.calm and not self.storm
        ready = self.kernel.ready()
        quiet = [task for task in ready if task.name == "lifecycle-append" and task.label == "wait"]
        if quiet:  # it sees that it is not needed, and ends: when, makes no difference
            self.kernel.resume(quiet[0])
            return
        if not ready:
            self._wake()
            return
        if self.calm or self._resting:
            self.kernel.resume(ready[0])
            return
        self.choose.visit(self._state)
        events = list(self._events(ready))
        if events and (chosen := self.choose(1 + len(events), "event", rare=True)):
            name, act = events[chosen - 1]
            self.checker.saw("events", name)
            self._say(f"EVENT {name}")
            act()
            return
        task = ready[self.choose(len(ready), "run")]
        self.kernel.resume(task)

    def _wake(self) -> None:
        until = self.kernel.next_wake_us()
        if until is None and not self.kernel.tasks:
            return
        if until is None:
            self._stuck("nothing can go on")
        self.kernel.pass_time(until - self.kernel.elapsed_us)

    def _state(self) -> int:
        now = self.kernel.elapsed_us
        return hash(
            (
                now,
                self.kernel.now_us,
                self.log_print,
                self.disk_full,
                self.budget.faults,
                self.budget.crashes,
                self.budget.events,
                tuple((name, keeper.state()) for name, keeper in self.keepers.items()),
                tuple((b.running, b.profile, None if b.died is None else b.died.code) for b in self.browsers.values()),
                tuple(
                    (
                        task.process.name,
                        task.process.trace,
                        task.process.stopped_until,
                        task.name,
                        task.trace,
                        task.label,
                        task.until,
                        task.interrupt,
                    )
                    for task in sorted(self.kernel.tasks, key=lambda task: (task.process.name, task.name))
                ),
                tuple((actor.process.alive, actor.remembered(), tuple(actor.commands)) for actor in self.actors),
                tuple((answer.view.status if answer.view else None) for answer in self.answers),
            )
        )

    def _events(self, ready: list[Task]) -> Iterator[tuple[str, Callable[[], None]]]:
        if self._resting:
            return
        if self.budget.crashes > 0:
            for process in self._crashable():
                kind = "keeper" if process.name in self.keepers else "owner" if process is self._owner() else "other"
                if self.budget.allows(f"crash {kind}"):
                    yield f"crash {kind}", partial(self._crash, process)
        if self.budget.events > 0:
            for name, act in self._happenings(ready):
                if self.budget.allows(name):
                    yield name, partial(self._spend, act)

    def _spend(self, act: Callable[[], None]) -> None:
        self.budget.events -= 1
        act()

    def _owner(self) -> Process | None:
        return next((actor.process for actor in self.actors if actor.process.name == "owner"), None)

    def _crashable(self) -> list[Process]:
        found = [actor.process for actor in self.actors] + [keeper.process for keeper in self.keepers.values()]
        return [process for process in found if process.alive and process.crashable and process.tasks]

    def _happenings(self, ready: list[Task]) -> Iterator[tuple[str, Callable[[], None]]]:
        for browser in self.browsers.values():
            if browser.running:
                for name, exit in _BY_ITSELF.items():
                    yield name, partial(self._dies, browser, exit)
        for keeper in self.keepers.values():
            if keeper.process.alive and keeper.kept():
                yield "signalled twice", partial(self._signal, keeper)
        for told in self.stories.values():
            if told.live and not self._jumped:
                left = told.deadline - self.kernel.now_us
                for name, us in (("to D - 1", left - 1), ("to D", left), ("past D", left + 3_000_000)):
                    if us > 0:
                        yield f"clock jumps {name}", partial(self._pass, us)
        yield "clock steps back", lambda: self._shift(-2_500_000)
        yield "clock steps forward", lambda: self._shift(1_500_000)
        if (until := self.kernel.next_wake_us()) is not None and until > self.kernel.elapsed_us:
            yield "time passes", lambda: self._pass(until - self.kernel.elapsed_us)
        owner = self._owner()
        loop = next((actor.loop for actor in self.actors if actor.process is owner), None)
        if loop is not None and loop.awaiting:
            yield "cancel", partial(self._cancel, loop)
        for task in self.kernel.tasks if loop is None else ():
            if task.process is owner and task.name == "main" and task.label != "begin" and not task.interrupt:
                yield "interrupt a wait" if task.label == "wait" else "interrupt", partial(self._interrupt, task)
        for keeper in self.keepers.values():
            if keeper.process.alive and keeper.process.tasks and not keeper.hangs:
                yield "keeper hangs", partial(self._hang, keeper, 20_000_000)
                yield "keeper hangs", partial(self._hang, keeper, 1_500_000)

    def _pass(self, us: int) -> None:
        self.kernel.pass_time(us)

    def _shift(self, us: int) -> None:
        self.kernel.now_us += us

    def _interrupt(self, task: Task) -> None:
        self.interrupted = True
        self.kernel.interrupt(task)

    def _cancel(self, loop: Loop) -> None:
        self.cancelled = True
        loop.cancel()

    def _dies(self, browser: SimulatedBrowser, exit: Exit) -> None:
        browser.died = exit
        self.told(browser.keeper.process, "died")
        browser.end(exit)

    def _signal(self, keeper: Keeper) -> None:
        self.told(keeper.process, "look")
        for kept in keeper.kept():
            kept.look()

    def _hang(self, keeper: Keeper, us: int) -> None:
        keeper.process.stopped_until = self.kernel.elapsed_us + us

    def _crash(self, process: Process) -> None:
        self.budget.crashes -= 1
        self.crash(process)

    def crash(self, process: Process) -> None:
        """The process dies; whoever is tied to it notices."""
        self.kernel.crash(process)
        if (keeper := self.keepers.get(process.name)) is not None:
            keeper.lose_keeper(partial(self._line_closed, keeper))
            return
        for keeper in self.keepers.values():
            if keeper.owner is process and keeper.process.alive:
                self.told(keeper.process, "leash")
                self.kernel.start(keeper.process, "leash", keeper.owner_gone)

    def kill(self, process: Process) -> None:
        """The running task kills *process*, and waits until it is dead."""
        self._exits.append(process)
        self.kernel.wait(lambda: not process.alive, 1.0)

    def _line_closed(self, keeper: Keeper, lost: Callable[[], None]) -> None:
        if keeper.owner.alive:
            self.kernel.start(keeper.owner, "keeper-line", lost)

    # Rest

    def _rest(self) -> None:
        """Past every deadline, everybody has done what he can; then somebody reconciles, and it must be enough."""
        self._resting = True
        self.disk_full = False
        ends = [told.deadline for told in self.stories.values() if told.live]
        self.kernel.pass_time(max([0, *(end - self.kernel.now_us for end in ends)]) + 30_000_000)
        self._run(lambda: self._mains() or bool(self.kernel.ready()))
        done = [False]

        def recover(actor: Actor) -> None:
            actor.client.reconcile()
            done[0] = True

        recovery = self.actor("recovery", recover)
        self._run(lambda: not done[0])
        self._run(lambda: any(task.name == "subscriber" for task in self.kernel.tasks))
        recovery.client.close()
        self.checker.check(
            Quiet(
                log=self.log,
                now=self.kernel.now_us,
                running=[name for name, browser in self.browsers.items() if browser.running],
                answers=self.answers,
                died=[
                    name for name, browser in self.browsers.items() if browser.died is not None and name in self.stories
                ],
                acknowledged=[row.event_id for row in self.log_rows],
            ),
            Stopped(self),
            Rest(self),
            *self.not_begun,
        )


def _outside() -> Process:
    """What is no process of ours: the disk, the kernel."""
    return Process("outside", crashable=False)


class _Ids:
    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count}"
