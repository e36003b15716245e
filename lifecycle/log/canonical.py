"""Canonical JSON: one text for one value (RFC 8785), so that a hash over it can be checked by anybody.

Only what survives every JSON reader is accepted: integers within ±(2^53 - 1), finite floats, no lone surrogates, at
most 64 levels. Checked and written in one pass, which takes less than the standard library's encoder after a check;
`rfc8785` writes the floats, and tests/log/test_canonical.py holds the rest against it.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import rfc8785

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["MAX_DEPTH", "MAX_INTEGER", "canonical", "members", "parse", "quoted", "refuse"]

MAX_DEPTH: Final = 64
#: RFC 7493: beyond this, readers that hold numbers as doubles round.
MAX_INTEGER: Final = 2**53 - 1


def refuse(value: object) -> NoReturn:
    """Say that *value* is of no type that JSON has."""
    raise ValueError(f"{_shown(value)} of type {type(value).__name__} is not JSON")


def canonical(value: object, other: Callable[[object], object] = refuse) -> str:
    """*value* (None, bool, int, float, str, list, tuple, dict with text keys) as RFC 8785 text.

    *other* is asked for what stands for a value of any other type.

    Raises:
        ValueError: The value has no canonical form; the message says which part and why.
    """
    return _encodable(_write(value, 1, other))


def members(held: Mapping[str, Any], keys: Sequence[tuple[str, str]], other: Callable[[object], object]) -> str:
    """As canonical, of an object with those *keys* that have a value in *held*; None is no value.

    Each key is ASCII, with its text and the colon behind it, and they are sorted: that is known beforehand.
    """
    texts = [text + _write(value, 2, other) for key, text in keys if (value := held[key]) is not None]
    return _encodable(f"{{{','.join(texts)}}}")


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a lone surrogate \\u{ord(text[error.start]):04x} is not text") from None
    return text


def _write(value: object, depth: int, other: Callable[[object], object]) -> str:
    # Exact types first: an Enum or a bool is a subclass, and looking them up one by one keeps this short and fast.
    kind = type(value)
    if kind is str:
        return quoted(value)  # type: ignore[arg-type]  # a str
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]  # an int
            raise ValueError(f"the integer {_shown(value)} is beyond ±(2^53 - 1)")
        return repr(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        if value - value != 0:  # type: ignore[operator]  # a float
            raise ValueError(f"{value} is not a number that JSON has")
        return rfc8785.dumps(cast("float", value)).decode()
    if isinstance(value, dict):
        _check_depth(depth)
        held: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]  # _sorted proves the keys
        return f"{{{','.join([f'{quoted(key)}:{_write(held[key], depth + 1, other)}' for key in _sorted(held)])}}}"
    if isinstance(value, list | tuple):
        _check_depth(depth)
        return f"[{','.join([_write(item, depth + 1, other) for item in cast('Sequence[object]', value)])}]"
    return _write(other(value), depth, other)


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")


def _sorted(held: dict[str, object]) -> list[str]:
    """The keys in the order of RFC 8785: by UTF-16 units."""
    plain = True
    for key in held:
        if type(key) is not str:
            raise ValueError(f"the key {_shown(key)} is not text")
        plain &= key.isascii()
    return sorted(held) if plain else sorted(held, key=_units)


def _units(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


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


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_number).decode
