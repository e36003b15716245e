"""The gate: who is let in, and that nobody else learns anything."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from websockets.frames import Opcode

from lifecycle_chromium import gate as gate_module
from lifecycle_chromium import handshake
from lifecycle_chromium.gate import Gate
from tests.adapters.chromium.support import (
    SOON_S,
    Browser,
    Doorman,
    FakeBrowser,
    RawClient,
    eventually,
    get,
    token_of,
)


def test_a_url_names_a_session_and_holds_a_token_of_its_own(gate: Gate, fake: FakeBrowser, doorman: Doorman) -> None:
    one, two = (doorman.add(gate, name, fake.pipe) for name in ("session-1", "session-2"))
    assert one == f"ws://127.0.0.1:{gate.port}/{token_of(one)}/devtools/browser/session-1"
    assert len(token_of(one)) >= 43
    assert token_of(one) != token_of(two)


@pytest.mark.parametrize("token", ["", "a" * 21, "a" * 21 + "/", "a" * 22 + "?", "ä" * 30, "a b" * 20])
def test_a_token_that_could_be_guessed_or_is_no_word_is_refused(
    gate: Gate, fake: FakeBrowser, doorman: Doorman, token: str
) -> None:
    with pytest.raises(ValueError, match="22 characters") as error:
        doorman.add(gate, "session-1", fake.pipe, token=token)
    assert not token or token not in str(error.value)
    assert gate.clients("session-1") == ()


def test_a_session_has_one_door(gate: Gate, fake: FakeBrowser, doorman: Doorman) -> None:
    doorman.add(gate, "session-1", fake.pipe, token="t" * 22)
    with pytest.raises(ValueError, match="has a door already"):
        doorman.add(gate, "session-1", fake.pipe)


HOSTS = ["example.com", "example.com:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.example.com:{port}", ""]


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_name_is_refused(gate: Gate, fake_url: str, host: str) -> None:
    client = RawClient(fake_url, {"Host": host.format(port=gate.port)})
    assert client.status == 403
    client.close()


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_the_loopback_names_are_let_in(gate: Gate, fake_url: str, host: str) -> None:
    client = RawClient(fake_url, {"Host": host.format(port=gate.port)})
    assert client.status == 101
    client.close()


def test_two_host_names_are_refused(gate: Gate, fake_url: str) -> None:
    client = RawClient(fake_url, {"Host": f"127.0.0.1:{gate.port}\r\nHost: 127.0.0.1:{gate.port}"})
    assert client.status == 403
    client.close()


@pytest.mark.parametrize("origin", ["http://example.com", "http://127.0.0.1", "null", ""])
def test_a_web_page_is_refused_even_with_the_token(gate: Gate, fake_url: str, origin: str) -> None:
    client = RawClient(fake_url, {"Origin": origin})
    assert client.status == 403
    client.close()
    assert get(gate, f"/{token_of(fake_url)}/json/version", {"Origin": origin})[0] == 403
    assert get(gate, f"/{token_of(fake_url)}/poke", {"Origin": origin})[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/json/version",
        "/json",
        "/devtools/browser/session-1",
        "/{wrong}/devtools/browser/session-1",
        "/{wrong}/json/version",
        "/{wrong}/poke",
        "/{half}/json/version",
        "/{token}x/json/version",
        "/%7Btoken%7D/json/version",
        "/x/{token}/json/version",
        "/?{token}",
    ],
)
def test_without_the_token_everything_is_the_same_refusal(
    gate: Gate, fake_url: str, doorman: Doorman, path: str
) -> None:
    token = token_of(fake_url)
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert get(gate, path.format(token=token, half=token[:20], wrong=wrong)) == (403, "Forbidden\n")
    client = RawClient(f"ws://127.0.0.1:{gate.port}" + path.format(token=token, half=token[:20], wrong=wrong))
    assert client.status == 403
    client.close()
    assert doorman.told == []


def test_a_token_that_is_not_ascii_is_refused_like_any_other(gate: Gate) -> None:
    """By websockets itself since release 16; before, by us: a thread that dies of it would fail this test."""
    with socket.create_connection(("127.0.0.1", gate.port)) as stranger:
        stranger.sendall(b"GET /\xff\xfe/json/version HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % gate.port)
        assert stranger.recv(100)[:12] in (b"", b"HTTP/1.1 403")


def test_one_session_s_token_does_not_open_another_s_door(
    gate: Gate, fake: FakeBrowser, fake_url: str, doorman: Doorman
) -> None:
    other = doorman.add(gate, "session-2", fake.pipe)
    mixed = other.replace(token_of(other), token_of(fake_url))
    client = RawClient(mixed)
    assert client.status == 404
    client.close()


def test_tools_find_the_way_in_by_http(gate: Gate, fake_url: str) -> None:
    for path in ("/json/version", "/json/version/"):
        status, body = get(gate, f"/{token_of(fake_url)}{path}")
        assert status == 200
        assert json.loads(body) == {
            "Browser": "a product",
            "Protocol-Version": "a protocolVersion",
            "User-Agent": "a userAgent",
            "V8-Version": "a jsVersion",
            "webSocketDebuggerUrl": fake_url,
        }
    named = json.loads(get(gate, f"/{token_of(fake_url)}/json/version?client=nightly%20job")[1])
    assert named["webSocketDebuggerUrl"] == f"{fake_url}?client=nightly_job"
    assert get(gate, f"/{token_of(fake_url)}/json/list")[0] == 404
    assert get(gate, f"/{token_of(fake_url)}/devtools/browser/session-1")[0] == 426


def test_who_comes_after_the_ending_is_let_in_for_looking_alone(gate: Gate, fake_url: str, doorman: Doorman) -> None:
    early = RawClient(fake_url)
    doorman.admits = False
    late = RawClient(fake_url)
    assert (early.status, late.status) == (101, 403)
    assert get(gate, f"/{token_of(fake_url)}/json/version") == (403, "Forbidden\n")
    assert get(gate, f"/{token_of(fake_url)}/poke") == (204, "")
    looking = RawClient(gate.look_url("session-1"))
    assert looking.status == 101
    early.send({"id": 1, "method": "Still.here"})  # who was there finishes what it does
    doorman.wait_for("Still.here 00000000000000000000000000000001")
    for client in (early, late, looking):
        client.close()


def test_a_poke_is_passed_on(gate: Gate, fake_url: str, doorman: Doorman) -> None:
    assert get(gate, f"/{token_of(fake_url)}/poke") == (204, "")
    doorman.wait_for("poked")
    with contextlib.suppress(http.client.RemoteDisconnected):  # websockets before 16 only hangs up
        assert get(gate, f"/{token_of(fake_url)}/poke", method="POST")[0] == 405
    assert doorman.told == ["poked"]


def test_a_browser_that_is_gone_or_stuck_is_said_to_be_unavailable(
    gate: Gate, fake: FakeBrowser, doorman: Doorman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "_BROWSER_S", 0.05)
    url = doorman.add(gate, "session-1", fake.pipe)
    for _ in ("stuck", "gone"):
        assert get(gate, f"/{token_of(url)}/json/version")[0] == 503
        client = RawClient(url)
        assert client.status == 503
        client.close()
        assert get(gate, f"/{token_of(url)}/poke")[0] == 204
        fake.die()


def test_a_request_has_a_size_and_a_time(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_S", 0.2)
    for sent in (
        b"GET /" + b"a" * 20000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 4000,
        b"nonsense\r\n\r\n",
        b"GET / HTTP",
    ):
        client = socket.create_connection(("127.0.0.1", gate.port), timeout=SOON_S)
        with client, contextlib.suppress(ConnectionError):
            client.sendall(sent)
            assert b"101" not in client.recv(65536)
            assert client.recv(65536) == b""


def test_a_request_that_is_right_but_too_long_is_none(gate: Gate, fake_url: str, doorman: Doorman) -> None:
    with contextlib.suppress(ConnectionError):
        assert get(gate, f"/{token_of(fake_url)}/poke", {f"X-{number}": "b" * 300 for number in range(60)})[0] != 204
    assert doorman.told == []


def test_a_client_that_goes_while_it_is_let_in_leaves_nothing_in_the_browser(
    gate: Gate, fake_url: str, doorman: Doorman, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(*_: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(gate_module, "respond", respond)
    client = RawClient(fake_url)
    assert client.status is None
    doorman.wait_for("detached")
    assert gate.clients("session-1") == ()
    client.close()


def test_strangers_that_say_nothing_do_not_fill_the_house(gate: Gate, fake_url: str) -> None:
    """They get no more than the places for handshakes, and who has a token is served beside them."""
    threads = threading.active_count()
    with ExitStack() as stack:
        for _ in range(200):
            stranger = socket.create_connection(("127.0.0.1", gate.port), timeout=SOON_S)
            stack.callback(stranger.close)
        assert eventually(lambda: threading.active_count() < threads + 70)
        assert get(gate, f"/{token_of(fake_url)}/poke")[0] == 204
        client = RawClient(fake_url)
        assert client.status == 101
        client.close()


def test_who_comes_when_no_thread_is_left_keeps_out_nobody_who_comes_later(
    gate: Gate, fake_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def full(thread: threading.Thread) -> None:
        if thread.name == "gate-client":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        for _ in range(70):
            with socket.create_connection(("127.0.0.1", gate.port), timeout=SOON_S) as refused:
                assert refused.recv(1) == b""
    assert get(gate, f"/{token_of(fake_url)}/poke")[0] == 204


def test_who_came_first_makes_room_and_not_who_just_came(gate: Gate, fake_url: str) -> None:
    with ExitStack() as stack:

        def comes() -> socket.socket:
            sock = socket.create_connection(("127.0.0.1", gate.port), timeout=SOON_S)
            stack.callback(sock.close)
            return sock

        strangers = [comes() for _ in range(63)]
        client = comes()
        strangers += [comes() for _ in range(30)]
        for gone in strangers[:30]:
            assert gone.recv(1) == b""
        client.sendall(f"GET /{token_of(fake_url)}/poke HTTP/1.1\r\nHost: 127.0.0.1:{gate.port}\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 204"


def test_each_who_comes_gets_the_place_of_another(gate: Gate) -> None:
    """However late their threads are to leave theirs."""
    with ExitStack() as stack:
        pairs = [tuple(map(stack.enter_context, socket.socketpair())) for _ in range(70)]
        for ours, _ in pairs:
            gate._make_room(ours)  # pyright: ignore[reportPrivateUsage]
        for number, (_, theirs) in enumerate(pairs):
            theirs.settimeout(SOON_S if number < 6 else 0)
            with contextlib.nullcontext() if number < 6 else pytest.raises(BlockingIOError):
                assert theirs.recv(1) == b""


def test_who_has_been_let_in_makes_room_for_nobody(gate: Gate, fake_url: str) -> None:
    client = RawClient(fake_url)
    for _ in range(70):
        assert get(gate, f"/{token_of(fake_url)}/poke")[0] == 204
    client.send(b"there?", Opcode.PING)
    assert client.frame() == (Opcode.PONG, b"there?")
    client.close()


def test_a_request_that_trickles_in_gets_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    class Trickle:
        def settimeout(self, _seconds: float) -> None:
            pass

        def recv(self, _most: int) -> bytes:
            nonlocal now
            now += 1
            return b"G"

    monkeypatch.setattr(handshake, "time", SimpleNamespace(monotonic=lambda: now))
    with pytest.raises(TimeoutError):
        handshake.read_request(Trickle(), handshake.websocket_protocol(message_bytes=1))  # type: ignore[arg-type]
    assert now == handshake.HANDSHAKE_S


def test_a_stranger_who_was_refused_does_not_stay_by_talking_on(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifecycle_chromium.handshake._LINGER_S", 0.2)
    stranger = socket.create_connection(("127.0.0.1", gate.port), timeout=SOON_S)
    with stranger:
        stranger.sendall(b"GET /token/poke HTTP/1.1\r\nHost: here\r\n\r\n")
        assert stranger.recv(65536)  # the answer: what was sent before it would be a broken request

        def refused() -> bool:
            with contextlib.suppress(ConnectionError):
                stranger.sendall(b"and another thing")
                return False
            return True

        assert eventually(refused)


NOBODY = """
import os, sys, urllib.request, urllib.error
profile, port = sys.argv[1:]
for look in (os.listdir, open):
    try:
        look(profile); print("READ")
    except OSError as error:
        print(type(error).__name__)
