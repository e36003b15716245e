"""Events to text and back: nothing is lost, private fields stand apart, and the same history has the same hashes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import count
from typing import Any, get_args

import pytest
from hypothesis import given

from lifecycle.core import EVENT_TYPES, Event, private_fields
from lifecycle.core.events import SessionAnnotated, SessionFailed
from lifecycle.errors import FutureSchema, InvalidConfig, LogTampered, MalformedEvent, UnknownEventType
from lifecycle.log.batch import Prepared, prepare, rows
from lifecycle.log.codec import FIRST, LIMIT_BYTES, Encoded, check_hash, check_private, decode, encode
from lifecycle.log.port import Cursor, NewEvent, Recorded
from lifecycle.log.record import recorded
from lifecycle.testing.log_samples import T0, created, failed, new, released, started
from lifecycle.testing.strategies import any_event
from tests.log.support import patient


def made(event: Any) -> Recorded:
    """*event* as the first of a stream, whatever the rules say."""
    (row,) = rows(
        "s", prepare("s", [new(event, "e-1")]), head=0, prev=None, position=0, clock=lambda: T0, salt=lambda: b"s" * 16
    )
    return recorded(row, "log")


@patient
@given(any_event)
def test_every_event_comes_back_equal(event: Event) -> None:
    assert decode(made(event)) == event


@patient
@given(any_event)
def test_private_fields_stand_in_the_private_text_only(event: Event) -> None:
    encoded = encode(event)
    public: dict[str, Any] = json.loads(encoded.data)
    private: dict[str, Any] = json.loads(encoded.private) if encoded.private is not None else {}
    assert not public.keys() & private_fields(event.type)
    assert private.keys() <= private_fields(event.type)
    assert "at" not in public, "`at` has a column of its own"
    written = {name for name in type(event).model_fields if name != "at" and getattr(event, name) is not None}
    assert public.keys() | private.keys() == written, "exactly what is not None is written"


@patient
@given(any_event)
def test_what_is_forgotten_reads_as_none(event: Event) -> None:
    row = replace(made(event), private=None, private_salt=None)
    forgotten = decode(row)
    for name in type(event).model_fields:
        expected = None if name in private_fields(event.type) else getattr(event, name)
        assert getattr(forgotten, name) == expected


def test_a_field_left_out_for_being_none_has_none_as_its_default() -> None:
    for cls in EVENT_TYPES.values():
        for name, field in cls.model_fields.items():
            if type(None) in get_args(field.annotation):
                assert field.get_default(call_default_factory=True) is None, f"{cls.__name__}.{name}"


def test_a_default_is_written_because_it_may_change_later() -> None:
    assert json.loads(encode(created("s")).data)["keep_alive"] is False


@pytest.mark.parametrize("size", [LIMIT_BYTES, LIMIT_BYTES + 1])
def test_an_event_takes_64_kib_at_most(size: int) -> None:
    def written(event: SessionAnnotated) -> int:
        texts = encode(event)
        return len(texts.data) + len(texts.private or "")

    empty = written(SessionAnnotated.model_construct(name="n", data={"a": ""}))
    event = SessionAnnotated.model_construct(name="n", data={"a": "x" * (size - empty)})
    if size <= LIMIT_BYTES:
        assert written(event) == size
        return
    with pytest.raises(InvalidConfig, match=f"takes {size} bytes, allowed are {LIMIT_BYTES}"):
        encode(event)


def test_both_texts_count_and_in_bytes() -> None:
    event = SessionFailed.model_construct(cause="exception", error_message="ü" * (LIMIT_BYTES // 2), evidence={})
    with pytest.raises(InvalidConfig, match="in one event"):
        encode(event)


class _Own(SessionAnnotated):
    type = "session.annotated"


@pytest.mark.parametrize("event", [_Own(name="x"), Event(), None, 7])
def test_only_the_core_s_own_events_are_recorded(event: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"only the event types of lifecycle\.core"):
        encode(event)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (UnknownEventType, {"type": "session.what"}),
        (FutureSchema, {"schema_version": 2}),
        (MalformedEvent, {"schema_version": 0}),
        (MalformedEvent, {"data": '{"name":7}'}),
        (MalformedEvent, {"data": '{"name":"a","extra":1}'}),
        (MalformedEvent, {"data": '{"name":"a","name":"b"}'}),
        (MalformedEvent, {"data": '{"name":"a","at":5}'}),
        (MalformedEvent, {"data": '{"name":"a","data":{"n":' + "1" * 5000 + "}}"}),
        (MalformedEvent, {"data": "[]"}),
        (MalformedEvent, {"data": '{"name":NaN}'}),
        (MalformedEvent, {"data": b"{}"}),
        (MalformedEvent, {"data": None}),
        (MalformedEvent, {"private": "{"}),
        (MalformedEvent, {"private": b"{}"}),
        (MalformedEvent, {"at": "noon"}),
        (MalformedEvent, {"at": -1}),
    ],
    ids=str,
)
def test_what_is_stored_wrong_is_named(kind: type[Exception], change: dict[str, Any]) -> None:
    row = replace(made(SessionAnnotated(at=T0, name="a")), **change)
    with pytest.raises(kind, match=r"session\."):
        decode(row)


def history() -> tuple[Recorded, ...]:
    """A stream that never changes, whatever becomes of the events' shapes: texts, ids, times and salts are fixed."""
    salts = count(1)
    texts = [
        (
            created("s-1"),
            Encoded('{"labels":{"job":"nächtlich"},"session_id":"s-1"}', '{"browser_args":["--lang=de"]}'),
        ),
        (started(), Encoded('{"browser_version":"131.0.1","ownership":"launched"}', None)),
        (failed(), Encoded('{"cause":"exception","evidence":{}}', '{"error_message":"geheim \\"\\n"}')),
        (released(), Encoded('{"how":"graceful","took_us":1500}', None)),
    ]
    batch = [
        Prepared(NewEvent(event_id=f"e-{n}", event=event, actor="a", writer="w", correlation_id="c"), encoded)
        for n, (event, encoded) in enumerate(texts)
    ]
    told = rows(
        "s-1",
        batch,
        head=0,
        prev=None,
        position=0,
        clock=lambda: T0 + 7,
        salt=lambda: next(salts).to_bytes(16, "big"),
    )
    return tuple(recorded(row, "log") for row in told)


