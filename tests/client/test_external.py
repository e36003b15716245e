"""A browser that somebody else runs, reached by its CDP endpoint: kept and recorded, and never ended by us."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from lifecycle import BrowserLost, Client, InvalidConfig, Session
from lifecycle.core.events import SessionReleased, SessionStarted
from lifecycle.errors import LaunchFailed
from lifecycle.log.codec import decode
from lifecycle_chromium.external import reach
from lifecycle_chromium.find import find_browser, sandbox_args
from lifecycle_chromium.launch import LaunchError
from tests.client.world import until

pytestmark = pytest.mark.browser


class Foreign:
    """A Chromium of somebody else's, with a DevTools port."""

    def __init__(self, folder: Path) -> None:
        binary = find_browser(headless=True).path
        args, _ = sandbox_args()
        profile = folder / "foreign"
        self.process = subprocess.Popen(
            [
                *(str(binary), "--headless", "--remote-debugging-port=0", f"--user-data-dir={profile}"),
                *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *args,
                "data:text/html,<title>theirs</title>",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = profile / "DevToolsActivePort"
        until(lambda: port.exists() and port.read_text().count("\n") == 1, "not in time")
        number, path = port.read_text().split("\n")
        self.http = f"http://127.0.0.1:{number}"
        self.ws = f"ws://127.0.0.1:{number}{path}"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Foreign]:
    running = Foreign(tmp_path)
    yield running
    running.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(tmp_path / "log.db") as made:
        yield made


def _events(client: Client, session: Session) -> list[Any]:
    return [decode(row) for row in client.log.read(session.session_id)]


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_it_is_used_and_left_running(client: Client, foreign: Foreign, scheme: str) -> None:
    with client.Session(cdp_url=getattr(foreign, scheme)) as session:
        assert session.page.title() == "theirs"
        assert session.cdp_url() != foreign.ws
        with client.Session(session.session_id) as again:
            assert again.page.title() == "theirs"
    assert foreign.process.poll() is None
    events = _events(client, session)
    (started,) = [event for event in events if isinstance(event, SessionStarted)]
    assert (started.ownership, started.browser) == ("external", None)
    released = events[-1]
    assert isinstance(released, SessionReleased)
    assert released.how == "detached"
    assert (session.status().browser, session.status().headless) == ("external", None)


def test_a_deadline_disconnects_and_does_not_end_it(client: Client, foreign: Foreign) -> None:
    session = client.Session(cdp_url=foreign.ws, idle_timeout_minutes=1 / 30, page=False).start()
    until(lambda: client.log.read(session.session_id)[-1].type == "session.released", "not in time")
    assert session.status().status == "timed_out"
    assert foreign.process.poll() is None
    with client.Session(cdp_url=foreign.ws) as again:
        assert again.page.title() == "theirs"


def test_its_loss_is_browser_lost_for_nobody_saw_how_it_ended(client: Client, foreign: Foreign) -> None:
    def lose() -> None:
        with client.Session(cdp_url=foreign.ws) as session:
            page = session.page
            foreign.close()
            page.wait_for_timeout(60_000)

    with pytest.raises(BrowserLost) as lost:
        lose()
    assert (lost.value.view.status, lost.value.view.cause) == ("error", "browser_lost")
    assert lost.value.view.closed_at is not None


def test_one_that_is_not_there_is_a_failed_launch_that_does_not_tell_its_address(
    client: Client, tmp_path: Path
) -> None:
    session = client.Session(cdp_url="ws://127.0.0.1:9/canary-token", page=False)
    with pytest.raises(LaunchFailed) as failed:
        session.start()
    assert "canary-token" not in str(failed.value)
    assert session.status().cause == "launch_failed"
    assert not client.history(session.session_id)[-1].data["profile_removed"], "there was none of ours"
    client.close()
    assert all(b"canary-token" not in file.read_bytes() for file in tmp_path.glob("log.db*") if file.is_file())


@pytest.mark.parametrize("word", ["{}", "[1]", "no JSON", "null"])
def test_one_that_speaks_no_cdp_is_a_failed_launch_and_leaves_nothing_open(word: str) -> None:
    def answer(line: ServerConnection) -> None:
        line.recv()
        line.send(word)

    with serve(answer, "127.0.0.1", 0) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        open_fds: list[int] = []
        for _ in range(3):
            with pytest.raises(LaunchError, match="can't be reached"):
                reach(f"ws://127.0.0.1:{server.socket.getsockname()[1]}", timeout_s=5)
            open_fds.append(len(os.listdir("/dev/fd")))
        # The server may close its own a moment later.
        until(lambda: len(os.listdir("/dev/fd")) < open_fds[0] + 4, "descriptors stay open")
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("url", ["", "127.0.0.1:9222", "ftp://x", "ws://", "ws://x:99999999", 5, "ws://x\n"])
def test_what_is_no_endpoint_is_refused(client: Client, url: Any) -> None:
    with pytest.raises(InvalidConfig, match="cdp_url"):
        client.Session(cdp_url=url)


@pytest.mark.parametrize(
    ("argument", "value"), [("browser", "chrome"), ("headless", False), ("proxy", "http://x:1"), ("user_agent", "x")]
)
def test_what_only_a_launch_can_give_is_refused(client: Client, argument: str, value: Any) -> None:
    with pytest.raises(InvalidConfig) as refused:
        client.Session(cdp_url="ws://127.0.0.1:1/", **{argument: value})
    assert refused.value.argument == argument
