"""The relay: an unmodified client can't tell it from the browser, and no client can harm another."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Playwright
from websockets.frames import Opcode

from lifecycle_chromium import access, handshake, relay
from lifecycle_chromium import gate as gate_module
from lifecycle_chromium.gate import Gate
from lifecycle_chromium.launch import Exit
from lifecycle_chromium.outbox import Chunk, Outbox
from lifecycle_chromium.process import group_members, wait_gone
from tests.adapters.chromium.support import (
    SOON_S,
    Browser,
    Doorman,
    FakeBrowser,
    RawClient,
    Site,
    eventually,
    get,
    listening_sockets,
    running,
    sockets_of,
    token_of,
)

Serve = Callable[[dict[str, str]], Site]


def first_page(connected: PlaywrightBrowser) -> Page:
    return connected.contexts[0].pages[0]


@pytest.mark.browser
def test_two_clients_at_once_see_the_same_tabs(playwright: Playwright, url: str) -> None:
    one, two = (playwright.chromium.connect_over_cdp(url) for _ in range(2))
    first_page(one).goto("data:text/html,<title>shared</title><input id=i>")
    first_page(one).fill("#i", "typed by one")
    assert first_page(two).title() == "shared"
    assert first_page(two).input_value("#i") == "typed by one"
    with one.contexts[0].expect_page() as opened:
        two.contexts[0].new_page()
    assert opened.value.url == "about:blank"
    two.close()
    assert first_page(one).title() == "shared"
    one.close()


@pytest.mark.browser
def test_who_comes_back_finds_everything_as_it_was(playwright: Playwright, url: str) -> None:
    client = playwright.chromium.connect_over_cdp(url)
    first_page(client).goto("data:text/html,<title>kept</title><input id=i>")
    first_page(client).fill("#i", "typed")
    first_page(client).evaluate("window.kept = 42")
    client.contexts[0].add_cookies([{"name": "a", "value": "1", "url": "http://example.com"}])
    client.close()
    client = playwright.chromium.connect_over_cdp(url)
    page = first_page(client)
    assert (page.title(), page.input_value("#i"), page.evaluate("kept")) == ("kept", "typed", 42)
    assert [cookie.get("value") for cookie in client.contexts[0].cookies()] == ["1"]
    client.close()


@pytest.mark.browser
def test_what_only_a_client_made_goes_with_it(playwright: Playwright, browser: Browser, url: str) -> None:
    def contexts() -> list[str]:
        found: list[str] = browser.pipe.call("Target.getBrowserContexts", timeout_s=SOON_S)["browserContextIds"]
        return found

    before = contexts()
    client = playwright.chromium.connect_over_cdp(url)
    client.new_context().new_page()
    assert len(contexts()) == len(before) + 1
    client.close()
    assert eventually(lambda: contexts() == before)


@pytest.mark.browser
def test_a_client_can_connect_by_http_and_give_itself_a_name(
    playwright: Playwright, gate: Gate, browser: Browser, url: str, doorman: Doorman
) -> None:
    client = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{gate.port}/{token_of(url)}")
    assert [found.label for found in gate.clients(browser.session_id)] == [""]
    client.close()
    doorman.wait_for("disconnected 1")
    client = playwright.chromium.connect_over_cdp(f"{url}?client=nightly%0a%1b[31mjob{'x' * 99}")
    label = gate.clients(browser.session_id)[0].label
    assert label.startswith("nightly___31mjobxxx")
    assert len(label) == 64
    client.close()
    doorman.wait_for(f"disconnected {label}")
    assert gate.clients(browser.session_id) == ()


@pytest.mark.browser
def test_messages_of_8_mb_pass(playwright: Playwright, url: str) -> None:
    client = playwright.chromium.connect_over_cdp(url)
    size = 8 * 2**20
    assert first_page(client).evaluate("text => text.length", "x" * size) == size
    assert len(first_page(client).evaluate("size => 'y'.repeat(size)", size)) == size
    client.close()


@pytest.mark.browser
def test_workers_frames_popups_and_own_cdp_sessions_work(playwright: Playwright, url: str, site: Serve) -> None:
    """Sessions below sessions: all are learned from what the browser says."""
    pages = {
        "/": "<title>top</title><iframe src='http://localhost:PORT/frame'></iframe>"
        "<script>w = new Worker('/w.js'); w.onmessage = e => document.title = e.data</script>",
        "/frame": "<title>frame</title><p id=p>in the frame</p>",
        "/w.js": "postMessage('from the worker')",
        "/pop": "<title>popup</title>",
    }
    served = site(pages)
    served.pages["/"] = pages["/"].replace("PORT", str(served.server_port))
    client = playwright.chromium.connect_over_cdp(url)
    page = first_page(client)
    page.goto(served.base)
    page.wait_for_function("document.title == 'from the worker'")
    assert page.frames[1].inner_text("#p") == "in the frame"
    with page.expect_popup() as popup:
        page.evaluate("void open('/pop')")
    assert popup.value.title() == "popup"
    cdp: Any = client.contexts[0].new_cdp_session(popup.value)
    assert cdp.send("Runtime.evaluate", {"expression": "6*7"})["result"]["value"] == 42
    cdp.detach()
    popup.value.close()
    cdp = client.new_browser_cdp_session()
    assert "Chrom" in cdp.send("Browser.getVersion")["product"]
    client.close()


@pytest.mark.browser
def test_a_client_can_not_use_another_s_sessions(browser: Browser, url: str) -> None:
    one, two = RawClient(url), RawClient(url)
    target = {"targetId": browser.page(), "flatten": True}
    session = one.call("Target.attachToTarget", target)["result"]["sessionId"]
    refused = two.call("Runtime.evaluate", {"expression": "1"}, session)
    assert refused["error"] == {"code": -32001, "message": "Session with given id not found."}
    assert refused["sessionId"] == session
    assert one.call("Runtime.evaluate", {"expression": "1"}, session)["result"]["result"]["value"] == 1
    one.call("Target.detachFromTarget", {"sessionId": session})
    assert one.call("Runtime.evaluate", {"expression": "1"}, session)["error"]["code"] == -32001
    one.close()
    two.close()


@pytest.mark.browser
def test_a_session_s_own_sessions_end_with_it(browser: Browser, url: str) -> None:
    """The browser doesn't announce the end of each; whoever keeps them forgets nothing and grows."""
    client = RawClient(url)
    top = client.call("Target.attachToBrowserTarget")["result"]["sessionId"]
    below = client.call("Target.attachToTarget", {"targetId": browser.page(), "flatten": True}, top)
    client.call("Target.detachFromTarget", {"sessionId": top})
    assert client.call("Runtime.evaluate", {}, below["result"]["sessionId"])["error"]["code"] == -32001
    client.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    "message",
    [
        b'{"id":7,"method":"Target.getTargets"}',
        b'{"id": 7, "method": "Target.getTargets", "params": {}}',
        b'{"method":"Target.getTargets","id":7}',
        b' {"params":{},"id":7,"method":"Target.getTargets"}\n',
        b'{"id":7,"method":"Target.getTargets","params":{"filter":[{"type":"\\"sessionId\\":\\"A\\"}"},{}]}}',
    ],
    ids=["short", "with blanks", "method first", "blanks around", "a text that looks like a session"],
)
def test_a_command_is_understood_however_it_is_written(url: str, message: bytes) -> None:
    client = RawClient(url)
    client.send(message)
    assert client.answer(7)["result"]["targetInfos"]
    client.close()


