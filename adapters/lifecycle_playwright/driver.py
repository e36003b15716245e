"""Playwright drivers, one a thread: started with the first use, stopped with the last, never touched from elsewhere.

A driver is at home in the thread, and the process, that started it. Elsewhere nothing of it may be called: its
greenlets can't switch threads, and a forked child shares its pipe with the parent.

Starting one takes longer than starting a browser. A driver that is held is parked after its last use instead of being
stopped: its process waits, and the thread is as free for asyncio and for other Playwrights as if there were none.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import inspect
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from lifecycle.errors import InvalidConfig, WrongThread
from lifecycle_playwright.common import PATIENCE_S, START_S, end_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from playwright.sync_api import Playwright
    from playwright.sync_api._context_manager import PlaywrightContextManager

__all__ = ["Driver", "GivenDriver", "check", "is_there", "own_driver", "swallowed", "within"]

T = TypeVar("T")

#: How often what still waits then is ended again.
_AGAIN_S: Final = 1.0

_IN_A_LOOP: Final = (
    "Playwright's synchronous API can't be used inside a running asyncio loop; "
    "use lifecycle.AsyncClient here, or a thread of its own"
)
_TAKEN: Final = (
    "this thread runs Playwright's synchronous API already, started by other code, and Playwright allows one a thread; "
    "share it, Client(playwright=playwright), or use a thread of its own"
)
_IN_A_GREENLET: Final = (
    "Playwright's synchronous API can't be started inside a greenlet (gevent, eventlet, or an event handler of "
    "another Playwright); start the session outside of it, or in a thread of its own"
)


class Driver(Protocol):
    """A Playwright that serves one thread."""

    @property
    def playwright(self) -> Playwright:
        """The driver's own object; only for callers that are at home."""
        ...

    def folder(self) -> Path | None:
        """Where its connections may put temporary files; None leaves that to Playwright."""
        ...

    def at_home(self) -> bool:
        """Whether the caller is in the driver's thread and process."""
        ...

    def take(self) -> Callable[[], None]:
        """Use it; the result, idempotent and harmless anywhere, gives it back."""
        ...

    def hold(self) -> Callable[[], None]:
        """Keep it beyond its last use; the result, idempotent and harmless anywhere, lets it go."""
        ...

    def last_use(self) -> bool:
        """Whether giving back the one use there is would stop it now."""
        ...

    def alive(self) -> bool:
        """Whether it answers; what it has sent so far is taken in on the way. A millisecond, at most 5 seconds."""
        ...

    def within(self, call: Callable[[], T], patience_s: float | None = None) -> T:
        """What *call* returns; CancelledError when the driver lets it wait for *patience_s*, or 5 seconds."""
        ...

    def discard(self) -> None:
        """Have it replaced at the next use, because it does not answer any more."""
        ...


class GivenDriver:
    """Somebody else's Playwright: serves the thread in which this object is made, and is never stopped."""

    def __init__(self, playwright: Playwright) -> None:
        kind = getattr(sys.modules.get("playwright.sync_api"), "Playwright", None)
        if kind is None or not isinstance(playwright, kind):
            raise InvalidConfig("playwright", playwright, "must be what sync_playwright().start() returned")
        self.playwright: Playwright = playwright
        # Between calls Playwright leaves its loop marked as the running one.
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._home = threading.local()
        self._home.here = True

    def folder(self) -> Path | None:
        return None  # Playwright removes what it makes when a connection is closed, as all of them are here

    def at_home(self) -> bool:
        return getattr(self._home, "here", False) and os.getpid() == self._pid

    def take(self) -> Callable[[], None]:
        return _nothing

    def hold(self) -> Callable[[], None]:
        return _nothing

    def last_use(self) -> bool:
        return False

    def alive(self) -> bool:
        return _answers(self)

    def within(self, call: Callable[[], T], patience_s: float | None = None) -> T:
        return within(self._loop, call, patience_s)

    def discard(self) -> None:
        """Nothing: whoever started it sees to it."""


def check() -> None:
    """Refuse a thread where own_driver() would; starts and imports nothing.

    Raises:
        WrongThread: Playwright can't be started here.
    """
    driver = _here.driver
    if driver is None or not driver.at_home() or driver.parked:
        _refuse_greenlet()
        _refuse_loop()


def is_there() -> bool:
    """Whether own_driver() would start none."""
    return _here.driver is not None and _here.driver.at_home()


def own_driver() -> Driver:
    """The driver that this thread's sessions share; started now if there is none.

    Raises:
        WrongThread: Playwright can't be started here.
    """
    check()
    driver = _here.driver
    if driver is None or not driver.at_home():  # there may be a parent's, in a forked child
        driver = _OwnDriver()
        _here.hold(driver)
    driver.unpark()
    return driver


