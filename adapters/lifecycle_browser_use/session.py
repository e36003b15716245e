"""BrowserSession with its life in the history, through its restarts and reconnects.

Each life of a BrowserSession, from start() to stop() or kill(), is a session of its own; a later one is caused by the
one before, and all have the BrowserSession's id as their correlation_id. What happens in which order:

- start(): the session is created first, then the browser is launched or connected to;
- the end: browser-use dispatches BrowserStopEvent, whoever asks for it and however. Its handler is a method, which
  is registered anew on every bus that browser-use makes; so it is overridden, and a bus that is replaced loses nothing;
- reconnects and errors are events that nobody handles: they are noted on the bus that start() finds.
"""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypedDict

from browser_use import BrowserSession
from browser_use.browser.events import (
    BrowserErrorEvent,
    BrowserReconnectedEvent,
    BrowserReconnectingEvent,
    BrowserStopEvent,
)
from pydantic import PrivateAttr

from lifecycle import AsyncClient
from lifecycle.client.request import request
from lifecycle.errors import InvalidConfig, LaunchFailed, LifecycleError
from lifecycle.telemetry import logger
from lifecycle_browser_use.launched import LaunchedHost

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from lifecycle import AsyncSession
    from lifecycle.client.request import Request, SessionConfig
    from lifecycle.core.deadlines import Minutes

__all__ = ["KeptBrowserSession", "RecordedBrowserSession"]

#: What browser-use says of its connection, as it stands in the history. Addresses are credentials and stay out.
_NOTED = {
    BrowserReconnectingEvent: ("browser_use.reconnecting", ("attempt", "max_attempts")),
    BrowserReconnectedEvent: ("browser_use.reconnected", ("attempt", "downtime_seconds")),
    BrowserErrorEvent: ("browser_use.error", ("error_type",)),
}


class _Origin(TypedDict):
    correlation_id: str
    causation_id: str | None


class _Lives(BrowserSession):
    """What both kinds share: one session of ours for each life."""

    _client: AsyncClient = PrivateAttr()
    _session: AsyncSession | None = PrivateAttr(default=None)
    _error: BaseException | None = PrivateAttr(default=None)
    _bus: Any = PrivateAttr(default=None)
    _starting: asyncio.Lock = PrivateAttr(default_factory=asyncio.Lock)

    def __init__(self, client: AsyncClient, **options: Any) -> None:
        if not isinstance(client, AsyncClient):  # pyright: ignore[reportUnnecessaryIsInstance] # users
            raise InvalidConfig("client", client, "must be an AsyncClient")
        super().__init__(**options)
        self._client = client

    @property
    def session(self) -> AsyncSession | None:
        """The session of the present life, or of the last one; None before the first start()."""
        return self._session

    async def start(self) -> None:
        """As BrowserSession.start, recorded; errors as there, and those of AsyncSession.start."""
        async with self._starting:
            if self._bus is not self.event_bus:  # a new one after every stop() and kill()
                self._bus = self.event_bus
                for kind in _NOTED:
                    self._bus.on(kind, self._note)
            if self._session is not None and (await self._session.status()).closed_at is None:
                await self._connect(self._session)
            else:
                await self._begin()

    async def _connect(self, session: AsyncSession) -> None:
        await super().start()

    async def _begin(self) -> None:
        raise NotImplementedError

    def _origin(self) -> _Origin:
        return {"correlation_id": self.id, "causation_id": None if self._session is None else self._session.session_id}

    async def on_BrowserStopEvent(self, event: BrowserStopEvent) -> None:
        """As BrowserSession's, which calls it for stop(), close(), kill() and an agent's end alike."""
        await self._stopping(event)
        await super().on_BrowserStopEvent(event)

    async def _stopping(self, event: BrowserStopEvent) -> None:
        raise NotImplementedError

    async def _end(self) -> None:
        if self._session is None:
            return
        try:
            error = self._error
            if error is None:
                await self._session.stop()
            else:
                await self._session.__aexit__(type(error), error, error.__traceback__)
        except LifecycleError as failed:  # the host goes on ending its own
            logger.warning("browser_use_end_not_recorded", session_id=self._session.session_id, error=str(failed))

    async def _note(self, event: Any) -> None:
        name, fields = _NOTED[type(event)]
        if self._session is None:
            return
        try:
            await self._session.annotate(name, {field: getattr(event, field) for field in fields})
        except LifecycleError as error:
            logger.debug("browser_use_not_noted", session_id=self._session.session_id, note=name, error=str(error))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._error = error
        try:
            await self.kill()
        finally:
            self._error = None


