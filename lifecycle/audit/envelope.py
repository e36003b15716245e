"""A recorded event as JSON, exactly as it is stored, and back: the lines of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifecycle.log.batch import check_stream
from lifecycle.log.canonical import canonical, parse
from lifecycle.log.port import Cursor, Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIELDS", "envelope", "line", "recorded"]

#: name -> the types of its value
FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "position": (int,),
    "event_id": (str,),
    "stream": (str,),
    "version": (int,),
    "type": (str,),
    "schema_version": (int,),
    "at": (int,),
    "recorded_at": (int,),
    "actor": (str,),
    "writer": (str,),
    "correlation_id": (str, type(None)),
    "causation_id": (str, type(None)),
    "data": (str,),
    "private_sha256": (str, type(None)),
    "private": (str, type(None)),
    "private_salt": (str, type(None)),
    "hash": (str,),
}


def envelope(row: Recorded) -> dict[str, Any]:
    """Every column; `data` and `private` as the texts that were hashed, the salt in hexadecimal."""
    found = {name: getattr(row, name) for name in FIELDS}
    found["private_salt"] = None if row.private_salt is None else row.private_salt.hex()
    return found


def line(value: Mapping[str, Any]) -> str:
    """One line of an export."""
    return canonical(value) + "\n"


def recorded(fields: Mapping[str, Any], position: int) -> Recorded:
    """The event of an export's line, to stand at *position*.

    Raises:
        ValueError: A field is missing, too much, or of another type; or no stream can have that name.
    """
    if fields.keys() != FIELDS.keys():
        odd = ", ".join(sorted(fields.keys() ^ FIELDS.keys()))
        raise ValueError(f"not the fields of an event: {odd}")
    for name, kinds in FIELDS.items():
        if type(fields[name]) not in kinds:
            raise ValueError(f"{name} is a {type(fields[name]).__name__}")
    check_stream(fields["stream"])  # or nobody could read it
    salt = fields["private_salt"]
    if (salt is None) is not (fields["private"] is None):
        raise ValueError("private and private_salt go together")
    for name in ("data", "private"):
        if fields[name] is not None:
            parse(fields[name])
            fields[name].encode()  # JSON may hold half a surrogate, of which there is no hash
    columns: dict[str, Any] = dict(fields)
    columns["position"] = Cursor(position)
    columns["private_salt"] = None if salt is None else bytes.fromhex(salt)
    return Recorded(**columns)
