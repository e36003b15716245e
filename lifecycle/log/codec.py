"""Events to the text the log keeps, and back; the hash chain and the private commitment.

Rule of what is written: an event's own fields that are None are left out (each has None as its default), everything
else is written, also where it equals a default: a default may change later, the history may not. `at` stands in its own
column. Fields marked PRIVATE in core.events go to the private text, and there is none when all of them are None.

hash = SHA-256 over the canonical JSON of an object with every column but position and hash, and `prev`, the hash of the
stream's previous event (64 zeros before the first). `data` is in it as the text that is stored, not as an object.
private_sha256 = SHA-256(salt ‖ private text as UTF-8), the salt 16 random bytes: forgetting deletes salt and text, and
what remains can't be guessed back.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel

from lifecycle.core.events import EVENT_TYPES, private_fields
from lifecycle.core.upcast import load
from lifecycle.errors import FutureSchema, InvalidConfig, LogTampered, MalformedEvent, UnknownEventType
from lifecycle.log.canonical import MAX_INTEGER, canonical, members, parse, refuse
from lifecycle.log.canonical import quoted as _text
from lifecycle.log.receipts import RECEIPTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lifecycle.core.events import Event
    from lifecycle.log.port import NewEvent, Recorded

__all__ = [
    "FIRST",
    "HASHED",
    "LIMIT_BYTES",
    "SALT_BYTES",
    "TYPES",
    "Encoded",
    "check_hash",
    "check_private",
    "commitment",
    "decode",
    "encode",
    "envelope_hash",
    "envelope_text",
    "events",
    "hash_of",
    "stored_hash",
    "typed",
]

#: `prev` of a stream's first event
FIRST: Final = "0" * 64
LIMIT_BYTES: Final = 64 * 1024
SALT_BYTES: Final = 16

#: the one field that has a column of its own
_BESIDE: Final = "at"
#: type name -> class, of everything that can be recorded
TYPES: Final[Mapping[str, type[Event]]] = MappingProxyType({**EVENT_TYPES, **RECEIPTS})
_NOTHING: Final = "{}"
_RECORDABLE: Final = frozenset(TYPES.values())


def _split(cls: type[Event]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    secret = frozenset[str]() if cls.type in RECEIPTS else private_fields(cls.type)
    keys = [(name, f"{_text(name)}:") for name in sorted(cls.model_fields) if name != _BESIDE]
    return [key for key in keys if key[0] not in secret], [key for key in keys if key[0] in secret]


#: type name -> its fields in the public text, and in the private one, as canonical.members takes them
_FIELDS: Final = {name: _split(cls) for name, cls in TYPES.items()}


class Encoded(NamedTuple):
    """The two texts of one event; `private` is None when it has no private part."""

    data: str
    private: str | None


def encode(event: Event) -> Encoded:
    """The canonical texts of *event*.

    Raises:
        InvalidConfig: It can't be recorded: not one of the event types, more than 64 KiB, NaN, infinity, a lone
            surrogate, an integer beyond ±(2^53 - 1), more than 64 levels.
    """
    if type(event) not in _RECORDABLE:
        raise InvalidConfig("event", type(event).__name__, "only the event types of lifecycle.core can be recorded")
    try:
        shown, hidden = _FIELDS[event.type]
        data = members(event.__dict__, shown, _plain)
        secret = members(event.__dict__, hidden, _plain) if hidden else _NOTHING
    except RecursionError:
        raise InvalidConfig("event", event.type, "is nested too deep") from None
    except ValueError as error:
        raise InvalidConfig("event", event.type, str(error)) from None
    private = None if secret == _NOTHING else secret
    size = len(data) + (len(private) if private else 0)
    # A character takes four bytes at most.
    if size * 4 > LIMIT_BYTES and (size := len(data.encode()) + len((private or "").encode())) > LIMIT_BYTES:
        raise InvalidConfig("event", event.type, f"takes {size} bytes, allowed are {LIMIT_BYTES} in one event")
    return Encoded(data, private)


def _plain(value: object) -> object:
    """What stands in the text for a model or a member of an enumeration.

    Not pydantic's own dump: what is hashed must not hang on its version, and it runs Python code inside native code for
    free-form data, where an interrupt gets lost.
    """
    if isinstance(value, BaseModel):
        return value.__dict__
    return value.value if isinstance(value, Enum) else refuse(value)


def decode(row: Recorded) -> Event:
    """The typed event of *row*, whatever its age.

    Raises:
        UnknownEventType, FutureSchema: Written by something newer than this library.
        MalformedEvent: Not the shape of its type.
    """
    return typed(row.type, row.schema_version, row.at, row.data, row.private, row.stream, row.version)


def typed(
    event_type: str, schema_version: int, at: int, data: str, private: str | None, stream: str, version: int
) -> Event:
    """The typed event of these columns; *stream* and *version* are what an error names. Raises as decode."""
    try:
        fields: dict[str, Any] = parse(data)
        if private is not None:
            fields = {**parse(private), **fields}
        return load(event_type, schema_version, at, fields, types=TYPES)
    except (UnknownEventType, FutureSchema, MalformedEvent):
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MalformedEvent(str(event_type), f"version {version} of {stream}: {error}") from None


def events(rows: Iterable[Recorded]) -> tuple[Event, ...]:
    """The typed events of *rows*, in their order; raises as decode."""
    return tuple(decode(row) for row in rows)


def commitment(salt: bytes, private: str) -> str:
    """What stands in the event for its private text."""
    return hashlib.sha256(salt + private.encode()).hexdigest()


def envelope_hash(
    new: NewEvent,
    encoded: Encoded,
    *,
    stream: str,
    version: int,
    recorded_at: int,
    private_sha256: str | None,
    prev: str,
) -> str:
    """The hash of an event that is about to be recorded."""
    # As canonical writes it, which check_hash proves for every event that is read back: keys sorted, nothing else.
    return _hash(
        f'{{"actor":{_text(new.actor)},"at":{new.event.at},"causation_id":{_maybe(new.causation_id)},'
        f'"correlation_id":{_maybe(new.correlation_id)},"data":{_text(encoded.data)},"event_id":{_text(new.event_id)},'
        f'"prev":"{prev}","private_sha256":{_maybe(private_sha256)},"recorded_at":{recorded_at},'
        f'"schema_version":{new.event.schema_version},"stream":{_text(stream)},"type":{_text(new.event.type)},'
        f'"version":{version},"writer":{_text(new.writer)}}}'
    )


def _maybe(text: str | None) -> str:
    return "null" if text is None else _text(text)


def _hash(envelope: str) -> str:
    return hashlib.sha256(envelope.encode()).hexdigest()


#: the columns that the hash covers, besides `prev`
HASHED: Final = (
    "actor",
    "at",
    "causation_id",
    "correlation_id",
    "data",
    "event_id",
    "private_sha256",
    "recorded_at",
    "schema_version",
    "stream",
    "type",
    "version",
    "writer",
)


def envelope_text(row: Recorded, prev: str) -> str:
    """What the hash of *row* is the SHA-256 of: canonical JSON, its stream's previous event having the hash *prev*.

    Raises:
        ValueError: It has no canonical form.
    """
    envelope: dict[str, object] = {name: getattr(row, name) for name in HASHED}
    return canonical({**envelope, "prev": prev})


def hash_of(row: Recorded, prev: str) -> str:
    """The hash that *row* should have, or why it can have none."""
    try:
        return _hash(envelope_text(row, prev))
    except ValueError as error:
        return f"no canonical form: {error}"


def stored_hash(row: Sequence[Any], prev: str) -> str | None:
    """What hash_of gives for a row of lifecycle.log.record.COLUMNS, in half the time; None where it can't say."""
    (
        _position,
        stream,
        version,
        event_id,
        kind,
        schema_version,
        at,
        recorded_at,
        actor,
        writer,
        correlation_id,
        causation_id,
        data,
        private_sha256,
        _hash,
        _private,
        _salt,
    ) = row
    try:
        if not (at <= MAX_INTEGER and recorded_at <= MAX_INTEGER and schema_version <= MAX_INTEGER):
            return None
        text = (
            f'{{"actor":{_text(actor)},"at":{at:d},'
            f'"causation_id":{"null" if causation_id is None else _text(causation_id)},'
            f'"correlation_id":{"null" if correlation_id is None else _text(correlation_id)},'
            f'"data":{_text(data)},"event_id":{_text(event_id)},"prev":"{prev}",'
            f'"private_sha256":{"null" if private_sha256 is None else _text(private_sha256)},'
            f'"recorded_at":{recorded_at:d},"schema_version":{schema_version:d},"stream":{_text(stream)},"type":{_text(kind)},'
            f'"version":{version:d},"writer":{_text(writer)}}}'
        )
        return hashlib.sha256(text.encode()).hexdigest()
    except (TypeError, ValueError):  # not of their columns' types, or not text
        return None


def check_hash(row: Recorded, prev: str) -> None:
    """Prove that no column of *row* was changed since it was recorded after the event whose hash is *prev*.

    Raises:
        LogTampered: The hash does not fit.
    """
    found = hash_of(row, prev)
    if found != row.hash:
        raise LogTampered(
            "log", f"hash of version {row.version} of stream {row.stream}", expected=row.hash, found=found
        )


def check_private(row: Recorded) -> None:
    """Prove that the private text of *row* is the one recorded; nothing to prove when there is none or it is forgotten.

    Raises:
        LogTampered: It is another text.
    """
    if row.private is None or row.private_salt is None:
        return
    found = commitment(row.private_salt, row.private)
    if found != row.private_sha256:
        raise LogTampered(
            "log",
            f"private part of version {row.version} of stream {row.stream}",
            expected=row.private_sha256 or "none",
            found=found,
        )
