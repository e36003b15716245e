"""One session, several processes: attach by id and leave, stop from a third, and what the history says of each."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lifecycle import BrowserLost, Cause, SessionStopped, SessionTimedOut, State
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import SystemClock, Uuid7
from lifecycle.core import Close
from lifecycle.errors import AlreadyStarted, KeeperUnavailable, NotStarted
from tests.client.world import failing, inside, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle import Client, Session
    from tests.client.world import World

pytestmark = pytest.mark.browser

OWNER = """
try:
    with client.Session(labels={"job": "shared"}) as session:
        session.page.goto(site + "/form")
        session.page.fill("input", "from the owner")
        say(session.session_id)
        session.page.wait_for_timeout(60_000)
except SessionStopped as error:
    say("stopped", error.view.cause)
"""

GUEST = """
with client.Session(arguments[0]) as session:
    say(session.status().status, session.page.input_value("input"))
    session.page.fill("input", "from the guest")
say("left", client.sessions.get(arguments[0]).status)
"""

STAYS = """
try:
    with client.Session(arguments[0]) as session:
        say(session.page.input_value("input"))
        session.page.wait_for_timeout(60_000)
except SessionStopped as error:
    say("stopped", error.view.cause)
"""

STOPS = """
ending = client.Session(arguments[0]).start().stop()
say(ending.status, ending.cause)
"""


def test_one_starts_another_attaches_and_leaves_a_third_stops_while_a_fourth_is_attached(world: World) -> None:
    owner = world.script(OWNER, actor="olga")
    [session_id] = owner.hear()
    guest = world.script(GUEST, session_id, actor="gustav")
    assert guest.hear() == ["active", "from", "the", "owner"]
    assert guest.hear() == ["left", "active"]
    assert guest.ended_with(0) == ""
    stays = world.script(STAYS, session_id, actor="stefan")
    assert stays.hear() == ["from", "the", "guest"]
    stops = world.script(STOPS, session_id, actor="sara")
    assert stops.hear() == ["closed", "stopped"]
    assert stops.ended_with(0) == ""
    assert owner.hear() == ["stopped", "stopped"]
    assert stays.hear() == ["stopped", "stopped"]
    assert owner.ended_with(0) == ""
    assert stays.ended_with(0) == ""

    world.client()
    who = {row.actor: row.writer for row in world.rows(session_id)}
    assert set(who) == {"olga", "gustav", "stefan", "sara", "keeper"}
    scripts = {"olga": owner, "gustav": guest, "stefan": stays, "sara": stops}
    for actor, script in scripts.items():
        assert who[actor].endswith(f":{script.process.pid}"), "the writer is not the process"
    assert len(set(who.values())) == 5
    by_type = {row.type: row.actor for row in world.rows(session_id)}
    assert by_type["session.created"] == "olga"
    assert by_type["session.started"] == "keeper"
    assert by_type["session.closed"] == "sara"
    assert by_type["session.released"] == "keeper"
    assert world.types(session_id) == ["created", "started", "closed", "released"]


def test_the_gate_is_shut_as_soon_as_the_ending_stands_in_the_log(client: Client, world: World) -> None:
    """Also where whoever wrote it was killed before the keeper heard of it."""
    with client.Session(page=False) as session:
        url = session.cdp_url()
        elsewhere = Recorder(client.log, SystemClock(), Uuid7(), actor="elsewhere", writer="test")
        elsewhere.execute(session.session_id, Close(cause=Cause.STOPPED))
        with pytest.raises(InvalidStatus, match="HTTP 403"), connect(url):
            pass
        until(lambda: world.types(session.session_id)[-1] == "released", "never released")
        with pytest.raises(SessionStopped):
            session.get_cookies()


def test_a_guest_that_is_killed_ends_nothing(client: Client, world: World) -> None:
    with client.Session() as session:
        session.page.goto(world.site + "/form")
        session.page.fill("input", "mine")
        guest = world.script(STAYS, session.session_id)
        assert guest.hear() == ["mine"]
        guest.signal(signal.SIGKILL)
        guest.end()
        assert session.page.input_value("input") == "mine"
        assert session.status().status is State.ACTIVE


def test_an_exception_in_an_attached_block_ends_nothing(client: Client, world: World) -> None:
    guest = world.client("guest")
    with client.Session(page=False) as session:
        for error in (ValueError("mine"), SystemExit(3), KeyboardInterrupt()):
            with pytest.raises(type(error)):
                inside(guest.Session(session.session_id), failing(error))
        assert session.status().status is State.ACTIVE


def test_attaching_counts_as_access_and_only_once_a_handle(client: Client, world: World) -> None:
    guest = world.client("guest")
    with client.Session(page=False) as session:
        before = session.status().last_accessed_at
        again = guest.Session(session.session_id, page=False)
        with pytest.raises(NotStarted):
            again.touch()
        assert again.status().status is State.ACTIVE
        assert session.status().last_accessed_at == before
        again.start()
        assert session.status().last_accessed_at > before
        with pytest.raises(AlreadyStarted):
            again.start()
        accesses = [event for event in world.history(session.session_id) if event.type == "session.accessed"]
        assert [getattr(event, "by", "") for event in accesses] == ["attach"]


def test_a_guest_without_pages_starts_no_driver(client: Client, world: World) -> None:
    with client.Session(page=False) as session, world.client("guest").Session(session.session_id, page=False) as again:
        assert again.cdp_url() == session.cdp_url()
        assert world.drivers() == []


def test_attaching_waits_for_a_session_that_is_on_its_way(client: Client, world: World) -> None:
    session = client.Session(page=False)
    starter = threading.Thread(target=session.start)
    starter.start()
    until(lambda: client.sessions.count() == 1, "never created")
    with world.client("guest").Session(session.session_id, page=False) as again:
        assert again.status().status is State.ACTIVE
    starter.join(20)
    session.stop()


def _stop(session: Session, world: World) -> None:
    session.stop()


def _kill(session: Session, world: World) -> None:
    os.kill(world.browser_pid(session), signal.SIGKILL)


def _expire(session: Session, world: World) -> None:
    """Its idle timeout is short."""


@pytest.mark.parametrize(
    ("end", "error", "cause"),
    [
        (_stop, SessionStopped, Cause.STOPPED),
        (_kill, BrowserLost, Cause.BROWSER_CRASHED),
        (_expire, SessionTimedOut, Cause.IDLE),
    ],
)
def test_attaching_to_an_ended_session_says_how_it_ended(
    end: Callable[[Session, World], None], error: type[Exception], cause: Cause, client: Client, world: World
) -> None:
    session = client.Session(page=False, idle_timeout_minutes=3 / 60).start()
    end(session, world)
    until(lambda: world.types(session.session_id)[-1] == "released", "never released")
    again = client.Session(session.session_id)
    with pytest.raises(error, match=cause):
        again.start()
    assert again.status().cause is cause
    ending = again.stop()
    assert ending is not None
    assert ending.cause is cause
    session.stop()


def test_a_guest_hears_that_the_owner_has_gone(world: World) -> None:
    owner = world.script(OWNER)
    [session_id] = owner.hear()
    session = world.client().Session(session_id)

    def waits(it: Session) -> None:
        assert it.page.input_value("input") == "from the owner"
        owner.signal(signal.SIGKILL)
        it.page.wait_for_timeout(60_000)

    with pytest.raises(SessionStopped) as caught:
        inside(session, waits)
    assert caught.value.view.cause is Cause.OWNER_EXITED
    owner.end()


def test_a_session_of_another_machine_is_seen_but_not_reached(client: Client) -> None:
    """A log on a shared disk: here the history says another host than this one."""
    from lifecycle.client.system import Uuid7
    from lifecycle.core import Config, Limits, ProcessIdentity
    from lifecycle.core.events import SessionCreated, SessionStarted
    from lifecycle.log.port import NO_STREAM, NewEvent

    now = time.time_ns() // 1000
    there = ProcessIdentity(host="another-host", boot_id="b", pid=1, started=1)
    session_id = Uuid7().new()
    events = (
        SessionCreated(
            at=now,
            session_id=session_id,
            config=Config(),
            limits=Limits(idle_timeout_us=60_000_000, max_duration_us=60_000_000),
            owner=there,
            keeper=there,
            keeper_id="k",
        ),
        SessionStarted(at=now, ownership="launched", keeper=there, browser=there),
    )
    news = [NewEvent(event_id=Uuid7().new(), event=event, actor="x", writer="x") for event in events]
    client.log.append(session_id, news, expected=NO_STREAM)
    assert client.sessions.get(session_id).status is State.ACTIVE
    with pytest.raises(KeeperUnavailable, match="another-host"):
        client.Session(session_id).start()
    assert client.reconcile() == []
    assert client.sessions.get(session_id).status is State.ACTIVE
