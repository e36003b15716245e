"""Upcasting: stored forms of any age become current events, or one of three errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.core import Event, load
from lifecycle.core import upcast as module
from lifecycle.core.events import EVENT_TYPES, SessionNavigated
from lifecycle.core.upcast import STEPS, check, upcast
from lifecycle.errors import FutureSchema, MalformedEvent, UnknownEventType
from lifecycle.testing.invariants import Checker, Upcast
from lifecycle.testing.samples import SAMPLES, T0, created, navigated
from tests.testing.engines import ENGINES

if TYPE_CHECKING:
    from collections.abc import Callable

Data = dict[str, Any]


def renamed(data: Data) -> Data:
    """1 -> 2: `page` became `tab`."""
    return {**{key: value for key, value in data.items() if key != "page"}, "tab": data["page"]}


def split(data: Data) -> Data:
    """2 -> 3: host and path became `url`. Needs what the first step made."""
    return {"tab": data["tab"], "url": f"https://{data['host']}{data['path']}"}


CHAIN: dict[tuple[str, int], Callable[[Data], Data]] = {
    ("session.navigated", 1): renamed,
    ("session.navigated", 2): split,
}
FIRST = {"page": "tab-1", "host": "example.com", "path": "/"}
SECOND_FORM = {"tab": "tab-1", "host": "example.com", "path": "/"}
CURRENT = {"tab": "tab-1", "url": "https://example.com/"}


@pytest.fixture
def third_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """session.navigated as if its shape had changed twice."""
    monkeypatch.setattr(SessionNavigated, "schema_version", 3)
    monkeypatch.setattr(module, "STEPS", CHAIN)


def test_the_shipped_steps_are_complete() -> None:
    check(STEPS, {name: cls.schema_version for name, cls in EVENT_TYPES.items()})


def test_steps_apply_in_order_from_wherever_the_event_was_stored() -> None:
    for version, data in ((1, FIRST), (2, SECOND_FORM), (3, CURRENT)):
        assert upcast("session.navigated", version, data, newest=3, steps=CHAIN) == CURRENT


def test_a_step_can_not_change_what_was_stored() -> None:
    def in_place(data: Data) -> Data:
        data["tab"] = data.pop("page")
        return data

    stored = dict(FIRST)
    upcast("session.navigated", 1, stored, newest=2, steps={("session.navigated", 1): in_place})
    assert stored == FIRST


@pytest.mark.usefixtures("third_version")
def test_33_an_old_event_folds_like_the_one_it_became() -> None:
    loaded = [
        load("session.navigated", version, T0, data) for version, data in ((1, FIRST), (2, SECOND_FORM), (3, CURRENT))
    ]
    checker = Checker()
    checker.check(*(Upcast(history=(created(),), upcast=event, current=navigated(T0)) for event in loaded))
    assert set(checker.report().reached["invariants"]) == set(ENGINES["old events"].laws())
    assert loaded == [navigated(T0)] * 3


@pytest.mark.usefixtures("third_version")
def test_a_step_that_fails_is_a_malformed_event() -> None:
    with pytest.raises(MalformedEvent, match="can't be brought from version 1: KeyError") as caught:
        load("session.navigated", 1, T0, {"tab": "tab-1"})
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.event_type == "session.navigated"


@pytest.mark.usefixtures("third_version")
def test_a_newer_version_than_three_is_the_future() -> None:
    with pytest.raises(FutureSchema, match="version 4, this library knows up to 3"):
        load("session.navigated", 4, T0, CURRENT)


@pytest.mark.parametrize(
    ("steps", "current", "said"),
    [
        ({}, {"a": 2}, "no step from a version 1 to 2"),
        ({("a", 1): dict}, {"a": 3}, "no step from a version 2 to 3"),
        ({("a", 2): dict}, {"a": 3}, "no step from a version 1 to 2"),
        ({("a", 1): dict, ("a", 2): dict}, {"a": 2}, "a step from a version 2, which is not older than 2"),
        ({("a", 1): dict}, {"a": 1}, "a step from a version 1, which is not older than 1"),
        ({("a", 0): dict}, {"a": 1}, "a step from a version 0"),
        ({("b", 1): dict}, {"a": 1}, "a step for unknown event type b"),
    ],
)
def test_a_broken_chain_is_refused_at_import(steps: Any, current: dict[str, int], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check(steps, current)


def test_an_unbroken_chain_is_fine() -> None:
    check({("a", 1): dict, ("a", 2): dict}, {"a": 3, "b": 1})


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_every_event_can_be_read_back(event: Event) -> None:
    data = json.loads(event.model_dump_json(exclude={"at"}))
    assert load(event.type, event.schema_version, event.at, data) == event


@pytest.mark.parametrize("name", ["session.mine", "", "Session.Created", "session.created ", "lifecycle.core.events"])
def test_an_unknown_type_is_reported_by_name(name: str) -> None:
    with pytest.raises(UnknownEventType, match=f"unknown event type '{name}'") as caught:
        load(name, 1, T0, {})
    assert caught.value.event_type == name


def test_a_newer_version_of_a_known_type_is_reported() -> None:
    with pytest.raises(FutureSchema) as caught:
        load("session.tab_closed", 2, T0, {"tab": "t"})
    assert (caught.value.event_type, caught.value.schema_version, caught.value.known) == ("session.tab_closed", 2, 1)


@pytest.mark.parametrize("version", [0, -1])
def test_versions_start_at_1(version: int) -> None:
    with pytest.raises(MalformedEvent, match="they start at 1"):
        load("session.tab_closed", version, T0, {"tab": "t"})


@pytest.mark.parametrize(
    ("data", "at", "said"),
    [
        ({}, T0, "tab: Field required"),
        ({"tab": 5}, T0, "tab: Input should be a valid string"),
        ({"tab": "t", "colour": "red"}, T0, "colour: Extra inputs"),
        ({"tab": "a\0"}, T0, "tab: .*NUL"),
        ({"tab": "t"}, -1, "at: "),
        ({"tab": "t"}, "now", "at: "),
        ({"tab": "t"}, None, "at: "),
        ({"tab": "t", "at": 5}, T0, "without `at`"),
        ([], T0, "JSON object"),
        ("tab", T0, "JSON object"),
        (None, T0, "JSON object"),
    ],
)
def test_what_does_not_have_the_shape_is_malformed_and_says_where(data: Any, at: Any, said: str) -> None:
    with pytest.raises(MalformedEvent, match=said) as caught:
        load("session.tab_closed", 1, at, data)
    assert caught.value.event_type == "session.tab_closed"
