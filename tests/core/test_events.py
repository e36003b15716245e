"""Events: what can be recorded, what can't, and that a recorded fact stays what it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from pydantic import ValidationError

from lifecycle.core import EVENT_TYPES, EVENTS, Cause, Config, Event, Limits, ProcessIdentity, events, private_fields
from lifecycle.core.events import (
    MAX_DATA,
    MAX_EVIDENCE,
    MAX_TIME,
    NOTES,
    ClosedCause,
    FailedCause,
    Note,
    SessionAnnotated,
    SessionClosed,
    SessionCreated,
    SessionExtended,
    TimeoutRule,
)
from lifecycle.testing.samples import SAMPLES, created
from lifecycle.testing.strategies import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import JsonValue

Path = tuple[str | int, ...]

SURROGATE = "a\ud800"
NUL = "a\0"
HUGE = "x" * 1_000_000
SURROGATES = "must not contain lone surrogates; it can't be written as UTF-8"
BAD_TEXTS: list[object] = [SURROGATE, NUL, HUGE]
BAD_NUMBERS: list[object] = [float("nan"), float("inf"), float("-inf"), 2**53, -(2**53), 10**400]
NO_TEXTS: list[object] = [b"text", 5, True, ["text"], {"a": 1}]
NO_NUMBERS: list[object] = ["5", 1.5, 1.0, True, b"5", [5]]
MAPPINGS = {"labels", "evidence", "receipts", "data"}
NO_FLAGS: list[object] = ["yes", "true", 1, 0, 0.0, b"true", [True]]


def plain(event: Event) -> dict[str, Any]:
    """The fields of *event* as fresh dicts, lists and scalars."""
    data: dict[str, Any] = json.loads(event.model_dump_json())
    return data


def leaves(value: JsonValue, path: Path = ()) -> Iterator[tuple[Path, JsonValue]]:
    """Every scalar in *value*, with the way to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def with_leaf(event: Event, path: Path, value: object) -> dict[str, Any]:
    data = plain(event)
    box: Any = data
    for part in path[:-1]:
        box = box[part]
    box[path[-1]] = value
    return data


def bad_values(path: Path, value: object) -> list[object]:
    """What may not stand at *path* in the place of *value*."""
    if path[0] == "data":  # any JSON: another type is fine there
        return BAD_TEXTS + BAD_NUMBERS if not isinstance(value, bool | None) else []
    if path[0] in ("evidence", "receipts"):  # text, whole number, flag or None
        return [*BAD_TEXTS, *BAD_NUMBERS, 1.5, b"x", [1], {"a": 1}]
    if isinstance(value, bool):
        return NO_FLAGS
    if isinstance(value, int):
        return BAD_NUMBERS + NO_NUMBERS
    return BAD_TEXTS + NO_TEXTS


BAD = [
    pytest.param(event, path, bad, id=f"{event.type}-{'.'.join(map(str, path))}-{index}")
    for event in SAMPLES
    for path, value in leaves(plain(event))
    for index, bad in enumerate(bad_values(path, value))
]


@pytest.mark.parametrize(("event", "path", "bad"), BAD)
def test_what_can_not_be_recorded_is_refused_at_construction(event: Event, path: Path, bad: object) -> None:
    """Lone surrogates, NUL, NaN, megabytes, wrong types: in every field of every event, nested ones too."""
    with pytest.raises(ValidationError) as caught:
        type(event).model_validate(with_leaf(event, path, bad))
    first = caught.value.errors(include_url=False)[0]
    assert first["loc"][0] == path[0]
    assert len(str(caught.value)) < 4000  # the sentence does not carry the megabyte


BAD_KEYS: dict[str, object] = {
    "surrogate": SURROGATE,
    "nul": NUL,
    "huge": HUGE,
    "int": 5,
    "none": None,
    "bytes": b"key",
}
KEYED = [(event, field) for event in SAMPLES for field in sorted(MAPPINGS & set(type(event).model_fields))]


