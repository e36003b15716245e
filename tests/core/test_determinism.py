"""Invariant 34: decide, evolve and view give the same bytes in another process, with another hash seed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import product

from lifecycle.core import EVENT_TYPES, decide, diagram, fold, legal, private_fields, view
from lifecycle.core.states import State
from lifecycle.errors import LifecycleError
from lifecycle.testing.invariants import Checker, Replayed
from lifecycle.testing.samples import COMMANDS, HISTORIES, MINUTE, SAMPLES, T0, D
from tests.testing.engines import ENGINES


def digest() -> str:
    """One hash over everything the core answers to the example commands, events and histories."""
    said = [diagram(), *(str(legal(state)) for state in State), *(event.model_dump_json() for event in SAMPLES)]
    said += [f"{name} {sorted(private_fields(name))}" for name in EVENT_TYPES]
    for history, command, clock in product(HISTORIES.values(), COMMANDS.values(), (T0 - 1, T0, D - 1, D, D + MINUTE)):
        before = fold(history)
        try:
            events = decide(before, command, clock)
        except LifecycleError as error:
            said.append(str(error))
            continue
        said += [event.model_dump_json() for event in events]
        after = fold(events, before)
        assert after is not None
        said += [repr(after), view(after, clock).model_dump_json()]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def test_34_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}; import tests.core.test_determinism as t; print(t.digest())"
    here = digest()
    checker = Checker()
    checker.check(Replayed(here=here.encode(), elsewhere=digest().encode()))
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        checker.check(Replayed(here=here.encode(), elsewhere=run.stdout.strip().encode()))
    assert set(checker.report().reached["invariants"]) == set(ENGINES["replay"].laws())
