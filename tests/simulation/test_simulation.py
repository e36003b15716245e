"""The production client and keeper where everything may go wrong: what the engines find, and that they look."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lifecycle.audit.follow import Follower
from lifecycle.client.async_api import _Worker  # pyright: ignore[reportPrivateUsage] # where its bug is planted
from lifecycle.client.handle import Handle
from lifecycle.client.keeping import Kept
from lifecycle.client.recorder import Recorder
from lifecycle.core import LIVE, Record
from lifecycle.core.events import SessionAnnotated
from lifecycle.errors import WrongVersion
from lifecycle.log.port import Appended, Cursor
from lifecycle.testing.invariants import Entry, Invariant, forget, register
from lifecycle.testing.simulation import (
    EVENTS,
    FAULTS,
    Budget,
    Drawn,
    Failure,
    Odometer,
    Pruned,
    Seeded,
    Tape,
    checker,
    explore,
    replay,
    run,
    save,
    seeds,
    shrink,
)
from lifecycle.testing.simulation.ports import HostPort
from tests.testing.engines import ENGINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lifecycle.log.port import Expected, NewEvent
    from lifecycle.testing.invariants import Checker

#: Calls that fail once, and processes that die: without what lasts.
ONCE = frozenset([*FAULTS, *EVENTS]) - {"log.append disk_full", "browser.launch hangs"}
ALL: list[HealthCheck] = [*HealthCheck]  # pyright: ignore[reportAssignmentType] # members, whatever their metaclass says


def test_seeds_break_nothing_and_reach_everything() -> None:
    held = checker()
    seeds(range(1_400), budget=Budget(faults=2, crashes=1, events=3), held=held)
    seeds(range(300), "watched", Budget(faults=2, crashes=1, events=3), held)  # as the command has it
    rare = frozenset({"pages.warm error", "pages.connect error"})  # among all faults, in one of a hundred seeds
    seeds(range(200), "watched", Budget(faults=1, crashes=0, events=0, kinds=rare), held)
    seeds(range(1_400, 1_700), held=held)  # the budget that is nobody's choice
    reached = held.require(*ENGINES["simulation"].subjects, faults=FAULTS).reached
    assert set(reached["events"]) == set(EVENTS)
    assert {"started", "log.WrongVersion", "a keeper that hangs is dropped"} <= set(reached["met"])
    assert {"an asynchronous client", "start ended with CancelledError"} <= set(reached["met"])
    assert {"start ended with KeyboardInterrupt", "start ended with SessionTimedOut"} <= set(reached["met"])
    assert {"D", "clock back"} <= set(reached["guards"])


def test_three_processes_one_fault_one_crash_in_every_order() -> None:
    """The keeper, somebody who stops its session and somebody who fails it."""
    held = checker()
    found = explore("lean", Budget(faults=1, crashes=1, events=0, kinds=ONCE), held)
    assert found.complete
    assert found.states > 500
    assert "log.WrongVersion" in held.report().reached["met"]


def test_a_subscriber_sees_each_event_once_across_its_death() -> None:
    held = checker()
    seeds(range(150), "watched", Budget(faults=1, crashes=1, events=2), held)
    assert {"subscriber resumed", "subscriber met LogUnavailable"} <= set(held.report().reached["met"])


def test_a_subscription_that_forgets_its_cursor_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Follower.__init__

    def forgetful(self: Follower, log: Any, session_id: str | None, after: Cursor | None, types: Any) -> None:
        begin(self, log, session_id, None, types)

    monkeypatch.setattr(Follower, "__init__", forgetful)
    with pytest.raises(Failure, match="sim-9"):
        seeds(range(300), "watched", Budget(faults=1, crashes=1, events=0))


def test_a_guard_that_does_not_look_for_a_keeper_that_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(self: HostPort, session: object, log: object) -> bool:
        return False

    monkeypatch.setattr(HostPort, "drop_keeper", blind)
    with pytest.raises(Failure, match="sim-10"):
        seeds(range(1_500), budget=Budget(faults=0, crashes=0, events=2, kinds=frozenset({"keeper hangs"})))


INTERRUPTS = Budget(faults=0, crashes=0, events=1, kinds=frozenset({"interrupt", "interrupt a wait"}))


def test_a_start_interrupted_anywhere_leaves_nothing() -> None:
    """Where nothing else happens, at every step; seeds do it where much does."""
    held = checker()
    steps = len(run_of([], held).tape)
    for step in range(steps):
        run_of([0] * step + [1], held)
    reached = held.report().reached
    assert {"interrupt", "interrupt a wait"} <= set(reached["events"])
    assert reached["met"]["start ended with KeyboardInterrupt"] >= 10


def run_of(tape: list[int], held: Checker, budget: Budget = INTERRUPTS) -> Tape:
    choose = Tape(tape)
    run(choose, "begin", budget, held)
    return choose


CANCELS = replace(INTERRUPTS, kinds=frozenset({"cancel"}))


@pytest.mark.parametrize("page", [0, 1], ids=["with its page", "without a page"])
def test_an_asynchronous_start_cancelled_anywhere_leaves_nothing(page: int) -> None:
    held = checker()
    twin = [1, page]
    for step in range(len(run_of(twin, held, CANCELS).tape) - len(twin)):
        run_of([*twin, *[0] * step, 1], held, CANCELS)
    assert held.report().reached["met"]["start ended with CancelledError"] >= 10


def test_an_asynchronous_ending_cancelled_anywhere_ends() -> None:
    """At every step, in every order of what the keeper does meanwhile."""
    held = checker()
    assert explore("twins", CANCELS, held).complete
    assert held.report().reached["events"]["cancel"] > 100


def test_a_cancelled_call_that_is_not_waited_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """start() is given up, and its thread begins the session all the same."""

    async def hasty(self: Any, call: Any, given_up: object = None) -> object:
        return await asyncio.get_running_loop().run_in_executor(None, lambda: call(self.shared()))

    monkeypatch.setattr(_Worker, "run", hasty)
    with pytest.raises(Failure, match="sim-11"):
        seeds(range(500), "watched", CANCELS)


@pytest.mark.parametrize("kind", ["interrupt", "interrupt a wait", "cancel"])
def test_an_interrupted_start_that_is_not_given_up_is_found(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Its process lives on: only the deadline would end the browser that nobody has."""

    def nothing(self: Handle, error: BaseException) -> None:
        """Leaves it."""

    monkeypatch.setattr(Handle, "give_up", nothing)
    with pytest.raises(Failure, match="sim-11"):
        seeds(range(500), "watched", replace(INTERRUPTS, kinds=frozenset({kind})))


