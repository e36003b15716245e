"""Who is let in, what can be said there, and what it costs whoever is slow."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from lifecycle.client import viewing
from lifecycle_viewer.scene import FRAMES_AHEAD
from lifecycle_viewer.server import VIEWERS
from tests.adapters.viewer.watching import (
    RESTLESS,
    ask,
    everything,
    live,
    next_frame,
    next_state,
    resident_kib,
    viewers,
)
from tests.client.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle import Client, Session

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def world(site: str) -> Iterator[World]:
    """One world for all of these: nothing here ends or disturbs a session."""
    made = World(site)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(world: World) -> Client:
    return world.client()


@pytest.fixture(scope="module")
def session(client: Client) -> Iterator[Session]:
    with client.Session(timeout_minutes=15) as session:
        yield session


@pytest.fixture(scope="module")
def url(session: Session) -> str:
    return session.viewer_url()


@pytest.fixture(scope="module")
def pid(world: World, url: str) -> int:
    """The viewer's process."""
    [pid] = viewers(world)
    return pid


def test_the_page_holds_nothing_of_the_session_and_may_load_nothing(session: Session, url: str) -> None:
    status, page = ask(url)
    assert status == 200
    assert session.session_id not in page
    assert re.findall(r"https?://|src=|@import|(?<!viewer_)url\(", page) == []


def test_the_token_has_at_least_128_bits_and_is_another_one_for_each_session(client: Client, url: str) -> None:
    with client.Session(page=False) as other:
        tokens = {url.rpartition("/")[2], other.viewer_url().rpartition("/")[2]}
    assert len(tokens) == 2
    assert all(len(token) * 6 >= 128 for token in tokens)


@pytest.mark.parametrize("path", ["/", "/s/", "/s", "/s/{wrong}", "/s/{wrong}/live", "/{token}", "/s/{token}x", "/s/ü"])
def test_without_the_token_everything_is_the_same_403(url: str, path: str) -> None:
    token = url.rpartition("/")[2]
    path = path.format(token=token, wrong=("b" if token[0] == "a" else "a") + token[1:])
    assert ask(url, path.replace("ü", "%C3%BC")) == (403, "Forbidden\n")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", ""])
def test_another_host_is_refused_whatever_it_knows(url: str, host: str) -> None:
    port = url.split(":")[2].partition("/")[0]
    assert ask(url, Host=host.format(port=port))[0] == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "http://localhost:{port}"])
def test_another_origin_is_refused_whatever_it_knows(url: str, origin: str) -> None:
    port = url.split(":")[2].partition("/")[0]
    assert ask(url, Origin=origin.format(port=port))[0] == 403
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(live(url), origin=Origin(origin.format(port=port)), proxy=None),
    ):
        pass


def test_localhost_is_this_machine_too(url: str) -> None:
    assert ask(url, Host=url.split("/")[2].replace("127.0.0.1", "localhost"))[0] == 200


@pytest.mark.parametrize(
    "path", ["/json/version", "/json", "/json/list", "/devtools/browser/{id}", "/poke", "/", "/live/x", "/../live"]
)
def test_nothing_of_cdp_is_behind_the_right_token_either(session: Session, url: str, path: str) -> None:
    where = f"/s/{url.rpartition('/')[2]}{path.format(id=session.session_id)}"
    assert ask(url, where)[0] == 404


def test_the_token_of_the_view_opens_nothing_at_the_gate_nor_the_other_way_round(session: Session, url: str) -> None:
    look, control = url.rpartition("/")[2], session.cdp_url().split("/")[3]
    assert ask(session.cdp_url(), f"/{look}/json/version")[0] == 403
    assert ask(url, f"/s/{control}")[0] == 403


@pytest.mark.parametrize(
    "said",
    [
        json.dumps({"id": 1, "method": "Browser.close"}),
        json.dumps({"id": 1, "method": "Target.getTargets", "params": {}}),
        "seen ",
        "",
        b"seen",
        "x" * 100_000,
    ],
)
def test_whatever_is_said_but_seen_ends_the_connection(session: Session, url: str, said: str | bytes) -> None:
    with connect(live(url), proxy=None) as socket:
        next_state(socket)
        socket.send(said)
        everything(socket, 5)
    assert socket.protocol.close_code in (1008, 1009)
    assert session.page.evaluate("1 + 1") == 2


def test_neither_command_line_nor_environment_holds_a_secret(session: Session, url: str, pid: int) -> None:
    shown = b""
    for name in ("cmdline", "environ"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            shown += file.read()
    for secret in (url.rpartition("/")[2], session.cdp_url().split("/")[3]):
        assert secret.encode() not in shown


def test_two_look_at_once_and_each_gets_every_picture_it_is_ready_for(session: Session, url: str) -> None:
    session.page.goto(RESTLESS)
    with connect(live(url), proxy=None) as one, connect(live(url), proxy=None) as other:
        for _ in range(5):
            assert next_frame(one).startswith(b"\xff\xd8")
            assert next_frame(other).startswith(b"\xff\xd8")
        one.close()
        assert len({next_frame(other) for _ in range(5)}) == 5


def test_who_comes_late_to_a_page_that_rests_gets_its_picture_at_once(session: Session, world: World, url: str) -> None:
    session.page.goto(f"{world.site}/")
    with connect(live(url), proxy=None) as one:
        next_frame(one)
        with connect(live(url), proxy=None) as late:
            assert next_frame(late, 3).startswith(b"\xff\xd8")


def test_a_viewer_that_shows_nothing_is_sent_no_more_and_holds_nobody_up(session: Session, url: str, pid: int) -> None:
    session.page.goto(RESTLESS)
    with connect(live(url), proxy=None) as slow, connect(live(url), proxy=None, max_queue=None) as good:
        next_frame(good)
        before = resident_kib(pid)
        for _ in range(60):
            next_frame(good)
        assert resident_kib(pid) - before < 8 * 1024
        got = [news for news in everything(slow, 0.5) if isinstance(news, bytes)]
        assert len(got) == FRAMES_AHEAD
        for _ in got:
            slow.send("seen")
        assert next_frame(slow) not in got, "what it gets then is new"


def test_a_viewer_that_reads_nothing_at_all_does_not_delay_the_end(client: Client, world: World) -> None:
    session = client.Session().start()
    session.page.goto(RESTLESS)
    showing = viewing.show(session.session_id, client.log.locator, session.cdp_url())
    with connect(live(showing.url()), proxy=None, max_queue=1) as stuck:
        next_frame(stuck)
        session.stop()
        since = time.monotonic()
        while not showing.gone():
            assert time.monotonic() - since < 6
            time.sleep(0.02)


def test_there_is_a_limit_to_how_many_look(url: str) -> None:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(connect(live(url), proxy=None)) for _ in range(VIEWERS)]
        for socket in sockets:
            next_state(socket)
        with connect(live(url), proxy=None) as one_more, pytest.raises(ConnectionClosed):
            one_more.recv(5)
        assert one_more.protocol.close_code == 1013
        sockets[0].close()
        with connect(live(url), proxy=None) as instead:
            assert next_state(instead)["status"] == "active"
