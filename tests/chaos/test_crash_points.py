"""Each named point between created and released: the process that comes by is killed there, beside a real browser.

Twice: alone, and together with its partner (the owner with its keeper, the keeper with its owner), so that nobody is
left who could put it right but the next `reconcile`. The points are found in the source: a new one is played by itself.
"""

from __future__ import annotations

import ast
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import lifecycle
import lifecycle_chromium
from lifecycle import crash
from tests.chaos.aftermath import PRELUDE, acknowledged, launched, settled
from tests.chaos.record import SEED, judged
from tests.client.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle import SessionView
    from tests.chaos.record import Figures

pytestmark = pytest.mark.browser

#: `make test` plays each point in one of the two ways.
BOTH: Final = "CHAOS_ROUNDS" in os.environ
SOURCES: Final = [path for p in (lifecycle, lifecycle_chromium) for path in Path(str(p.__file__)).parent.rglob("*.py")]

#: Imported by every Python that finds it on its path: arms one point, as nothing in the library can.
ARM: Final = """
import os, signal, sys
from pathlib import Path
from lifecycle import crash
owner = int(os.environ.setdefault("CHAOS_OWNER", str(os.getpid())))
def keepers():
    for pid in Path(f"/proc/{owner}/task/{owner}/children").read_text().split():
        if b"lifecycle_chromium.keeper" in Path(f"/proc/{pid}/cmdline").read_bytes():
            yield int(pid)
def die(name):
    if name == os.environ["CHAOS_POINT"]:
        Path(os.environ["CHAOS_HIT"]).touch()
        if os.environ["CHAOS_HOW"] == "together":
            for pid in keepers() if os.getpid() == owner else [owner]:
                os.kill(pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
crash.on_point = die
"""
SCRIPT: Final = (
    PRELUDE
    + """
point, how = arguments
try:
    labels = {"point": point, "how": how}
    with client.Session(page=False, max_duration_minutes=1, labels=labels, proxy=PROXY) as session:
        step(session)
        if point == "keeper.ending":  # which only a session comes to that its keeper ends
            os.kill(client.log.load(session.session_id, None).browser.pid, signal.SIGKILL)
            session.wait_ended(30)
except LifecycleError as error:
    say(type(error).__name__)
client.close()
"""
)
RECONCILE: Final = "client.reconcile()\n"


def points() -> list[str]:
    """The names in every `crash.point("…")` of the source."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="crash"), attr="point"), args=[ast.Constant(value=str(name))]
                ):
                    found.add(name)
                case _:
                    pass
    return sorted(found)


def expected(point: str) -> set[str]:
    """The causes that a session may have whose processes were killed at *point*."""
    before = {"keeper_lost", "owner_exited"}
    match point:
        case "keeper.told":
            return {*before, "stopped"}  # its owner goes on meanwhile
        case "client.ended" | "client.settled" | "keeper.ended" | "keeper.cookies_saved" | "keeper.asked_to_close":
            return {"stopped"}
        case "keeper.killed_browser" | "keeper.cleaned_up" | "keeper.released" | "keeper.leaving":
            return {"stopped"}
        case _:
            return before


@pytest.fixture
def world() -> Iterator[World]:
    world = World("http://127.0.0.1:1")
    (world.folder / "arm").mkdir()
    (world.folder / "arm" / "sitecustomize.py").write_text(ARM)
    yield world
    world.close()


class Attacks:
    """Scripts with a point armed in them and in all that they start."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, point: str, how: str, text: str = SCRIPT) -> bool:
        """Have a script killed; whether the point was reached."""
        hit = self.world.folder / f"hit-{point}-{how}"
        armed = {"PYTHONPATH": str(self.world.folder / "arm"), "CHAOS_POINT": point, "CHAOS_HOW": how}
        script = self.world.script(text, point, how, env={**os.environ, **armed, "CHAOS_HIT": str(hit)})
        code, _, printed = script.end(60)
        killed = point.startswith(("client.", "reconcile.")) or how == "together"
        assert code == (-signal.SIGKILL if killed and hit.exists() else 0), f"{point}, {how}: {code}\n{printed}"
        return hit.exists()


@pytest.mark.timeout(600)
def test_a_process_killed_at_any_point_leaves_a_true_record_and_nothing_else(world: World, figures: Figures) -> None:
    attack = Attacks(world)
    ways = ("alone", "together")
    played = [
        (point, how) for number, point in enumerate(points()) for how in (ways if BOTH else [ways[(number + SEED) % 2]])
    ]
    prepared = 0
    first = [(point, how) for point, how in played if not point.startswith("reconcile.")]
    with ThreadPoolExecutor(3) as threads:
        reached = dict(zip(first, threads.map(attack, *zip(*first, strict=True)), strict=True))
    for point, how in set(played) - set(first):
        # What reconcile is to put right when it is killed: a session whose keeper and owner are gone.
        assert attack("keeper.started", "together", SCRIPT.replace('"point": point', f'"point": "{point} {how}"'))
        prepared += 2
        reached[point, how] = attack(point, how, RECONCILE)
    found = settled(world)
    assert found == []
    missed = [one for one, hit in reached.items() if not hit]
    assert missed == []
    causes = _causes(world)
    for point, how in first:
        cause = causes.pop((point, how), None)
        if point == "client.prepared":
            assert cause is None, f"{point}: killed before `created`, and there is a session"
        else:
            assert cause in expected(point), f"{point}, {how}: {cause}"
    assert set(causes.values()) <= {"keeper_lost"}
    figures(
        "death at each named point, real browsers",
        {"points": len(points())},
        seed=SEED,
        states=len(reached),
        kills=prepared + sum(1 if how == "alone" else 2 for _, how in reached),
        acknowledged=acknowledged(world),
        **judged([found], browsers=True),
        browsers=launched(world),
    )


def _causes(world: World) -> dict[tuple[str, str], str | None]:
    def key(view: SessionView) -> tuple[str, str]:
        return view.labels["point"], view.labels["how"]

    client = world.client()
    try:
        return {key(view): view.cause for view in client.sessions.list()}
    finally:
        client.close()


def test_nothing_in_the_library_arms_a_point() -> None:
    """Not a variable, not an argument: only code that already runs in the process could."""
    assert crash.on_point is None
    crash.point("no such point")
    for path in SOURCES:
        if path.name != "crash.py":
            assert "on_point" not in path.read_text(), path
    assert len(points()) > 20
