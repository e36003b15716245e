"""How long a viewer lives, how long it lets the session live, and who gets which."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from lifecycle import AsyncClient, Client, SessionStopped
from lifecycle.client import viewing
from lifecycle.core.events import ClientConnected, SessionAccessed, SessionCreated, SessionStarted
from lifecycle.errors import NotStarted, ViewerUnavailable
from lifecycle_chromium import ChromiumHost, paths
from lifecycle_viewer import opener, recording
from tests.adapters.viewer.watching import RESTLESS, ask, live, next_frame, next_state, no_viewer, viewers
from tests.client.world import until

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from lifecycle.core import Event
    from tests.client.world import World

pytestmark = pytest.mark.browser


def last_state(socket: ClientConnection) -> dict[str, Any]:
    """What is said last before the connection ends."""
    found: dict[str, Any] = {}
    with suppress(ConnectionClosed):
        while True:
            found = next_state(socket)
    return found


def accesses(history: list[Event]) -> list[int]:
    return [event.last_at for event in history if isinstance(event, SessionAccessed)]


def test_a_session_under_a_viewers_eyes_still_runs_into_its_idle_timeout(client: Client, world: World) -> None:
    """A page that draws all the time, tabs that open by themselves, two who look: none of it is access."""
    session = client.Session(idle_timeout_minutes=timedelta(seconds=5)).start()
    session.page.goto(RESTLESS)
    session.page.evaluate("setTimeout(() => open('about:blank'), 1500)")
    used = time.time_ns() // 1000
    url = session.viewer_url()
    with connect(live(url), proxy=None) as one, connect(live(url), proxy=None) as other:
        for socket in (one, other):
            assert len({next_frame(socket) for _ in range(3)}) == 3
        assert (last_state(one)["status"], last_state(other)["cause"]) == ("timed_out", "idle")
    ended = session.status()
    assert (ended.status, ended.cause) == ("timed_out", "idle")
    assert all(at <= used for at in accesses(world.history(session.session_id)))
    session.stop()


def test_looking_at_a_session_that_nobody_uses_is_no_access_either(client: Client, world: World) -> None:
    with client.Session(page=False) as session:
        before = session.status().last_accessed_at
        with connect(live(session.viewer_url()), proxy=None) as socket:
            next_frame(socket)
            time.sleep(1.2)  # a title was asked for meanwhile
        assert session.status().last_accessed_at == before
    assert accesses(world.history(session.session_id)) == []
    clients = [event.client for event in world.history(session.session_id) if isinstance(event, ClientConnected)]
    assert clients == ["viewer#1"], "but that somebody could look is recorded"


def test_a_viewer_ends_with_its_session_and_lets_the_port_go(client: Client, world: World) -> None:
    session = client.Session(page=False).start()
    url = session.viewer_url()
    with connect(live(url), proxy=None) as socket:
        session.stop()
        said = last_state(socket)
    assert (said["over"], said["status"], said["cause"]) == (True, "closed", "stopped")
    no_viewer(world)
    with pytest.raises(ConnectionRefusedError):
        ask(url)
    with pytest.raises(SessionStopped):
        session.viewer_url()


def test_asked_again_it_is_the_same_viewer_and_a_new_one_once_that_is_gone(client: Client, world: World) -> None:
    with client.Session(page=False) as session:
        first = session.viewer_url()
        assert client.Session(session.session_id, page=False).start().viewer_url() == first
        [pid] = viewers(world)
        os.kill(pid, signal.SIGKILL)
        until(lambda: session.viewer_url() != first, "the dead viewer's address is given on")
        assert ask(session.viewer_url())[0] == 200


def test_another_process_has_a_viewer_of_its_own_that_ends_with_it(client: Client, world: World) -> None:
    with client.Session(page=False) as session:
        ours = session.viewer_url()
        other = world.script(
            "say(client.Session(arguments[0], page=False).start().viewer_url()); sys.stdin.read()", session.session_id
        )
        [theirs] = other.hear()
        assert theirs != ours
        assert len(viewers(world)) == 2
        with connect(live(theirs), proxy=None) as socket:
            other.kill()
            said = last_state(socket)
        assert (said["over"], said["status"]) == (False, "active")
        assert said["left"].startswith("The process that offered this view is gone")
        until(lambda: len(viewers(world)) == 1, "the viewer outlives the process that asked for it")
        assert ask(ours)[0] == 200


def test_the_owners_death_is_told_and_nothing_stays(world: World) -> None:
    owner = world.script("session = client.Session(page=False).start(); say(session.viewer_url()); time.sleep(60)")
    [url] = owner.hear()
    with connect(live(url), proxy=None) as socket:
        assert next_state(socket)["status"] == "active"
        owner.kill()
        said = last_state(socket)
    assert (said["status"], said["cause"]) == ("closed", "owner_exited")
    no_viewer(world)


def test_a_forked_child_does_not_keep_its_parents_viewer(world: World) -> None:
    owner = world.script(
        """
session = client.Session(page=False).start()
url = session.viewer_url()
child = os.fork()
if not child:
    time.sleep(60)