def everything_reached(scenario: str, budget: Budget, *, prune: bool) -> tuple[int, frozenset[int], set[object]]:
    """How many runs there are, the states on their ways, and how they ended: with which histories and answers."""
    choose, runs, verdicts = Odometer(prune=prune), 0, set[object]()
    going = True
    while going:
        with suppress(Pruned):
            world = run(choose, scenario, replace(budget))
            told = tuple(answer.view.status if answer.view else str(answer.error) for answer in world.answers)
            verdicts.add((tuple((row.stream, row.type, row.at, row.data) for row in world.log_rows), told))
        runs += 1
        going = choose.next()
    return runs, choose.states, verdicts


def test_what_is_pruned_was_explored() -> None:
    """A run that is cut where it meets a known state misses no state and no verdict."""
    runs, states, verdicts = everything_reached("pair", Budget(0, 0, 0), prune=True)
    all_runs, all_states, all_verdicts = everything_reached("pair", Budget(0, 0, 0), prune=False)
    assert runs < all_runs
    assert states == all_states
    assert verdicts == all_verdicts


@settings(max_examples=25, deadline=None, suppress_health_check=ALL)
@given(st.data())
def test_hypothesis_breaks_nothing(data: st.DataObject) -> None:
    run(Drawn(lambda n: data.draw(st.integers(0, n - 1))), budget=Budget(faults=1, crashes=1, events=2))


def test_a_seed_is_one_run() -> None:
    def rows(seed: int) -> list[str]:
        return [row.hash for row in run(Seeded(seed), budget=Budget(2, 1, 3)).log_rows]

    for seed in range(20):
        assert rows(seed) == rows(seed)


