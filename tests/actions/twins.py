"""One session of either twin behind one face, so that each behaviour is tried on both with the same words."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from lifecycle import AsyncClient, Client, ExecutionResult, Observation
from lifecycle.core.events import SessionOperation
from lifecycle.log.codec import decode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from lifecycle import AsyncSession, Session
    from lifecycle.core import Event

T = TypeVar("T")


class Twin:
    """A running session; its methods block, whichever twin it is."""

    def __init__(self, name: str, log: Path, site: str, **config: Any) -> None:
        self.name = name
        self.site = site
        self.session: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader = Client(log, actor="tester")
        if name == "sync":
            session: Session | AsyncSession = self._reader.Session(**config)
        else:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="twin", daemon=True)
            self._thread.start()
            self._client = AsyncClient(log, actor="tester")
            session = self._client.Session(**config)
        self.session = session
        self.run(lambda: session.start())

    def run(self, call: Callable[[], Any]) -> Any:
        """What *call* on the session gives, awaited where it has to be."""
        if self._loop is None:
            return call()

        async def awaited() -> Any:
            result = call()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(60)

    def execute(self, type: str, **fields: Any) -> ExecutionResult:
        """session.execute by keywords; a failure is a result."""
        result: ExecutionResult = self.run(lambda: self.session.execute(type=type, raise_on_failure=False, **fields))
        return result

    def do(self, type: str, **fields: Any) -> Any:
        """The data of an action that must succeed."""
        result: ExecutionResult = self.run(lambda: self.session.execute(type=type, **fields))
        assert result.success
        return result.data

    def fails(self, type: str, **fields: Any) -> ExecutionResult:
        """An action that must fail, be told so in the log, and leave the session in use."""
        result = self.execute(type, **fields)
        assert not result.success, result
        event = self.last()
        assert (event.kind, event.ok, event.error_type) == (type, False, result.reason)
        assert event.error_message == result.summary
        assert self.status() == "active"
        return result

    def goes_on(self) -> None:
        """The active tab must work."""
        self.goto("/second")
        assert self.js("document.querySelector('h1').textContent") == "Second"

    def goto(self, path: str) -> None:
        """Load a page of the site."""
        self.do("goto", url=self.site + path)

    def js(self, code: str) -> Any:
        """What JavaScript in the active tab says."""
        return self.do("evaluate_js", code=code)

    def observe(self, **options: Any) -> Observation:
        """session.observe()."""
        seen: Observation = self.run(lambda: self.session.observe(**options))
        return seen

    def id(self, name: str, role: str | None = None) -> str:
        """The id of an element, from an observe() of now."""
        return self.observe().element(name, role).id

    def scrape(self, **options: Any) -> Any:
        """session.scrape()."""
        return self.run(lambda: self.session.scrape(**options))

    def page(self, work: Callable[[Any], T | Awaitable[T]]) -> Any:
        """What *work* does with `session.page`."""
        return self.run(lambda: work(self.session.page))

    def status(self) -> str:
        """The session's status."""
        view: Any = self.run(lambda: self.session.status())
        return str(view.status)

    def history(self) -> list[Event]:
        """The session's events, oldest first."""
        return [decode(row) for row in self._reader.log.read(self.session.session_id)]

    def operations(self) -> list[SessionOperation]:
        """The operations among them."""
        return [event for event in self.history() if isinstance(event, SessionOperation)]

    def last(self) -> SessionOperation:
        """The latest operation in the log."""
        return self.operations()[-1]

    def one_tab(self) -> None:
        """Close all tabs but a fresh one, whatever state they are in."""
        self.do("goto_new_tab", url="about:blank")

        def others(page: Any) -> Coroutine[Any, Any, None] | None:
            extra = [one for one in page.context.pages if one.url != "about:blank" or one is not page.context.pages[-1]]
            if self._loop is None:
                for one in extra:
                    one.close()
                return None

            async def close() -> None:
                for one in extra:
                    await one.close()

            return close()

        self.page(others)

    def stop(self) -> None:
        """End the session."""
        self.run(lambda: self.session.stop())
        if self._loop is not None:
            self._client.close()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._reader.close()