@pytest.mark.parametrize(("event", "field"), KEYED, ids=lambda value: getattr(value, "type", value))
@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_keys_are_held_to_the_same_rules(event: Event, field: str, key: object) -> None:
    with pytest.raises(ValidationError):
        type(event).model_validate({**plain(event), field: {key: "x"}})


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_an_unknown_field_is_refused(event: Event) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        type(event).model_validate({**plain(event), "colour": "red"})


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_a_fact_can_not_be_changed(event: Event) -> None:
    before, fingerprint = event.model_dump_json(), hash(event)
    for name in type(event).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(event, name, None)
        value = getattr(event, name)
        if isinstance(value, dict):
            with pytest.raises(TypeError, match="do not change"):
                value["a"] = "b"  # pyright: ignore[reportUnknownMemberType]  # any dict
    assert (event.model_dump_json(), hash(event)) == (before, fingerprint)


def test_what_an_event_was_made_from_is_not_tied_to_it() -> None:
    labels, inner = {"a": "b"}, list[Any]([1])
    event, note = created(labels=labels), SessionAnnotated(name="n", data={"list": inner})
    labels["a"] = "c"
    inner.append(2)
    assert (event.labels, note.data) == ({"a": "b"}, {"list": [1]})


def test_defaults_are_as_frozen_as_values() -> None:
    for event in (created(), SessionAnnotated(name="n"), SessionClosed(cause=Cause.STOPPED)):
        for box in (getattr(event, name, None) for name in MAPPINGS):
            if box is not None:
                with pytest.raises(TypeError, match="do not change"):
                    box["a"] = "b"


