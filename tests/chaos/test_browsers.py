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

from lifecycle.testing.log_samples import annotated, created, new, started
from lifecycle_chromium import ChromiumHost
from tests.chaos.aftermath import CANARY, PRELUDE, acknowledged, launched, leaked, lost, settled, shown
from tests.chaos.record import SEED, judged
from tests.client.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.record import Figures
    from tests.client.world import Script

pytestmark = pytest.mark.browser

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "6"))

SCRIPT = (
    PRELUDE
    + """
say(os.getpid())
for n in range(2):
    try:
        with client.Session(headless=True, max_duration_minutes=1.0, proxy=PROXY) as session:
            secretive(session.page)
            for _ in range(10):
                session.page.title()
                step(session)
            if n:
                raise RuntimeError(f"https://x.example/?key={CANARY}")
    except (LifecycleError, RuntimeError) as error:
        say(type(error).__name__)
"""
)
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


@pytest.mark.timeout(1800)
def test_whoever_is_killed_nothing_is_lost_and_nothing_is_left(world: World, figures: Figures) -> None:
    chance, killed, runs = random.Random(SEED), Counter[str](), list[list[str]]()
    for number in range(ROUNDS):
        who = VICTIMS[number % len(VICTIMS)]
        script = world.script(SCRIPT)
        script.hear()
        time.sleep(chance.uniform(0, 2.5))  # the moment is the attack
        pid, patience = victim_of(script, who), time.monotonic() + 3
        while pid is None and time.monotonic() < patience and script.process.poll() is None:
            pid = victim_of(script, who)
        found = shown(world)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed[who] += 1
        script.end(90)
        runs.append([*found, *settled(world)])
        assert runs[-1] == [], f"seed {SEED}, round {number}: {who} was killed"
    assert killed
    client = world.client()
    causes = Counter(str(view.cause) for view in client.sessions.list())
    figures(
        "real browsers, somebody killed at random",
        {f"sessions ended with {cause}": count for cause, count in sorted(causes.items())},
        seed=SEED,
        kills=killed.total(),
        acknowledged=acknowledged(world),
        **judged(runs, browsers=True),
        browsers=launched(world),
    )


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
    client, me = world.client(), ChromiumHost().identity()
    at = time.time_ns() // 1000
    gone = me.model_copy(update={"started": me.started - 1})
    first = created("s-1", at=at).model_copy(update={"owner": me, "keeper": me, "keeper_id": "k-1"})
    then = started(at).model_copy(update={"keeper": me, "keeper_id": "k-1", "browser": gone})
    client.log.append("s-1", [new(first), new(then)], expected=0)
    with pytest.raises(AssertionError, match=r"a session does not end; \['no browser: s-1'\]"):
        settled(world, patience_s=0.5)


def test_a_step_that_was_acknowledged_and_is_not_there_is_seen_planted(world: World) -> None:
    with (world.folder / "acknowledged").open("w") as file:
        file.write("s-1 1\ns-1 2\ns-1 3")
    client = world.client()
    step = annotated(n=1).model_copy(update={"name": "step"})
    client.log.append("s-1", [new(created("s-1")), new(started()), new(step)], expected=0)
    assert lost(world, client) == ["lost: step 2 of s-1"]


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ("file", "canary in {folder}/log.db.d/planted"),
        ("log", "canary in {folder}/log.db"),
        ("output", "canary in the output"),
        ("command line", "canary shown by process"),
        ("environment", "canary shown by process"),
    ],
)
def test_a_canary_is_seen_wherever_it_is_planted(place: str, seen: str, world: World) -> None:
    client = world.client()
    client.log.append("s-1", [new(created("s-1", labels={"a": CANARY} if place == "log" else {}))], expected=0)
    if place == "file":
        (world.runtime / "planted").write_text(CANARY)
    script = world.script(
        f"say('{CANARY[:5]}' + '{CANARY[5:]}')\nsignal.pause()" if place == "output" else "say('x')\nsignal.pause()",
        *([CANARY] if place == "command line" else []),
        env={**os.environ, "A": CANARY} if place == "environment" else None,
    )
    script.hear()
    found = [*leaked(world), *shown(world)]
    script.kill()
    client.close()
    assert found
    assert all(text.startswith(seen.format(folder=world.folder)) for text in found), found
