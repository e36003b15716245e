"""Errors of connecting tell nothing of the URL, which is a credential; and which errors are Playwright's."""

from __future__ import annotations

import builtins
import http.server
import socket
import threading
import traceback
from typing import TYPE_CHECKING

import pytest

from lifecycle_playwright import Pages
from tests.adapters.playwright.world import drivers, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "b64-T0ken_of-the.gate"


class _Refuses(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(403, explain=f"no such path: {self.path}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def forbidding() -> Iterator[str]:
    """Where every request is answered with 403 and its own path."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    "url",
    [
        f"ws://{{closed}}/{TOKEN}/devtools",
        f"ws://user:{TOKEN}@{{closed}}/devtools",
        f"ws://{{closed}}/devtools?key={TOKEN}",
        f"ws://{{forbidding}}/{TOKEN}",
        f"http://{{forbidding}}/{TOKEN}",
        f"http://{{forbidding}}/devtools?key={TOKEN}",
        f"ws://[::nonsense/{TOKEN}",
        f"nonsense {TOKEN}",
        f"nonsense/{TOKEN}",
    ],
)
def test_no_error_of_connecting_tells_the_url(url: str, closed_port: str, forbidding: str) -> None:
    from playwright.sync_api import Error

    pages = Pages()
    with pytest.raises(Error) as caught:
        pages.connect(url.format(closed=closed_port, forbidding=forbidding))
    error = caught.value
    assert pages.is_driver_error(error)
    assert str(error).startswith("BrowserType.connect_over_cdp: ")
    shown = "".join(traceback.format_exception(error))
    assert TOKEN not in shown
    assert TOKEN not in repr(vars(error))
    assert error.__context__ is None
    assert error.__cause__ is None
    assert TOKEN not in repr(pages)
    assert drivers() == []


def test_what_went_wrong_stays_readable(closed_port: str, forbidding: str) -> None:
    def message(work: Callable[[], object]) -> str:
        with pytest.raises(Exception, match="connect_over_cdp") as caught:
            work()
        return str(caught.value)

    pages = Pages()
    assert f"ECONNREFUSED {closed_port}" in message(lambda: pages.connect(f"ws://{closed_port}/{TOKEN}"))
    assert "403 Forbidden" in message(lambda: pages.connect(f"ws://{forbidding}/{TOKEN}"))


@pytest.mark.browser
def test_a_connections_repr_tells_nothing(chromium: object) -> None:
    from tests.adapters.playwright.world import Chromium

    assert isinstance(chromium, Chromium)
    connection = Pages().connect(chromium.cdp_url)
    path = chromium.cdp_url.rpartition("/")[2]
    assert path not in repr(connection)
    connection.close()
    assert repr(connection) == "<Connection closed>"


def test_which_errors_are_playwrights() -> None:
    import playwright.async_api
    import playwright.sync_api

    pages = Pages()
    with pytest.raises(playwright.sync_api.Error) as caught:
        pages.connect("ws://127.0.0.1:1/")
    assert pages.is_driver_error(caught.value)
    assert pages.is_driver_error(playwright.sync_api.TimeoutError("late"))
    assert pages.is_driver_error(playwright.async_api.Error("lost"))
    for foreign in (ValueError("x"), builtins.TimeoutError(), KeyboardInterrupt(), OSError(), AssertionError()):
        assert not pages.is_driver_error(foreign)


def test_importing_and_asking_loads_no_playwright() -> None:
    loaded = script(
        "import sys\n"
        "import lifecycle_playwright\n"
        "pages = lifecycle_playwright.Pages()\n"
        "assert not pages.is_driver_error(TimeoutError())\n"
        "pages.check()\n"
        "print(*(name for name in ('playwright', 'greenlet', 'structlog', 'pydantic') if name in sys.modules))\n"
    )
    assert loaded.split() == []
