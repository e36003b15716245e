"""lifecycle_scrapy: whatever ends a crawl or its browser, the history says so and nothing is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle import Client
from tests.adapters.hosting import Host, kill_browser, sessions, steps, story
from tests.adapters.hosts import Row, hold
from tests.adapters.playwright.world import Chromium
from tests.docs.run_page import shown
from tests.site import serve

pytestmark = pytest.mark.browser

#: scrapy-playwright's own example, in one file; the line that was added is the marked one
SPIDER = """
import asyncio, os, signal
import scrapy
from scrapy.crawler import CrawlerProcess


class Example(scrapy.Spider):
    name = "example"
    custom_settings = {{
        "DOWNLOAD_HANDLERS": {{"http": "scrapy_playwright.handler.ScrapyPlaywrightDownloadHandler"}},
        "PLAYWRIGHT_BROWSER_PROVIDER": "lifecycle_scrapy.Provider",  # added
        "LOG_LEVEL": "INFO",
        {settings}
    }}

    async def start(self):
        for path in {paths}:
            yield scrapy.Request("{site}" + path, meta={{"playwright": True, "playwright_include_page": True}},
                                 errback=self.failed, dont_filter=True)

    async def parse(self, response):
        page = response.meta["playwright_page"]
        print("scraped", await page.title())
        {doing}
        await page.close()

    def failed(self, failure):
        print("failed", failure.type.__name__)


process = CrawlerProcess()
crawler = process.create_crawler(Example)
process.crawl(crawler)
process.start()
stats = crawler.stats.get_stats()
print("reported", stats["finish_reason"], "browsers", stats.get("playwright/browser_count"))
"""
PAUSE = 'print("waiting"); await page.wait_for_timeout(20_000)'


@pytest.fixture
def site() -> Iterator[str]:
    with serve() as url:
        yield url


def crawl(
    folder: Path, site: str, doing: str = "pass", *, paths: str = '["/"]', settings: str = "", before: str = ""
) -> Host:
    script = folder / "spider.py"
    script.write_text(before + SPIDER.format(site=site, doing=doing, paths=paths, settings=settings))
    return Host(folder, [str(script)])


def reported(host: Host) -> str:
    assert host.finish() == 0, host.said[-20:]
    return host.until("reported").removeprefix("reported ")


def test_hosts_say_less_than_the_log(tmp_path: Path, site: str) -> None:
    """The rows of docs/reference/hosts.md; each is a crawl with one line more than scrapy-playwright's example."""
    crawls = {name: tmp_path / name for name in ("ends", "browser", "host", "error")}
    doing = {"ends": "pass", "browser": PAUSE, "host": PAUSE, "error": "1 / 0"}
    with contextlib.ExitStack() as stack:
        hosts: dict[str, Host] = {}
        for name, folder in crawls.items():
            folder.mkdir()
            hosts[name] = stack.enter_context(crawl(folder, site, doing[name]))
        hosts["host"].until("waiting")
        hosts["host"].kill()
        hosts["browser"].until("waiting")
        kill_browser(hosts["browser"].log)
        said = {name: f"`{reported(host)}`" for name, host in hosts.items() if name != "host"}
    happened = {
        "ends": "the crawl ends",
        "browser": "`kill -9` of Chrome while a page is parsed",
        "host": "`kill -9` of Scrapy",
        "error": "the spider raises an exception",
    }
    hold(
        "scrapy",
        [
            Row(happened[name], said.get(name, "nothing"), f"`{story(hosts[name].log, 1)[0]}`")
            for name in ("ends", "browser", "host", "error")
        ],
    )


def test_what_the_page_shows(tmp_path: Path, site: str) -> None:
    settings = shown("how-to/scrapy.md", "py", "custom_settings")
    names: dict[str, Any] = {}
    exec(settings, names)
    assert names["custom_settings"]["PLAYWRIGHT_BROWSER_PROVIDER"] == "lifecycle_scrapy.Provider"  # as in SPIDER
    provider = shown("how-to/scrapy.md", "py", "class Nightly")
    with crawl(tmp_path, site, settings='"PLAYWRIGHT_BROWSER_PROVIDER": Nightly,', before=provider) as host:
        assert reported(host) == "finished browsers 1"
    log = tmp_path / "crawl.db"
    assert story(log, 1) == ["closed stopped"]
    assert steps(log, "created")[0]["labels"] == {"job": "nightly"}


def test_a_browser_that_is_launched_again_says_which_one_it_follows(tmp_path: Path, site: str) -> None:
    doing = 'await page.context.browser.close(); await page.context.browser.close(); print("closed")'
    with crawl(tmp_path, site, doing, paths='["/", "/second"]', settings='"CONCURRENT_REQUESTS": 1,') as host:
        assert reported(host) == "finished browsers 2"
    first, second = sessions(host.log, 2)
    assert [(view.status, view.cause) for view in (first, second)] == [("closed", "stopped")] * 2
    assert first.closed_at is not None
    assert second.closed_at is not None
    assert first.closed_at < second.closed_at, "it ended with the crawl, not when it was closed"
    assert [event["how"] for event in steps(host.log, "released")] == ["graceful"] * 2
    with Client(host.log) as client:
        assert {event.causation_id for event in client.log.read(second.session_id)} == {first.session_id}
        assert {event.causation_id for event in client.log.read(first.session_id)} == {None}


@pytest.mark.parametrize(
    ("doing", "said", "ending"),
    [
        ("os.kill(os.getpid(), signal.SIGINT)", "reported shutdown", "closed stopped"),
        ("os._exit(3)", "scraped", "closed owner_exited"),
        ('raise scrapy.exceptions.CloseSpider("enough")', "reported enough", "closed stopped"),
        ("os.fork() or os._exit(0)", "reported finished", "closed stopped"),
        ("await page.context.browser.close(); await asyncio.sleep(0.2)", "reported finished", "closed stopped"),
    ],
    ids=["Ctrl-C", "exit", "CloseSpider", "fork", "closed behind its back"],
)
def test_whatever_ends_a_crawl_its_browser_ends_with_it(
    tmp_path: Path, site: str, doing: str, said: str, ending: str
) -> None:
    with crawl(tmp_path, site, doing) as host:
        host.finish()
        host.until(said)
    assert story(host.log, 1) == [ending]


def test_a_browser_that_does_not_come_up_is_an_error(tmp_path: Path, site: str) -> None:
    with crawl(tmp_path, site, settings='"PLAYWRIGHT_LAUNCH_OPTIONS": {"executable_path": "/bin/false"},') as host:
        host.until("failed LaunchFailed")
        host.finish()
    assert story(host.log, 1) == ["error launch_failed"]


def test_a_browser_that_runs_elsewhere_is_recorded_and_left_running(tmp_path: Path, site: str) -> None:
    elsewhere = Chromium(tmp_path / "profile")
    try:
        with crawl(tmp_path, site, settings=f'"PLAYWRIGHT_CDP_URL": "{elsewhere.cdp_url}",') as host:
            assert reported(host) == "finished browsers 1"
        assert story(host.log, 1) == ["closed browser_closed"]
        assert steps(host.log, "started")[0]["ownership"] == "attached"
        assert elsewhere.process.poll() is None
    finally:
        elsewhere.kill()
