"""An event loop in simulated time, and on it the asynchronous client as a program for the synchronous one uses it.

What the loop is asked to run in a thread becomes a task of the same process, so a port is called where it is called in
production, and what awaits it can be cancelled meanwhile. The loop uses selectors for nothing but waiting, and so does
this one.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

from lifecycle.client.async_api import AsyncSession, AsyncSessions
from lifecycle.testing.simulation.kernel import Crashed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from concurrent.futures import Executor

    from lifecycle.client.async_api import AsyncClient
    from lifecycle.client.shared import Shared
    from lifecycle.ports import AsyncPageConnection, Performed
    from lifecycle.testing.simulation.kernel import Kernel, Process, Task
    from lifecycle.testing.simulation.world import World

__all__ = ["Awaited", "DriverError", "Loop", "Pages"]

_T = TypeVar("_T")
_Result = TypeVar("_Result")
_Args = TypeVarTuple("_Args")

_LONG_S: Final = 1e6
#: What a driver takes to come up, and to connect.
_WARM_S: Final = 0.2
_CONNECT_S: Final = 0.1


class Loop(asyncio.BaseEventLoop):
    """The event loop of one task."""

    def __init__(self, kernel: Kernel, process: Process) -> None:
        super().__init__()
        self._kernel = kernel
        self._process = process
        self._threads = 0
        self._woken = False
        self._main: Task | None = None  # whose loop it is
        self._running: asyncio.Task[Any] | None = None
        self._selector = _Selector(self)
        self.set_exception_handler(lambda loop, context: None)  # of what a process that dies leaves behind

    def await_(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What *coroutine* returns."""
        if not self._process.alive:
            coroutine.close()
            raise Crashed
        self._main = self._kernel.current
        self._running = self.create_task(coroutine)
        try:
            return self.run_until_complete(self._running)
        except Crashed:
            self._bury(coroutine)
            raise
        finally:
            self._running = None

    def _bury(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Nothing of a dead process's coroutines may run on another's loop, when they are collected."""
        self.close()
        with suppress(BaseException):
            coroutine.close()

    @property
    def awaiting(self) -> bool:
        """Whether something is awaited, which can be cancelled."""
        return self._running is not None

    def cancel(self) -> None:
        """Cancel what is awaited."""
        assert self._main is not None
        assert self._running is not None
        self._main.trace = hash((self._main.trace, "cancel"))
        self.call_soon_threadsafe(self._running.cancel)

    def wait(self, timeout_s: float | None) -> None:
        """The loop has nothing to do, for so long or until a thread is done."""
        if timeout_s == 0:
            return
        hooks = sys.get_asyncgen_hooks()
        asyncio._set_running_loop(None)  # others run in this thread meanwhile
        sys.set_asyncgen_hooks(None, None)
        self._woken = False
        try:
            self._kernel.wait(lambda: self._woken, _LONG_S if timeout_s is None else timeout_s)
        finally:
            asyncio._set_running_loop(self)
            sys.set_asyncgen_hooks(*hooks)

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._kernel.elapsed_us / 1e6

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Args], _Result], *args: *_Args
    ) -> asyncio.Future[_Result]:
        """*func* as a task of the process."""
        future: asyncio.Future[_Result] = self.create_future()

        def settle(how: Callable[[_T], None], what: _T) -> None:
            if not future.done():  # else it was cancelled: nobody waits for it
                how(what)
                self._write_to_self()

        def thread() -> None:
            try:
                settle(future.set_result, func(*args))
            except Crashed:
                raise
            except BaseException as error:
                settle(future.set_exception, error)
            assert self._main is not None
            self._main.trace = hash((self._main.trace, task.trace))  # what it has seen, whoever awaits it may know

        self._threads += 1
        task = self._kernel.start(self._process, f"thread-{self._threads}", thread)
        task.trace = self._main.trace if self._main is not None else 0
        return future

    def _asyncgen_finalizer_hook(self, agen: object) -> None:
        """An asynchronous generator that was left is not closed by this loop, which may have come to its end."""

    def _write_to_self(self) -> None:
        """Wake it."""
        self._woken = True

    def _process_events(self, event_list: object) -> None:
        """There are none."""


class _Selector:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def select(self, timeout_s: float | None) -> list[Any]:
        self._loop.wait(timeout_s)
        return []


class Awaited:
    """AsyncClient, or what it makes: each call awaits, so that a program may take it for its twin."""

    def __init__(self, twin: object, loop: Loop) -> None:
        self._twin: Any = twin
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return self._like(getattr(self._twin, name))

    def shared(self) -> Shared:
        """The working parts of an AsyncClient."""
        twin: AsyncClient = self._twin
        found: Shared = vars(twin)["_worker"].shared()
        return found

    def _like(self, found: Any) -> Any:
        if isinstance(found, AsyncSessions | AsyncSession):
            return Awaited(found, self._loop)
        if asyncio.iscoroutine(found):
            return self._like(self._loop.await_(found))
        if hasattr(found, "__anext__"):
            return self._each(found)
        if callable(found):
            call: Callable[..., Any] = found
            return lambda *args, **more: self._like(call(*args, **more))  # pyright: ignore[reportUnknownVariableType,reportUnknownLambdaType] # as found
        return found

    def _each(self, steps: AsyncIterator[Any]) -> Iterator[Any]:
        while True:
            try:
                yield self._loop.await_(_next(steps))
            except StopAsyncIteration:
                return

    def __enter__(self) -> Awaited:
        self._loop.await_(self._twin.__aenter__())
        return self

    def __exit__(self, cls: Any, error: Any, traceback: Any) -> None:
        self._loop.await_(self._twin.__aexit__(cls, error, traceback))


class DriverError(Exception):
    """What a pretended driver raises."""


class Pages:
    """lifecycle.ports.AsyncPages of one process: a driver that may fail to come up, or to connect."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def warm(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """The driver comes up, or not."""
        await asyncio.sleep(_WARM_S)
        self._fail("pages.warm")
        return self._let_go

    async def _let_go(self) -> None:
        await asyncio.sleep(0)

    async def connect(
        self, cdp_url: str, tabs: Callable[[], object], folder: object, limit_s: float | None = None
    ) -> AsyncPageConnection:
        """It connects, or not."""
        tabs()
        await asyncio.sleep(_CONNECT_S)
        self._fail("pages.connect")
        return _Connection()

    def _fail(self, call: str) -> None:
        if self._world.fault(call, ("error",)) is not None:
            raise DriverError("simulated: the driver failed")

    def is_driver_error(self, error: BaseException) -> bool:
        """Whether it is one of these."""
        return isinstance(error, DriverError)


class _Connection:
    page = None

    def connected(self) -> bool:
        return True

    async def operate(self, action: object) -> Performed:
        raise DriverError("nobody uses its page")

    async def close(self) -> None:
        await asyncio.sleep(0)


async def _next(steps: AsyncIterator[Any]) -> Any:
    return await anext(steps)