say(url, child)
time.sleep(60)
"""
    )
    _, child = owner.hear()
    owner.process.kill()
    try:
        no_viewer(world)
    finally:
        world.end_process(int(child))


def test_a_process_that_ends_by_itself_waits_for_no_viewer_and_leaves_none(world: World) -> None:
    script = world.script("session = client.Session(page=False).start(); session.viewer_url(); say('done')")
    script.hear()
    script.ended_with(0)
    no_viewer(world)


def test_before_the_start_there_is_nothing_to_see(client: Client) -> None:
    with pytest.raises(NotStarted, match=r"viewer_url\(\)"):
        client.Session(page=False).viewer_url()


def test_a_viewer_that_does_not_come_up_is_an_error_with_its_reason_and_costs_the_session_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client.Session(page=False) as session:
        monkeypatch.setattr("sys.executable", "/no/such/python")
        with pytest.raises(ViewerUnavailable, match="can't be started: No such file"):
            session.viewer_url()
        monkeypatch.setattr("sys.executable", "/bin/false")
        with pytest.raises(ViewerUnavailable, match="ended without a word"):
            session.viewer_url()
        monkeypatch.undo()
        until(lambda: _serves(session), "it does not recover")


def _serves(session: Any) -> bool:
    try:
        return ask(session.viewer_url())[0] == 200
    except ViewerUnavailable:
        return False  # the dead one is still being reaped


def test_the_twin(world: World) -> None:
    async def main() -> None:
        client = AsyncClient(world.log, browser=host)
        session = client.Session(page=False)
        with pytest.raises(NotStarted):
            await session.viewer_url()
        async with session:
            url = await session.viewer_url()
            assert ask(url)[0] == 200
        with pytest.raises(SessionStopped):
            await session.viewer_url()
        client.close()

    host = ChromiumHost()
    asyncio.run(main())
    host.close()


def test_without_a_display_the_live_view_takes_the_windows_place(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with caplog.at_level(logging.INFO, "lifecycle"), client.Session(headless=False, page=False) as session:
        until(lambda: len(viewers(world)) == 1, "no viewer was started")
        url = session.viewer_url()
        assert ask(url)[0] == 200
        assert session.status().headless is False, "as it was asked for"
    history = world.history(session.session_id)
    assert [event.config.headless for event in history if isinstance(event, SessionCreated)] == [False]
    assert [event.window for event in history if isinstance(event, SessionStarted)] == [False]
    [line] = [record.getMessage() for record in caplog.records if "live_view" in record.getMessage()]
    assert "viewer_url()" in line
    everything = caplog.text + "".join(capfd.readouterr()) + str(world.rows(session.session_id))
    assert url.rpartition("/")[2] not in everything
    assert capfd.readouterr().out == ""


def test_a_view_that_fails_in_the_windows_place_costs_the_session_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ViewerUnavailable("s", "a reason")

    monkeypatch.setattr(viewing, "has_display", lambda: False)
    monkeypatch.setattr(viewing, "show", fail)
    with client.Session(headless=False, page=False) as session:
        assert session.status().status == "active"
    assert "a reason" in caplog.text


def test_a_session_that_asked_for_no_window_has_no_viewer_and_says_so(client: Client, world: World) -> None:
    with client.Session(page=False) as session:
        assert viewers(world) == []
    [started] = [event for event in world.history(session.session_id) if isinstance(event, SessionStarted)]
    assert started.window is False


def test_the_command_serves_the_view_of_another_processs_session_until_that_ends(client: Client, world: World) -> None:
    command = [sys.executable, "-W", "error", "-m", "lifecycle", "view", "--log", str(world.log)]
    with client.Session(page=False) as session:
        before = session.status().last_accessed_at
        view = subprocess.Popen(
            [*command, session.session_id], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert view.stdout is not None
        assert ask(view.stdout.readline().strip())[0] == 200
        assert session.status().last_accessed_at == before
    said, narrated = view.communicate(timeout=20)
    assert (view.returncode, said) == (0, "")
    assert "the view has ended" in narrated
    late = subprocess.run([*command, session.session_id], capture_output=True, text=True, timeout=20, check=False)
    assert (late.returncode, late.stdout) == (1, "")
    assert "closed (stopped)" in late.stderr


#: A recorder that writes down what it is told, and films nothing.
_TOLD = """
import sys
with open(sys.argv[1] + ".told", "w") as file:
    file.write(sys.stdin.readline())
print('{"filming": true}', flush=True)
"""


def test_viewer_and_recorder_are_given_what_is_good_for_looking_only(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    show = opener.Viewer.show

    def listening(viewer: opener.Viewer, session_id: str, locator: str, look_url: str) -> opener.Showing:
        told.append(look_url)
        return show(viewer, session_id, locator, look_url)

    monkeypatch.setattr(opener.Viewer, "show", listening)
    monkeypatch.setattr(recording.Recorder, "command", (sys.executable, "-c", _TOLD))
    film = world.folder / "film.mp4"
    with client.Session(page=False, record=film) as session:
        session.viewer_url()
        told.append(json.loads((world.folder / "film.mp4.told").read_text())["cdp_url"])
        whole = session.cdp_url()
        published = paths.read_endpoint(world.runtime, session.session_id)
        assert published == (whole, told[0])
        assert told[0] == told[1] != whole
        for url in (whole, told[0]):
            with connect(url, proxy=None) as line:
                line.send('{"id":1,"method":"Browser.getVersion"}')
                assert ("error" in json.loads(line.recv(10))) == (url == told[0])
