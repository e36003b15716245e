"""A session's recording: what is on it, every ending it survives, and what is said where there is none."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import stat
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle import AsyncClient, InvalidConfig
from lifecycle.core.events import ClientConnected, SessionAccessed, SessionCreated, SessionReleased
from lifecycle.errors import MissingExtra, NoRecording, NotStarted, UnknownSession
from lifecycle_chromium import ChromiumHost
from tests.adapters.viewer.filming import encoders, page, play, recorders
from tests.client.world import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle import Client, Session
    from lifecycle.client.replay import Recording
    from tests.client.world import World

pytestmark = pytest.mark.browser

SECOND = timedelta(seconds=1)
NOISE = """data:text/html,<body style="margin:0"><canvas width=780 height=580></canvas><script>
const context = document.querySelector('canvas').getContext('2d'), image = context.createImageData(780, 580);
setInterval(() => { for (let at = 0; at < image.data.length; at += 65536)
  crypto.getRandomValues(image.data.subarray(at, at + 65536)); context.putImageData(image, 0, 0) }, 30)</script>"""


def released(world: World, session_id: str) -> SessionReleased:
    [found] = [event for event in world.history(session_id) if isinstance(event, SessionReleased)]
    return found


def whole(recording: Recording, world: World) -> None:
    """What the recording says of itself is true, and nothing else lies there."""
    data = recording.path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (recording.bytes, recording.sha256)
    assert stat.S_IMODE(recording.path.stat().st_mode) == 0o600
    assert [path.name for path in recording.path.parent.iterdir()] == [recording.path.name]
    played = play(recording.path)
    assert len(played.times) == recording.frames
    assert abs(played.times[-1] - recording.duration.total_seconds()) < 0.002
    assert recorders(world) == encoders(world) == []


def test_it_plays_what_was_to_be_seen_as_long_as_it_was(client: Client, world: World) -> None:
    """Tabs as the live view follows them, real time, and the receipts; and it was nobody's access."""
    with client.Session(record=True) as session:
        session.page.goto(page("red"))
        session.page.wait_for_timeout(600)
        other = session.page.context.new_page()
        other.goto(page("lime"))
        other.wait_for_timeout(300)
        session.page.goto(page("blue"))
        session.page.wait_for_timeout(300)
        with pytest.raises(NoRecording, match=r"it is active, and a video is whole once that is over"):
            session.replay()
    recording = session.replay()
    whole(recording, world)
    assert recording == client.replay(session.session_id)
    assert recording.path == world.runtime / "recordings" / f"{session.session_id}.mp4"
    assert stat.S_IMODE(recording.path.parent.stat().st_mode) == 0o700
    played = play(recording.path)
    assert [colour for colour in played.story if colour != "white"] == ["red", "lime", "blue"]
    reds = [time for time, colour in zip(played.times, played.colours, strict=True) if colour == "red"]
    after = next(time for time in played.times if time > reds[-1])
    assert after - reds[0] >= 0.6, "a page that stands still has no frames, and takes its time all the same"
    view = session.status()
    assert SECOND <= recording.duration <= view.duration + SECOND
    history = world.history(session.session_id)
    assert next(event.client for event in history if isinstance(event, ClientConnected)) == "recorder#1"
    end = released(world, session.session_id)
    assert end.recording == str(recording.path)
    assert not [name for name in end.clients if name.startswith("recorder")]
    assert recording.cut is None
    assert "<video" in recording._repr_html_()


def test_it_keeps_no_session_alive_and_ends_with_its_time(client: Client, world: World) -> None:
    session = client.Session(record=True, idle_timeout_minutes=timedelta(seconds=2), page=False).start()
    until(lambda: session.status().status == "timed_out", "it does not time out")
    session.stop()
    assert not [event for event in world.history(session.session_id) if isinstance(event, SessionAccessed)]
    recording = session.replay()
    whole(recording, world)
    assert SECOND <= recording.duration <= 4 * SECOND


def crash(session: Session, world: World) -> None:
    os.kill(world.browser_pid(session), signal.SIGKILL)
    until(lambda: session.status().status == "error", "the crash is not seen")


def fail(session: Session, world: World) -> None:
    raise ValueError("mine")


@pytest.mark.parametrize(("end", "cause"), [(fail, "exception"), (crash, "browser_crashed")])
def test_what_was_seen_until_then_is_kept(
    end: Callable[[Session, World], None], cause: str, client: Client, world: World
) -> None:
    session = client.Session(record=world.folder / "video.mp4")
    try:
        with session:
            session.page.goto(page("red"))
            session.page.wait_for_timeout(300)
            end(session, world)
    except ValueError:
        pass
    assert session.status().cause == cause
    until(lambda: client.sessions.get(session.session_id).cause == cause, "")
    recording = client.replay(session.session_id)
    assert recording.path == world.folder / "video.mp4"
    assert play(recording.path).story[-1] == "red"
    assert (recording.frames, oct(recording.path.stat().st_mode)[-3:]) == (len(play(recording.path).times), "600")


def test_the_owners_death_leaves_the_recording(world: World) -> None:
    owner = world.script(
        """
session = client.Session(record=arguments[0]).start()
session.page.goto(arguments[1])
session.page.wait_for_timeout(300)
say(session.session_id)
time.sleep(60)
""",
        str(world.folder),
        page("red"),
    )
    [session_id] = owner.hear()
    owner.kill()
    until(lambda: world.types(session_id)[-1] == "released", "it does not end")
    recording = world.client().replay(session_id)
    assert recording.path == world.folder / f"{session_id}.mp4"
    assert play(recording.path).story[-1] == "red"