for path in ("/json/version", "/" + "A" * 43 + "/json/version"):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}"); print("IN")
    except urllib.error.HTTPError as error:
        print(error.code)
"""


@pytest.mark.browser
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_neither_in_nor_at_the_profile(gate: Gate, browser: Browser, url: str) -> None:
    python = next(
        path for path in ("/usr/bin/python3", "/usr/local/bin/python3", sys.executable) if Path(path).exists()
    )
    for folder in (browser.process.profile, *list(browser.process.profile.parents)[:-2]):
        if folder != browser.process.profile:
            folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run(
        [python, "-I", "-c", NOBODY, str(browser.process.profile), str(gate.port)],
        capture_output=True,
        text=True,
        check=True,
        user=65534,
        group=65534,
        extra_groups=[],
    )
    assert done.stdout.split() == ["PermissionError", "PermissionError", "403", "403"]
    assert token_of(url) not in "".join(
        path.read_bytes().decode(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    )


def test_nothing_logged_or_shown_holds_the_token(
    gate: Gate, fake: FakeBrowser, fake_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    token = token_of(fake_url)
    for headers in ({}, {"Origin": "x"}, {"Host": "x"}, {"Sec-WebSocket-Version": "1"}, {"Sec-WebSocket-Key": "x"}):
        RawClient(fake_url, headers).close()
    RawClient(fake_url + "/" + "x" * 9000).close()
    get(gate, f"/{token}/poke")
    shown = "".join(map(repr, [gate, *gate.__dict__.values(), fake.pipe, *gate.clients("session-1")]))
    shown += "".join(repr(door) for door in gate.__dict__["_doors"].values())
    shown += "".join(thread.name for thread in threading.enumerate())
    said = capfd.readouterr()
    assert token not in shown + caplog.text + said.out + said.err
