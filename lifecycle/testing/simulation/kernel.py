"""Simulated processes: production code in greenlets, one of which runs at a time, with a point before every port call.

A point is where the world may do something else first: run another task, let a process die, let time pass. Between two
points a task runs alone, so what happens in memory needs no points. Time moves only here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped] # it ships no types

if TYPE_CHECKING:
    import threading

__all__ = ["Crashed", "Kernel", "Process", "ProcessClock", "Task"]


class Crashed(BaseException):
    """Unwinds the tasks of a process that is dead: none of its port calls has an effect any more."""


@dataclass(eq=False)
class Process:
    """A process of the simulated machine. `trace` sums up what it was told from outside."""

    name: str
    skew_us: int = 0
    alive: bool = True
    crashable: bool = True
    trace: int = 0
    stopped_until: int = 0  # as by SIGSTOP: until so many µs have passed none of its tasks runs
    read_us: int = 0  # the latest time it has read from its wall clock
    tasks: list[Task] = field(default_factory=list["Task"])


@dataclass(eq=False)
class Task:
    """A thread of a process. It waits at a point, or for time to pass or *true* to hold.

    `trace` sums up what it has seen: where it stands and what it remembers depends on nothing else.
    """

    process: Process
    name: str
    run: greenlet
    label: str = "begin"
    true: Callable[[], bool] | None = None
    until: int | None = None
    interrupt: bool = False
    trace: int = 0

    def ready(self, now: int) -> bool:
        """Whether it can go on when so many µs have passed."""
        if self.process.stopped_until > now:
            return False
        if self.true is None and self.until is None:
            return True
        return (self.true is not None and self.true()) or (self.until is not None and self.until <= now)


class Kernel:
    """Tasks and time. Whoever decides what runs next calls `ready`, `resume`, `crash` and `pass_time`."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self.elapsed_us = 0
        self.tasks: list[Task] = []
        self.failed: Callable[[Task, BaseException], None] = lambda task, error: None
        self._hub = getcurrent()
        self._running: Task | None = None

    @property
    def current(self) -> Task | None:
        """The task that runs, None outside."""
        return self._running

    def start(self, process: Process, name: str, run: Callable[[], object]) -> Task:
        """A new task, which runs when its turn comes."""

        def body() -> None:
            try:
                run()
            except Crashed:
                pass
            except BaseException as error:
                self.failed(task, error)

        task = Task(process, name, greenlet(body, self._hub))
        self.tasks.append(task)
        process.tasks.append(task)
        return task

    def point(self, label: str) -> None:
        """The running task is about to act on the world."""
        if (task := self._running) is None:
            return
        self._alive(task)
        task.label = label
        self._park(task)
        self._interrupted(task)

    def interrupt(self, task: Task) -> None:
        """Ctrl-C for *task*, wherever it stands: at a point, or waiting."""
        task.interrupt = True
        if task.true is not None or task.until is not None:
            task.until = self.elapsed_us

    def _interrupted(self, task: Task) -> None:
        if task.interrupt:
            task.interrupt = False
            self.seen("interrupt")
            raise KeyboardInterrupt

    def seen(self, *what: object) -> None:
        """The running task has learned something; its memory may depend on it from now on."""
        if self._running is not None:
            self._running.trace = hash((self._running.trace, what))

    def wait(self, true: Callable[[], bool] | None, timeout_s: float) -> None:
        """The running task waits."""
        task = self._running
        assert task is not None  # nothing outside of tasks waits
        self._alive(task)
        task.true, task.until = true, self.elapsed_us + max(round(timeout_s * 1e6), 1)
        task.label = "wait"
        try:
            self._park(task)
        finally:
            task.true = task.until = None
        self._interrupted(task)

    def _alive(self, task: Task) -> None:
        if not task.process.alive:
            raise Crashed

    def _park(self, task: Task) -> None:
        self._hub.switch()
        self._alive(task)

    def ready(self) -> list[Task]:
        """The tasks that can go on; the last one that ran comes first."""
        return [task for task in self.tasks if task.ready(self.elapsed_us)]

    def resume(self, task: Task) -> None:
        """Let *task* run to its next point."""
        self._running = task
        try:
            task.run.switch()
        finally:
            self._running = None
        self._forget(task)
        if task in self.tasks and self.tasks[0] is not task:  # so that it goes on, where nobody decides otherwise
            self.tasks.remove(task)
            self.tasks.insert(0, task)

    def crash(self, process: Process) -> None:
        """The process is dead at once."""
        process.alive = False
        for task in list(process.tasks):
            self._running = task
            try:
                task.run.throw(Crashed)
            except Crashed:  # it had not begun
                pass
            finally:
                self._running = None
            self._forget(task)
        process.trace = 0  # nobody remembers

    def _forget(self, task: Task) -> None:
        if task.run.dead and task in self.tasks:
            self.tasks.remove(task)
            task.process.tasks.remove(task)

    def next_wake_us(self) -> int | None:
        """When the next task wakes that waits for time, None when none does."""
        wakes = [
            max(task.until or 0, task.process.stopped_until)
            for task in self.tasks
            if task.until is not None or task.process.stopped_until > self.elapsed_us
        ]
        return min(wakes, default=None)

    def pass_time(self, us: int) -> None:
        """Let time pass for everybody."""
        self.now_us += us
        self.elapsed_us += us

    def close(self) -> None:
        """Unwind whatever still waits."""
        for process in {task.process for task in self.tasks}:
            self.crash(process)


class ProcessClock:
    """lifecycle.ports.Clock of one process: simulated time, which only passes while everybody waits, or by decision."""

    def __init__(self, kernel: Kernel, process: Process, memory: Callable[[], int | None] = lambda: None) -> None:
        """*memory* sums up the process's memory while its only task waits, better than what it has ever seen does."""
        self._kernel = kernel
        self._process = process
        self._memory = memory

    def now(self) -> int:
        """The process's wall clock."""
        found = self._kernel.now_us + self._process.skew_us
        self._kernel.seen("now", found)
        self._process.read_us = max(self._process.read_us, found)
        return found

    def monotonic(self) -> float:
        """Seconds since the simulation began."""
        self._kernel.seen("monotonic", self._kernel.elapsed_us)
        return self._kernel.elapsed_us / 1e6

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._kernel.wait(None, seconds)

    def wait_for(self, changed: threading.Condition, true: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until *true*; *changed* is free meanwhile."""
        if not true() and timeout_s > 0:
            if len(self._process.tasks) == 1 and (memory := self._memory()) is not None:
                self._process.trace, self._process.tasks[0].trace = 0, memory
            changed.release()
            try:
                self._kernel.wait(true, timeout_s)
            finally:
                changed.acquire()
        found = true()
        self._kernel.seen("waited", found, self._kernel.elapsed_us)
        return found

    def start(self, name: str, run: Callable[[], Any]) -> None:
        """A new task of the same process."""
        if not self._process.alive:
            raise Crashed
        self._kernel.start(self._process, name, run)
