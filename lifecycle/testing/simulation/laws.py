"""What a simulated world must hold to besides the kit's invariants: the keeper's order, and that causes are true."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lifecycle.testing.invariants import Invariant

if TYPE_CHECKING:
    from lifecycle.log.port import Recorded
    from lifecycle.testing.laws.facts import Findings
    from lifecycle.testing.simulation.ports import SimulatedBrowser
    from lifecycle.testing.simulation.world import Actor, World
    from lifecycle.testing.told import Fact

__all__ = ["LAWS", "Acting", "Ended", "NotBegun", "Rest", "Stopped"]


@dataclass(frozen=True, eq=False)
class Acting:
    """Somebody is about to end a browser, or to save its cookies."""

    world: World
    browser: SimulatedBrowser
    what: str


@dataclass(frozen=True, eq=False)
class Ended:
    """An ending, or `released`, as it comes into the log."""

    world: World
    row: Recorded
    fact: Fact

    @property
    def data(self) -> dict[str, Any]:
        """The event's public fields."""
        found: dict[str, Any] = json.loads(self.row.data)
        return found


@dataclass(frozen=True, eq=False)
class NotBegun:
    """A start() that has failed with *error*: when its caller hears of it, and again at rest."""

    actor: Actor = field(repr=False)
    session_id: str
    error: BaseException
    version: int  # how far its session had come when the caller heard of it


@dataclass(frozen=True, eq=False)
class Stopped:
    """The world has come to its end; or nothing goes on and somebody is *waiting*: who, and where."""

    world: World = field(repr=False)
    waiting: str = ""


@dataclass(frozen=True, eq=False)
class Rest:
    """The world at rest, with everything that happened in it."""

    world: World


def intent_before_act(it: Acting) -> Findings:
    told = it.world.stories.get(it.browser.session_id)
    if it.what == "end" and it.browser.running:
        refused = it.browser.keeper.process.name in it.world.refusals
        yield (told is not None and not told.live) or refused or "a browser is ended before its session's ending stands"


def cookies_before_close(it: Acting) -> Findings:
    if it.what == "save":
        yield not it.browser.asked or "cookies are saved after the browser was asked to close"


def cause_is_true(it: Ended) -> Findings:
    cause = it.data.get("cause")
    world = it.world
    browser = world.browsers.get(it.row.stream)
    died = browser.died if browser is not None else None
    keepers = list(world.keepers.values())
    match cause:
        case "browser_crashed":
            yield (died is not None and died.signal is not None) or "browser_crashed, and no browser crashed"
        case "browser_closed":
            yield (died is not None and died.code == 0) or "browser_closed, and no browser closed itself"
        case "browser_lost":
            yield (died is not None and died.code is None and died.signal is None) or "browser_lost, and none vanished"
        case "keeper_lost":
            yield any(not keeper.serves for keeper in keepers) or "keeper_lost, and every keeper lives"
        case "owner_exited":
            yield any(not keeper.owner.alive for keeper in keepers) or "owner_exited, and every owner lives"
        case "launch_failed":
            # The driver is a part of what is launched: a start() without one is LaunchFailed.
            causes = ("browser.launch", "FAULT pages.warm", "FAULT log")
            failed = any(cause in line for cause in causes for line in world.history)
            yield failed or "launch_failed, and no launch failed"
        case "interrupted":
            yield world.interrupted or "interrupted by nobody"
        case "cancelled":
            yield world.cancelled or "cancelled by nobody"
        case _:
            pass


def nothing_is_left_of_a_start(it: NotBegun) -> Findings:
    world = it.actor.world
    told = world.stories.get(it.session_id)
    browser = world.browsers.get(it.session_id)
    # An interrupt while it gives up, or a log that refuses, leaves it to the keeper, the guard and the deadline.
    hindered = isinstance(it.error, KeyboardInterrupt) and it.error.__context__ is not None
    if not hindered and it.actor.process.name not in world.refusals:
        yield told is None or not told.live or "start() has failed, and its session lives"
        yield browser is None or not browser.running or "start() has failed, and its browser runs"
        later = {row.type for row in world.log.read(it.session_id, it.version)}
        yield not later & {"session.created", "session.started"} or "start() has failed, and its session begins"


