"""Around the fixtures of pytest-playwright. Each fixture has the name of the one that it asks for and stands before.

A fixture of ours is torn down before the one it stands before: the session ends, with what is known of the test, while
the context is still open; then pytest-playwright closes it and writes its artifacts.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.errors import SessionEnded
from lifecycle_playwright import attach, can_launch, launch
from lifecycle_pytest.run import RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, BrowserType

    from lifecycle import Session
    from lifecycle_pytest.run import Run

__all__ = ["PerContext", "PerTest", "launch_browser"]


@pytest.fixture(scope="session")
def launch_browser(
    launch_browser: Callable[..., Browser],
    browser_type: BrowserType,
    browser_type_launch_args: dict[str, Any],
    connect_options: dict[str, Any] | None,
    pytestconfig: pytest.Config,
) -> Iterator[Callable[..., Browser]]:
    """As pytest-playwright's, with a session around each browser."""
    run = pytestconfig.stash[RUN]
    started: list[Session] = []

    def launch_one(**options: Any) -> Browser:
        whole = {**browser_type_launch_args, **options}
        if connect_options or can_launch(browser_type, whole) is not None:
            browser = launch_browser(**options)
            session = _attach(run, browser, run.launching_for)
        else:
            session, browser = launch(run.client, browser_type, whole, run.config(run.launching_for))
        run.session_of[browser] = session
        started.append(session)
        return browser

    yield launch_one
    for session in started:
        session.stop()


class PerContext:
    """A session for each context, beside those of the browsers."""

    @pytest.fixture
    def new_context(
        self, new_context: Callable[..., BrowserContext], request: pytest.FixtureRequest
    ) -> Iterator[Callable[..., BrowserContext]]:
        """As pytest-playwright's, with a session around each context."""
        run, item = request.config.stash[RUN], request.node
        started: list[Session] = []

        def new_one(**options: Any) -> BrowserContext:
            context = new_context(**options)
            session = _attach(run, context, item)
            started.append(session)
            for one in (run.session_of.get(context.browser), session):
                if one is not None:
                    run.began(item, one.session_id)
            return context

        yield new_one
        for session in started:
            _end(run, session, item)


class PerTest:
    """A browser for each test."""

    @pytest.fixture
    def browser(self, launch_browser: Callable[..., Browser], request: pytest.FixtureRequest) -> Iterator[Browser]:
        """A browser of this test's own."""
        run, item = request.config.stash[RUN], request.node
        run.launching_for = item
        try:
            browser = launch_browser()
        finally:
            run.launching_for = None
        # A conftest.py may launch in its own way.
        session: Session = run.session_of.get(browser) or _attach(run, browser, item)
        run.began(item, session.session_id)
        yield browser
        _end(run, session, item)
        browser.close()


def _attach(run: Run, given: Browser | BrowserContext, item: pytest.Item | None) -> Session:
    session = attach(run.client, given, labels=run.labels(item), max_duration_minutes=24 * 60, page=False)
    return session.start()


def _end(run: Run, session: Session, item: pytest.Item) -> None:
    with contextlib.suppress(SessionEnded):
        session.annotate("test", dict(run.outcome(item)))
    error = run.failure(item)
    if error is None:
        session.stop()
        return
    with contextlib.suppress(SessionEnded):  # it had ended before the test did
        session.__exit__(type(error), error, error.__traceback__)
