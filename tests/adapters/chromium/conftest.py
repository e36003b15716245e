"""Fixtures of the keeper's tools: a browser on a pipe, a gate, ways in, a site."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

from lifecycle_chromium.gate import Gate
from tests.adapters.chromium.support import Browser, Doorman, FakeBrowser, Site, running


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A real browser."""
    with running(tmp_path) as found:
        yield found


@pytest.fixture
def fake() -> Iterator[FakeBrowser]:
    """A pipe whose other side is the test."""
    found = FakeBrowser()
    yield found
    found.die()
    found.pipe.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.close()


@pytest.fixture
def site() -> Iterator[Callable[[dict[str, str]], Site]]:
    """Serves the given pages until the test ends."""
    with ExitStack() as stack:

        def serve(pages: dict[str, str]) -> Site:
            found = Site(pages)
            stack.callback(found.server_close)
            stack.callback(found.shutdown)
            return found

        yield serve


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """A driver. Not for longer than a module: there can be one in a thread, and other tests start their own."""
    with sync_playwright() as found:
        yield found


@pytest.fixture
def doorman() -> Doorman:
    """What the gate tells, recorded."""
    return Doorman()


@pytest.fixture
def url(gate: Gate, browser: Browser, doorman: Doorman) -> str:
    """The way in to a real browser."""
    return doorman.add(gate, browser.session_id, browser.pipe)


@pytest.fixture
def fake_url(gate: Gate, fake: FakeBrowser, doorman: Doorman) -> Iterator[str]:
    """The way in to a browser that answers nothing but what the gate itself asks."""
    sessions = iter(f"{number:032X}" for number in range(1, 100))

    def answer() -> None:
        with contextlib.suppress(AssertionError, OSError):
            while True:
                command = fake.command()
                match command["method"]:
                    case "Target.attachToBrowserTarget":
                        fake.say({"id": command["id"], "result": {"sessionId": next(sessions)}})
                    case "Browser.getVersion":
                        words = ("product", "protocolVersion", "userAgent", "jsVersion")
                        fake.say({"id": command["id"], "result": {word: f"a {word}" for word in words}})
                    case "Target.detachFromTarget":
                        doorman.tell("detached")
                    case method:
                        doorman.tell(f"{method} {command.get('sessionId')}")

    thread = threading.Thread(target=answer)
    thread.start()
    yield doorman.add(gate, "session-1", fake.pipe)
    gate.close()
    fake.pipe.close()
    thread.join()
