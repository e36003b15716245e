"""Every session that a bounded life can reach, and the invariants checked in all of them; the ways that lead there.

The search is the kit's: lifecycle/testing/model.py. Nothing in it is sampled, so nothing within its bound is missed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import pytest

from lifecycle.core import ENDED, LIVE, LOOKUP, State, deadline
from lifecycle.core.events import SessionAccessed, SessionExtended
from lifecycle.testing.invariants import Checker, Entry, Look, Space
from lifecycle.testing.model import (
    CREATE,
    IDLE,
    Move,
    closure,
    moves,
    sequences,
    shortest_paths,
    transition_paths,
    walk,
)
from lifecycle.testing.runs import Step
from lifecycle.testing.samples import SAMPLES, SECOND, T0
from lifecycle.testing.story import accepted, emitted
from tests.testing.engines import ENGINES

if TYPE_CHECKING:
    from lifecycle.core import Event, Session


@cache
def steps() -> tuple[Step, ...]:
    return closure()


@cache
def sessions() -> list[Session]:
    """Every session that was reached."""
    return list({step.after: None for step in steps() if step.after and step.events})


def test_every_invariant_holds_in_every_session_and_all_are_exercised() -> None:
    checker = Checker()
    for step in steps():
        checker.step(step)
    checker.check(Space(steps()))
    search = ENGINES["search"]
    checker.require(*search.subjects, besides=search.besides)


def test_the_search_is_not_empty_and_ends() -> None:
    assert 10_000 < len(steps()) < 100_000
    assert 100 < len(sessions()) < 4_000


def test_a_live_session_stands_before_its_deadline() -> None:
    assert all(session.last_at < deadline(session) for session in sessions() if session.status in LIVE)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda event: event.type)
def test_27_evolve_accepts_exactly_what_decide_emits(sample: Event) -> None:
    """Every type of event, at every clock, in sessions of every kind that can be reached."""
    verdicts: Counter[bool] = Counter()
    for session in sessions()[::3]:
        ends = deadline(session)
        for at in (session.last_at - 1, session.last_at, ends - 1, ends, ends + 1):
            event = sample.model_copy(update={"at": at})
            if isinstance(event, SessionAccessed):
                event = event.model_copy(update={"last_at": min(at, T0 + SECOND)})
            if isinstance(event, SessionExtended):
                event = event.model_copy(update={"until": at + IDLE})
            verdict = accepted(session, event)
            assert verdict == emitted(session, event)
            verdicts[verdict] += 1
    assert verdicts[False]
    assert verdicts[True] or sample.type == "session.created"


def test_a_shortest_path_leads_to_every_status_and_every_release() -> None:
    paths = shortest_paths()
    assert set(paths) == {*(state.value for state in State), *(f"{state} released" for state in ENDED)}
    for name, path in paths.items():
        session = walk(path).session
        assert name == (f"{session.status} released" if session.released else session.status)
    assert [len(paths[name]) for name in ("created", "active", "timed_out", "error released")] == [1, 2, 2, 3]


def test_a_path_takes_every_row_of_the_table() -> None:
    assert set(transition_paths()) == {f"{state} {trigger}" for state, trigger in LOOKUP}


def test_each_sequence_is_stood_for_by_an_equal_step() -> None:
    """All sequences of two commands, one by one: each meets and does what a step of the search does."""
    whens = ("still", "D - 1", "D")
    searched = dict(map(met_and_did, sequences(2, whens)))
    paths = [(Move(CREATE, "still"), *two) for two in product(moves(whens), repeat=2)]
    assert len(paths) == 900
    for path in paths:
        for met, did in map(met_and_did, walk(path).steps):
            assert searched[met] == did


def met_and_did(step: Step) -> tuple[object, object]:
    """All but the version, on which nothing depends."""
    before, after = (session and replace(session, version=1) for session in (step.before, step.after))
    return (before, step.command, step.clock), (step.events, after)


def test_the_invariants_hold_in_all_sequences_of_four_commands() -> None:
    checker = Checker()
    for step in sequences(4):
        checker.step(step)
    # Four commands are too few to be released, extended and late all at once, and enough for everything else.
    checker.require(Step, Entry, Look, besides=("clock back", "D + 1", "17", *ENGINES["search"].besides))