class _OwnDriver:
    def __init__(self) -> None:
        self.playwright, self._loop, self._manager = _start()
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        self._greenlet = _greenlet()
        self._uses = self._holds = 0
        self._lock = threading.Lock()
        self._folder: Path | None = None
        #: it waits for its next use, and its loop is not marked as the running one
        self.parked = False

    def folder(self) -> Path | None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="lifecycle-playwright-"))
        return self._folder

    def at_home(self) -> bool:
        return _here.driver is self and os.getpid() == self._pid

    def take(self) -> Callable[[], None]:
        with self._lock:
            self._uses += 1
        return _Once(self._given_back)

    def _given_back(self) -> None:
        with self._lock:
            self._uses -= 1
            last, held = self._uses == 0, self._holds > 0
        if last and held:
            self._park()
        elif last:
            self.discard()

    def hold(self) -> Callable[[], None]:
        with self._lock:
            self._holds += 1
        return _Once(self._let_go)

    def _let_go(self) -> None:
        with self._lock:
            self._holds -= 1
            idle = self._uses == 0 and self._holds == 0
        if idle:
            self.discard()

    def last_use(self) -> bool:
        with self._lock:
            return self._uses == 1 and not self._holds and self._may_stop()

    def _park(self) -> None:
        if self.at_home() and self._may_stop() and _running() is self._loop:
            asyncio._set_running_loop(None)
            # What Playwright asks before a call, in this thread: so a page of an ended session is refused, and not half
            # served. Whoever tells the loop that the driver's process died asks too, in another thread.
            self._loop.is_closed = lambda: threading.get_ident() == self._thread  # type: ignore[method-assign]
            self.parked = True

    def unpark(self) -> None:
        """Mark the loop as the running one again; the thread has none, as check() has seen."""
        if self.parked:
            self.parked = False
            del self._loop.is_closed
            asyncio._set_running_loop(self._loop)

    def _may_stop(self) -> bool:
        # Stopped from an event handler's greenlet, Playwright would return to the greenlet that started it, and the
        # handler would never go on.
        return _greenlet() is self._greenlet

    def alive(self) -> bool:
        if _answers(self):
            return True
        end_driver(self._manager)  # it may be stopped, and not gone
        return False

    def within(self, call: Callable[[], T], patience_s: float | None = None) -> T:
        return within(self._loop, call, patience_s)

    def discard(self) -> None:
        if self.at_home() and self._may_stop() and not (self.parked and _running() is not None):
            self.unpark()
            _here.let_go()
            self._stop()

    def thread_ends(self) -> None:
        """Stop in the last moment of the driver's thread; elsewhere, and at the interpreter's end, do nothing."""
        if threading.get_ident() != self._thread or os.getpid() != self._pid or sys.is_finalizing():
            return
        # By now Python 3.11 has lost the thread's note that a loop runs here, on which Playwright's coroutines rely.
        self.unpark()
        asyncio._set_running_loop(self._loop)
        self._stop()
        asyncio._set_running_loop(None)

    def _stop(self) -> None:
        # A process that was killed from outside leaves errors that asyncio would print.
        self._loop.set_exception_handler(_unprinted)
        try:
            _stop(self._loop, self._manager)
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)


class _Once:
    """Does *what*, the first time it is called."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what: Callable[[], None] | None = what

    def __call__(self) -> None:
        what, self._what = self._what, None
        if what is not None:
            what()


class _Here(threading.local):
    """This thread's driver."""

    driver: _OwnDriver | None = None
    _end: _ThreadEnd | None = None

    def hold(self, driver: _OwnDriver) -> None:
        self.driver = driver
        self._end = _ThreadEnd(driver)
        _stop_at_exit()

    def let_go(self) -> None:
        self.driver = None
        if self._end is not None:
            self._end.driver = None
        self._end = None


class _ThreadEnd:
    """Only the thread's own data refer to it, so that it goes when the thread does, still in that thread."""

    def __init__(self, driver: _OwnDriver) -> None:
        self.driver: _OwnDriver | None = driver

    def __del__(self) -> None:
        if self.driver is not None:
            self.driver.thread_ends()


_here = _Here()
_at_exit = False


def _stop_at_exit() -> None:
    global _at_exit
    if not _at_exit:
        _at_exit = True
        atexit.register(_exit)


def _exit() -> None:
    """Stop the main thread's driver. Other threads have ended, or are daemons, whose drivers end with the process."""
    if _here.driver is not None:
        _here.driver.discard()


def _start() -> tuple[Playwright, asyncio.AbstractEventLoop, PlaywrightContextManager]:
    from playwright.sync_api import sync_playwright

    manager = sync_playwright()
    limit = _StartLimit(manager)
    try:
        with limit:
            playwright = manager.start()
    except BaseException as error:
        # Ctrl-C meanwhile: without this the process stays, and this thread can't start another.
        loop = _loop_of(manager)
        if loop is not None and not loop.is_closed():
            loop.set_exception_handler(_unprinted)
            _stop(loop, manager)
        if limit.over and isinstance(error, Exception | asyncio.CancelledError):
            raise TimeoutError(f"it had not answered after {START_S:g} seconds, and was ended") from None
        raise
    # Between calls Playwright leaves its loop marked as the running one.
    return playwright, asyncio.get_running_loop(), manager


