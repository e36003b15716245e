"""The shell around active operations, in both twins, on pretended pages: validate, perform, record once, answer."""

from __future__ import annotations

import importlib.util
import pickle
import traceback
from dataclasses import FrozenInstanceError
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from lifecycle import ActionFailed, InvalidConfig, MemoryLog
from lifecycle.actions import Click, Extract, Fill, Goto, Observe, Scrape
from lifecycle.client.handle import Handle
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import SystemClock, Uuid7
from lifecycle.errors import MissingExtra, NotStarted
from lifecycle.testing.fake_host import FakeBrowser
from tests.client.pretended import DriverError, Pretence, failing

SECRET = "correct horse battery"


def test_a_success_is_one_event_and_a_frozen_result(pretence: Pretence) -> None:
    pretence.answers(message="clicked", data={"a": 1}, target='button "Go"')
    result = pretence.execute(Click(id="e1"))
    assert (result.success, result.message, result.data, result.reason, result.exception) == (
        True,
        "clicked",
        {"a": 1},
        None,
        None,
    )
    assert result.action == Click(id="e1")
    assert result.started_at <= result.ended_at < result.started_at + timedelta(seconds=5)
    with pytest.raises(FrozenInstanceError):
        result.success = False  # type: ignore[misc] # what must not work
    [event] = pretence.operations()
    assert (event.kind, event.ok, event.target, event.error_type, event.error_message) == (
        "click",
        True,
        'button "Go"',
        None,
        None,
    )
    assert event.took_us == (result.ended_at - result.started_at) / timedelta(microseconds=1)


def test_three_ways_to_give_an_action(pretence: Pretence) -> None:
    pretence.execute(Goto(url="https://a"))
    pretence.execute({"type": "goto", "url": "https://a"})
    pretence.execute(type="goto", url="https://a")
    assert pretence.pages.done == [Goto(url="https://a")] * 3


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"type": "clik"},
        {"type": "goto"},
        {"type": "goto", "url": "https://a", "raise_on_failure": "no"},
        {"type": "fill", "id": "e1", "selector": "#a", "value": SECRET},
    ],
)
def test_bad_input_performs_and_records_nothing(pretence: Pretence, order: dict[str, Any]) -> None:
    before = pretence.log.head(pretence.session.session_id)
    with pytest.raises(InvalidConfig):
        pretence.execute(**order)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("observe", {"timeout": 0}),
        ("observe", {"screenshot": 1}),
        ("scrape", {"fields": {}}),
        ("scrape", {"response_format": int, "fields": {}}),
        ("scrape", {"selector": ""}),
        ("scrape", {"nothing": 1}),
    ]
    for name, options in wrong:
        with pytest.raises(InvalidConfig):
            pretence.run(partial(getattr(pretence.session, name), **options))
    assert pretence.pages.done == []
    assert pretence.log.head(pretence.session.session_id) == before


@pytest.mark.parametrize("twin", ["sync", "async"])
def test_nothing_works_before_start(twin: str) -> None:
    world = Pretence(twin)
    for call in (
        lambda: world.session.execute(type="reload"),
        lambda: world.session.observe(),
        lambda: world.session.scrape(),
    ):
        with pytest.raises(NotStarted):
            world.run(call)
    world.close()


def test_a_failure_is_raised_with_its_result_and_survives_a_process(pretence: Pretence) -> None:
    pretence.answers(failing("dialog", "a dialog: 'Sure?'", summary="a dialog"))
    with pytest.raises(ActionFailed) as failed:
        pretence.execute(type="reload")
    error = failed.value
    assert str(error) == "reload failed: a dialog"
    assert error.__notes__ == ["a dialog: 'Sure?'"]
    assert error.__cause__ is None
    assert error.__context__ is None
    assert (error.result.success, error.result.reason, error.result.message) == (False, "dialog", "a dialog: 'Sure?'")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.result) == (str(error), error.result)
    [event] = pretence.operations()
    assert (event.kind, event.ok, event.error_type, event.error_message) == ("reload", False, "dialog", "a dialog")


