"""SIGSTOP of each who takes part, all at the same time; and very many sessions at once whose keeper dies.

A stopped process is not dead: nothing is seen of it but silence. What is promised then is the deadline.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos.aftermath import PRELUDE, acknowledged, launched, settled
from tests.chaos.record import judged
from tests.chaos.test_browsers import VICTIMS, victim_of
from tests.client.world import World, until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.chaos.record import Figures

pytestmark = pytest.mark.browser

#: Works without a pause until it is told that the session is over, which for a stopped browser is the deadline.
SCRIPT = (
    PRELUDE
    + """
(who,) = arguments
try:
    with client.Session(max_duration_minutes=0.25, labels={"who": who}, proxy=PROXY) as session:
        say(session.session_id)
        secretive(session.page)
        while True:
            session.page.title()
            step(session)
            time.sleep(0.05)
except LifecycleError as error:
    say(type(error).__name__)
os._exit(0)
"""
)
START = (
    PRELUDE
    + """
from lifecycle.errors import LaunchFailed
try:
    client.Session(page=False, max_duration_minutes=2, proxy=PROXY).start()
except LaunchFailed as error:
    say(type(error).__name__, str(error)[str(error).index("the log refuses"):].split(":")[0])
with client.Session(page=False, max_duration_minutes=2, proxy=PROXY) as session:
    step(session)
say(session.status().status)
client.close()
"""
)
MANY = (
    PRELUDE
    + """
from concurrent.futures import ThreadPoolExecutor
def one(n):
    session = client.Session(page=False, max_duration_minutes=2, labels={"n": str(n)}, proxy=PROXY)
    session.start()
    return session
with ThreadPoolExecutor(4) as threads:
    sessions = list(threads.map(one, range(20)))
for session in sessions:
    step(session)
say(*(session.session_id for session in sessions))
for session in sessions:
    session.wait_ended(60)
client.close()
"""
)


@pytest.fixture
def world() -> Iterator[World]:
    world = World("http://127.0.0.1:1")
    yield world
    world.close()


def test_whoever_is_stopped_the_session_ends_at_its_deadline(world: World, figures: Figures) -> None:
    scripts = {who: world.script(SCRIPT, who) for who in VICTIMS}
    ids = {who: script.hear()[0] for who, script in scripts.items()}
    stopped: dict[str, int] = {}
    try:
        # None of them in the middle of an append: the test below is about that.
        with writing_held(world):
            for who, script in scripts.items():
                if (pid := victim_of(script, who)) is not None:
                    os.kill(pid, signal.SIGSTOP)
                    stopped[who] = pid
            until(lambda: all(map(is_stopped, stopped.values())), "not all of them stop")
        client = world.client()
        # No reconcile yet: the bound is the keeper's, or the owner's where the keeper is the one that is stopped.
        until(
            lambda: all(client.log.read(ids[who])[-1].type == "session.released" for who in stopped),
            f"not all of {stopped} are released",
            60,
        )
        causes = {who: str(client.sessions.get(session_id).cause) for who, session_id in ids.items()}
        client.close()
    finally:
        for pid in stopped.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    for script in scripts.values():
        # One whose driver was stopped in a call waits for that driver alone, which is gone or goes on now.
        with contextlib.suppress(Exception):
            script.end(20)
        script.kill()
    found = settled(world)
    assert found == []
    assert set(stopped) >= {"script", "keeper", "driver", "browser", "renderer"}
    assert all(causes[who] == "max_duration" for who in stopped), causes
    figures(
        "stopped for good, real browsers",
        {"processes stopped": len(stopped), "sessions ended at their deadline": len(causes)},
        acknowledged=acknowledged(world),
        **judged([found], browsers=True),
        browsers=launched(world),
    )


def test_a_process_stopped_in_the_middle_of_an_append_keeps_no_browser_alive(world: World, figures: Figures) -> None:
    """Nobody can write until it goes on or dies, so nothing can be recorded; the browser is ended all the same."""
    script = world.script(SCRIPT.replace("0.25", "0.1"), "nobody")
    (session_id,) = script.hear()
    pid = world.browser_pid(session_id)
    with writing_held(world):
        until(lambda: pid not in [there for there, _ in world.processes()], "the browser lives on", 30)
        assert "session.timed_out" not in [row.type for row in world.rows(session_id)]
    script.end(60)
    found = settled(world)
    assert found == []
    assert world.types(session_id)[-2:] == ["timed_out", "released"]
    figures(
        "stopped in the middle of an append, real browser",
        acknowledged=acknowledged(world),
        **judged([found], browsers=True),
        browsers=launched(world),
    )


def test_a_log_that_refuses_started_gets_no_real_browser_that_runs_on(world: World) -> None:
    """The browser is up, and its keeper can't record it: the writers' turn is somebody else's from `created` on."""
    script = world.script(START)
    client = world.client()
    until(lambda: world.log.exists() and bool(client.sessions.list()), "no session", 30)
    (view,) = client.sessions.list()
    with writing_held(world):
        until(lambda: bool(browsers(world)), "no browser comes up", 30)
        until(lambda: not browsers(world), "it runs on", 30)
    assert script.hear() == ["LaunchFailed", "the", "log", "refuses", "`started`"]
    assert script.ended_with(0) == "closed\n", "the next one"
    assert world.types(view.session_id) == ["created", "failed", "released"]
    client.close()
    assert settled(world) == []


@contextlib.contextmanager
def writing_held(world: World) -> Generator[None]:
    """The writers' turn is ours: nobody is in the middle of an append."""
    with (world.runtime / "writers").open("r+") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        yield


def browsers(world: World) -> list[int]:
    """The browsers that are there, whatever the log says."""
    return [pid for pid, line in world.processes() if "--remote-debugging-pipe" in line]


def is_stopped(pid: int) -> bool:
    """Whether every thread of the process is stopped, or gone."""
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) <= {"T", "Z", "X"}


def test_twenty_sessions_at_once_all_end_when_their_keeper_dies(world: World, figures: Figures) -> None:
    script = world.script(MANY)
    ids = script.hear()
    keeper = victim_of(script, "keeper")
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    assert script.end(90)[0] == 0
    found = settled(world)
    assert found == []
    client = world.client()
    causes = Counter(str(client.sessions.get(session_id).cause) for session_id in ids)
    client.close()
    assert causes == {"keeper_lost": 20}
    figures(
        "twenty browsers at once, their keeper killed",
        {"sessions ended with keeper_lost": causes["keeper_lost"]},
        kills=1,
        acknowledged=acknowledged(world),
        **judged([found], browsers=True),
        browsers=launched(world),
    )
