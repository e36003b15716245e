"""Commands: what can be ordered, and that an ending is never lost for what the world says."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lifecycle.core import Cause, Close, Command, Extend, Fail, Record, decide
from lifecycle.core.commands import COMMANDS
from lifecycle.core.states import Trigger
from lifecycle.testing.samples import COMMANDS as EXAMPLES
from lifecycle.testing.samples import SAMPLES, T0, D, created, session, started

NOTES = {"accessed", "client_connected", "client_disconnected", "operation", "navigated", "tab_opened", "tab_closed",
         "page_crashed", "annotated", "cookies_loaded", "cookies_saved"}  # fmt: skip

#: the log takes no event above 64 KiB
LOG_BYTES = 64 * 1024


def test_every_command_is_registered_and_named_by_its_trigger() -> None:
    assert set(get_args(Command)) == set(COMMANDS)
    assert {command.name for command in COMMANDS} == {"create", *Trigger}


@pytest.mark.parametrize("command", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_a_command_is_frozen_and_takes_no_unknown_field(command: Command) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(command).model_validate({**command.model_dump(), "colour": "red"})
    for name in type(command).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(command, name, None)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_only_notes_can_be_recorded(event: Any) -> None:
    if event.type.removeprefix("session.") in NOTES:
        assert Record(event=event).event == event
    else:
        with pytest.raises(ValidationError):
            Record(event=event)


@pytest.mark.parametrize("by_us", [0, -1, 1.0, 1.5, float("nan"), "1", True, None])
def test_an_extension_is_a_whole_number_of_microseconds_above_zero(by_us: Any) -> None:
    with pytest.raises(ValidationError, match="by_us"):
        Extend(by_us=by_us)


@pytest.mark.parametrize("cause", ["unknown", "idle", "max_duration", "browser_crashed", "", None])
def test_only_the_causes_of_closed_close(cause: Any) -> None:
    with pytest.raises(ValidationError, match="cause"):
        Close(cause=cause)


@pytest.mark.parametrize("cause", ["unknown", "idle", "stopped", "", None])
def test_only_the_causes_of_error_fail(cause: Any) -> None:
    with pytest.raises(ValidationError, match="cause"):
        Fail(cause=cause)


@pytest.mark.parametrize("field", ["error_type", "error_message", "last_words"])
@pytest.mark.parametrize("value", [5, b"bytes", ["x"], True])
def test_a_text_is_text(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Fail.model_validate({"cause": "exception", field: value})


def test_texts_of_normal_length_are_kept_as_they_are() -> None:
    text = 'zwei Zeilen:\n\t"größer als ✓ 😀"\r\n'
    fail = Fail(cause=Cause.EXCEPTION, error_type="x.E", error_message=text, last_words=text)
    assert (fail.error_type, fail.error_message, fail.last_words) == ("x.E", text, text)


def test_a_long_message_keeps_its_beginning_and_long_last_words_their_end() -> None:
    text = "begin " + "x" * 1_000_000 + " end"
    fail = Fail(cause=Cause.EXCEPTION, error_type=text, error_message=text, last_words=text)
    assert fail.error_type is not None
    assert fail.error_message is not None
    assert fail.last_words is not None
    assert (fail.error_type[:7], fail.error_type[-1], len(fail.error_type.encode())) == ("begin x", "…", 256)
    assert (fail.error_message[:7], fail.error_message[-1], len(fail.error_message.encode())) == ("begin x", "…", 4096)
    assert (fail.last_words[0], fail.last_words[-5:], len(fail.last_words.encode())) == ("…", "x end", 12_288)


@pytest.mark.parametrize("char", ["x", "ü", "✓", "😀"])
def test_texts_are_measured_in_bytes_and_cut_between_characters(char: str) -> None:
    """The log's bound is in bytes, and a character may have four."""
    fail = Fail(cause=Cause.EXCEPTION, error_message=char * 4096, last_words=char * 12_288)
    for text, limit in ((fail.error_message, 4096), (fail.last_words, 12_288)):
        assert text is not None
        assert limit - 4 < len(text.encode()) <= limit
        assert set(text) <= {char, "…"}


@pytest.mark.parametrize(("field", "limit"), [("error_type", 256), ("error_message", 4096), ("last_words", 12_288)])
@pytest.mark.parametrize("char", ["x", "ü", "😀"])
def test_a_text_that_just_fits_is_kept_whole(field: str, limit: int, char: str) -> None:
    text = char * (limit // len(char.encode()))
    fitting = Fail.model_validate({"cause": "exception", field: text})
    longer = Fail.model_validate({"cause": "exception", field: text + "y"})
    assert getattr(fitting, field) == text
    assert "…" in getattr(longer, field)


def test_what_can_not_be_written_is_replaced() -> None:
    fail = Fail(cause=Cause.EXCEPTION, error_message="a\ud800b\0c\x1b[31md")
    assert fail.error_message == "a?b\ufffdc\ufffd[31md"


@given(st.text(st.characters(), max_size=30), st.sampled_from([1, 200, 3000, 20_000]))
def test_no_ending_is_lost_for_what_an_exception_says(text: str, times: int) -> None:
    """Any text at all, as long as it likes: the session ends, with an event that the log takes."""
    said = text * times
    proofs = {f"proof {n}": "\x01" * 110 for n in range(32)}
    fail = Fail(cause=Cause.EXCEPTION, error_type=said, error_message=said, last_words=said, evidence=dict(proofs))
    live = session(created(), started())
    for clock, kind in ((T0, "session.failed"), (D, "session.timed_out")):
        (event,) = decide(live, fail, clock)
        assert event.type == kind
        assert len(json.dumps(event.model_dump(mode="json"), ensure_ascii=False).encode()) < LOG_BYTES