def test_a_failure_is_given_back_where_that_is_wanted(pretence: Pretence) -> None:
    pretence.answers(failing())
    result = pretence.execute(type="reload", raise_on_failure=False)
    assert not result.success
    assert isinstance(result.exception, ActionFailed)
    assert result.exception.result == result
    assert [event.ok for event in pretence.operations()] == [False]


def test_observe_and_scrape_give_their_data_or_raise(pretence: Pretence) -> None:
    pretence.answers(data="<p>Text")
    assert pretence.run(lambda: pretence.session.observe(screenshot=True)) == "<p>Text"
    assert pretence.run(lambda: pretence.session.scrape(selector="main")) == "Text"
    assert pretence.execute(type="scrape").data == "Text"
    assert pretence.pages.done == [Observe(screenshot=True), Scrape(selector="main"), Scrape()]
    assert [(event.kind, event.target) for event in pretence.operations()] == [
        ("observe", None),
        ("scrape", "main"),
        ("scrape", None),
    ]
    pretence.answers(failing("crashed"))
    for call in (lambda: pretence.session.observe(), lambda: pretence.session.scrape()):
        with pytest.raises(ActionFailed) as failed:
            pretence.run(call)
        assert failed.value.result.reason == "crashed"


def test_a_page_that_can_not_be_written_as_markdown_is_an_outcome(pretence: Pretence) -> None:
    """One that is nested without end raised RecursionError out of scrape(), and stood nowhere in the history."""
    pretence.answers(data="<div>" * 5000 + "deep")
    with pytest.raises(ActionFailed, match="can't be written as Markdown: RecursionError") as failed:
        pretence.run(lambda: pretence.session.scrape())
    assert failed.value.result.reason == "mismatch"
    assert [(event.kind, event.ok, event.error_type) for event in pretence.operations()] == [
        ("scrape", False, "mismatch")
    ]


class Lamp(BaseModel):
    name: str
    price: float


