"""The `transitions` Machine built from the table, the lookup compiled from it, and its diagram.

The Machine is the authority: the lookup is compiled from its transitions and from nothing else, tests prove the two
equal for every state, trigger and history, and what the lookup does not hold the Machine itself refuses. One Machine
serves all sessions: it is never given a model, each call brings its own scratch object, so it keeps no state and is
safe to share between threads.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from transitions import Machine, MachineError

from lifecycle.core.states import ENDED, TABLE, State, Trigger
from lifecycle.errors import IllegalCommand

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOOKUP", "diagram", "fire", "legal", "machine"]


#: what `transitions` puts before each line that it logs of our Machine
_NAME: Final = "lifecycle"


class _Scratch:
    """What the Machine writes its new state to; thrown away after each call."""

    __slots__ = ("state",)

    def __init__(self, state: str) -> None:
        self.state = state


def _build() -> Machine:
    built = Machine(
        model=None,
        name=_NAME,
        # Plain strings: with enum members the Machine registers names instead of values and can't be rehydrated.
        states=[state.value for state in State],
        initial=State.CREATED.value,
        auto_transitions=False,  # the default adds unguarded to_<state>() from everywhere, endings included
    )
    for trigger, sources, dest in TABLE:
        for source in sources:
            built.add_transition(trigger.value, source.value, (dest or source).value)
    return built


machine: Final = _build()


def _of_another(record: logging.LogRecord) -> bool:
    """Ten lines for each event would fill the log of a host that listens to everything, as Scrapy does."""
    return not (isinstance(record.args, tuple) and record.args[:1] == (f"{_NAME}: ",))


logging.getLogger("transitions.core").addFilter(_of_another)


def fire(state: State, trigger: Trigger, session_id: str | None = None, command: str | None = None) -> State:
    """The state that *trigger* leads to from *state*, as the Machine says. *command* names it in the refusal.

    A legal move is found in what was compiled from the Machine; anything else the Machine itself is asked for.

    Raises:
        IllegalCommand: The table has no such move; nothing changed.
    """
    for before, name, after in _MOVES:
        if before is state and name is trigger:
            return after
    scratch = _Scratch(state.value)
    try:
        machine.events[trigger.value].trigger(scratch)
    except MachineError:
        raise IllegalCommand(
            session_id=session_id, state=state, command=command or trigger, legal=legal(state)
        ) from None
    return State(scratch.state)


def _compile(built: Machine) -> Mapping[tuple[State, Trigger], State]:
    """Every legal move of *built* as a dict; refuses what a dict can't express."""
    moves: dict[tuple[State, Trigger], State] = {}
    for name, event in built.events.items():
        for source, candidates in event.transitions.items():
            if len(candidates) != 1:
                raise AssertionError(f"{name} from {source}: {len(candidates)} transitions, a lookup holds one")
            (only,) = candidates
            if only.conditions or only.before or only.after or only.prepare or not only.dest:
                raise AssertionError(f"{name} from {source}: conditions, callbacks or no destination: not a plain move")
            moves[State(source), Trigger(name)] = State(only.dest)
    return MappingProxyType(moves)


#: (state, trigger) -> next state; a missing key is an illegal move.
LOOKUP: Final = _compile(machine)

# By identity: hashing a member of an Enum runs Python code, and costs more than going through all of these.
_MOVES: Final = tuple((before, trigger, after) for (before, trigger), after in LOOKUP.items())


def legal(state: State | None) -> tuple[str, ...]:
    """The triggers that are legal in *state*, sorted; before creation only `create`."""
    if state is None:
        return ("create",)
    return tuple(sorted(trigger.value for source, trigger in LOOKUP if source is state))


def diagram() -> str:
    """The state diagram as Mermaid text, generated from the Machine."""
    lines = ["stateDiagram-v2", "    [*] --> created : create"]
    for name, event in machine.events.items():
        lines += [f"    {source} --> {only.dest} : {name}" for source, (only,) in event.transitions.items()]
    lines += [f"    {state} --> [*]" for state in ENDED]
    return "\n".join(lines) + "\n"
