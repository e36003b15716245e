"""Around the fixtures of pytest-playwright-asyncio: what sync_api.py does, on its loop."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from lifecycle.errors import SessionEnded
from lifecycle_playwright import attach, can_launch, launch
from lifecycle_pytest.run import RUN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from playwright.async_api import Browser, BrowserContext, BrowserType

    from lifecycle import AsyncSession
    from lifecycle_pytest.run import Run

__all__ = ["PerContext", "PerTest", "launch_browser"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def launch_browser(
    launch_browser: Callable[..., Awaitable[Browser]],
    browser_type: BrowserType,
    browser_type_launch_args: dict[str, Any],
    connect_options: dict[str, Any] | None,
    pytestconfig: pytest.Config,
) -> AsyncIterator[Callable[..., Awaitable[Browser]]]:
    """As pytest-playwright's, with a session around each browser."""
    run = pytestconfig.stash[RUN]
    started: list[AsyncSession] = []

    async def launch_one(**options: Any) -> Browser:
        whole = {**browser_type_launch_args, **options}
        if connect_options or can_launch(browser_type, whole) is not None:
            browser = await launch_browser(**options)
            session = await _attach(run, browser, run.launching_for)
        else:
            session, browser = await launch(run.async_client, browser_type, whole, run.config(run.launching_for))
        run.session_of[browser] = session
        started.append(session)
        return browser

    yield launch_one
    for session in started:
        await session.stop()


class PerContext:
    """A session for each context, beside those of the browsers."""

    @pytest_asyncio.fixture(loop_scope="session")
    async def new_context(
        self, new_context: Callable[..., Awaitable[BrowserContext]], request: pytest.FixtureRequest
    ) -> AsyncIterator[Callable[..., Awaitable[BrowserContext]]]:
        """As pytest-playwright's, with a session around each context."""
        run, item = request.config.stash[RUN], request.node
        started: list[AsyncSession] = []

        async def new_one(**options: Any) -> BrowserContext:
            context = await new_context(**options)
            session = await _attach(run, context, item)
            started.append(session)
            for one in (run.session_of.get(context.browser), session):
                if one is not None:
                    run.began(item, one.session_id)
            return context

        yield new_one
        for session in started:
            await _end(run, session, item)


class PerTest:
    """A browser for each test."""

    @pytest_asyncio.fixture(loop_scope="session")
    async def browser(
        self, launch_browser: Callable[..., Awaitable[Browser]], request: pytest.FixtureRequest
    ) -> AsyncIterator[Browser]:
        """A browser of this test's own."""
        run, item = request.config.stash[RUN], request.node
        run.launching_for = item
        try:
            browser = await launch_browser()
        finally:
            run.launching_for = None
        # A conftest.py may launch in its own way.
        session: AsyncSession = run.session_of.get(browser) or await _attach(run, browser, item)
        run.began(item, session.session_id)
        yield browser
        await _end(run, session, item)
        await browser.close()


async def _attach(run: Run, given: Browser | BrowserContext, item: pytest.Item | None) -> AsyncSession:
    session = attach(run.async_client, given, labels=run.labels(item), max_duration_minutes=24 * 60, page=False)
    return await session.start()


async def _end(run: Run, session: AsyncSession, item: pytest.Item) -> None:
    with contextlib.suppress(SessionEnded):
        await session.annotate("test", dict(run.outcome(item)))
    error = run.failure(item)
    if error is None:
        await session.stop()
        return
    with contextlib.suppress(SessionEnded):  # it had ended before the test did
        await session.__aexit__(type(error), error, error.__traceback__)
