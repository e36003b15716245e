"""Canonical JSON is RFC 8785 byte for byte, and whatever has no such form is refused by name."""

from __future__ import annotations

import gc
import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.log.canonical import MAX_DEPTH, MAX_INTEGER, canonical, parse
from tests.log.support import patient

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Keys around the surrogates' block, where code points and UTF-16 units sort differently.
keys = texts | st.text("aﬀ\ue000\uffff\U00010000\U0010ffff", max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@patient
@given(values)
def test_canonical_is_rfc_8785(value: Any) -> None:
    assert canonical(value).encode() == rfc8785.dumps(value)


@patient
@given(st.dictionaries(keys, values, max_size=5))
def test_what_was_written_is_read_back(value: dict[str, Any]) -> None:
    assert parse(canonical(value)) == value


@patient
@given(st.dictionaries(keys, values, max_size=5))
def test_the_canonical_form_of_what_was_read_is_what_was_written(value: dict[str, Any]) -> None:
    text = canonical(value)
    assert canonical(parse(text)) == text


def test_the_example_of_rfc_8785() -> None:
    """Section 3.2.2 and 3.2.3 of the RFC."""
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(value) == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "nan is not a number"),
        (math.inf, "inf is not a number"),
        ([-math.inf], "-inf is not a number"),
        (2**53, "9007199254740992 is beyond"),
        ({"a": -(2**53)}, "-9007199254740992 is beyond"),
        (1 << 20_000, "of 20001 bits is beyond"),
        ("\ud800", r"\\ud800"),
        ({"\udfff": 1}, r"\\udfff"),
        ({1: 2}, "the key 1 is not text"),
        ({True: 2}, "the key True is not text"),
        (b"x", "b'x' of type bytes is not JSON"),
        ({1, 2}, "of type set is not JSON"),
        (object, "of type type is not JSON"),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else "integer",
)
def test_what_has_no_canonical_form_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical(value)


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def test_depth_is_limited_without_recursing_into_it() -> None:
    canonical(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 500):
        with pytest.raises(ValueError, match="nested more than 64"):
            canonical(nested(depth))


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"{}",
        7,
        "",
        "{",
        "[]",
        "1",
        "null",
        "{} {}",
        '{"a":1,"a":1}',
        '{"x":{"a":1,"b":2,"a":3}}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":-Infinity}',
        '{"a":' + "9" * 5000 + "}",
        '{"a":' + "9" * 33 + "}",
        "{'a':1}",
        '{"a":"\x01"}',
    ],
    ids=lambda text: repr(text)[:20],
)
def test_what_canonical_never_wrote_is_not_read(text: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


def test_what_is_nested_deeper_than_python_goes_is_not_read() -> None:
    gc.collect()  # garbage that is collected down there has finalizers that fail, for want of a frame
    with pytest.raises(ValueError, match="nested"):
        parse('{"a":' * 100_000)


def test_a_large_float_without_fraction_comes_back_as_a_float() -> None:
    """RFC 8785 writes 1e20 in digits alone; read as an integer it would be beyond what may be written again."""
    assert canonical({"a": 1e20}) == '{"a":100000000000000000000}'
    assert type(parse('{"a":100000000000000000000}')["a"]) is float


def test_standard_json_reads_it() -> None:
    assert json.loads(canonical({"b": [1, "ü\u2028"], "a": None})) == {"a": None, "b": [1, "ü\u2028"]}
