"""Workers of a host that forks them ahead: each has sessions of its own, and is killed without a word."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from lifecycle import Cause, State
from tests.client.world import until

if TYPE_CHECKING:
    from tests.client.world import World

pytestmark = pytest.mark.browser

PREFORK = """
import multiprocessing

def work():
    try:
        client.Session(page=False).start()
    except LifecycleError as error:
        refused = type(error).__name__
    with Client(log, actor="worker").Session(page=False) as own:
        say(os.getpid(), own.session_id, refused)
        time.sleep(60)

with client.Session(page=False) as session:
    for _ in range(2):
        multiprocessing.get_context("fork").Process(target=work).start()
    say(os.getpid(), session.session_id, "-")
    time.sleep(60)
"""


def test_a_worker_that_is_killed_takes_its_own_session_along_and_the_whole_pool_all(world: World) -> None:
    script = world.script(PREFORK)
    found = {int(pid): (session_id, refused) for pid, session_id, refused in (script.hear() for _ in range(3))}
    parent = found.pop(script.process.pid)[0]
    (one, (first, _)), (_, (second, _)) = found.items()
    assert {refused for _, refused in found.values()} == {"ForkedSession"}
    client = world.client()

    os.kill(one, signal.SIGKILL)
    until(lambda: world.types(first)[-1] == "released", "the killed worker's browser is left")
    assert client.sessions.get(first).cause is Cause.OWNER_EXITED
    assert client.sessions.get(second).status is client.sessions.get(parent).status is State.ACTIVE

    script.signal(signal.SIGKILL, group=True)
    script.end()
    for left in (second, parent):
        until(lambda left=left: world.types(left)[-1] == "released", "the pool's browser is left")  # type: ignore[misc] # bound
        assert client.sessions.get(left).cause is Cause.OWNER_EXITED
    assert client.reconcile() == []
