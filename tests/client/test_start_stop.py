"""A session's beginning and end by hand: before start, start, stop in every state, and what is seen of it meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from lifecycle import Cause, State
from lifecycle.errors import AlreadyStarted, NotStarted
from tests.client.world import failing, inside, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle import Client, Session, SessionView
    from tests.client.world import World

pytestmark = pytest.mark.browser


def test_before_start_there_is_an_id_and_nothing_else(client: Client, world: World) -> None:
    session = client.Session()
    assert UUID(session.session_id).version == 7
    assert session.response is None
    assert session.stop() is None
    assert repr(session) == f"<Session {session.session_id} not started>"
    uses: list[Callable[[], object]] = [
        session.status,
        session.cdp_url,
        session.touch,
        lambda: session.page,
        lambda: session.extend(minutes=1),
        lambda: session.annotate("x"),
    ]
    for use in uses:
        with pytest.raises(NotStarted, match=r"start\(\)"):
            use()
    assert client.sessions.count() == 0
    assert world.processes() == []


def test_the_view_of_a_running_session(client: Client, world: World) -> None:
    before = datetime.now(UTC)
    session = client.Session(
        timeout_minutes=2,
        max_duration_minutes=timedelta(minutes=5),
        viewport_width=800,
        viewport_height=600,
        labels={"job": "nightly", "empty": ""},
    )
    assert session.start() is session
    first = session.response
    assert first is not None
    view = session.status()
    assert view == session.response
    assert (view.session_id, view.status) == (session.session_id, "active")
    assert str(view.status) == "active"
    assert (view.timeout_minutes, view.idle_timeout_minutes, view.max_duration_minutes) == (2, 2, 5)
    assert (view.viewport_width, view.viewport_height, view.headless, view.keep_alive) == (800, 600, True, False)
    assert view.labels == {"job": "nightly", "empty": ""}
    assert view.browser == "chromium"
    assert view.browser_version is not None
    assert "Chrome/" in view.browser_version
    assert (view.closed_at, view.cause, view.error) == (None, None, None)
    assert view.started_at is not None
    assert before <= view.created_at <= view.started_at <= datetime.now(UTC)
    assert view.deadline == view.last_accessed_at + timedelta(minutes=2)
    assert timedelta(0) < view.duration < timedelta(minutes=1)
    assert session.page.evaluate("[innerWidth, innerHeight]") == [800, 600]
    assert session.status().duration > view.duration
    ending = session.stop()
    assert ending is not None
    assert ending == session.response == session.status() == client.sessions.get(session.session_id)
    assert ending.closed_at is not None
    assert ending.duration == ending.closed_at - ending.created_at
    assert repr(session) == f"<Session {session.session_id} closed>"
    assert world.types(session.session_id) == ["created", "started", "closed", "released"]


def test_a_second_start_is_refused_in_every_state(client: Client) -> None:
    session = client.Session(page=False).start()
    with pytest.raises(AlreadyStarted):
        session.start()
    with pytest.raises(AlreadyStarted):
        inside(session, failing(AssertionError("the block must not run")))
    assert session.status().status is State.ACTIVE
    session.stop()
    with pytest.raises(AlreadyStarted):
        session.start()


def _stopped(session: Session, world: World) -> None:
    session.stop()


def _killed(session: Session, world: World) -> None:
    os.kill(world.browser_pid(session), signal.SIGKILL)


def _expired(session: Session, world: World) -> None:
    """Its idle timeout is a second and a half."""


ENDINGS: dict[str, tuple[Callable[[Session, World], None], State, Cause]] = {
    "stopped": (_stopped, State.CLOSED, Cause.STOPPED),
    "killed": (_killed, State.ERROR, Cause.BROWSER_CRASHED),
    "timed out": (_expired, State.TIMED_OUT, Cause.IDLE),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_stop_returns_the_ending_that_happened_and_adds_nothing(how: str, client: Client, world: World) -> None:
    end, status, cause = ENDINGS[how]
    session = client.Session(page=False, idle_timeout_minutes=1.5 / 60).start()
    end(session, world)
    until(lambda: world.types(session.session_id)[-1] == "released", "never released")
    views = [session.stop(), session.stop(), session.status(), client.sessions.get(session.session_id)]
    first = views[0]
    assert first is not None
    assert (first.status, first.cause) == (status, cause)
    assert all(view == first for view in views)
    assert len(world.types(session.session_id)) == 4


def test_stop_of_many_threads_is_one_ending(client: Client, world: World) -> None:
    session = client.Session(page=False).start()
    views: list[SessionView | None] = []
    threads = [threading.Thread(target=lambda: views.append(session.stop())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(views) == 8
    assert views[0] is not None
    assert all(view == views[0] for view in views)
    assert world.types(session.session_id) == ["created", "started", "closed", "released"]


def test_stop_of_many_clients_is_one_ending(client: Client, world: World) -> None:
    session = client.Session(page=False).start()
    others = [world.client(f"other-{n}").Session(session.session_id, page=False).start() for n in range(3)]
    threads = [threading.Thread(target=one.stop) for one in (*others, session)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert world.types(session.session_id) == ["created", "started", "closed", "released"]


def test_extend_and_touch_move_the_deadline(client: Client) -> None:
    with client.Session(page=False, idle_timeout_minutes=1, max_duration_minutes=2) as session:
        before = session.status()
        session.touch()
        touched = session.status()
        assert before.deadline < touched.deadline <= before.created_at + timedelta(minutes=2)
        assert touched.last_accessed_at > before.last_accessed_at
        extended = session.extend(minutes=10)
        assert extended.deadline >= touched.last_accessed_at + timedelta(minutes=10)
        assert session.extend(minutes=1).deadline == extended.deadline
        assert (extended.max_duration_minutes, extended.idle_timeout_minutes) == (2, 1)


def test_annotations_stand_in_the_history(client: Client, world: World) -> None:
    with client.Session(page=False) as session:
        session.annotate("step", {"number": 1, "of": [1, 2, None, {"deep": "ünï"}]})
        session.annotate("done")
    notes = [event for event in world.history(session.session_id) if event.type == "session.annotated"]
    assert [(getattr(note, "name", ""), getattr(note, "data", None)) for note in notes] == [
        ("step", {"number": 1, "of": [1, 2, None, {"deep": "ünï"}]}),
        ("done", None),
    ]


def test_no_devtools_port_is_open_and_the_url_is_the_gates(client: Client, world: World) -> None:
    with client.Session() as session:
        session.page.goto(world.site)
        url = session.cdp_url()
        assert url.startswith("ws://127.0.0.1:")
        pid = world.browser_pid(session)
        listening = _listening_inodes()
        held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert not {f"socket:[{inode}]" for inode in listening} & held


def _listening_inodes() -> set[str]:
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            found |= {line.split()[9] for line in list(lines)[1:] if line.split()[3] == "0A"}
    return found


def test_a_client_in_a_with_block_lets_go_of_its_log(world: World) -> None:
    from lifecycle import Client
    from lifecycle.errors import LogUnavailable

    with Client(world.log) as client:
        assert client.sessions.list() == []
    with pytest.raises(LogUnavailable):
        client.sessions.list()


def test_a_session_outlives_its_client_only_until_it_is_stopped(client: Client, world: World) -> None:
    """The log is closed: the ending can't be recorded from here, so the keeper records it and ends the browser."""
    from lifecycle.errors import LogUnavailable

    session = client.Session(page=False).start()
    client.close()
    with pytest.raises(LogUnavailable):
        session.stop()
    reader = world.client("reader")
    until(lambda: reader.log.read(session.session_id)[-1].type == "session.released", "never released")
    assert reader.sessions.get(session.session_id).cause is Cause.STOPPED
    until(lambda: world.processes() == [], "its keeper stays, with nothing to keep")


def test_a_start_of_many_threads_is_one_start(client: Client, world: World) -> None:
    session = client.Session(page=False)
    errors: list[BaseException] = []

    def start() -> None:
        try:
            session.start()
        except AlreadyStarted as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(errors) == 4
    session.stop()
    assert world.types(session.session_id) == ["created", "started", "closed", "released"]
