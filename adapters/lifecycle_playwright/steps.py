"""One body, two drivers: operations are generators that yield each call to Playwright, sync or async alike.

`title = yield page.title()`: under the synchronous API the call has been made by then and its value is sent straight
back; under the asynchronous one the coroutine is awaited, and its value sent or its error thrown in.

`yield Within(seconds, steps)` runs other steps with a limit of time and raises OutOfTime here when it is over.
Playwright has no limit for many calls (title, evaluate, a key press), which an endless script blocks for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Self

__all__ = ["OutOfTime", "Steps", "Within", "run", "run_async", "until"]

_T = TypeVar("_T")
Steps: TypeAlias = Generator[Any, Any, _T]

_POLL_MS: Final = 50

#: How often what still blocks after the limit is interrupted again.
_AGAIN_S: Final = 1.0


class OutOfTime(Exception):
    """The limit of time is over."""


@dataclass(frozen=True, slots=True)
class Within:
    """Steps that get *seconds*."""

    seconds: float
    steps: Steps[Any]


def until(page: Any, ready: Callable[[], object], end: float) -> Steps[bool]:
    """Let *page*'s events come in until *ready*, or until time.monotonic() is *end*; whether it is."""
    while not ready():
        if time.monotonic() >= end:
            return False
        yield page.wait_for_timeout(_POLL_MS)
    return True


def run(steps: Steps[_T]) -> _T:
    """The result of *steps* that call Playwright's synchronous API."""
    value: Any = None
    error: Exception | None = None
    while True:
        try:
            call = steps.throw(error) if error is not None else steps.send(value)
        except StopIteration as done:
            result: _T = done.value
            return result
        value, error = call, None
        if isinstance(call, Within):
            try:
                value = _run_within(call)
            except Exception as raised:
                error = raised


def _run_within(within: Within) -> Any:
    with _Limit(within.seconds) as limit:
        try:
            return run(within.steps)
        except asyncio.CancelledError:
            if not limit.over:
                raise
    raise OutOfTime


class _Limit:
    """Interrupts the synchronous call that this greenlet is blocked in when the time is over.

    Such a call is a task on Playwright's loop, for which the caller's greenlet waits. The task is found by who creates
    it, and cancelling it raises CancelledError in the caller; the connection stays as it was. Nothing here is private
    to Playwright: between calls its loop is the thread's running one.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._mine = _greenlet()
        self._task: asyncio.Future[Any] | None = None

    def __enter__(self) -> Self:
        self._outer = self._loop.get_task_factory()
        self._loop.set_task_factory(self._create)
        self._timer = self._loop.call_later(self._seconds, self._interrupt)
        return self

    def _create(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **more: Any
    ) -> asyncio.Future[Any]:
        outer: Any = self._outer or asyncio.Task
        task: asyncio.Future[Any] = outer(loop, coro, **more) if self._outer else outer(coro, loop=loop, **more)
        if _greenlet() is self._mine:
            self._task = task
        return task

    def _interrupt(self) -> None:
        self.over = True
        if self._task is not None:
            self._task.cancel()
        self._timer = self._loop.call_later(_AGAIN_S, self._interrupt)

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._loop.set_task_factory(self._outer)


def _greenlet() -> Any:
    import greenlet  # type: ignore[import-untyped] # its stubs are a package of their own

    return greenlet.getcurrent()


async def run_async(steps: Steps[_T]) -> _T:
    """The result of *steps* that call Playwright's asynchronous API. A cancellation is thrown in, and goes on."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            call = steps.throw(error) if error is not None else steps.send(value)
        except StopIteration as done:
            result: _T = done.value
            return result
        value, error = None, None
        try:
            value = await (_run_within_async(call) if isinstance(call, Within) else call)
        except BaseException as raised:
            error = raised


async def _run_within_async(within: Within) -> Any:
    limit = asyncio.timeout(within.seconds)
    try:
        async with limit:
            return await run_async(within.steps)
    except TimeoutError:
        if not limit.expired():
            raise
    raise OutOfTime
