"""One trigger with python-statemachine 3, and with a model registered in `transitions`, in their own environment."""

from __future__ import annotations

import json
import sys
import time

from statemachine import State, StateMachine
from transitions import Machine


class Life(StateMachine):
    """The same table, as far as the trigger needs it."""

    created = State(initial=True)
    active = State()
    closed = State(final=True)
    begin = created.to(active)
    note = active.to.itself()
    close = active.to(closed)


class Model:
    """What a machine is given."""


def statemachine(size: int) -> float:
    life = Life()
    life.send("begin")
    began = time.perf_counter()
    for _ in range(size):
        life.send("note")
    return (time.perf_counter() - began) / size


def registered(size: int) -> float:
    models = [Model() for _ in range(size)]
    machine = Machine(model=None, states=["active", "closed"], initial="active")
    machine.add_transition("close", "active", "closed")
    began = time.perf_counter()
    for model in models:
        machine.add_model(model)
        model.close()
        machine.remove_model(model)
    return (time.perf_counter() - began) / size


if __name__ == "__main__":
    row, size, _ = sys.argv[1:]
    print(json.dumps({"statemachine": statemachine, "registered": registered}[row](int(size))))