class RecordedBrowserSession(_Lives):
    """A BrowserSession whose own browser is recorded: it launches, connects and ends it as always.

    The keeper watches the browser over a connection of its own, from its launch until it is gone, and never ends it.

    Args:
        client: Where it is recorded.
        labels: Plain, searchable texts.
        idle_timeout_minutes: As Client.Session, but there is no idle timeout by default: what browser-use does goes
            past the gate and is not seen as use.
        max_duration_minutes: As Client.Session. A deadline ends the record, and nothing of browser-use's.
        options: Those of BrowserSession.
    """

    _wanted: Request = PrivateAttr()

    def __init__(
        self,
        client: AsyncClient,
        *,
        labels: Mapping[str, str] | None = None,
        idle_timeout_minutes: Minutes | None = None,
        max_duration_minutes: Minutes | None = None,
        **options: Any,
    ) -> None:
        super().__init__(client, **options)
        given: SessionConfig = {"labels": labels, "max_duration_minutes": max_duration_minutes, "page": False}
        if idle_timeout_minutes is not None:
            given["idle_timeout_minutes"] = idle_timeout_minutes
        wanted = request(given)
        if idle_timeout_minutes is None:
            wanted = replace(wanted, limits=wanted.limits.model_copy(update={"idle_timeout_us": None}))
        self._wanted = wanted

    async def _begin(self) -> None:
        loop, context, connecting = asyncio.get_running_loop(), contextvars.copy_context(), self._connect

        def launch() -> str:
            # In its caller's context: the bus knows from it whether an event is dispatched inside of another's handler.
            context.run(asyncio.run_coroutine_threadsafe, connecting(session), loop).result()
            cdp_url: str = self.cdp_url  # or start() would have raised
            return cdp_url

        session = self._client.session_on(
            lambda recorder, host: LaunchedHost(recorder, host, launch), None, self._wanted, **self._origin()
        )
        try:
            await session.start()
        except LaunchFailed:
            await super().kill()  # it is up, or says so, and nobody can reach it
            raise
        finally:
            if session.response is not None:  # it is in the log
                self._session = session

    async def _stopping(self, event: BrowserStopEvent) -> None:
        await self._end()  # before the browser goes: a clean close and a crash look alike from outside


class KeptBrowserSession(_Lives):
    """A BrowserSession on a browser of ours, behind the gate: it ends with its deadline, and with this process.

    With `keep_alive=True`, which is browser-use's own option, stop() leaves the session running for the next start();
    kill() always ends it.

    Args:
        client: Whose session it is.
        config: The arguments of Client.Session: what is to be said of the browser is said there.
        options: Those of BrowserSession, for everything else.
    """

    _config: SessionConfig = PrivateAttr()

    def __init__(self, client: AsyncClient, config: SessionConfig | None = None, **options: Any) -> None:
        if options.get("cdp_url") is not None:
            raise InvalidConfig("cdp_url", "…", "the browser is the session's own")
        super().__init__(client, **options)
        self.browser_profile.is_local = False  # or it would launch one by itself
        self._config = {**(config or {}), "page": False}
        request(self._config)  # refused here, not at the first start

    async def _begin(self) -> None:
        config: SessionConfig = {**self._origin(), **self._config}
        session = self._client.Session(**config)
        await session.start()
        self._session = session
        try:
            await self._connect(session)
        except BaseException as error:
            await session.__aexit__(type(error), error, error.__traceback__)
            raise

    async def _connect(self, session: AsyncSession) -> None:
        self.browser_profile.cdp_url = f"{await session.cdp_url()}?client=browser-use"
        await super()._connect(session)

    async def _stopping(self, event: BrowserStopEvent) -> None:
        if self.browser_profile.keep_alive and not event.force and self._error is None:
            return
        self._intentional_stop = True  # or it would try to reconnect
        await self._end()