def released_is_gone(it: Ended) -> Findings:
    if it.row.type == "session.released":
        browser = it.world.browsers.get(it.row.stream)
        yield browser is None or not browser.running or "released, and its browser runs"
        yield browser is None or not browser.profile or "released, and its profile is there"


def ended_by_deadline(it: Rest) -> Findings:
    for told in it.world.stories.values():
        yield not told.live or f"{told.session_id} is not ended long after its deadline"


def commands_count_once(it: Rest) -> Findings:
    for actor in it.world.actors:
        for name, session_id, how in actor.commands:
            rows = [row for row in it.world.log.read(session_id) if json.loads(row.data).get("name") == name]
            if how == "ok":
                yield len(rows) == 1 or f"{name} was acknowledged and stands {len(rows)} times in the log"
            elif how == "fail":
                yield not rows or f"{name} was refused and stands in the log"
            else:
                yield len(rows) <= 1 or f"{name} may have been recorded, and was {len(rows)} times"


def nobody_waits(it: Stopped) -> Findings:
    yield not it.waiting or it.waiting


def nothing_is_watched(it: Rest) -> Findings:
    for browser in it.world.browsers.values():
        yield not browser.profile or f"the profile of {browser.session_id} is left"


def hung_keeper_is_gone(it: Ended) -> Findings:
    task = it.world.kernel.current
    browser = it.world.browsers.get(it.row.stream)
    if it.row.type == "session.released" and browser is not None and task is not None:
        keeper = browser.keeper
        if task.process is not keeper.process:
            mine = keeper.owner is task.process or not keeper.owner.alive
            asked = (task.process.name, it.row.stream) in it.world.asked_after
            yield not (mine and keeper.hangs) or asked or "released, and nobody looked whether its keeper hangs"


def subscriber_sees_each_once(it: Rest) -> Findings:
    handed = it.world.handed
    if not handed:
        return
    stream = next(iter(it.world.stories))
    there = [row.position for row in it.world.log.read(stream)]
    yield handed == there[: len(handed)] or f"a subscriber was handed {handed}, and the log has {there}"
    if it.world.followed is not None:
        yield handed == there or f"a subscriber's session has ended for it after {handed}, and the log has {there}"


LAWS: Final = (
    Invariant(
        "sim-1",
        "No browser is ended before its session's ending stands, unless the log has failed its own keeper.",
        Acting,
        intent_before_act,
    ),
    Invariant("sim-2", "Cookies are saved before the browser is asked to close.", Acting, cookies_before_close),
    Invariant("sim-3", "Every cause is true: what it names has happened in the world.", Ended, cause_is_true),
    Invariant("sim-4", "`released` is written when browser and profile are gone.", Ended, released_is_gone),
    Invariant("sim-5", "Every session is ended soon after its deadline.", Rest, ended_by_deadline),
    Invariant(
        "sim-6",
        "A command that was acknowledged stands in the log once, a refused one never, an unknown one at most once.",
        Rest,
        commands_count_once,
    ),
    Invariant("sim-7", "Nobody waits for ever.", Stopped, nobody_waits),
    Invariant("sim-8", "At rest no profile is left.", Rest, nothing_is_watched),
    Invariant(
        "sim-9",
        "A subscriber is handed every event of its session once, in order, also across its death and resumption.",
        Rest,
        subscriber_sees_each_once,
    ),
    Invariant(
        "sim-10",
        "Whoever is to end a keeper that hangs looks for it before writing `released` in its place.",
        Ended,
        hung_keeper_is_gone,
    ),
    Invariant(
        "sim-11",
        "A start() that fails, or is interrupted, leaves no session that lives and no browser, and begins none later.",
        NotBegun,
        nothing_is_left_of_a_start,
    ),
)
