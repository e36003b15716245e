"""What pytest loads of us in every run: three options. The rest is imported with --lifecycle."""

from __future__ import annotations

from typing import Any

import pytest

#: pytest-playwright and pytest-playwright-asyncio, which refuse to be loaded together, as pytest knows them
_SYNC, _ASYNC = "playwright", "playwright-asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    """--lifecycle and what goes with it, each with an ini option of the same name."""
    group = parser.getgroup("lifecycle", "the browsers of pytest-playwright as sessions in a log")
    group.addoption(
        "--lifecycle", action="store_true", default=None, help="record every browser and context, and how each ended"
    )
    parser.addini("lifecycle", "as --lifecycle", type="bool", default=False)
    group.addoption(
        "--lifecycle-per",
        choices=["context", "test"],
        help="context: a session for each browser and each context in it (default); test: a browser for each test",
    )
    parser.addini("lifecycle_per", "as --lifecycle-per", default="context")
    group.addoption(
        "--lifecycle-log", metavar="FILE", help="the log; default: $LIFECYCLE_LOG, else in the user's data directory"
    )
    parser.addini("lifecycle_log", "as --lifecycle-log, from the directory of the ini file", type="paths", default=[])


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """With --lifecycle, put ourselves around pytest-playwright's fixtures."""
    wanted = config.getoption("--lifecycle")
    if not (config.getini("lifecycle") if wanted is None else wanted):
        return
    per = config.getoption("--lifecycle-per") or config.getini("lifecycle_per")
    if per not in ("context", "test"):
        raise pytest.UsageError(f"lifecycle_per is {per!r}; allowed are context and test")
    from lifecycle_pytest.run import RUN, Run

    config.stash[RUN] = run = Run(config)
    config.pluginmanager.register(run, "lifecycle-run")
    fixtures = _fixtures(config)
    config.pluginmanager.register(fixtures, "lifecycle-browsers")
    config.pluginmanager.register(
        fixtures.PerTest() if per == "test" else fixtures.PerContext(), f"lifecycle-per-{per}"
    )


def _fixtures(config: pytest.Config) -> Any:
    if config.pluginmanager.has_plugin(_SYNC):
        from lifecycle_pytest import sync_api

        return sync_api
    if config.pluginmanager.has_plugin(_ASYNC):
        from lifecycle_pytest import async_api

        return async_api
    raise pytest.UsageError("--lifecycle needs pytest-playwright or pytest-playwright-asyncio, and neither is loaded")
