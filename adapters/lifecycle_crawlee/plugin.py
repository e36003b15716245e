"""A browser plugin for Crawlee's BrowserPool whose browsers are sessions.

Crawlee's own plugin starts Chrome with the first page, and holds it for connected after it was killed. Here a browser
runs before the pool has it, and Crawlee sees when it is gone. Pages share one context with Crawlee's headers, as ever,
or have one each with use_incognito_pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from crawlee.browsers import PlaywrightBrowserController, PlaywrightBrowserPlugin
from crawlee.fingerprint_suite import DefaultFingerprintGenerator

from lifecycle import AsyncClient
from lifecycle.errors import InvalidConfig
from lifecycle.telemetry import logger
from lifecycle_playwright import attach, can_launch, lasting, launch

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from playwright.async_api import Browser

    from lifecycle import AsyncSession
    from lifecycle.client.request import SessionConfig

__all__ = ["Plugin"]


class Plugin(PlaywrightBrowserPlugin):
    """Crawlee's PlaywrightBrowserPlugin, with a keeper's browsers; *options* are its arguments.

    With launch options that no keeper has, and for other browsers, they are launched as ever and recorded from outside:
    `started` says ownership=attached.

    Args:
        log: Where to; None is $LIFECYCLE_LOG, else the file in the user's data directory.
        session: Arguments of Client.Session, such as labels and limits.

    Raises:
        InvalidConfig: From new_browser(), or here of a limit: a launch option or an argument of the session is wrong.
    """

    def __init__(
        self, *, log: str | PathLike[str] | None = None, session: SessionConfig | None = None, **options: Any
    ) -> None:
        options.setdefault("fingerprint_generator", DefaultFingerprintGenerator())  # as the crawler's own browser has
        super().__init__(**options)
        self._log = log
        self._config: SessionConfig = lasting(session or {})
        self._client = AsyncClient(log, actor="crawlee")
        self._sessions: list[AsyncSession] = []

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End what the pool has not closed, then as ever."""
        sessions, self._sessions = self._sessions, []
        for session in sessions:
            await session.stop()
        await super().__aexit__(cls, error, traceback)
        self._client.close()
        self._client = AsyncClient(self._log, actor="crawlee")

    async def new_browser(self) -> PlaywrightBrowserController:
        """A browser with a session around it."""
        if not self.active or self._playwright is None:
            raise RuntimeError("the plugin is not active: it belongs in a BrowserPool")
        browser_type = getattr(self._playwright, self.browser_type)
        why = can_launch(browser_type, self.browser_launch_options)
        if why is None:
            browser = await self._launch(browser_type)
        elif self._user_data_dir is None:
            logger.info("crawlee_browser_attached", why=why)
            browser = await self._attach(await browser_type.launch(**self.browser_launch_options))
        else:
            raise InvalidConfig("user_data_dir", str(self._user_data_dir), f"needs a keeper's browser, and {why}")
        controller = PlaywrightBrowserController(
            browser,
            use_incognito_pages=self._use_incognito_pages,
            max_open_pages_per_browser=self.max_open_pages_per_browser,
            fingerprint_generator=self._fingerprint_generator,
        )
        if self._user_data_dir is None:
            # Not the browser's own context, which has none of Crawlee's headers: the first page makes one.
            controller._browser_context = None
        return controller

    async def _launch(self, browser_type: Any) -> Browser:
        config: dict[str, Any] = {**self._config}
        if self._user_data_dir is not None:
            config["user_data_dir"] = self._user_data_dir
        session, browser = await launch(
            self._client, browser_type, self.browser_launch_options, cast("SessionConfig", config)
        )
        self._sessions.append(session)
        return browser

    async def _attach(self, browser: Browser) -> Browser:
        session = attach(
            self._client,
            browser,
            labels=self._config.get("labels"),
            max_duration_minutes=self._config["max_duration_minutes"],
            correlation_id=self._config.get("correlation_id"),
            causation_id=self._config.get("causation_id"),
            page=False,
        )
        self._sessions.append(await session.start())
        return browser
