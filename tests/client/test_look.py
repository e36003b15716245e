"""What a site sees: checked before anything starts, and then what Chromium really shows, in every page."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle import Client, InvalidConfig
from lifecycle.errors import LaunchFailed

SECRET = "canary-proxy-password"


class _Server(http.server.ThreadingHTTPServer):
    """Answers everything with the headers it got, as JSON; as a proxy, only to who knows the password."""

    daemon_threads = True
    wants: str | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        if server.wants is not None and self.headers.get("Proxy-Authorization") != server.wants:
            server.refused += 1
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="test"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(tmp_path / "log.db") as made:
        yield made


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("user_agent", ""),
        ("user_agent", "a\nb"),
        ("user_agent", "ü"),
        ("user_agent", 5),
        ("locale", "german"),
        ("locale", "de_DE"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("timezone", 3),
        ("extra_http_headers", ["a"]),
        ("extra_http_headers", {"a b": "c"}),
        ("extra_http_headers", {"Cookie": "c"}),
        ("extra_http_headers", {"x": "a\r\nb"}),
        ("extra_http_headers", {"x": 5}),
        ("extra_http_headers", {f"x{n}": "" for n in range(65)}),
        ("proxy", "example.com"),
        ("proxy", "ftp://example.com:1"),
        ("proxy", "http://example.com"),
        ("proxy", "http://example.com:99999"),
        ("proxy", {"server": "http://a:1", "user": "x"}),
        ("proxy", {"server": "http://a:1", 1: "x", "user": "x"}),
        ("proxy", {"server": "http://a:1", "username": 5}),
        ("proxy", {}),
        ("proxy", 7),
        ("user_data_dir", "/no/such/parent/here"),
        ("user_data_dir", 7),
    ],
)
def test_what_is_wrong_is_named_and_nothing_starts(client: Client, argument: str, value: Any) -> None:
    with pytest.raises(InvalidConfig) as refused:
        client.Session(**{argument: value})
    assert refused.value.argument.startswith(argument)
    assert client.sessions.list() == []


def test_a_proxys_password_is_in_no_error(client: Client) -> None:
    with pytest.raises(InvalidConfig) as refused:
        client.Session(proxy=f"http://me:{SECRET}@example.com:1/path")
    assert SECRET not in str(refused.value)


@pytest.mark.browser
@pytest.mark.parametrize("browser", [None, "/usr/lib/chromium/chromium"])
def test_the_first_page_and_a_popup_look_as_asked(client: Client, server: _Server, browser: str | None) -> None:
    with client.Session(
        browser=browser,
        viewport_width=1001,
        viewport_height=701,
        user_agent="Test/1",
        locale="de-DE",
        timezone="Asia/Tokyo",
        extra_http_headers={"X-Job": "nightly"},
    ) as session:
        page = session.page
        page.goto(server.url)
        with page.context.expect_page() as opened:
            page.evaluate("url => void window.open(url)", f"{server.url}/popup")
        popup = opened.value
        popup.wait_for_load_state()
        for shown in (page, popup):
            seen = json.loads(shown.evaluate("document.body.innerText"))["headers"]
            assert seen["x-job"] == "nightly"
            assert seen["user-agent"] == "Test/1"
            assert seen["accept-language"].startswith("de-DE")
            assert shown.evaluate("[innerWidth, innerHeight]") == [1001, 701]
            assert shown.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == "Asia/Tokyo"
            assert shown.evaluate("(1.5).toLocaleString()") == "1,5"


@pytest.mark.browser
def test_a_proxy_with_a_password_is_used_and_its_password_nowhere(
    client: Client, server: _Server, tmp_path: Path
) -> None:
    server.wants = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
    proxy = {"server": server.url, "username": "me", "password": SECRET}
    with client.Session(proxy=proxy) as session:  # type: ignore[arg-type] # a plain dict, as users write it
        session.page.goto("http://site.invalid/through")
        assert json.loads(session.page.inner_text("body"))["path"] == "http://site.invalid/through"
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert SECRET.encode() not in cmdline.read_bytes()
            except OSError:
                continue
    assert server.refused >= 1
    client.close()
    for written in tmp_path.glob("log.db*"):
        if written.is_file():
            assert SECRET.encode() not in written.read_bytes()


@pytest.mark.browser
def test_a_dead_proxy_fails_the_page_and_not_the_session(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with client.Session(proxy=f"http://127.0.0.1:{port}") as session:
        with pytest.raises(Exception, match="ERR_PROXY_CONNECTION_FAILED"):
            session.page.goto("http://site.invalid/")
        assert session.status().status == "active"


@pytest.mark.browser
def test_a_profile_of_ones_own_stays_and_serves_one_session_at_a_time(
    client: Client, server: _Server, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    with client.Session(user_data_dir=profile) as session:
        session.page.goto(server.url)
        session.page.evaluate("localStorage.setItem('kept', 'yes')")
        with pytest.raises(LaunchFailed, match="in use by another session"):
            client.Session(user_data_dir=profile, page=False).start()
        assert session.status().status == "active"
    with client.Session(user_data_dir=profile) as session:
        session.page.goto(server.url)
        assert session.page.evaluate("localStorage.getItem('kept')") == "yes"
    assert profile.is_dir()
