"""The words of the lifecycle and the table's shape."""

from __future__ import annotations

from lifecycle.core.states import ENDED, LIVE, TABLE, State, Trigger


def test_a_state_equals_prints_and_formats_as_its_plain_word() -> None:
    assert [str(state) for state in State] == ["created", "active", "closed", "error", "timed_out"]
    word: str = "active"
    assert word == State.ACTIVE
    assert f"{State.TIMED_OUT:>10}" == " timed_out"


def test_live_and_ended_partition_the_states() -> None:
    assert sorted([*LIVE, *ENDED]) == sorted(State)


def test_the_table_is_the_design_page() -> None:
    """Written out once more on purpose: whoever changes the table says so twice."""
    moves = {(trigger, source): dest or source for trigger, sources, dest in TABLE for source in sources}
    assert moves == {
        ("start", "created"): "active",
        ("note", "created"): "created",
        ("note", "active"): "active",
        ("close", "created"): "closed",
        ("close", "active"): "closed",
        ("fail", "created"): "error",
        ("fail", "active"): "error",
        ("expire", "created"): "timed_out",
        ("expire", "active"): "timed_out",
        ("release", "closed"): "closed",
        ("release", "error"): "error",
        ("release", "timed_out"): "timed_out",
    }


def test_every_trigger_has_one_row() -> None:
    assert sorted(trigger for trigger, _, _ in TABLE) == sorted(Trigger)
