"""What counts as access: what a script wants, and nothing that a page can make its driver send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Playwright

from lifecycle_chromium import relay
from lifecycle_chromium.access import SETUP_S, counts, peek
from tests.adapters.chromium.support import SOON_S, Browser, Doorman, Site

Serve = Callable[[dict[str, str]], Site]

#: A page that makes as much trouble as a page can, and loads itself again.
RESTLESS = """<!doctype html><title>restless</title><body><script>
console.log('noise', {a: 1}); console.error(new Error('noise'))
fetch('/api?' + Math.random()); fetch('/missing')
new Worker('/worker.js')
navigator.serviceWorker?.register('/worker.js')
for (const host of ['127.0.0.1', 'localhost']) {
    const frame = document.createElement('iframe')
    frame.src = `http://${host}:${location.port}/frame`
    document.body.append(frame)
    setTimeout(() => frame.remove(), 150)
}
const popup = open('/popup'), blank = open('about:blank')
setTimeout(() => { popup?.close(); blank?.close() }, 200)
history.pushState(1, '', '/pushed'); location.hash = 'there'; document.title = Math.random()
try { new WebSocket(`ws://${location.host}/ws`) } catch {}
const link = document.createElement('a'); link.href = '/download'; link.download = 'a.bin'
setTimeout(() => link.click(), 100)
setTimeout(() => { throw new Error('noise') }, 10)
setTimeout(() => alert('noise'), 120)
setTimeout(() => location.href = '/?' + Math.random(), 400)
</script>"""
PAGES = {
    "/": RESTLESS,
    "/pushed": RESTLESS,
    "/api": "{}",
    "/frame": "<p>frame</p>",
    "/popup": "<title>popup</title>",
    "/worker.js": "self.postMessage?.(1)",
    "/download": "bytes",
}
ROUNDS = 6


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Methods of commands that would count long after their target's attachment."""
    found: list[str] = []

    def recorded(method: str, since_attach_s: float) -> bool:
        if counts(method, 3600):
            found.append(method)
        return counts(method, since_attach_s)

    monkeypatch.setattr(relay, "counts", recorded)
    return found


@pytest.fixture
def page(playwright: Playwright, url: str, sent: list[str]) -> Iterator[Page]:
    """The first tab, through the gate, with the installed Playwright."""
    client = playwright.chromium.connect_over_cdp(url)
    yield client.contexts[0].pages[0]
    client.close()


def _ignore(happened: object) -> None:
    """A script's handler that does nothing."""


def rounds(page: Page, site: Site, count: int = ROUNDS) -> None:
    """Let the page load itself *count* times, and do nothing but wait for it."""
    for _ in range(count):
        page.wait_for_event("load")
    assert sum(visit.startswith("/?") for visit in site.visits) >= count - 1


@pytest.mark.browser
def test_connecting_is_quiet(page: Page, doorman: Doorman, sent: list[str]) -> None:
    """The keeper counts the connection itself; what a driver says then is the same for everybody."""
    assert doorman.accesses == []
    assert sent == []


@pytest.mark.browser
def test_a_page_can_not_make_its_driver_count(page: Page, doorman: Doorman, sent: list[str], site: Serve) -> None:
    served = site(PAGES)
    page.goto(served.base)
    doorman.accesses.clear()
    sent.clear()
    rounds(page, served)
    assert doorman.accesses == []
    assert sent == [], "the static set needs these: what comes within 50 ms of an attachment is only luck"


@pytest.mark.browser
def test_a_page_can_not_make_a_script_s_handlers_count(
    page: Page, doorman: Doorman, sent: list[str], site: Serve
) -> None:
    served = site(PAGES)
    context = page.context
    context.add_init_script("window.early = 1")
    context.set_extra_http_headers({"x-test": "1"})
    page.set_viewport_size({"width": 900, "height": 700})
    context.route("**/api*", lambda route: route.fulfill(body="{}"))
    context.route("**/frame", lambda route: route.abort())
    context.route("**/popup", lambda route: route.continue_())
    page.on("dialog", lambda dialog: dialog.dismiss())
    for event in ("console", "request", "response", "pageerror", "popup", "worker", "download", "websocket"):
        page.on(event, _ignore)
    page.goto(served.base)
    doorman.accesses.clear()
    sent.clear()
    rounds(page, served)
    assert doorman.accesses == []
    assert sent == []


@pytest.mark.browser
def test_a_crashing_page_counts_nothing(page: Page, browser: Browser, doorman: Doorman, sent: list[str]) -> None:
    session = browser.attach()
    doorman.accesses.clear()
    with page.expect_event("crash"):
        browser.pipe.post("Page.crash", session_id=session)
    assert doorman.accesses == []
    assert sent == []


