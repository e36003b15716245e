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


def test_a_session_goes_with_the_worker_that_started_it_and_with_nobody_else(world: World) -> None:
    script = world.script(PREFORK)
    found = {int(pid): (session_id, refused) for pid, session_id, refused in (script.hear() for _ in range(3))}
    parent = found.pop(script.process.pid)[0]
    (one, (first, _)), (other, (second, _)) = found.items()
    assert {refused for _, refused in found.values()} == {"ForkedSession"}
    client = world.client()

    os.kill(one, signal.SIGKILL)
    until(lambda: world.types(first)[-1] == "released", "the killed worker's browser is left")
    assert client.sessions.get(first).cause is Cause.OWNER_EXITED
    assert client.sessions.get(second).status is client.sessions.get(parent).status is State.ACTIVE

    script.signal(signal.SIGKILL)
    until(lambda: world.types(parent)[-1] == "released", "the killed parent's browser is left")
    assert client.sessions.get(parent).cause is Cause.OWNER_EXITED
    assert client.sessions.get(second).status is State.ACTIVE, "its worker has outlived the parent"

    os.kill(other, signal.SIGKILL)
    script.end()
    until(lambda: world.types(second)[-1] == "released", "the last worker's browser is left")
    assert client.sessions.get(second).cause is Cause.OWNER_EXITED
    assert client.reconcile() == []
