"""What people read of the core, word for word: the sentences of its refusals, and how a session is shown."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.core import Cause, Command, Create, Fail, Record, Start, State, decide, load, view
from lifecycle.core.deadlines import limits
from lifecycle.core.events import EVENT_TYPES, SessionTimedOut
from lifecycle.core.evolve import evolve, leads_to, pass_over, restored
from lifecycle.core.frozen import FrozenDict, FrozenList
from lifecycle.core.view import instant
from lifecycle.errors import IllegalCommand, IllegalHistory, InvalidConfig, MalformedEvent
from lifecycle.testing.samples import SECOND, T0, D, closed, created, navigated, released, session, started

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("version", "data", "reason"),
    [
        (0, {}, "schema version 0, they start at 1"),
        (1, [], "its data must be a JSON object without `at`, which the envelope holds"),
        (1, {"tab": "t", "url": 5}, "url: Input should be a valid string"),
        (1, {"at": 5}, "its data must be a JSON object without `at`, which the envelope holds"),
    ],
)
def test_a_malformed_event_names_its_type_and_what_is_wrong(version: int, data: Any, reason: str) -> None:
    with pytest.raises(MalformedEvent) as caught:
        load("session.navigated", version, T0, data)
    assert (caught.value.event_type, caught.value.reason) == ("session.navigated", reason)


def test_what_is_wrong_deep_inside_an_event_is_named_by_its_way_there() -> None:
    data = created().model_dump(mode="json", exclude={"at"}) | {"config": {"viewport_width": "x"}}
    with pytest.raises(MalformedEvent) as caught:
        load("session.created", 1, T0, data)
    assert caught.value.reason.startswith("config.viewport_width: ")


REFUSALS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (
        lambda: limits(timeout_minutes=4, idle_timeout_minutes=5),
        InvalidConfig,
        "timeout_minutes=4: is another name for idle_timeout_minutes; give one of the two",
    ),
    (
        lambda: instant(datetime(2027, 1, 15), "since"),  # noqa: DTZ001 # naive is what is refused
        InvalidConfig,
        "since=datetime.datetime(2027, 1, 15, 0, 0): needs a time zone, as datetime.now(UTC) has",
    ),
    (
        lambda: instant(datetime(2027, 1, 15)),  # noqa: DTZ001 # naive is what is refused
        InvalidConfig,
        "at=datetime.datetime(2027, 1, 15, 0, 0): needs a time zone, as datetime.now(UTC) has",
    ),
    (
        lambda: evolve(session(created(), closed(T0 + 1), released(T0 + 2)), released(T0 + 3)),
        IllegalHistory,
        f"history of session s-1, version 4: session.released at {T0 + 3}: nothing follows session.released",
    ),
    (
        lambda: evolve(None, started()),
        IllegalHistory,
        "history of session (none), version 1: the first event is session.started, expected session.created",
    ),
    (
        lambda: FrozenDict(a=1).clear(),
        TypeError,
        "recorded facts do not change; dict(x) or list(x) makes a copy that can be changed",
    ),
    (
        lambda: pass_over(session(created(), closed(T0 + 1)), "session.closed", T0 + 2),
        IllegalHistory,
        "history of session s-1, version 3: session.closed can't follow in state closed",
    ),
    (lambda: restored(()), ValueError, "zip() argument 2 is shorter than argument 1"),
]


@pytest.mark.parametrize(("refused", "error", "said"), REFUSALS)
def test_a_refusal_says(refused: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        refused()
    assert str(caught.value) == said


def test_an_event_that_can_not_be_passed_over_is_named_by_its_place() -> None:
    with pytest.raises(IllegalHistory) as caught:
        pass_over(session(created(), closed(T0 + 1)), "session.closed", T0 + 2)
    assert (caught.value.session_id, caught.value.version) == ("s-1", 3)


@pytest.mark.parametrize("command", [Create(event=created()), Start(event=started()), Record(event=navigated(T0))])
def test_a_refused_command_names_the_session(command: Command) -> None:
    with pytest.raises(IllegalCommand) as caught:
        decide(session(created(), closed(T0 + 1)), command, T0 + 2)
    assert caught.value.session_id == "s-1"


def test_a_timeout_does_not_say_of_an_error_that_there_was_none() -> None:
    (ended,) = decide(session(created()), Fail(cause=Cause.BROWSER_LOST), D)
    assert isinstance(ended, SessionTimedOut)
    assert ended.evidence == {"found": "fail/browser_lost"}


def test_a_type_of_event_leads_to_one_state_if_any() -> None:
    ends = {"session.started": State.ACTIVE, "session.closed": State.CLOSED, "session.failed": State.ERROR,
            "session.timed_out": State.TIMED_OUT}  # fmt: skip
    assert {name: leads_to(name) for name in ends} == ends
    assert ends.keys() < EVENT_TYPES.keys()


def test_values_that_differ_have_hashes_that_differ() -> None:
    assert len({hash(FrozenDict[str, int](a=number)) for number in range(5)}) == 5
    assert len({hash(FrozenList([number])) for number in range(5)}) == 5


def test_a_session_is_shown_in_a_line_and_in_a_table() -> None:
    ended = session(created(labels={"job": "a<b", "about": "it"}), started(T0 + SECOND), closed(T0 + 3 * SECOND))
    shown = view(ended, T0 + 9 * SECOND)
    assert repr(shown) == str(shown) == "<Session s-1 closed (stopped) after 0:00:03 about='it' job='a<b'>"
    html = shown._repr_html_()  # pyright: ignore[reportPrivateUsage] # notebooks call it
    row = "<tr><th style='text-align:left'>{}</th><td>{}</td></tr>"
    assert html.startswith(f"<table>{row.format('session_id', 's-1')}{row.format('status', 'closed')}")
    assert html.endswith(f"{row.format('labels', 'about=it job=a&lt;b')}{row.format('version', '3')}</table>")
    assert row.format("created_at", shown.created_at.isoformat()) in html
    assert ">None<" not in html
    assert "viewport_width" not in html
    live = view(session(created()), T0)
    assert repr(live) == "<Session s-1 created after 0:00:00>"
    assert row.format("labels", "") not in live._repr_html_()  # pyright: ignore[reportPrivateUsage]
