"""Canonical JSON: one text for one value (RFC 8785), so that a hash over it can be checked by anybody.

Only what survives every JSON reader is accepted: integers within ±(2^53 - 1), finite floats, no lone surrogates, at
most 64 levels. Nearly every event consists of strings, integers and plain keys; for those the standard library's sorted
compact form *is* the canonical form (tests/log/test_canonical.py proves it), and `rfc8785` writes the rest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import rfc8785

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_DEPTH", "MAX_INTEGER", "canonical", "parse"]

MAX_DEPTH: Final = 64
#: RFC 7493: beyond this, readers that hold numbers as doubles round.
MAX_INTEGER: Final = 2**53 - 1

_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


def canonical(value: object) -> str:
    """*value* (None, bool, int, float, str, list, tuple, dict with text keys) as RFC 8785 text.

    Raises:
        ValueError: The value has no canonical form; the message says which part and why.
    """
    plain = _check(value, 1)
    text = _encode(value) if plain else rfc8785.dumps(value).decode()  # type: ignore[arg-type]  # _check has proved it
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a lone surrogate \\u{ord(text[error.start]):04x} is not text") from None
    return text


def _check(value: object, depth: int) -> bool:
    """Whether the standard library's form of *value* is the canonical one; refuses what has none."""
    # Exact types first: an Enum or a bool is a subclass, and looking them up one by one keeps this short and fast.
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]  # an int
            raise ValueError(f"the integer {_shown(value)} is beyond ±(2^53 - 1)")
        return True
    if kind is float:
        if value - value != 0:  # type: ignore[operator]  # a float
            raise ValueError(f"{value} is not a number that JSON has")
        return False
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
    plain = True
    if isinstance(value, dict):
        for key, item in cast("dict[Any, object]", value).items():
            if type(key) is not str:
                raise ValueError(f"the key {_shown(key)} is not text")
            # Keys sort by UTF-16 units in RFC 8785 and by code points here; they differ past the surrogates' block.
            plain &= key.isascii() or max(key) < "\ud800"
            plain &= _check(item, depth + 1)
        return plain
    if isinstance(value, list | tuple):
        for item in cast("Sequence[object]", value):
            plain &= _check(item, depth + 1)
        return plain
    raise ValueError(f"{_shown(value)} of type {kind.__name__} is not JSON")


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"of {value.bit_length()} bits"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"


def parse(text: object) -> dict[str, Any]:
    """The object that *text* holds; refuses everything `canonical` would not have written, except another spelling.

    Raises:
        ValueError: Not text, not JSON, not an object, a repeated key, NaN, a number out of range, nested too deep.
    """
    if not isinstance(text, str):
        raise ValueError(f"stored as {type(text).__name__}, expected text")
    try:
        value: Any = _decode(text)
    except RecursionError:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"a JSON {type(value).__name__}, expected an object")
    return cast("dict[str, Any]", value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _integer(digits: str) -> int | float:
    """RFC 8785 writes a float without fraction in digits alone, so large ones come back as what they were."""
    if len(digits) < 16:
        return int(digits)
    if len(digits) > 32:
        raise ValueError(f"a number of {len(digits)} digits")
    value = int(digits)
    return value if abs(value) <= MAX_INTEGER else float(value)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_refuse).decode
