"""lifecycle_crawlee: whatever ends a crawl or its browsers, the history says so and nothing is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle_chromium.find import find_browser, sandbox_args
from tests.adapters.hosting import Host, kill_browser, steps, story
from tests.adapters.hosts import Row, hold
from tests.docs.run_page import shown
from tests.site import serve

pytestmark = pytest.mark.browser

#: Crawlee's own example for its PlaywrightCrawler; the lines that were added are marked
CRAWL = """
import asyncio, os, signal
from datetime import timedelta
from crawlee.crawlers import PlaywrightCrawler, PlaywrightCrawlingContext
from crawlee.browsers import BrowserPool  # added
from lifecycle_crawlee import Plugin  # added


async def main() -> None:
    crawler = PlaywrightCrawler(
        max_requests_per_crawl=5,
        max_request_retries=1,
        browser_pool=BrowserPool(plugins=[Plugin({options})]),  # added
    )

    @crawler.router.default_handler
    async def handler(context: PlaywrightCrawlingContext) -> None:
        page = context.page
        print("scraped", await page.title())
        {doing}
        await context.push_data({{"title": await page.title()}})

    stats = await crawler.run(["{site}/"])
    print("reported finished", stats.requests_finished, "failed", stats.requests_failed)
    {after}


asyncio.run(main())
"""
PAUSE = 'print("waiting"); await page.wait_for_timeout(20_000)'


@pytest.fixture
def site() -> Iterator[str]:
    with serve() as url:
        yield url


def crawl(folder: Path, site: str, doing: str = "pass", *, options: str = "", after: str = "pass") -> Host:
    folder.mkdir(exist_ok=True)
    script = folder / "crawl.py"
    script.write_text(CRAWL.format(site=site, doing=doing, options=options, after=after))
    return Host(folder, [str(script)])


def reported(host: Host) -> str:
    assert host.finish() == 0, host.said[-20:]
    return host.until("reported").removeprefix("reported ")


def test_hosts_say_less_than_the_log(tmp_path: Path, site: str) -> None:
    """The rows of docs/reference/hosts.md; each is a crawl with three lines more than Crawlee's example."""
    happened = {
        "ends": "the crawl ends",
        "browser": "`kill -9` of Chrome while a page is handled",
        "host": "`kill -9` of the crawler",
        "error": "the handler raises an exception, twice",
    }
    doing = {"ends": "pass", "browser": PAUSE, "host": PAUSE, "error": "1 / 0"}
    with contextlib.ExitStack() as stack:
        hosts = {name: stack.enter_context(crawl(tmp_path / name, site, doing[name])) for name in happened}
        hosts["host"].until("waiting")
        hosts["host"].kill()
        hosts["browser"].until("waiting")
        kill_browser(hosts["browser"].log)
        said = {name: f"`{reported(hosts[name])}`" for name in ("ends", "error")}
        assert hosts["browser"].finish() == 1
        hosts["browser"].until("ContextPipelineFinalizationError")
        said["browser"] = "`ContextPipelineFinalizationError`, and the crawl is over"
    rows = [Row(happened[name], said.get(name, "nothing"), f"`{story(hosts[name].log, 1)[0]}`") for name in happened]
    hold("crawlee", rows)


def test_sites_see_what_they_see_of_crawlees_own_browser(tmp_path: Path, site: str) -> None:
    with crawl(tmp_path, site, 'print("agent", await page.evaluate("navigator.userAgent"))') as host:
        agent = host.until("agent ")
        host.finish()
    assert "Headless" not in agent, "its fingerprint, which a crawler without a pool of yours has by default"


def test_what_the_page_shows(tmp_path: Path, site: str) -> None:
    text = shown("how-to/crawlee.md", "py", "PlaywrightCrawler(").replace("https://crawlee.dev", f"{site}/")
    (tmp_path / "crawl.py").write_text(text)
    with Host(tmp_path, ["crawl.py"]) as host:
        assert host.finish() == 0, host.said[-20:]
    log = tmp_path / "crawl.db"
    assert story(log, 1) == ["closed stopped"]
    assert steps(log, "created")[0]["labels"] == {"job": "nightly"}


@pytest.mark.parametrize(
    ("doing", "options", "endings"),
    [
        ("os.kill(os.getpid(), signal.SIGINT)", "", ["closed stopped"]),
        ("os._exit(3)", "", ["closed owner_exited"]),
        ("os.fork() or os._exit(0)", "use_incognito_pages=True", ["closed stopped"]),
        (
            "await page.context.browser.close(); await page.context.browser.close()",
            "",
            ["closed stopped"],
        ),
    ],
    ids=["Ctrl-C", "exit", "fork", "closed behind its back"],
)
def test_whatever_ends_a_crawl_its_browsers_end_with_it(
    tmp_path: Path, site: str, doing: str, options: str, endings: list[str]
) -> None:
    with crawl(tmp_path, site, doing, options=options) as host:
        host.finish()
        host.until("scraped")
    assert story(host.log, len(endings)) == endings


def test_a_loop_that_ends_before_its_browser_leaves_it_to_the_end_of_the_process(tmp_path: Path, site: str) -> None:
    leaves = "plugin = Plugin(); await plugin.__aenter__(); await plugin.new_browser(); print('left')"
    with crawl(tmp_path, site, after=leaves) as host:
        host.until("left")
        host.finish()
    assert story(host.log, 2) == ["closed stopped", "closed owner_exited"]


def test_a_browser_that_does_not_come_up_is_an_error(tmp_path: Path, site: str) -> None:
    with crawl(tmp_path, site, options='browser_launch_options={"executable_path": "/bin/false"}') as host:
        host.finish()
        host.until("LaunchFailed")
    assert set(story(host.log, len(steps(host.log, "created")))) == {"error launch_failed"}


def test_what_no_keeper_can_do_is_launched_as_ever_and_recorded(tmp_path: Path, site: str) -> None:
    binary = find_browser(headless=True).path
    options = {"executable_path": str(binary), "args": sandbox_args(binary)[0], "env": {"LANG": "C"}}
    session = {"labels": {"job": "nightly"}}
    with crawl(tmp_path, site, options=f"session={session}, browser_launch_options={options}") as host:
        assert reported(host) == "finished 1 failed 0"
    assert story(host.log, 1) == ["closed browser_closed"]
    assert [event["ownership"] for event in steps(host.log, "started")] == ["attached"]
    assert steps(host.log, "created")[0]["labels"] == session["labels"]


def test_a_profile_of_the_users_stays(tmp_path: Path, site: str) -> None:
    profile = tmp_path / "profile"
    with crawl(tmp_path, site, options=f"user_data_dir={str(profile)!r}") as host:
        assert reported(host) == "finished 1 failed 0"
    assert story(host.log, 1) == ["closed stopped"]
    assert (profile / "Default").is_dir()