def test_the_keepers_death_leaves_no_receipt_and_that_is_said(client: Client, world: World) -> None:
    with client.Session(record=True, page=False) as session:
        [keeper] = [pid for pid, line in world.processes() if "lifecycle_chromium.keeper" in line]
        os.kill(keeper, signal.SIGKILL)
        until(lambda: world.types(session.session_id)[-1] == "released", "it does not end")
        with pytest.raises(NoRecording, match=r"nobody was there to finish it"):
            session.replay()
    until(lambda: recorders(world) == encoders(world) == [], "the recorder outlives its keeper")


@pytest.mark.parametrize(
    ("find", "number", "why"),
    [
        (recorders, signal.SIGKILL, "the recorder ended with signal 9"),
        (recorders, signal.SIGSTOP, "the recorder did not finish in time"),
        (encoders, signal.SIGSTOP, "the encoder did not finish within 2 s"),
        (encoders, signal.SIGKILL, "the encoder ended with -9"),
    ],
)
def test_a_recorder_that_dies_or_hangs_holds_no_ending_up(
    find: Callable[[World], list[int]], number: signal.Signals, why: str, client: Client, world: World
) -> None:
    session = client.Session(record=True, page=False).start()
    [pid] = find(world)
    os.kill(pid, number)
    view = session.stop()
    assert view is not None
    assert view.cause == "stopped"
    end = released(world, session.session_id)
    assert (end.how, end.receipts["recording_why_not"]) == ("graceful", why if "-9" not in why else why + ": ")
    assert end.recording is None
    assert "by" not in end.evidence, "its keeper ended it, in time"
    with pytest.raises(NoRecording, match=why):
        session.replay()
    assert recorders(world) == encoders(world) == []
    assert list((world.runtime / "recordings").iterdir()) == []


def test_at_its_bound_it_stops_and_the_session_goes_on(client: Client, world: World) -> None:
    with client.Session(record=True, record_limit_bytes=2**20) as session:
        session.page.goto(NOISE)
        [part] = (world.runtime / "recordings").iterdir()
        until(lambda: part.stat().st_size > 0.6 * 2**20, "it does not grow", 30)
        session.page.goto(page("red"))
        session.page.wait_for_timeout(500)
        until(lambda: part.stat().st_size > 0.6 * 2**20, "it does not grow", 30)
        session.page.goto(NOISE)
        session.page.wait_for_timeout(1500)
    recording = session.replay()
    whole(recording, world)
    assert recording.cut == "the limit of 1048576 bytes"
    assert recording.bytes <= 2**20
    assert recording.duration < session.status().duration


def test_without_the_extra_nothing_is_started(client: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifecycle_viewer.recording.find_spec", _nothing)
    with pytest.raises(MissingExtra, match=r"record needs the extra 'recording'"):
        client.Session(record=True)
    assert client.sessions.count() == 0
    assert client.Session(record=False) is not None


@pytest.mark.parametrize(
    "wrong", [1, None, "", "\0", "video.mov", "/no/such/folder/video.mp4", "taken.mp4", object(), "closed"]
)
def test_a_place_that_can_not_be_one_is_refused_before_anything_starts(
    wrong: object, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken.mp4").write_text("somebody's")
    with pytest.raises(InvalidConfig, match=r"^record="):
        client.Session(record=wrong)  # type: ignore[arg-type] # that is the test


@pytest.mark.parametrize("wrong", [0, -1, 1.5e6, True, "1M", 2**20 - 1])
def test_a_bound_is_a_number_of_bytes(wrong: object, client: Client) -> None:
    with pytest.raises(InvalidConfig, match="record_limit_bytes"):
        client.Session(record=True, record_limit_bytes=wrong)  # type: ignore[arg-type] # that is the test
    with pytest.raises(InvalidConfig, match="is for a session with record=True"):
        client.Session(record_limit_bytes=2**20)


def test_where_there_is_none_the_reason_is_told(client: Client, world: World) -> None:
    session = client.Session(page=False, record=True)
    with pytest.raises(NotStarted):
        session.replay()
    session.start()
    session.stop()
    path = session.replay().path
    with path.open("ab") as file:
        file.write(b"!")
    with pytest.raises(NoRecording, match="is not what was recorded: its hash is another"):
        session.replay()
    path.unlink()
    with pytest.raises(NoRecording, match="can't be read: No such file"):
        session.replay()
    with client.Session(page=False) as plain:
        pass
    with pytest.raises(NoRecording, match=r"was not recorded; client.Session\(record=True\) is"):
        plain.replay()
    with pytest.raises(UnknownSession):
        client.replay("nope")
    [created] = [event for event in world.history(session.session_id) if isinstance(event, SessionCreated)]
    assert (created.recording, created.recording_limit_bytes) == (str(path), 256 * 2**20)
    assert all(str(path) not in row.data for row in world.rows(session.session_id))


def test_a_browser_of_somebody_elses_is_recorded_too(client: Client, world: World) -> None:
    with client.Session(page=False) as theirs:
        with client.Session(cdp_url=theirs.cdp_url(), record=True) as session:
            session.page.goto(page("red"))
            session.page.wait_for_timeout(300)
        assert released(world, session.session_id).how == "detached"
        assert play(session.replay().path).story[-1] == "red"


def test_the_twin(world: World) -> None:
    async def main() -> None:
        client = AsyncClient(world.log, browser=host)
        session = client.Session(record=True)
        with pytest.raises(NotStarted):
            await session.replay()
        async with session:
            await session.page.goto(page("red"))
            await session.page.wait_for_timeout(300)
            with pytest.raises(NoRecording):
                await session.replay()
        recording = await session.replay()
        assert recording == await client.replay(session.session_id)
        assert play(recording.path).story[-1] == "red"
        client.close()

    host = ChromiumHost()
    asyncio.run(main())
    host.close()


def _nothing(name: str) -> None:
    """No module of that name."""
