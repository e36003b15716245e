"""The Machine, the lookup compiled from it, and what both say about every state and trigger."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from transitions import Machine, MachineError

from lifecycle.core.machine import LOOKUP, diagram, fire, legal, machine
from lifecycle.core.machine import _compile as compile_lookup  # pyright: ignore[reportPrivateUsage] # its refusals
from lifecycle.core.states import ENDED, LIVE, TABLE, State, Trigger
from lifecycle.errors import IllegalCommand

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = list(product(State, Trigger))
ROWS = [(trigger, source, dest or source) for trigger, sources, dest in TABLE for source in sources]


class Scratch:
    """A model that the Machine does not know."""

    def __init__(self, state: str) -> None:
        self.state = state


def asked(state: State, trigger: Trigger) -> str | None:
    """What the Machine itself does; None where it refuses."""
    scratch = Scratch(state.value)
    try:
        assert machine.events[trigger.value].trigger(scratch)
    except MachineError:
        assert scratch.state == state.value
        return None
    return scratch.state


@pytest.mark.parametrize(("state", "trigger"), PAIRS)
def test_the_lookup_equals_the_machine(state: State, trigger: Trigger) -> None:
    """Invariant 2: one authority; the dict that serves decide and replay says the same."""
    assert LOOKUP.get((state, trigger)) == asked(state, trigger)


def fired(state: State, trigger: Trigger) -> str | None:
    try:
        return fire(state, trigger)
    except IllegalCommand:
        return None


def test_every_short_history_and_long_ones_go_as_the_machine_goes() -> None:
    """One Machine that keeps its state through the history, beside fire, which is told it: refusals change nothing."""
    chance = Random(20)
    short = product(Trigger, repeat=4)
    long = [chance.choices(list(Trigger), k=500) for _ in range(5)]
    for history in (*short, *long):
        scratch = Scratch(State.CREATED.value)
        state = State.CREATED
        for trigger in history:
            try:
                machine.events[trigger.value].trigger(scratch)
                moved = True
            except MachineError:
                moved = False
            after = fired(state, trigger)
            assert (after is not None) == moved
            state = state if after is None else State(after)
            assert state == scratch.state


@pytest.mark.parametrize(("trigger", "source", "dest"), ROWS)
def test_every_row_of_the_table_is_a_move(trigger: Trigger, source: State, dest: State) -> None:
    assert fire(source, trigger) is dest
    assert LOOKUP[source, trigger] is dest


@pytest.mark.parametrize(("state", "trigger"), [pair for pair in PAIRS if pair not in LOOKUP])
def test_what_is_not_in_the_table_is_refused_with_the_choices(state: State, trigger: Trigger) -> None:
    with pytest.raises(IllegalCommand) as caught:
        fire(state, trigger, "s-1")
    error = caught.value
    assert (error.session_id, error.state, error.command, error.legal) == ("s-1", state, trigger, legal(state))


def test_the_lookup_holds_the_table_and_nothing_else() -> None:
    assert dict(LOOKUP) == {(source, trigger): dest for trigger, source, dest in ROWS}


def test_the_lookup_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        LOOKUP[State.CLOSED, Trigger.START] = State.ACTIVE  # type: ignore[index]  # that is the test


def test_what_is_legal_where() -> None:
    assert legal(None) == ("create",)
    assert legal(State.CREATED) == ("close", "expire", "fail", "note", "start")
    assert legal(State.ACTIVE) == ("close", "expire", "fail", "note")
    assert {legal(state) for state in ENDED} == {("release",)}


def test_the_machine_has_no_moves_of_its_own() -> None:
    """auto_transitions would add an unguarded to_active() from every state, endings included."""
    assert sorted(machine.events) == sorted(trigger.value for trigger in Trigger)
    assert (machine.initial, list(machine.states)) == ("created", [state.value for state in State])


def test_the_machine_keeps_nothing_of_its_callers() -> None:
    fire(State.CREATED, Trigger.START)
    assert machine.models == []


def test_threads_share_the_machine_without_confusing_each_other() -> None:
    def all_pairs(_: int) -> list[str | None]:
        return [asked(state, trigger) for state, trigger in PAIRS * 20]

    alone = all_pairs(0)
    with ThreadPoolExecutor(4) as pool:
        assert all(result == alone for result in pool.map(all_pairs, range(8)))


@pytest.mark.parametrize("state", LIVE)
def test_every_ending_can_be_reached_from_every_live_state(state: State) -> None:
    """Invariant 40, on the table alone; test_closure shows it for decide."""
    reached, todo = {state}, [state]
    while todo:
        here = todo.pop()
        new = {dest for (source, _), dest in LOOKUP.items() if source is here} - reached
        reached |= new
        todo += new
    assert set(ENDED) <= reached


def test_nothing_leaves_an_ending() -> None:
    assert {dest for (source, _), dest in LOOKUP.items() if source in ENDED} == set(ENDED)
    assert all(source is dest for (source, _), dest in LOOKUP.items() if source in ENDED)


def built(change: Callable[[Machine], object]) -> Machine:
    made = Machine(model=None, states=list(State), initial="created", auto_transitions=False)
    change(made)
    return made


def transition(**options: Any) -> Callable[[Machine], object]:
    return lambda made: made.add_transition("start", "created", **options)


def two_candidates(made: Machine) -> None:
    made.add_transition("start", "created", "active")
    made.add_transition("start", "created", "closed")


@pytest.mark.parametrize(
    "change",
    [
        two_candidates,
        transition(dest="active", conditions=lambda: True),
        transition(dest="active", unless=lambda: True),
        transition(dest="active", before=lambda: None),
        transition(dest="active", after=lambda: None),
        transition(dest="active", prepare=lambda: None),
        transition(dest=None),
        transition(dest=""),
    ],
    ids=["two candidates", "conditions", "unless", "before", "after", "prepare", "internal", "empty dest"],
)
def test_a_machine_that_a_dict_can_not_express_is_refused(change: Callable[[Machine], object]) -> None:
    with pytest.raises(AssertionError, match="start from created"):
        compile_lookup(built(change))


def test_a_destination_that_is_no_state_is_refused_at_import() -> None:
    """transitions accepts it and only fails when it is triggered, after on_exit ran."""
    with pytest.raises(ValueError, match="nowhere"):
        compile_lookup(built(transition(dest="nowhere")))


def test_the_machine_is_silent_and_others_are_not(caplog: pytest.LogCaptureFixture) -> None:
    """transitions writes ten lines for each event it is asked for, each with its machine's name before it."""
    caplog.set_level(logging.DEBUG, logger="transitions.core")
    with pytest.raises(IllegalCommand):
        fire(State.CLOSED, Trigger.START)
    assert not caplog.records
    Machine(name="another", states=["a", "b"], initial="a").to_b()
    others = len(caplog.records)
    assert others
    logger = logging.getLogger("transitions.core")
    logger.debug("%s%s", "lifecycle: ", "of ours")
    logger.debug("of no machine")
    logger.debug("%(name)s", {"name": "lifecycle: "})
    assert len(caplog.records) == others + 2


def test_the_diagram_draws_every_move_once() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> created : create"]
    drawn = {
        (source, trigger): dest
        for line in lines[2:]
        if not line.endswith("[*]")
        for source, _, dest, _, trigger in [line.split()]
    }
    assert drawn == dict(LOOKUP)
    assert [line.split()[0] for line in lines if line.endswith("[*]")] == list(ENDED)