USES: dict[str, Callable[[Page], object]] = {
    "title": lambda page: page.title(),
    "evaluate": lambda page: page.evaluate("1"),
    "click": lambda page: page.click("button"),
    "fill": lambda page: page.fill("input", "x"),
    "press": lambda page: page.keyboard.press("a"),
    "move": lambda page: page.mouse.move(1, 1),
    "content": lambda page: page.content(),
    "inner_text": lambda page: page.inner_text("button"),
    "wait_for_selector": lambda page: page.wait_for_selector("button"),
    "screenshot": lambda page: page.screenshot(),
    "aria_snapshot": lambda page: page.aria_snapshot(),
    "pdf": lambda page: page.pdf(),
    "bring_to_front": lambda page: page.bring_to_front(),
    "reload": lambda page: page.reload(),
    "goto": lambda page: page.goto("about:blank"),
    "cookies": lambda page: page.context.cookies(),
    "add_cookies": lambda page: page.context.add_cookies([{"name": "a", "value": "1", "url": "http://a.example"}]),
    "storage_state": lambda page: page.context.storage_state(),
    "grant_permissions": lambda page: page.context.grant_permissions(["geolocation"]),
    "new_page": lambda page: page.context.new_page(),
    "close": lambda page: page.close(),
}


@pytest.mark.browser
def test_what_a_script_does_counts(page: Page, doorman: Doorman) -> None:
    page.set_content("<button>b</button><input>")
    page.wait_for_timeout(2 * SETUP_S * 1000)
    counted: dict[str, bool] = {}
    for name, use in USES.items():
        doorman.accesses.clear()
        use(page)
        with doorman.changed:  # told after the command went on, and so maybe after its answer
            counted[name] = doorman.changed.wait_for(lambda: bool(doorman.accesses), SOON_S)
    assert counted == dict.fromkeys(USES, True)


@pytest.mark.parametrize(
    ("method", "since_attach_s", "expected"),
    [
        ("Page.navigate", 60, True),
        ("Runtime.evaluate", SETUP_S, True),
        ("Runtime.evaluate", SETUP_S * 0.99, False),
        ("Input.dispatchMouseEvent", 60, True),
        ("Anything.new", 60, True),
        ("Anything.enable", 60, False),
        ("Anything.disable", 60, False),
        ("Enable.something", 60, True),
        ("Fetch.continueRequest", 60, False),
        ("Fetch.continueWithAuth", 60, False),
        ("Page.screencastFrameAck", 60, False),
        ("Runtime.runIfWaitingForDebugger", 60, False),
        ("Target.setAutoAttach", 60, False),
        ("Browser.close", 60, True),
        ("nonsense", 60, True),
    ],
)
def test_the_documented_rules(method: str, since_attach_s: float, expected: bool) -> None:
    assert counts(method, since_attach_s) is expected


@pytest.mark.parametrize(
    "message",
    [
        {"id": 1, "method": "A.b"},
        {"id": -9999, "method": "A.b", "params": {}},
        {"id": 1, "method": "A.b", "params": {"sessionId": "other"}},
        {"id": 1, "method": "A.b", "params": {"x": ',"sessionId":"other"}'}, "sessionId": "S"},
        {"id": 1, "method": "A.b", "params": {"x": ',"sessionId":"other"}'}},
        {"id": 1, "method": "A.b", "params": {"x": ',"sessionId":"other"'}},
        {"sessionId": "S", "id": 1, "method": "A.b"},
        {"params": {"id": 5, "method": "C.d"}, "method": "A.b", "id": 1},
        {"id": 1, "method": "A.b", "sessionId": "S", "params": {"sessionId": "other"}},
        {"id": 1, "method": "A.b", "sessionId": ""},
        {"id": 10**30, "method": "A.b", "params": {}},
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["tight", "wide"])
def test_a_command_s_head_is_what_parsing_all_of_it_finds(
    message: dict[str, object], separators: tuple[str, str]
) -> None:
    found = peek(json.dumps(message, separators=separators).encode())
    assert tuple(found) == (message["id"], message["method"], message.get("sessionId"))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"id":1}',
        b'{"id":"1","method":"A.b"}',
        b'{"id":1,"method":2}',
        b"\xff",
        b"[" * 99999,
        b'{"id":1,"method":"A.b","sessionId":7}',
        b'{"id":1,"method":"A.b","sessionId":null}',
    ],
)
def test_what_is_no_command_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        peek(message)