class Deaf:
    """A log whose refusals of a wrong version are not heard."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.locator = None

    def read(self, *args: Any, **more: Any) -> Any:
        return self._log.read(*args, **more)

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        try:
            found: Appended = self._log.append(stream, events, expected=expected)
        except WrongVersion as error:
            return Appended(error.actual, Cursor(1))
        return found


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that takes a lost race for success."""
    execute = Recorder.execute

    def deaf(self: Recorder, *args: Any, **more: Any) -> Any:
        kept = self.log
        self.log = Deaf(kept)  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue] # what it uses of one
        try:
            return execute(self, *args, **more)
        finally:
            self.log = kept

    monkeypatch.setattr(Recorder, "execute", deaf)


def test_every_engine_finds_a_planted_bug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plant(monkeypatch)
    with pytest.raises(Failure) as searched:
        explore("lean", Budget(0, 0, 0))
    with pytest.raises(Failure, match="seed ") as seeded:
        seeds(range(2_000))
    small = shrink(seeded.value)
    assert sum(map(bool, small.tape)) < sum(map(bool, seeded.value.tape))
    save(small, tmp_path / "tape.json")
    with pytest.raises(Failure):
        replay(tmp_path / "tape.json")
    for found in (searched.value, small):
        with pytest.raises(Failure):
            run(Tape(found.tape), found.scenario, replace(found.budget))


def test_hypothesis_finds_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=ALL)
    @given(st.data())
    def play(data: st.DataObject) -> None:
        run(Drawn(lambda n: data.draw(st.integers(0, n - 1))), "lean", Budget(0, 0, 0))

    with pytest.raises(Failure):
        play()


@pytest.mark.parametrize("tape", sorted((Path(__file__).parent / "tapes").glob("*.json")), ids=lambda tape: tape.stem)
def test_what_broke_an_invariant_once_does_so_no_more(tape: Path) -> None:
    """Each tape is a run that found a bug, made simpler; the bug is named by the file."""
    replay(tape, checker())


def test_the_bug_of_a_tape_is_found_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that has ended a browser whose owner is gone takes the browser's exit for the cause."""
    refused = vars(Kept)["_refused"]

    def forgets(self: Kept, error: Exception) -> float | None:
        pause: float | None = refused(self, error)
        vars(self)["_wanted"] = None
        return pause

    monkeypatch.setattr(Kept, "_refused", forgets)
    with pytest.raises(Failure, match="sim-3"):
        replay(Path(__file__).parent / "tapes" / "owner-gone-while-the-disk-is-full.json")


def test_a_start_that_fails_past_its_deadline_is_found_when_it_is_given_up_as_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every reader sees it timed out already; nobody has written that down, and its browser runs."""
    give_up = Handle.give_up

    def only_if_it_seems_to_live(self: Handle, error: BaseException) -> None:
        if self.last is None or self.status().status in LIVE:
            give_up(self, error)

    monkeypatch.setattr(Handle, "give_up", only_if_it_seems_to_live)
    with pytest.raises(Failure, match="sim-11"):
        replay(Path(__file__).parent / "tapes" / "start-fails-past-the-deadline.json")


@pytest.fixture
def no_checkout() -> Iterator[None]:
    """An embedder's own event type, given by every engine, and a law that it breaks."""

    def never(entry: Entry) -> Iterator[bool | str]:
        if entry.fact.type == "session.annotated":
            yield entry.fact.data["name"] != "checkout" or "a checkout"

    law = Invariant("shop-1", "Nobody checks out.", Entry, never)
    order = Record(event=SessionAnnotated(name="checkout"))
    register(law, order)
    yield
    forget(law, order)


@pytest.mark.usefixtures("no_checkout")
def test_every_engine_gives_an_embedder_s_command_and_holds_its_law(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="shop-1"):
        explore("lean", Budget(0, 0, 0))
    with pytest.raises(Failure, match="shop-1") as seeded:
        seeds(range(300), budget=Budget(0, 0, 0))
    save(seeded.value, tmp_path / "tape.json")
    with pytest.raises(Failure, match="shop-1"):
        replay(tmp_path / "tape.json")

    @settings(max_examples=300, phases=[Phase.generate], deadline=None, database=None, suppress_health_check=ALL)
    @given(st.data())
    def play(data: st.DataObject) -> None:
        run(Drawn(lambda n: data.draw(st.integers(0, n - 1))), budget=Budget(0, 0, 0))

    with pytest.raises(Failure, match="shop-1"):
        play()