@pytest.mark.parametrize("number", [0, 64])
def test_up_to_64_labels(number: int) -> None:
    assert len(created(labels={f"l{n}": "" for n in range(number)}).labels) == number


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({f"l{n}": "" for n in range(65)}, "at most 64 items"),
        ({"": "x"}, "String should match pattern"),
        ({"k" * 65: "x"}, "String should match pattern"),
        ({"two words": "x"}, "String should match pattern"),
        ({"k=v": "x"}, "String should match pattern"),
        ({"größe": "x"}, "String should match pattern"),
        ({"key\n": "x"}, "String should match pattern"),
        ({"-k": "x"}, "String should match pattern"),
        ({"k": "x" * 1025}, "at most 1024 characters"),
        ({"k": NUL}, "must not contain NUL"),
        ({"k": SURROGATE}, "unicode"),
        ({"k": 5}, "valid string"),
        ({"k": None}, "valid string"),
        ([("k", "v")], "valid dictionary"),
        ("k=v", "valid dictionary"),
    ],
)
def test_labels_say_what_is_allowed(labels: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        created(labels=labels)


@pytest.mark.parametrize("key", ["a", "A9", "_x", "team/owner", "a.b:c-d_e", "k" * 64])
def test_label_keys_that_are_fine(key: str) -> None:
    assert created(labels={key: "v" * 1024}).labels[key]


@pytest.mark.parametrize("session_id", ["0197b3a0-1111-7000-8000-000000000001", "s", "S_1-a", "x" * 64])
def test_session_ids_that_are_fine(session_id: str) -> None:
    assert created(session_id=session_id).session_id == session_id


@pytest.mark.parametrize("session_id", ["", "log", "../x", "a/b", "a b", "-a", ".", "a\n", "ä", "x" * 65, "a\0", 5])
def test_a_session_id_can_be_part_of_a_path_and_is_not_the_logs_own_stream(session_id: object) -> None:
    with pytest.raises(ValidationError, match="session_id"):
        created(session_id=session_id)


@pytest.mark.parametrize("at", [-1, MAX_TIME + 1, 1.0, True, None, "0"])
def test_a_time_is_whole_microseconds_within_what_can_be_recorded(at: Any) -> None:
    with pytest.raises(ValidationError, match="at"):
        created(at=at)


def test_data_is_bounded_in_all_and_in_depth() -> None:
    SessionAnnotated(name="n", data={"text": "x" * (MAX_DATA - len("text") - 2)})
    with pytest.raises(ValidationError, match=f"holds {MAX_DATA + 1} characters, at most {MAX_DATA} are allowed"):
        SessionAnnotated(name="n", data={"text": "x" * (MAX_DATA - len("text") - 1)})
    with pytest.raises(ValidationError, match="at most"):
        SessionAnnotated(name="n", data={"list": list[Any]([0] * MAX_DATA)})
    deep: Any = {}
    for _ in range(31):
        deep = {"a": deep}
    SessionAnnotated(name="n", data=deep)
    with pytest.raises(ValidationError, match="more than 32 levels"):
        SessionAnnotated(name="n", data={"a": deep})


def annotated(value: Any) -> SessionAnnotated:
    return SessionAnnotated(name="n", data={"k": value})


def test_the_size_of_data_counts_every_value_of_a_list() -> None:
    """The object, its key, the list, and one for each number."""
    assert annotated([0] * (MAX_DATA - 3)).data
    with pytest.raises(ValidationError, match=f"holds {MAX_DATA + 1} characters"):
        annotated([0] * (MAX_DATA - 2))


def test_lists_are_as_deep_as_dicts() -> None:
    deep: Any = []
    for _ in range(30):
        deep = [deep]
    assert annotated(deep).data
    with pytest.raises(ValidationError, match="more than 32 levels"):
        annotated([deep])


@pytest.mark.parametrize("value", [MAX_TIME, -MAX_TIME])
def test_integers_of_data_are_those_that_every_json_reader_holds(value: int) -> None:
    assert annotated(value).data == {"k": value}
    with pytest.raises(ValidationError, match=f"integers must be from -{MAX_TIME} to {MAX_TIME}; give larger ones"):
        annotated(value + (1 if value > 0 else -1))


@pytest.mark.parametrize(
    ("event", "field", "value", "said"),
    [
        (SessionAnnotated, "data", {"k": NUL}, "must not contain NUL characters"),
        (SessionAnnotated, "data", {SURROGATE: 1}, SURROGATES),
        (SessionAnnotated, "data", {"k": SURROGATE}, SURROGATES),
        (SessionAnnotated, "data", {"k": {"k": NUL}}, "must not contain NUL characters"),
        (
            SessionCreated,
            "session_id",
            "log",
            "must not be 'log': that stream holds the acts that concern the whole log",
        ),
    ],
)
def test_what_can_not_be_recorded_is_said_in_words(event: type[Event], field: str, value: object, said: str) -> None:
    whole = next(sample for sample in SAMPLES if type(sample) is event)
    with pytest.raises(ValidationError) as caught:
        event.model_validate({**dict(whole), field: value})
    assert [error["msg"] for error in caught.value.errors()] == [f"Value error, {said}"]


def test_data_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(ValidationError, match="cyclic"):
        SessionAnnotated(name="n", data=loop)


def test_evidence_is_bounded_in_all() -> None:
    texts = {f"proof {n}": "x" * 1000 for n in range(4)}
    room = MAX_EVIDENCE - 1 - sum(len(name) + 1 + len(text) for name, text in texts.items()) - len("rest") - 1
    assert SessionClosed(cause=Cause.STOPPED, evidence={**texts, "rest": "x" * room}).evidence
    with pytest.raises(ValidationError, match=f"at most {MAX_EVIDENCE} are allowed"):
        SessionClosed(cause=Cause.STOPPED, evidence={f"proof {n}": "x" * 1000 for n in range(5)})
    with pytest.raises(ValidationError, match="at most 32 items"):
        SessionClosed(cause=Cause.STOPPED, evidence={f"proof {n}": n for n in range(33)})


def test_evidence_keeps_the_types_it_was_given() -> None:
    proofs: events.Evidence = {"text": "5", "number": 5, "flag": True, "none": None, "cause": Cause.STOPPED}
    kept = SessionClosed(cause=Cause.STOPPED, evidence=proofs).evidence
    assert [type(value) for value in kept.values()] == [str, int, bool, type(None), str]


def test_the_causes_are_divided_among_the_three_endings() -> None:
    """The set is closed, and there is no `unknown`."""
    divided = [*get_args(ClosedCause), *get_args(FailedCause), *get_args(TimeoutRule)]
    assert sorted(divided) == sorted(Cause)
    assert "unknown" not in divided


@pytest.mark.parametrize("cls", [events.SessionClosed, events.SessionFailed])
@pytest.mark.parametrize("cause", ["unknown", "", None, 5, "idle", "max_duration", "STOPPED"])
def test_another_cause_is_refused(cls: type[Event], cause: object) -> None:
    with pytest.raises(ValidationError, match="cause"):
        cls.model_validate({"cause": cause})


def test_every_event_of_the_module_is_registered_under_a_stable_name() -> None:
    declared = [
        cls for cls in vars(events).values() if isinstance(cls, type) and issubclass(cls, Event) and cls is not Event
    ]
    assert sorted(declared, key=repr) == sorted(EVENTS, key=repr)
    assert len(EVENT_TYPES) == len(EVENTS)
    assert all(name.startswith("session.") and name == name.lower() for name in EVENT_TYPES)
    assert {type(sample) for sample in SAMPLES} == set(EVENTS)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_the_examples_leave_out_no_field(event: Event) -> None:
    """The tests around here are only as complete as their examples and strategies."""
    parts = [part for part in dict(event).values() if isinstance(part, Config | Limits)]
    for model in (event, *parts):
        for name, field in type(model).model_fields.items():
            assert getattr(model, name) != field.get_default(call_default_factory=True, validated_data={}), name
    assert set(FIELDS[type(event)]) == set(type(event).model_fields) - {"at"}


def test_a_note_is_whatever_record_and_extend_can_add() -> None:
    assert {*get_args(Note), SessionExtended} == set(NOTES)


def test_the_registry_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        EVENT_TYPES["session.mine"] = Event  # type: ignore[index]  # that is the test


PRIVATE = {
    "session.created": {"browser_path", "browser_args", "cookie_file", "downloads_dir", "recording", "user_data_dir"},
    "session.started": {"browser_path", "profile"},
    "session.operation": {"target", "error_message"},
    "session.navigated": {"url"},
    "session.tab_opened": {"url"},
    "session.annotated": {"data"},
    "session.cookies_loaded": {"path"},
    "session.cookies_saved": {"path"},
    "session.failed": {"error_message", "last_words"},
    "session.released": {"recording"},
}


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_private_fields_are_these_and_each_can_be_forgotten(event: Event) -> None:
    """Taking one in or out changes what is stored apart and hashed: only with a new schema version."""
    private = private_fields(event.type)
    assert private == PRIVATE.get(event.type, set())
    rest = {name: value for name, value in plain(event).items() if name not in private}
    forgotten = type(event).model_validate(rest)
    assert all(getattr(forgotten, name) is None for name in private)


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.type)
def test_no_field_is_called_like_a_column_of_the_envelope(cls: type[Event]) -> None:
    """`at` is the one that both have; the log keeps it in its column only."""
    envelope = {"event_id", "stream", "version", "position", "type", "schema_version", "recorded_at", "actor", "writer"}
    assert not envelope & set(cls.model_fields)


@pytest.mark.parametrize("side", ["viewport_width", "viewport_height"])
@pytest.mark.parametrize("value", [0, -1, 16_385, 1.0, "800", True, float("nan")])
def test_a_viewport_has_1_to_16384_pixels(side: str, value: object) -> None:
    with pytest.raises(ValidationError, match=side):
        Config.model_validate({side: value})


@pytest.mark.parametrize("value", [0, 999_999, -1, 2**53, 1e6, "1000000", True])
def test_a_limit_is_a_second_at_least(value: object) -> None:
    with pytest.raises(ValidationError, match="max_duration_us"):
        Limits.model_validate({"idle_timeout_us": None, "max_duration_us": value})


@pytest.mark.parametrize("field", ["pid", "started"])
@pytest.mark.parametrize("value", [-1, 2**53, 1.0, "1", True, None])
def test_a_process_is_known_by_whole_numbers(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        ProcessIdentity.model_validate({"host": "h", "boot_id": "b", "pid": 1, "started": 1, field: value})
