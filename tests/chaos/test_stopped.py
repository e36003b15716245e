"""SIGSTOP of each who takes part, all at the same time; and very many sessions at once whose keeper dies.

A stopped process is not dead: nothing is seen of it but silence. What is promised then is the deadline.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.chaos.test_browsers import VICTIMS, settled, victim_of
from tests.client.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser

#: Works without a pause until it is told that the session is over, which for a stopped browser is the deadline.
SCRIPT = """
(who,) = arguments
try:
    with client.Session(max_duration_minutes=0.25, labels={"who": who}) as session:
        say(session.session_id)
        session.page.goto("data:text/html,<title>x</title>")
        while True:
            session.page.title()
            session.annotate("step")
            time.sleep(0.05)
except LifecycleError as error:
    say(type(error).__name__)
os._exit(0)
"""
MANY = """
from concurrent.futures import ThreadPoolExecutor
def one(n):
    session = client.Session(page=False, max_duration_minutes=2, labels={"n": str(n)})
    session.start()
    return session
with ThreadPoolExecutor(4) as threads:
    sessions = list(threads.map(one, range(20)))
say(*(session.session_id for session in sessions))
for session in sessions:
    session.wait_ended(60)
client.close()
"""


@pytest.fixture
def world() -> Iterator[World]:
    world = World("http://127.0.0.1:1")
    yield world
    world.close()


def test_whoever_is_stopped_the_session_ends_at_its_deadline(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = {who: world.script(SCRIPT, who) for who in VICTIMS}
    ids = {who: script.hear()[0] for who, script in scripts.items()}
    stopped: dict[str, int] = {}
    try:
        for who, script in scripts.items():
            if (pid := victim_of(script, who)) is not None:
                os.kill(pid, signal.SIGSTOP)
                stopped[who] = pid
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
    assert settled(world) == []
    assert set(stopped) >= {"script", "keeper", "driver", "browser", "renderer"}
    assert all(causes[who] == "max_duration" for who in stopped), causes
    with capsys.disabled():
        print(f"\n[stopped {sorted(stopped)}: each ended at its deadline, left behind 0]", end=" ")


def test_twenty_sessions_at_once_all_end_when_their_keeper_dies(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    script = world.script(MANY)
    ids = script.hear()
    keeper = victim_of(script, "keeper")
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    assert script.end(90)[0] == 0
    assert settled(world) == []
    client = world.client()
    causes = Counter(str(client.sessions.get(session_id).cause) for session_id in ids)
    client.close()
    assert causes == {"keeper_lost": 20}
    with capsys.disabled():
        print(f"\n[{len(ids)} browsers at once, keeper killed: {dict(causes)}, left behind 0]", end=" ")