GOLDEN = [
    ("created", "548bfba6feb2c9518d383775d1dbcd419a6dd0b5ae6ae73696633f17ff7e9598"),
    ("started", "6c13e8aea0c390817ffcf3191c29b6ffd858fba7f87e24e1c449ceb7ee6cc3ae"),
    ("failed", "a97cc0ffd69fd9939e93cb90b7ea2e273364120ce1f7025a20ec52e305297eaa"),
    ("released", "1358972f1ed6f6fc48047320497f98f96a3d0ddf11f75b7397b4c22ea7a79b2c"),
]


def test_the_chain_of_a_fixed_history_is_stable() -> None:
    """These are in every log that has been written: a change here makes all of them look tampered with."""
    assert [(row.type.removeprefix("session."), row.hash) for row in history()] == GOLDEN


def test_the_hash_is_what_the_docstring_says() -> None:
    """Computed by hand, with nothing of the codec but its words."""
    prev = "0" * 64
    for row in history():
        envelope = {
            name: getattr(row, name)
            for name in Recorded.__dataclass_fields__
            if name not in ("position", "hash", "private", "private_salt")
        }
        text = json.dumps({**envelope, "prev": prev}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == row.hash
        if row.private is not None and row.private_salt is not None:
            assert hashlib.sha256(row.private_salt + row.private.encode()).hexdigest() == row.private_sha256
        prev = row.hash


CHANGES: list[dict[str, Any]] = [
    {"stream": "s-2"},
    {"version": 9},
    {"event_id": "e-9"},
    {"type": "session.closed"},
    {"schema_version": 2},
    {"at": T0 + 1},
    {"recorded_at": T0 + 1},
    {"actor": "b"},
    {"writer": "b"},
    {"correlation_id": None},
    {"causation_id": "c"},
    {"data": "{}"},
    {"private_sha256": None},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_change_to_any_column_shows(change: dict[str, Any]) -> None:
    first = history()[0]
    check_hash(first, FIRST)
    with pytest.raises(LogTampered):
        check_hash(replace(first, **change), FIRST)


def test_every_column_but_position_and_hash_is_in_that_list() -> None:
    columns = set(Recorded.__dataclass_fields__) - {"position", "hash", "private", "private_salt"}
    assert {name for change in CHANGES for name in change} == columns


def test_an_event_in_another_place_of_the_chain_shows() -> None:
    first, second, *_ = history()
    check_hash(second, first.hash)
    check_hash(replace(second, position=Cursor(99)), first.hash)
    with pytest.raises(LogTampered):
        check_hash(second, FIRST)


def test_a_changed_private_text_shows_and_a_forgotten_one_does_not() -> None:
    row = history()[2]
    check_private(row)
    check_private(replace(row, private=None, private_salt=None))
    with pytest.raises(LogTampered):
        check_private(replace(row, private='{"error_message":"harmless"}'))
