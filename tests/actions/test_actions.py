"""Actions: three ways to give one, one refusal for each wrong field, and nothing that was typed in a repr."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from lifecycle import InvalidConfig
from lifecycle.actions import (
    ACTIONS,
    Action,
    AnyAction,
    Click,
    Extract,
    Fill,
    FormFill,
    Goto,
    Observe,
    UploadFile,
)
from lifecycle.client.orders import action

SECRET = "correct horse battery"

#: a valid example of each
EXAMPLES: dict[str, dict[str, Any]] = {
    "goto": {"url": "https://example.com"},
    "goto_new_tab": {"url": "https://example.com"},
    "switch_tab": {"tab_index": 0},
    "close_tab": {},
    "go_back": {},
    "go_forward": {},
    "reload": {},
    "wait": {"time_ms": 30_000},
    "press_key": {"key": "Enter"},
    "scroll_up": {"amount": 10},
    "scroll_down": {},
    "click": {"id": "e1"},
    "fill": {"selector": "#a", "value": SECRET, "clear_before_fill": False},
    "check": {"id": "e1", "value": True},
    "select_dropdown_option": {"id": "e1", "value": SECRET},
    "form_fill": {"value": {"Name": SECRET, "Terms": True, "Age": 7}},
    "upload_file": {"id": "e1", "file_path": SECRET},
    "download_file": {"id": "e1", "directory": SECRET},
    "evaluate_js": {"code": SECRET},
    "scrape": {"selector": "main", "only_main_content": True},
    "completion": {"success": True, "answer": "42"},
}


def test_the_examples_are_all_there_is() -> None:
    assert set(EXAMPLES) == set(ACTIONS)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_object_dict_and_keywords_mean_the_same(kind: str) -> None:
    fields = EXAMPLES[kind]
    one = ACTIONS[kind](**fields)
    assert action(one) is one
    assert action({"type": kind, **fields}) == action(None, {"type": kind, **fields}) == one
    assert TypeAdapter[Any](AnyAction).validate_python({"type": kind, **fields}) == one
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.kind == kind


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_action_does_not_change(kind: str) -> None:
    one = action({"type": kind, **EXAMPLES[kind]})
    for name in ("type", *EXAMPLES[kind]):
        with pytest.raises(ValidationError):
            setattr(one, name, "other")
    if isinstance(one, FormFill):
        with pytest.raises(TypeError):
            one.value["Name"] = "other"


@pytest.mark.parametrize("kind", EXAMPLES)
def test_no_repr_tells_what_is_typed_evaluated_or_uploaded(kind: str) -> None:
    one = action({"type": kind, **EXAMPLES[kind]})
    assert SECRET not in repr(one) + str(one)


@pytest.mark.parametrize(
    ("given", "argument", "allowed"),
    [
        ({}, "type", "no such action; known are goto, goto_new_tab, "),
        ({"type": "clik", "id": "e1"}, "type", "no such action; did you mean click? known are "),
        ({"type": ["click"]}, "type", "no such action; known are "),
        ({"type": "observe"}, "type", "no such action; "),
        ({"type": "goto"}, "goto.url", "needed; goto takes timeout, url"),
        ({"type": "goto", "url": ""}, "goto.url", "string should have at least 1 character"),
        ({"type": "goto", "url": "https://a", "wait": 3}, "goto.wait", "no such field; goto takes timeout, url"),
        ({"type": "goto", "url": "https://a", "timeout": 0}, "goto.timeout", "greater than or equal to 1"),
        ({"type": "goto", "url": "https://a", "timeout": "5"}, "goto.timeout", "valid integer"),
        ({"type": "wait", "time_ms": 30_001}, "wait.time_ms", "less than or equal to 30000"),
        ({"type": "wait", "duration": 5}, "wait.time_ms", "needed; wait takes time_ms"),
        ({"type": "switch_tab", "tab_index": -1}, "switch_tab.tab_index", "greater than or equal to 0"),
        ({"type": "click"}, "click.id, click.selector", "give exactly one of id (from observe()) and selector"),
        ({"type": "click", "id": "e1", "selector": "#a"}, "click.id, click.selector", "give exactly one of"),
        ({"type": "click", "selector": ""}, "click.selector", "at least 1 character"),
        ({"type": "check", "id": "e1", "value": "false"}, "check.value", "valid boolean"),
        ({"type": "check", "id": "e1", "value": 1}, "check.value", "valid boolean"),
        ({"type": "form_fill", "value": {}}, "form_fill.value", "at least 1 item"),
        ({"type": "form_fill", "value": "Name"}, "form_fill.value", "valid dictionary"),
        ({"type": "form_fill", "value": {"Name": None}}, "form_fill.value", "valid string"),
        ({"type": "close_tab", "index": 1}, "close_tab.index", "no such field; close_tab takes timeout"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(given: dict[str, Any], argument: str, allowed: str) -> None:
    for way in ((given,), (None, given)):
        with pytest.raises(InvalidConfig) as refused:
            action(*way)
        assert refused.value.argument == argument
        assert allowed in refused.value.allowed


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (3, {}),
        ("click", {}),
        ([("type", "click")], {}),
        (Goto(url="https://a"), {"url": "https://b"}),
        ({"type": "goto"}, {"url": "https://b"}),
        (Observe(), {}),
        (Extract(response_format=Action, fields={}), {}),
    ],
)
def test_only_one_way_at_a_time(given: object, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig) as refused:
        action(given, fields)
    assert refused.value.argument == "action"


@pytest.mark.parametrize(
    "given",
    [
        {"type": "fill", "id": "e1", "selector": "#a", "value": SECRET},
        {"type": "fill", "id": "e1", "valeu": SECRET},
        {"type": "fill", "id": "e1", "value": [SECRET]},
        {"type": "form_fill", "value": {"Name": [SECRET]}},
        {"type": "form_fill", "value": {SECRET: None}},
        {"type": "press_key", "key": [SECRET]},
        {"type": "evaluate_js", "code": {"a": SECRET}},
        {"type": "upload_file", "id": "e1", "file_path": [SECRET]},
    ],
)
def test_a_refusal_tells_nothing_that_was_typed(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig) as refused:
        action(given)
    error = refused.value
    assert SECRET not in str(error) + repr(error) + repr(vars(error))
    assert error.__cause__ is None
    assert error.__context__ is None


def test_the_constructor_itself_hides_its_input_too() -> None:
    with pytest.raises(ValidationError) as refused:
        Fill(value=SECRET)
    assert SECRET not in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_paths_may_be_paths() -> None:
    assert UploadFile(selector="#file", file_path=Path("a")).file_path == Path("a")


def test_a_language_model_gets_a_schema() -> None:
    schema = TypeAdapter[Any](AnyAction).json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(ACTIONS)
    click = schema["$defs"]["Click"]
    assert set(click["properties"]) == {"type", "id", "selector", "timeout"}
    assert click["additionalProperties"] is False
    assert click["description"] == Click.__doc__


def test_the_adapter_performs_every_action_but_completion() -> None:
    from lifecycle_playwright import operations

    bodies: Mapping[type[Action], object] = operations._BODIES  # pyright: ignore[reportPrivateUsage] # what it covers
    assert {model.model_fields["type"].default for model in bodies} == {*ACTIONS, "observe"} - {"completion"}