def _loop_of(manager: PlaywrightContextManager) -> asyncio.AbstractEventLoop | None:
    """Its loop, which has no public name until it has started."""
    found: asyncio.AbstractEventLoop | None = getattr(manager, "_loop", None)
    return found


class _StartLimit:
    """Ends a driver that has not come up in time. Until then its loop is out of reach, but for another thread."""

    def __init__(self, manager: PlaywrightContextManager) -> None:
        self.over = False
        self._manager = manager
        self._up = False
        self._timer = threading.Timer(START_S, self._ring)
        self._timer.daemon = True

    def __enter__(self) -> None:
        with contextlib.suppress(RuntimeError):  # no thread is left for now: then without a limit
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._up = True
        self._timer.cancel()

    def _ring(self) -> None:
        if (loop := _loop_of(self._manager)) is not None:
            with contextlib.suppress(RuntimeError):  # closed
                loop.call_soon_threadsafe(self._give_up)

    def _give_up(self) -> None:
        """In the thread that waits, so that what has come up meanwhile is left alone."""
        if not self._up:
            self.over = True
            wait_s = PATIENCE_S if end_driver(self._manager) else 0
            asyncio.get_running_loop().call_later(wait_s, self._cancel)

    def _cancel(self) -> None:
        if not self._up:
            for task in asyncio.all_tasks():
                task.cancel()


def _stop(loop: asyncio.AbstractEventLoop, manager: PlaywrightContextManager) -> None:
    try:
        with _freed(loop, set(), PATIENCE_S, lambda: end_driver(manager)):
            manager.__exit__(None, None, None)
    except (Exception, asyncio.CancelledError) as error:
        swallowed("driver_not_stopped", error)
        if _running() is loop:  # or nothing of asyncio could run in this thread any more
            asyncio._set_running_loop(None)


def _answers(driver: Driver) -> bool:
    for _ in range(2):  # an exception that a signal raised inside a call may make the next one fail too, once
        try:
            # The cheapest exchange that no browser takes part in.
            driver.within(lambda: driver.playwright.request.new_context().dispose())
        except asyncio.CancelledError:
            return False
        except Exception as error:
            swallowed("driver_failed", error)
        else:
            return True
    return False


def within(loop: asyncio.AbstractEventLoop, call: Callable[[], T], patience_s: float | None = None) -> T:
    with _freed(loop, asyncio.all_tasks(loop), PATIENCE_S if patience_s is None else patience_s):
        return call()


@contextlib.contextmanager
def _freed(
    loop: asyncio.AbstractEventLoop,
    but: set[asyncio.Task[Any]],
    patience_s: float,
    end: Callable[[], bool] = lambda: False,
) -> Generator[None]:
    """In the block nothing waits for the driver longer than *patience_s*: then the tasks in *loop*, *but* these, end.

    Before that, and once, *end* is called; where it is True there is as much patience again.

    After an exception that a signal raised inside a call (Ctrl-C), Playwright may leave the next call without an answer
    (1 in 200 of those that hit it at work). It waits in its loop then, where a timer still fires.
    """

    def lose_patience() -> None:
        if end():
            timers.append(loop.call_later(patience_s, free))
        else:
            free()

    def free() -> None:
        for task in asyncio.all_tasks(loop) - but:
            task.cancel()
        timers.append(loop.call_later(_AGAIN_S, free))  # Playwright 1.64 swallows the first one

    timers = [loop.call_later(patience_s, lose_patience)]
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _greenlet() -> Any:
    import greenlet  # type: ignore[import-untyped] # its stubs are a package of their own

    return greenlet.getcurrent()


def _refuse_greenlet() -> None:
    if "greenlet" in sys.modules and _greenlet().parent is not None:
        raise WrongThread(_IN_A_GREENLET)


def _refuse_loop() -> None:
    if _running() is not None:
        raise WrongThread(_IN_A_LOOP if asyncio.current_task() is not None or _inside_asyncio() else _TAKEN)


def _inside_asyncio() -> bool:
    """Whether this call was made by a loop. Playwright's loop runs in a greenlet of its own, not below the caller."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in ("asyncio", "uvloop"):
            return True
        frame = frame.f_back
    return False


def _unprinted(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for a loop that has done its work. May be called while the interpreter ends."""


def swallowed(what: str, error: BaseException) -> None:
    """Tell whoever debugs the library about an error that is nobody else's business. Its text may hold URLs."""
    telemetry = sys.modules.get("lifecycle.telemetry")  # imported by whoever uses sessions; nothing to tell others
    if telemetry is not None:
        telemetry.logger.debug(what, error=type(error).__name__)


def _nothing() -> None: ...
