"""Real browsers, and whoever takes part killed at random moments.

Afterwards, each time: one ending with a cause, `released`, every law of a history, and no process, profile, endpoint,
socket or temporary file. CHAOS_ROUNDS plays more rounds.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle.testing.log_samples import created, new
from lifecycle_chromium import ChromiumHost
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


def settled(world: World, patience_s: float = 20) -> list[str]:
    """Let reconcile finish; then what is wrong with the record, and what is left of the sessions."""
    client = world.client()
    try:
        client.reconcile()
        ended = ("closed", "error", "timed_out")
        until(
            lambda: all(view.status in ended for view in client.sessions.list()), "a session does not end", patience_s
        )
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


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        ("profiles/s-1/", "file"),
        ("endpoints/s-1.json", "file"),
        ("endpoints/s-1.7.tmp", "file"),
        ("keepers/k-1.lock", "file"),
        ("keepers/k-1.err", "file"),
        ("socket", "socket"),
        ("process", "process"),
        ("temporary", "file"),
    ],
)
def test_each_planted_leftover_is_seen(plant: str, seen: str, world: World) -> None:
    """The proof that "left behind 0" says something."""
    assert world.left() == []
    path = world.runtime / plant
    running: subprocess.Popen[bytes] | None = None
    with contextlib.ExitStack() as planted:
        match plant:
            case "process":
                running = planted.enter_context(
                    subprocess.Popen([sys.executable, "-c", "input()", str(world.folder)], stdin=subprocess.PIPE)
                )
            case "socket":
                bound = planted.enter_context(socket.socket(socket.AF_UNIX))
                path = world.folder / "s"
                bound.bind(str(path))
            case "temporary":
                path = world.tmp / "x"
                path.touch()
            case _:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.mkdir() if plant.endswith("/") else path.touch()
        until(lambda: any(text.startswith(seen) for text in world.left()), f"{plant} was not seen")
        if running is not None:
            running.kill()
        elif path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def test_a_session_that_stays_active_without_its_browser_is_seen_planted(world: World) -> None:
    """Its keeper seems to live, for it is this very process: no reconcile puts that right."""
    client = world.client()
    me = ChromiumHost().identity()
    event = created("s-1", at=time.time_ns() // 1000).model_copy(update={"owner": me, "keeper": me, "keeper_id": "k-1"})
    client.log.append("s-1", [new(event)], expected=0)
    with pytest.raises(AssertionError, match="a session does not end"):
        settled(world, patience_s=0.5)
