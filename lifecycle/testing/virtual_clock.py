"""VirtualClock: time that passes only while everybody waits, and then at once. Real threads, no real waiting.

With MemoryLog and FakeBrowser it makes a whole system of one process, in which ten minutes take milliseconds:

    clock = VirtualClock()
    client = Client(log=MemoryLog(), browser=FakeBrowser(), clock=clock)
    session = client.Session(page=False, timeout_minutes=10)
    session.start()
    clock.sleep(601)
    assert session.status().status == "timed_out"

The rule of the jump: every thread that the clock has started (keepers, guards) waits, and so does at least one other,
the test's own; nothing that one of them waits for has come true. Then the clock stands at the earliest moment that
anybody waits for, and those who waited for it go on. While a test computes, no time passes.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["VirtualClock"]

#: A thread that the clock did not start may end without a word: who waits looks again after so long, in real seconds.
_LOOK_S: Final = 0.05
_GLANCE_S: Final = 0.0002
#: 2026-09-21 in µs since the epoch
_BEGIN: Final = 1_790_000_000_000_000


@dataclass(slots=True, eq=False)
class _Waiter:
    changed: threading.Condition
    true: Callable[[], bool]
    until_us: int
    own: bool
    woken: bool = False


class VirtualClock:
    """A clock that jumps to the next moment somebody waits for. *now*: where it begins, µs since the epoch."""

    def __init__(self, now: int = _BEGIN) -> None:
        self._offset = now
        self._passed_us = 0
        self._own: set[int] = set()
        self._running = 0  # threads of the clock's own, begun or about to
        self._waiting: list[_Waiter] = []
        self._failed: list[tuple[str, Exception]] = []
        self._lock = threading.RLock()

    def now(self) -> int:
        """The wall clock, µs since the epoch."""
        with self._lock:
            return self._offset + self._passed_us

    def monotonic(self) -> float:
        """Seconds that have passed."""
        with self._lock:
            return self._passed_us / 1e6

    def step(self, seconds: float) -> None:
        """Set the wall clock, forward or back, as an administrator would; nobody's wait gets shorter or longer."""
        with self._lock:
            self._offset += round(seconds * 1e6)

    def sleep(self, seconds: float) -> None:
        """Let time pass; whatever others wait for on the way happens in its order."""
        alone = threading.Condition()
        with alone:
            self.wait_for(alone, lambda: False, seconds)

    def sleep_until(self, at: int) -> None:
        """Let time pass until the wall clock reads *at* (µs); no time, if it does already."""
        self.sleep(max(at - self.now(), 0) / 1e6)

    def wait_for(self, changed: threading.Condition, true: Callable[[], bool], timeout_s: float) -> bool:
        """As changed.wait_for(true, timeout_s), in virtual seconds."""
        if (found := true()) or timeout_s <= 0:
            return found
        waiter = self._begin(changed, true, timeout_s)
        try:
            while not (found := true()) and not waiter.woken:
                if not self._jump():
                    changed.wait(_LOOK_S)
            return found
        finally:
            with self._lock:
                self._waiting.remove(waiter)

    def start(self, name: str, run: Callable[[], object]) -> None:
        """Run *run* in a daemon thread, without which no time passes while it computes. settle() tells if it fails."""
        with self._lock:
            self._running += 1
        threading.Thread(target=self._run, args=(name, run), name=name, daemon=True).start()

    def _run(self, name: str, run: Callable[[], object]) -> None:
        with self._lock:
            self._own.add(threading.get_ident())
        try:
            run()
        except Exception as error:
            self._failed.append((name, error))
            # As if it were raised, and before settle() can be back: a test that has ended is not told.
            threading.excepthook(
                threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
            )
        finally:
            with self._lock:
                self._own.discard(threading.get_ident())
                self._running -= 1
            self._jump()

    def _begin(self, changed: threading.Condition, true: Callable[[], bool], timeout_s: float) -> _Waiter:
        with self._lock:
            until = self._passed_us + max(round(timeout_s * 1e6), 1)
            waiter = _Waiter(changed, true, until, own=threading.get_ident() in self._own)
            self._waiting.append(waiter)
            return waiter

    def settle(self) -> None:
        """Wait until every thread of the clock's own waits, and has nothing else to do. No time passes.

        Raises:
            AssertionError: One of them has failed; told once.
        """
        real = threading.Event()
        while True:
            with self._still() as idle:
                if idle is not None:
                    break
            real.wait(_GLANCE_S)
        if self._failed:
            name, error = self._failed.pop(0)
            raise AssertionError(f"the thread {name} has failed: {type(error).__name__}: {error}") from error

    def _jump(self) -> bool:
        """Move to the earliest moment that is waited for, if nobody has anything else to do; whether it moved."""
        with self._still() as idle:
            if idle is None or all(waiter.own for waiter in idle):
                return False
            self._passed_us = max(self._passed_us, min(waiter.until_us for waiter in idle))
            for waiter in idle:
                if waiter.until_us <= self._passed_us:
                    waiter.woken = True
                    waiter.changed.notify_all()
            return True

    @contextmanager
    def _still(self) -> Generator[list[_Waiter] | None]:
        """Those who wait, with all that they wait on held; None if somebody of the clock's own has something to do."""
        with self._lock, ExitStack() as held:
            idle = [waiter for waiter in self._waiting if not waiter.woken]
            still = sum(waiter.own for waiter in idle) == self._running
            for waiter in idle:
                # Held by somebody: not waiting any more, or about to be told something.
                if not still or not waiter.changed.acquire(blocking=False):
                    still = False
                    break
                held.callback(waiter.changed.release)
                still = not waiter.true()
            yield idle if still else None