class Stubborn(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def refuse(cls, _: str) -> str:
        raise LookupError("the model's own")


def test_what_a_model_s_own_validators_raise_is_the_scripts_and_recorded(pretence: Pretence) -> None:
    pretence.answers(data={"name": "Desk lamp"})
    with pytest.raises(LookupError, match="the model's own"):
        pretence.run(lambda: pretence.session.scrape(response_format=Stubborn, fields={"name": "h2"}))
    assert [(event.kind, event.ok, event.error_type) for event in pretence.operations()] == [
        ("scrape", False, "LookupError")
    ]


def test_scrape_fills_a_model_or_says_what_does_not_fit(pretence: Pretence) -> None:
    def scrape() -> Any:
        return pretence.run(
            lambda: pretence.session.scrape(response_format=Lamp, fields={"name": "h2", "price": ".price"}, timeout=5)
        )

    pretence.answers(data={"name": "Desk lamp", "price": "19.90"})
    assert scrape() == Lamp(name="Desk lamp", price=19.9)
    [order] = pretence.pages.done
    assert isinstance(order, Extract)
    assert (order.timeout, order.fields["price"]["selector"]) == (5, ".price")
    pretence.answers(data={"name": "Desk lamp", "price": "a lot"})
    with pytest.raises(ActionFailed) as failed:
        scrape()
    assert failed.value.result.reason == "mismatch"
    assert "price: Input should be a valid number" in failed.value.result.message
    assert [(event.kind, event.ok, event.error_message) for event in pretence.operations()] == [
        ("scrape", True, None),
        ("scrape", False, "the page does not fit Lamp: price (float_parsing)"),
    ]


def test_a_missing_library_is_told_before_anything_is_done(pretence: Pretence, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def absent(name: str) -> object:
        return None if name == "markdownify" else real(name)

    monkeypatch.setattr("lifecycle.client.markdown.find_spec", absent)
    for call in (lambda: pretence.session.scrape(), lambda: pretence.session.execute(type="scrape")):
        with pytest.raises(MissingExtra):
            pretence.run(call)
    assert pretence.pages.done == []
    pretence.answers(data={"name": "Lamp", "price": "1"})
    pretence.run(lambda: pretence.session.scrape(response_format=Lamp, fields={"name": "h2", "price": "b"}))


def test_completion_needs_no_page_and_its_answer_is_not_recorded(pretence: Pretence) -> None:
    pretence.pages.refuses = DriverError("must not be asked")
    result = pretence.execute(type="completion", success=False, answer=SECRET)
    assert result.success
    assert result.data == {"success": False, "answer": SECRET}
    [event] = pretence.operations()
    assert (event.kind, event.ok, event.target) == ("completion", True, None)


@pytest.mark.parametrize(
    ("order", "target"),
    [
        ({"type": "goto", "url": "https://u:p@a.example/b?token=1#c"}, "https://a.example/b?token=REDACTED"),
        ({"type": "goto_new_tab", "url": "not a url"}, "REDACTED"),
        ({"type": "goto", "url": "data:text/html,secret"}, "data:REDACTED"),
        ({"type": "switch_tab", "tab_index": 2}, "tab 2"),
        ({"type": "press_key", "key": "Control+Shift+ArrowDown"}, "Control+Shift+ArrowDown"),
        ({"type": "press_key", "key": "Control+a"}, "Control+a"),
        ({"type": "press_key", "key": "x"}, None),
        ({"type": "press_key", "key": "Shift+x"}, None),
        ({"type": "click", "selector": "a[href='https://a/?token=1']"}, "a[href='https://a/?token=REDACTED']"),
        ({"type": "click", "selector": "#a\x00b"}, "#ab"),
        ({"type": "evaluate_js", "code": "secret()"}, None),
        ({"type": "form_fill", "value": {"Name": "Bob"}}, None),
        ({"type": "wait", "time_ms": 1}, None),
    ],
)
def test_the_target_is_redacted(pretence: Pretence, order: dict[str, Any], target: str | None) -> None:
    pretence.execute(**order)
    assert pretence.operations()[-1].target == target


TYPING: list[dict[str, Any]] = [
    {"type": "fill", "selector": "#a", "value": SECRET},
    {"type": "select_dropdown_option", "selector": "#a", "value": SECRET},
    {"type": "form_fill", "value": {"Name": SECRET, "Age": 7}},
    {"type": "press_key", "key": SECRET},
]


@pytest.mark.parametrize("order", TYPING)
def test_what_was_typed_is_taken_out_of_whatever_the_page_makes_of_it(
    pretence: Pretence, order: dict[str, Any]
) -> None:
    pretence.execute(**order)
    pretence.answers(failing(message=f"no {SECRET} here, nor {SECRET!r}", target=f'checkbox "Say {SECRET} twice"'))
    with pytest.raises(ActionFailed) as failed:
        pretence.execute(type="click", id="e1")
    assert failed.value.result.message == "no (hidden) here, nor '(hidden)'"
    shown = "".join(traceback.format_exception(failed.value)) + repr(failed.value.result) + repr(pretence.session)
    assert SECRET not in shown
    assert pretence.operations()[-1].target == 'checkbox "Say (hidden) twice"'
    for row in pretence.log.read(pretence.session.session_id):
        assert SECRET not in repr(row)


def test_only_so_much_is_remembered_of_what_was_typed() -> None:
    from lifecycle.client.operations import Hidden

    hidden = Hidden()
    for number in range(Hidden.REMEMBERED + 1):
        hidden.remember(Fill(selector="#a", value=f"value-{number:04}"))
    assert hidden.out_of("value-0000 value-0256") == "value-0000 (hidden)"
    hidden.remember(Fill(selector="#a", value="abc"))
    assert hidden.out_of("abc") == "abc"
    hidden.remember(Fill(selector="#a", value="two\n  lines"))
    assert hidden.out_of("two lines, 'two\\n  lines'") == "(hidden), '(hidden)'"


def test_the_handle_is_all_an_operation_needs() -> None:
    """observe() and scrape() name themselves in NotStarted; everything else is execute()."""
    from lifecycle.client.operations import Hidden, Operation

    recorder = Recorder(MemoryLog(), SystemClock(), Uuid7(), actor="tester", writer="test")
    handle = Handle(recorder, FakeBrowser(), "s-1", None, page=False)
    for action, what in ((Observe(), "observe()"), (Scrape(), "scrape()"), (Goto(url="https://a"), "execute()")):
        with pytest.raises(NotStarted) as refused:
            Operation(handle, action, Hidden())
        assert refused.value.what == what
