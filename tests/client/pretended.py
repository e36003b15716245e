"""Pretended pages of both kinds, and a session of either twin on them, for what stands around active operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lifecycle import AsyncClient, Client, ExecutionResult, MemoryLog
from lifecycle.actions import Action
from lifecycle.core.events import SessionOperation
from lifecycle.log.codec import decode
from lifecycle.ports import Performed
from lifecycle.results import Reason
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeBrowser


class DriverError(Exception):
    """What the pretended driver raises."""


class Pages:
    """A pretended driver of both kinds. `answer` says how each action goes; `done` are those that were performed."""

    def __init__(self) -> None:
        self.answer: Callable[[Action], Performed] = lambda _: Performed(ok=True, message="done")
        self.done: list[Action] = []
        self.up = True
        self.connects = 0
        self.refuses: Exception | None = None
        self.limits: list[float | None] = []

    def check(self) -> None:
        pass

    def warm(self) -> Callable[[], None]:
        return lambda: None

    def hold(self) -> Callable[[], None]:
        return lambda: None

    def connect(self, cdp_url: str, tabs: object, folder: object, limit_s: float | None = None) -> Connection:
        self.connects += 1
        self.limits.append(limit_s)
        if self.refuses is not None:
            raise self.refuses
        self.up = True
        return Connection(self)

    def is_driver_error(self, error: BaseException) -> bool:
        return isinstance(error, DriverError)


class Connection:
    """A connection of the synchronous kind."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.page = "the first tab"

    def connected(self) -> bool:
        return self.pages.up

    def operate(self, action: Action) -> Performed:
        self.pages.done.append(action)
        return self.pages.answer(action)

    def close(self) -> None:
        pass


class AsyncPages(Pages):
    """The same for asyncio."""

    async def warm(self) -> Any:  # type: ignore[override] # the asynchronous twin of it
        async def give_back() -> None:
            pass

        return give_back

    async def connect(  # type: ignore[override] # as warm
        self, cdp_url: str, tabs: object, folder: object, limit_s: float | None = None
    ) -> Any:
        await asyncio.sleep(0)
        return AsyncConnection(super().connect(cdp_url, tabs, folder, limit_s))


class AsyncConnection:
    """A connection of the asynchronous kind."""

    def __init__(self, connection: Connection) -> None:
        self.inner = connection
        self.page = connection.page
        self.gate: asyncio.Event | None = None

    def connected(self) -> bool:
        return self.inner.connected()

    async def operate(self, action: Action) -> Performed:
        await asyncio.sleep(0)
        return self.inner.operate(action)

    async def close(self) -> None:
        pass


class Pretence:
    """A session of either twin on pretended browsers and pages, and a clock that the test sets."""

    def __init__(self, twin: str, log: MemoryLog | None = None) -> None:
        self.log = log or MemoryLog()
        self.clock = ManualClock()
        self.host = FakeBrowser(clock=self.clock)
        self.pages: Any = Pages() if twin == "sync" else AsyncPages()
        self._runner = asyncio.Runner() if twin == "async" else None
        make: Any = Client if twin == "sync" else AsyncClient
        self.client = make(self.log, browser=self.host, pages=self.pages, clock=self.clock)
        self.session = self.client.Session(timeout_minutes=3)

    def run(self, call: Callable[[], Any]) -> Any:
        """What *call* gives, awaited where it has to be."""
        if self._runner is None:
            return call()

        async def awaited() -> Any:
            result = call()
            return await result if asyncio.iscoroutine(result) else result

        return self._runner.run(awaited())

    def answers(
        self,
        answer: Callable[[Action], Performed] | None = None,
        *,
        message: str = "done",
        data: object = None,
        target: str | None = None,
    ) -> None:
        """From now on every action goes as *answer* says, or well."""

        def well(_: Action) -> Performed:
            return Performed(ok=True, message=message, data=data, target=target)

        self.pages.answer = answer or well

    def reach(self) -> Any:
        """What `page` stands on, connected anew where the last connection is gone."""
        return self.session._reach()

    def execute(self, *given: Any, **fields: Any) -> ExecutionResult:
        result: ExecutionResult = self.run(lambda: self.session.execute(*given, **fields))
        return result

    def operations(self) -> list[SessionOperation]:
        events = (decode(row) for row in self.log.read(self.session.session_id))
        return [event for event in events if isinstance(event, SessionOperation)]

    def close(self) -> None:
        self.run(lambda: self.session.stop())
        self.client.close()
        if self._runner is not None:
            self._runner.close()


def failing(reason: Reason = "timeout", message: str = "too late", **more: Any) -> Callable[[Action], Performed]:
    """Pages on which every action fails."""
    return lambda _: Performed(ok=False, message=message, reason=reason, **{"summary": message, **more})