@pytest.mark.parametrize(
    "message", [b"", b"x", b"[]", b"7", b"{}", b'{"id":1}', b'{"id":"1","method":"A.b"}', b"{" * 9000]
)
def test_what_is_no_command_is_answered_and_not_passed_on(fake_url: str, doorman: Doorman, message: bytes) -> None:
    client = RawClient(fake_url)
    client.send(message)
    opcode, answer = client.frame()
    assert (opcode, json.loads(answer)["error"]["code"]) == (Opcode.TEXT, -32700)
    client.send({"id": 1, "method": "Still.here"})
    doorman.wait_for("Still.here 00000000000000000000000000000001")
    client.close()


def test_a_nul_does_not_smuggle_a_second_command_in(fake_url: str, doorman: Doorman) -> None:
    client = RawClient(fake_url)
    client.send(b'{"id":1,"method":"A.a"}\0{"id":2,"method":"Smuggled.in"}')
    assert client.closed() == (1007, "a NUL in a command")
    client.close()
    doorman.wait_for("detached")
    assert not any("Smuggled" in told for told in doorman.told)


def test_fragments_pings_and_binary_frames_are_understood(fake_url: str, doorman: Doorman) -> None:
    client = RawClient(fake_url)
    client.send(b'{"id":1,', fin=False)
    client.send(b"hello", Opcode.PING)
    client.send(b'"method":', Opcode.CONT, fin=False)
    client.send(b'"A.a"}', Opcode.CONT)
    assert client.frame() == (Opcode.PONG, b"hello")
    doorman.wait_for("A.a 00000000000000000000000000000001")
    client.send(b'{"id":2,"method":"B.b"}', Opcode.BINARY)
    doorman.wait_for("B.b 00000000000000000000000000000001")
    client.sock.sendall(b"\x81\x97\0\0\0\0" + b'{"id":3,"method"')  # a frame that comes in two pieces
    client.sock.sendall(b':"C.c"}')
    doorman.wait_for("C.c 00000000000000000000000000000001")
    client.send(b"\x03\xe8bye", Opcode.CLOSE)
    assert client.closed() == (1000, "bye")
    client.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x05hello", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 1002),
        (b"\x81\xff" + (97 * 2**20).to_bytes(8) + b"\0\0\0\0", 1009),
        (b"\x01\x80\0\0\0\0\x00\xff" + (97 * 2**20).to_bytes(8) + b"\0\0\0\0", 1009),
    ],
    ids=["unmasked", "unknown kind", "reserved bit", "no beginning", "no end", "too large", "too large a fragment"],
)
def test_a_client_that_breaks_the_protocol_is_disconnected(
    fake_url: str, doorman: Doorman, sent: bytes, code: int
) -> None:
    client = RawClient(fake_url)
    client.sock.sendall(sent)
    assert client.closed()[0] == code
    client.close()
    doorman.wait_for("detached")
    doorman.wait_for("disconnected 1")


