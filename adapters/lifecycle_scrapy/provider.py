"""What PLAYWRIGHT_BROWSER_PROVIDER names: scrapy-playwright's own provider, whose browsers are sessions.

scrapy-playwright asks for a browser with the first request that needs one, and again after a disconnection. Each is a
session of its own; `causation_id` of the later one is the id of the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from scrapy_playwright.provider import PlaywrightBrowserProvider

from lifecycle import AsyncClient
from lifecycle.telemetry import logger
from lifecycle_playwright import attach, can_launch, lasting, launch

if TYPE_CHECKING:
    from os import PathLike

    from playwright.async_api import Browser, BrowserContext
    from scrapy_playwright.handler import Config

    from lifecycle import AsyncSession
    from lifecycle.client.request import SessionConfig

__all__ = ["Provider"]


class Provider(PlaywrightBrowserProvider):
    """Browsers for scrapy-playwright that are launched, watched and recorded by a keeper.

    Subclass it to choose the log, or the arguments that Client.Session takes:

        class Mine(Provider):
            log = "crawl.db"
            session = {"labels": {"job": "nightly"}, "max_duration_minutes": 120}

    Launch options that no keeper has, other browsers, remote and persistent ones are launched as ever and recorded from
    outside: `started` says ownership=attached.
    """

    log: ClassVar[str | PathLike[str] | None] = None
    """Where to; None is $LIFECYCLE_LOG, else the file in the user's data directory."""
    session: ClassVar[SessionConfig] = {}
    """Arguments of Client.Session, over those that come from PLAYWRIGHT_LAUNCH_OPTIONS."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._client = AsyncClient(self.log, actor="scrapy")
        self._sessions: list[AsyncSession] = []

    async def launch_browser(self) -> Browser:
        """A browser with a session around it."""
        if self.browser_type is None:
            raise RuntimeError("start() must be awaited before launch_browser()")
        why = self._remote() or can_launch(self.browser_type, self.config.launch_options)
        if why is not None:
            logger.info("scrapy_browser_attached", why=why)
            browser: Browser = await super().launch_browser()
            await self._attach(browser)
            return browser
        launched = await launch(self._client, self.browser_type, self.config.launch_options, self._config())
        self._sessions.append(launched.session)
        return launched.browser

    async def launch_persistent_context(self, context_kwargs: dict[str, Any]) -> BrowserContext:
        """A persistent context, recorded from outside."""
        context: BrowserContext = await super().launch_persistent_context(context_kwargs)
        await self._attach(context)
        return context

    async def close(self) -> None:
        """End what scrapy-playwright has not closed, then as ever."""
        for session in self._sessions:
            await session.stop()
        await super().close()
        self._client.close()

    def _remote(self) -> str | None:
        return "it runs elsewhere" if self.config.cdp_url or self.config.connect_url else None

    def _config(self) -> SessionConfig:
        config: dict[str, Any] = {**lasting(self.session)}
        if self._sessions:
            config.setdefault("causation_id", self._sessions[-1].session_id)
        return cast("SessionConfig", config)

    async def _attach(self, given: Browser | BrowserContext) -> None:
        config = self._config()
        session = attach(
            self._client,
            given,
            labels=config.get("labels"),
            max_duration_minutes=config["max_duration_minutes"],
            correlation_id=config.get("correlation_id"),
            causation_id=config.get("causation_id"),
            page=False,
        )
        self._sessions.append(await session.start())
