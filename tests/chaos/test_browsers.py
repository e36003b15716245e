"""Real browsers, and whoever takes part killed at random moments.

Afterwards, each time: one ending with a cause, `released`, every law of a history, and no process, profile, endpoint,
socket or temporary file. CHAOS_ROUNDS plays more rounds.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos.check import whole
from tests.client.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.client.world import Script

pytestmark = pytest.mark.browser

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "6"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))

SCRIPT = """
say(os.getpid())
for n in range(2):
    try:
        with client.Session(headless=True, max_duration_minutes=1.0) as session:
            session.page.goto("data:text/html,<title>x</title>")
            for _ in range(10):
                session.page.title()
                session.annotate("step", {"n": 1})
    except LifecycleError as error:
        say(type(error).__name__)
"""
VICTIMS = ("script", "keeper", "driver", "browser", "renderer", "gpu-process")


@pytest.fixture
def world() -> Iterator[World]:
    world = World("http://127.0.0.1:1")
    yield world
    world.close()


def victim_of(script: Script, who: str) -> int | None:
    """The pid of one who takes part in *script*'s session, if it is there now."""
    if who == "script":
        return script.process.pid
    lines = dict(_others())
    if who == "driver":
        return next((p for p, line in lines.items() if "run-driver" in line and _parent(p) == script.process.pid), None)
    keeper = next(
        (p for p, line in lines.items() if "lifecycle_chromium.keeper" in line and _parent(p) == script.process.pid),
        None,
    )
    if who == "keeper" or keeper is None:
        return keeper
    browser = next((p for p, line in lines.items() if "--remote-debugging-pipe" in line and _parent(p) == keeper), None)
    if who == "browser" or browser is None:
        return browser
    # A browser leads its group; the processes that it forks do not name the profile.
    return next((p for p, line in lines.items() if f"--type={who}" in line and _group(p) == browser), None)


def _others() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(folder.name), (folder / "cmdline").read_text("utf-8", "replace")


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _group(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def settled(world: World) -> list[str]:
    """Let reconcile finish; then what is wrong with the record, and what is left of the sessions."""
    client = world.client()
    try:
        client.reconcile()
        ended = ("closed", "error", "timed_out")
        until(lambda: all(view.status in ended for view in client.sessions.list()), "a session does not end", 20)
        client.reconcile()
        views = client.sessions.list()
        until(
            lambda: all(client.log.read(view.session_id)[-1].type == "session.released" for view in views),
            "a session is not released",
            20,
        )
    finally:
        client.close()
    with contextlib.suppress(AssertionError):
        until(lambda: not world.left(), "", 10)
    return [*world.left(), *whole(world.log, ()), *(f"no cause: {view.session_id}" for view in views if not view.cause)]


@pytest.mark.timeout(900)
def test_whoever_is_killed_nothing_is_lost_and_nothing_is_left(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    chance, killed = random.Random(SEED), Counter[str]()
    for number in range(ROUNDS):
        who = VICTIMS[number % len(VICTIMS)]
        script = world.script(SCRIPT)
        script.hear()
        time.sleep(chance.uniform(0, 2.5))  # the moment is the attack
        pid, patience = victim_of(script, who), time.monotonic() + 3
        while pid is None and time.monotonic() < patience and script.process.poll() is None:
            pid = victim_of(script, who)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed[who] += 1
        script.end(90)
        assert settled(world) == [], f"seed {SEED}, round {number}: {who} was killed"
    client = world.client()
    causes = Counter(str(view.cause) for view in client.sessions.list())
    with capsys.disabled():
        print(f"\n[seed {SEED}: killed {dict(killed)}; endings {dict(causes)}; left behind 0]", end=" ")
    assert killed