def test_a_client_that_vanishes_is_noticed_and_the_others_go_on(gate: Gate, fake_url: str, doorman: Doorman) -> None:
    one, two = RawClient(fake_url), RawClient(fake_url)
    doorman.wait_for("connected 2")
    one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, as when a process dies
    one.close()
    doorman.wait_for("disconnected 1")
    assert [client.number for client in gate.clients("session-1")] == [2]
    two.send({"id": 1, "method": "Still.here"})
    doorman.wait_for("Still.here 00000000000000000000000000000002")
    two.close()


def test_a_removed_session_tells_its_clients_and_lets_nobody_in(gate: Gate, fake_url: str, doorman: Doorman) -> None:
    client = RawClient(fake_url + "?client=me")
    doorman.wait_for("connected me")
    assert [found.label for found in gate.remove("session-1", "it was stopped")] == ["me"]
    assert client.closed() == (1001, "it was stopped")
    client.close()
    doorman.wait_for("disconnected me")
    late = RawClient(fake_url)
    assert late.status == 403
    late.close()
    assert gate.remove("session-1") == ()
    assert gate.clients("session-1") == ()


def test_a_session_that_is_removed_while_somebody_comes_in_is_closed_to_them(
    gate: Gate, fake_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(*args: Any) -> None:
        gate.remove("session-1", "just now")
        handshake.respond(*args)

    monkeypatch.setattr(gate_module, "respond", respond)
    client = RawClient(fake_url)
    assert client.status == 101
    assert client.closed() == (1001, "just now")
    client.close()


def test_a_client_that_does_not_close_its_side_is_cut_off(
    gate: Gate, fake_url: str, doorman: Doorman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "CLOSE_S", 0.1)
    client = RawClient(fake_url)
    doorman.wait_for("connected 1")
    gate.close()
    assert doorman.told[-1] != "connected 1"
    doorman.wait_for("disconnected 1")
    client.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", gate.port), timeout=SOON_S)


@pytest.mark.browser
def test_a_killed_browser_disconnects_its_clients_at_once(
    playwright: Playwright, browser: Browser, url: str, doorman: Doorman
) -> None:
    client = playwright.chromium.connect_over_cdp(url)
    raw = RawClient(url)
    begun = time.monotonic()
    os.kill(browser.process.pid, signal.SIGKILL)
    assert raw.closed() == (1001, "the browser is gone")
    assert time.monotonic() - begun < SOON_S
    raw.close()
    with pytest.raises(PlaywrightError):
        first_page(client).wait_for_timeout(60_000)
    assert time.monotonic() - begun < 2 * SOON_S, "as long as it would have waited"
    assert not client.is_connected()
    assert browser.process.wait(SOON_S) == Exit(None, signal.SIGKILL)
    doorman.wait_for("disconnected 1")
    doorman.wait_for("disconnected 2")


@pytest.mark.browser
def test_a_client_may_close_the_browser(browser: Browser, url: str) -> None:
    pids = group_members(browser.process.identity)
    client = RawClient(url)
    client.send({"id": 1, "method": "Browser.close"})
    assert client.closed()[0] == 1001
    client.close()
    assert browser.process.wait(SOON_S) == Exit(0, None)
    assert wait_gone(pids, SOON_S) == []


@pytest.mark.browser
def test_a_slow_client_is_dropped_and_the_other_goes_on(
    playwright: Playwright, browser: Browser, url: str, doorman: Doorman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "CLIENT_BACKLOG_BYTES", 4 * 2**20)
    dropped_at: list[int] = []

    class Counted(Outbox):
        puts = 0

        def put(self, *chunks: Chunk) -> int:
            self.puts += 1
            waiting = super().put(*chunks)
            if waiting > 4 * 2**20:
                dropped_at.append(self.puts)
            return waiting

    monkeypatch.setattr(relay, "Outbox", Counted)
    slow = RawClient(url + "?client=slow")
    session = slow.call("Target.attachToTarget", {"targetId": browser.page(), "flatten": True})["result"]["sessionId"]
    quick = playwright.chromium.connect_over_cdp(url + "?client=quick")
    for number in range(20):
        command = {"id": number, "method": "Runtime.evaluate", "params": {"expression": "'x'.repeat(2**20)"}}
        slow.send({**command, "sessionId": session})
    for _ in range(10):
        assert first_page(quick).evaluate("1 + 1") == 2
    assert slow.closed() == (1008, "too slow: over 4 MiB waited for this client")
    # The message that was being sent is finished; of those that waited, four at least, nothing was kept.
    assert len(dropped_at) == 1
    assert slow.texts <= dropped_at[0] - 4
    slow.close()
    doorman.wait_for("disconnected slow")
    assert first_page(quick).title() == ""
    quick.close()


@pytest.mark.browser
def test_a_slow_client_that_never_reads_again_is_cut_off(
    browser: Browser, url: str, doorman: Doorman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "CLIENT_BACKLOG_BYTES", 4 * 2**20)
    monkeypatch.setattr(relay, "CLOSE_S", 0.1)
    slow = RawClient(url)
    session = slow.call("Target.attachToTarget", {"targetId": browser.page(), "flatten": True})["result"]["sessionId"]
    for number in range(20):
        command = {"id": number, "method": "Runtime.evaluate", "params": {"expression": "'x'.repeat(2**20)"}}
        slow.send({**command, "sessionId": session})
    doorman.wait_for("disconnected 1")
    slow.close()


def test_a_callback_that_fails_costs_its_own_client_only(
    gate: Gate, fake: FakeBrowser, fake_url: str, doorman: Doorman, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", caught.append)
    monkeypatch.setattr(access, "SETUP_S", 0)
    other = RawClient(fake_url)

    def fail(*_: object) -> None:
        raise LookupError("a bug")

    url = gate.add(
        "session-2",
        fake.pipe,
        admits=lambda: True,
        on_access=fail,
        on_connected=lambda c: None,
        on_disconnected=fail,
        on_poke=fail,
    )
    client = RawClient(url)
    client.send({"id": 1, "method": "Page.navigate"})
    assert eventually(lambda: gate.clients("session-2") == ())
    client.close()
    assert get_or_none(gate, f"/{token_of(url)}/poke") is None
    other.send({"id": 1, "method": "Still.here"})
    doorman.wait_for("Still.here 00000000000000000000000000000001")
    other.close()
    # The threads that failed report a moment after the client is gone; the next test must not be told.
    assert eventually(lambda: len(caught) == 2)
    assert {args.exc_type for args in caught} == {LookupError}


def get_or_none(gate: Gate, path: str) -> int | None:
    try:
        return get(gate, path)[0]
    except (OSError, http.client.HTTPException):
        return None


@pytest.mark.browser
def test_ten_sessions_share_a_gate_and_nothing_else(playwright: Playwright, gate: Gate, tmp_path: Path) -> None:
    with ExitStack() as stack:
        names = [f"session-{number}" for number in range(10)]
        browsers = [stack.enter_context(running(tmp_path)) for _ in names]
        doormen = [Doorman() for _ in names]
        urls = [doormen[n].add(gate, browsers[n].session_id, browsers[n].pipe) for n in range(10)]
        clients = [playwright.chromium.connect_over_cdp(url) for url in urls]
        for name, client in zip(names, clients, strict=True):
            first_page(client).goto(f"data:text/html,<title>{name}</title>")
        assert [first_page(client).title() for client in clients] == names
        held = sockets_of([pid for browser in browsers for pid in group_members(browser.process.identity)])
        assert held & listening_sockets() == set()
        os.kill(browsers[3].process.pid, signal.SIGKILL)
        doormen[3].wait_for("disconnected 4")
        gate.remove(browsers[5].session_id)
        doormen[5].wait_for("disconnected 6")
        rest = [client for number, client in enumerate(clients) if number not in (3, 5)]
        assert [first_page(client).title() for client in rest] == [name for name in names if name[-1] not in "35"]
        for client in clients:
            client.close()
