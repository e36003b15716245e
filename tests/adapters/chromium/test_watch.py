"""What the keeper sees of a browser without touching its pages."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lifecycle_chromium import watch as watch_module
from lifecycle_chromium.launch import Exit
from lifecycle_chromium.pipe import CdpClosed
from lifecycle_chromium.watch import (
    Fact,
    Missed,
    Navigated,
    PageCrashed,
    TabClosed,
    TabOpened,
    Watch,
    close_browser,
    read_cookies,
)
from tests.adapters.chromium.support import SOON_S, Browser, FakeBrowser, Site, running

Serve = Callable[[dict[str, str]], Site]


class Facts:
    """Facts in order, taken off by the test."""

    def __init__(self) -> None:
        self.seen: list[Fact] = []
        self.changed = threading.Condition()

    def __call__(self, fact: Fact) -> None:
        with self.changed:
            self.seen.append(fact)
            self.changed.notify_all()

    def upto(self, last: Fact) -> list[Fact]:
        """All facts up to *last*, which are taken off."""
        with self.changed:
            assert self.changed.wait_for(lambda: last in self.seen, SOON_S), f"{last} not in {self.seen}"
            number = self.seen.index(last) + 1
            taken, self.seen = self.seen[:number], self.seen[number:]
            return taken


@pytest.fixture(params=[False, True], ids=["headless", "full"])
def each_browser(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Browser]:
    with running(tmp_path, full=request.param) as found:
        yield found


class Tab:
    """A tab under the control of the test, on a session of its own."""

    def __init__(self, browser: Browser, target: str | None = None) -> None:
        self.browser = browser
        self.id = target or browser.page()
        self.session = browser.attach(self.id)

    def run(self, expression: str) -> object:
        return self.browser.evaluate(expression, self.session)

    def go(self, url: str) -> None:
        self.browser.pipe.call("Page.navigate", {"url": url}, session_id=self.session, timeout_s=SOON_S)


def watched(browser: Browser) -> tuple[Facts, Tab]:
    """A watch on *browser* that has seen its first tab, and that tab."""
    facts = Facts()
    Watch(browser.pipe, facts)
    assert facts.upto(TabOpened(browser.page(), "about:blank")) == [TabOpened(browser.page(), "about:blank")]
    return facts, Tab(browser)


PAGES = {
    "/a": "<title>a</title>",
    "/b": "<title>b</title><iframe src='/a'></iframe>",
    "/untitled": "<p>no title",
    "/nothing": "",
    "/download": "bytes",
}


@pytest.mark.browser
def test_each_navigation_is_told_once_and_nothing_else_is_one(each_browser: Browser, site: Serve) -> None:
    base = site(PAGES).base
    facts, tab = watched(each_browser)
    steps: list[tuple[Callable[[], object], list[str]]] = [
        (lambda: tab.go(f"{base}/a"), [f"{base}/a"]),
        (lambda: tab.run("location.reload()"), [f"{base}/a"]),
        (lambda: tab.go(f"{base}/b"), [f"{base}/b"]),
        (lambda: tab.run("history.pushState(1, '', '/pushed')"), [f"{base}/pushed"]),
        (lambda: tab.run("history.replaceState(1, '', location.href)"), [f"{base}/pushed"]),
        (lambda: tab.run("location.hash = 'x'"), [f"{base}/pushed#x"]),
        (lambda: tab.run("history.go(-2)"), [f"{base}/b"]),
        (lambda: tab.go("http://127.0.0.1:1/refused"), ["http://127.0.0.1:1/refused"]),
        (
            lambda: tab.go(f"{base}/untitled".replace("127.0.0.1", "localhost")),
            [f"{base}/untitled".replace("127.0.0.1", "localhost")],
        ),
        (lambda: tab.run("document.title = 'x'; document.title = 'y'"), []),
        (lambda: tab.run("document.body.append(document.createElement('iframe')); frames[0].location = '/a'; 1"), []),
        (lambda: tab.run("document.open(); document.write('x'); document.close()"), []),
        (lambda: tab.go(f"{base}/nothing"), []),
        (lambda: tab.go(f"{base}/download"), []),
        (lambda: Tab(each_browser), []),
    ]
    for number, (step, expected) in enumerate(steps):
        step()
        for url in expected:
            assert facts.upto(Navigated(tab.id, url)) == [Navigated(tab.id, url)], number
    # Whatever else the last steps had caused would come before this.
    tab.go(f"{base}/a?last")
    assert facts.upto(Navigated(tab.id, f"{base}/a?last")) == [Navigated(tab.id, f"{base}/a?last")]


@pytest.mark.browser
def test_the_first_attachment_and_the_last_detachment_are_no_navigation(browser: Browser, site: Serve) -> None:
    base = site(PAGES).base
    facts, tab = watched(browser)
    tab.go(f"{base}/a")
    for _ in range(3):
        browser.pipe.detach(tab.session)
        tab = Tab(browser)
    tab.go(f"{base}/b")
    facts.upto(Navigated(tab.id, f"{base}/a"))
    assert facts.upto(Navigated(tab.id, f"{base}/b")) == [Navigated(tab.id, f"{base}/b")]


@pytest.mark.browser
def test_tabs_that_come_and_go_are_told(each_browser: Browser, site: Serve) -> None:
    base = site(PAGES).base
    facts, tab = watched(each_browser)
    tab.go(f"{base}/a")
    facts.upto(Navigated(tab.id, f"{base}/a"))
    tab.run("popup = open('/b'); 1")
    targets = each_browser.pipe.call("Target.getTargets", timeout_s=SOON_S)["targetInfos"]
    popup = next(target["targetId"] for target in targets if target["type"] == "page" and target["targetId"] != tab.id)
    seen = facts.upto(Navigated(popup, f"{base}/b"))
    assert [type(fact) for fact in seen] == [TabOpened, Navigated]
    tab.run("popup.close()")
    assert facts.upto(TabClosed(popup)) == [TabClosed(popup)]
    blank = each_browser.pipe.call("Target.createTarget", {"url": "about:blank"}, timeout_s=SOON_S)["targetId"]
    each_browser.pipe.call("Target.closeTarget", {"targetId": blank}, timeout_s=SOON_S)
    assert [type(fact) for fact in facts.upto(TabClosed(blank))] == [TabOpened, TabClosed]


@pytest.mark.browser
def test_a_crash_is_told_once_and_the_tab_goes_on(each_browser: Browser, site: Serve) -> None:
    base = site(PAGES).base
    facts, tab = watched(each_browser)
    for _ in range(2):
        each_browser.pipe.post("Page.crash", session_id=tab.session)
        assert facts.upto(PageCrashed(tab.id)) == [PageCrashed(tab.id)]
        tab = Tab(each_browser)
        tab.go(f"{base}/a")
        assert facts.upto(Navigated(tab.id, f"{base}/a")) == [Navigated(tab.id, f"{base}/a")]


@pytest.mark.browser
def test_a_page_that_hangs_hides_nothing_of_the_others(browser: Browser, site: Serve) -> None:
    base = site(PAGES).base
    facts, tab = watched(browser)
    browser.pipe.post("Runtime.evaluate", {"expression": "for (;;);"}, session_id=tab.session)
    other = Tab(browser, browser.pipe.call("Target.createTarget", {"url": f"{base}/a"}, timeout_s=SOON_S)["targetId"])
    facts.upto(Navigated(other.id, f"{base}/a"))
    assert read_cookies(browser.pipe) == []
    browser.pipe.call("Target.closeTarget", {"targetId": tab.id}, timeout_s=SOON_S)
    facts.upto(TabClosed(tab.id))


@pytest.mark.browser
def test_a_page_is_not_touched(browser: Browser) -> None:
    """With Page enabled by anybody, alert() waits for an answer that nobody gives; without, it is ignored here."""
    facts = Facts()
    Watch(browser.pipe, facts)
    facts.upto(TabOpened(browser.page(), "about:blank"))
    targets = browser.pipe.call("Target.getTargets", timeout_s=SOON_S)["targetInfos"]
    assert [target["attached"] for target in targets if target["type"] == "page"] == [False]
    assert Tab(browser).run("alert('x'), 5") == 5


@pytest.mark.browser
def test_watching_ends_with_the_browser_or_on_demand(browser: Browser, site: Serve) -> None:
    base = site(PAGES).base
    one, two = Facts(), Facts()
    first, second = Watch(browser.pipe, one), Watch(browser.pipe, two)
    tab = Tab(browser)
    first.close()
    first.close()
    told = len(one.seen)
    tab.go(f"{base}/a")
    two.upto(Navigated(tab.id, f"{base}/a"))
    assert len(one.seen) == told
    os.kill(browser.process.pid, signal.SIGKILL)
    browser.process.wait(SOON_S)
    second.close()
    assert not any(isinstance(fact, TabClosed) for fact in two.seen)
    with pytest.raises(CdpClosed):
        Watch(browser.pipe, one)


@pytest.mark.browser
def test_cookies_are_read_whatever_the_page_does(browser: Browser, site: Serve) -> None:
    base = site(PAGES).base
    tab = Tab(browser)
    tab.go(f"{base}/a")
    tab.run("document.cookie = 'name=value; max-age=3600'")
    browser.pipe.post("Runtime.evaluate", {"expression": "for (;;);"}, session_id=tab.session)
    cookies = read_cookies(browser.pipe)
    assert [(cookie["name"], cookie["value"], cookie["domain"]) for cookie in cookies] == [
        ("name", "value", "127.0.0.1")
    ]


@pytest.mark.browser
def test_a_browser_that_is_asked_to_close_ends_with_0(each_browser: Browser) -> None:
    close_browser(each_browser.pipe)
    assert each_browser.process.wait(SOON_S) == Exit(0, None)
    each_browser.pipe.close()
    close_browser(each_browser.pipe)


@pytest.fixture
def scripted(fake: FakeBrowser) -> Iterator[Callable[..., None]]:
    """Says that something happened to a target of a fake browser whose first session is watched."""

    def answer() -> None:
        with contextlib.suppress(AssertionError, OSError):
            while True:
                command = fake.command()
                fake.say({"id": command["id"], "result": {"sessionId": "S" * 32}})

    thread = threading.Thread(target=answer)
    thread.start()

    def happen(method: str, tab: str, **info: object) -> None:
        details = {"targetId": tab, "type": "page", "url": "about:blank", "attached": False, **info}
        params = details if method in ("targetCrashed", "targetDestroyed") else {"targetInfo": details}
        fake.say({"method": f"Target.{method}", "params": params, "sessionId": "S" * 32})

    yield happen
    fake.pipe.close()
    thread.join()


def test_a_slow_listener_holds_up_nobody_and_learns_how_much_it_missed(
    fake: FakeBrowser, scripted: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "QUEUE_BYTES", 2000)
    facts, go_on, reached = Facts(), threading.Event(), threading.Event()

    def slow(fact: Fact) -> None:
        facts(fact)
        reached.set()
        assert go_on.wait(SOON_S)

    Watch(fake.pipe, slow)
    scripted("targetCreated", "T")
    assert reached.wait(SOON_S)
    for number in range(50):
        scripted("targetInfoChanged", "T", url=f"http://x/{number:02}")
    fake.pipe.call("Still.answers", timeout_s=SOON_S)
    go_on.set()
    scripted("targetDestroyed", "T")
    facts.upto(TabOpened("T", "about:blank"))
    with facts.changed:
        assert facts.changed.wait_for(lambda: any(isinstance(fact, Missed) for fact in facts.seen), SOON_S)
    told = [fact for fact in facts.seen if isinstance(fact, Navigated)]
    missed = sum(fact.count for fact in facts.seen if isinstance(fact, Missed))
    assert told == [Navigated("T", f"http://x/{number:02}") for number in range(len(told))]
    assert len(told) + missed in (50, 51)


def test_a_tab_s_first_blank_document_is_no_navigation(fake: FakeBrowser, scripted: Callable[..., None]) -> None:
    facts = Facts()
    Watch(fake.pipe, facts)
    scripted("targetCreated", "T", url="")
    for url in ("", "about:blank", "http://x/", "about:blank"):
        scripted("targetInfoChanged", "T", url=url)
    scripted("targetDestroyed", "T")
    told = [TabOpened("T", ""), Navigated("T", "http://x/"), Navigated("T", "about:blank"), TabClosed("T")]
    assert facts.upto(TabClosed("T")) == told


def test_a_crash_that_the_browser_tells_twice_is_told_once(fake: FakeBrowser, scripted: Callable[..., None]) -> None:
    """As the headless shell does."""
    facts = Facts()
    Watch(fake.pipe, facts)
    scripted("targetCreated", "T")
    for _ in range(2):
        scripted("targetCrashed", "T")
        scripted("targetCrashed", "T")
        scripted("targetInfoChanged", "T", url="http://x/")
    scripted("targetDestroyed", "T")
    again = [PageCrashed("T"), Navigated("T", "http://x/")]
    assert facts.upto(TabClosed("T")) == [TabOpened("T", "about:blank"), *again, *again, TabClosed("T")]


def test_what_was_missed_does_not_confuse_what_follows(fake: FakeBrowser, scripted: Callable[..., None]) -> None:
    facts = Facts()
    Watch(fake.pipe, facts)
    scripted("targetInfoChanged", "new to us", url="http://x/")
    scripted("targetDestroyed", "never heard of")
    scripted("targetCrashed", "never heard of")
    scripted("targetSomethingNew", "new to us")
    scripted("targetDestroyed", "new to us")
    assert facts.upto(TabClosed("new to us")) == [TabOpened("new to us", "http://x/"), TabClosed("new to us")]


def test_a_listener_that_fails_is_reported_and_only_its_watch_ends(
    fake: FakeBrowser, scripted: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", caught.append)

    told = threading.Event()

    def fail(fact: Fact) -> None:
        told.set()
        raise LookupError("a bug")

    failing = Watch(fake.pipe, fail)
    scripted("targetCreated", "T")
    assert told.wait(SOON_S)
    failing.close()
    assert [args.exc_type for args in caught] == [LookupError]
    fake.pipe.call("Still.answers", timeout_s=SOON_S)
