"""What every log of ours does with a batch before it writes: check it, encode it, compare it, chain it.

Pure: the log brings what it has read and takes away the rows to write. Order inside an append: ids that are known
already (a retry) first, then *expected*, then the core's evolve, then the rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from lifecycle.core.events import EVENT_TYPES, MAX_TIME, SessionCreated
from lifecycle.core.evolve import Session, fold
from lifecycle.errors import EventIdReused, IllegalHistory, InvalidConfig, WrongVersion
from lifecycle.log.codec import FIRST, Encoded, commitment, encode, envelope_hash
from lifecycle.log.port import Appended, Expectation
from lifecycle.log.receipts import RECEIPTS, STREAM, is_receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lifecycle.log.port import Cursor, Expected, NewEvent, Recorded

__all__ = [
    "Prepared",
    "check_expected",
    "check_page",
    "check_range",
    "check_stream",
    "check_types",
    "event_types",
    "prepare",
    "project",
    "repeated",
    "rows",
]

#: Streams and event ids: no look-alikes, nothing that means something in a path, a shell or SQL.
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_SESSION: Final = "session."
_LONGEST_WORD: Final = 256
_MOST: Final = 2**62


class Prepared(NamedTuple):
    """An event that can be written as it is. (A frozen dataclass takes three times as long to make.)"""

    new: NewEvent
    encoded: Encoded


def check_stream(stream: object) -> None:
    """Raise InvalidConfig unless *stream* can name a stream."""
    _name("stream", stream)


def _name(argument: str, value: object) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidConfig(argument, value, "1 to 64 characters of A-Z a-z 0-9 _ . -")


def check_page(after: Cursor | None, limit: int) -> int:
    """The position after which a page begins; InvalidConfig unless *after* and *limit* can be meant."""
    if type(limit) is not int or limit < 1:
        raise InvalidConfig("limit", limit, "a whole number from 1")
    if after is None:
        return 0
    if type(after) is not int or not 0 <= after <= _MOST:
        raise InvalidConfig("after", after, "a cursor that this log gave, or None for the beginning")
    return after


def check_range(after: object, until: object) -> None:
    """InvalidConfig unless the versions can be meant."""
    for argument, value in (("after", after), ("until", until)):
        if value is not None and (type(value) is not int or not -_MOST <= value <= _MOST):
            raise InvalidConfig(argument, value, "a version")


def check_types(types: Collection[str] | None) -> None:
    """InvalidConfig for one name where a collection of names is meant."""
    if isinstance(types, str):
        raise InvalidConfig("types", types, "a collection of event types")


def event_types(types: object) -> frozenset[str] | None:
    """The full names of event types, which may be given without their family: `closed`; None stands for all.

    Raises:
        InvalidConfig: No collection, or a type that nothing is recorded with.
    """
    if types is None:
        return None
    known = ", ".join([*(kind.removeprefix(_SESSION) for kind in EVENT_TYPES), *RECEIPTS])
    if isinstance(types, str) or not isinstance(types, Collection):
        raise InvalidConfig("types", types, f"must be a list of event types: {known}")
    names = cast("Collection[object]", types)
    full = {f"{_SESSION}{name}" if f"{_SESSION}{name}" in EVENT_TYPES else str(name) for name in names}
    if unknown := sorted(full - EVENT_TYPES.keys() - RECEIPTS.keys()):
        raise InvalidConfig("types", unknown[0], f"no such type of event; known are {known}")
    return frozenset(full)


def prepare(stream: str, events: Sequence[NewEvent]) -> tuple[Prepared, ...]:
    """The batch, checked and encoded; nothing has been read or written yet.

    Raises:
        InvalidConfig: Something in it can't be recorded; the message names it.
        EventIdReused: One id twice in the batch.
    """
    check_stream(stream)
    if not events:
        raise InvalidConfig("events", (), "at least one event")
    receipts = stream == STREAM
    prepared: list[Prepared] = []
    seen: set[str] = set()
    for new in events:
        prepared.append(Prepared(new, encode(new.event)))
        if receipts is not is_receipt(new.event.type):
            raise InvalidConfig(
                "stream",
                stream,
                f"{new.event.type}: the stream {STREAM!r} holds the log's own receipts, and only it does",
            )
        _name("event_id", new.event_id)
        _word("actor", new.actor)
        _word("writer", new.writer)
        if new.correlation_id is not None:
            _word("correlation_id", new.correlation_id)
        if new.causation_id is not None:
            _word("causation_id", new.causation_id)
        if new.event_id in seen:
            raise EventIdReused(new.event_id, "it is in this batch twice")
        seen.add(new.event_id)
    return tuple(prepared)


def _word(argument: str, value: object) -> None:
    # isprintable is False for control characters, NUL and lone surrogates
    if not (isinstance(value, str) and 0 < len(value) <= _LONGEST_WORD and value.isprintable()):
        raise InvalidConfig(argument, value, f"1 to {_LONGEST_WORD} printable characters")


def check_expected(stream: str, expected: Expected, head: int) -> None:
    """Raise WrongVersion unless *expected* holds for a stream whose last version is *head* (0: no stream)."""
    match expected:
        case Expectation.ANY:
            return
        case Expectation.NO_STREAM:
            holds = head == 0
        case Expectation.EXISTS:
            holds = head > 0
        case _:
            if type(expected) is not int or expected < 0:
                raise InvalidConfig("expected", expected, "a version (0: no stream), NO_STREAM, EXISTS or ANY")
            holds = head == expected
    if not holds:
        raise WrongVersion(stream, expected.value if isinstance(expected, Expectation) else expected, head)


def repeated(stream: str, batch: Sequence[Prepared], known: Mapping[str, Recorded]) -> Appended | None:
    """Where the batch stands if all of it was appended before; None if none of it was. *known*: id -> its row.

    Raises:
        EventIdReused: Only a part of it is there, or with other content, in another stream or order.
    """
    if not known:
        return None
    previous = 0
    for prepared in batch:
        event_id = prepared.new.event_id
        row = known.get(event_id)
        if row is None:
            there = next(iter(known))
            raise EventIdReused(there, f"but {event_id}, which is in the same batch, is not")
        if row.stream != stream:
            raise EventIdReused(event_id, f"in stream {row.stream}")
        if differing := _differing(prepared, row):
            raise EventIdReused(event_id, f"with other content: {differing} differs")
        if previous and row.version != previous + 1:
            raise EventIdReused(event_id, "in another order")
        previous = row.version
    last = known[batch[-1].new.event_id]
    return Appended(last.version, last.position, duplicate=True)


def _differing(prepared: Prepared, row: Recorded) -> str | None:
    new, encoded = prepared.new, prepared.encoded
    pairs = {
        "type": (new.event.type, row.type),
        "schema_version": (new.event.schema_version, row.schema_version),
        "at": (new.event.at, row.at),
        "data": (encoded.data, row.data),
        "actor": (new.actor, row.actor),
        "writer": (new.writer, row.writer),
        "correlation_id": (new.correlation_id, row.correlation_id),
        "causation_id": (new.causation_id, row.causation_id),
        "private": (encoded.private is None, row.private_sha256 is None),
    }
    for name, (ours, theirs) in pairs.items():
        if ours != theirs:
            return name
    # Once forgotten, the private text can't be compared any more: its salt is gone too.
    return "private" if row.private is not None and row.private != encoded.private else None


def project(stream: str, session: Session | None, batch: Sequence[Prepared], head: int) -> Session | None:
    """The session after the batch; None when *stream* is not a session's. *session* is what stands at *head*.

    Raises:
        IllegalHistory: The batch can't follow.
    """
    if session is None and not (head == 0 and batch[0].new.event.type.startswith(_SESSION)):
        for offset, prepared in enumerate(batch, start=1):
            if prepared.new.event.type.startswith(_SESSION):
                raise IllegalHistory(stream, head + offset, "a session's events follow session.created, nothing else")
        return None
    first = batch[0].new.event
    if isinstance(first, SessionCreated) and first.session_id != stream:
        raise IllegalHistory(stream, 1, f"session.created of another session, {first.session_id}")
    return fold((prepared.new.event for prepared in batch), session)


def rows(
    stream: str,
    batch: Sequence[Prepared],
    *,
    head: int,
    prev: str | None,
    position: int,
    clock: Callable[[], int],
    salt: Callable[[], bytes],
) -> list[tuple[Any, ...]]:
    """The rows to write after version *head*, whose hash is *prev*, and after the log's last *position*.

    Each is one of lifecycle.log.record.COLUMNS.
    """
    made: list[tuple[Any, ...]] = []
    last = FIRST if prev is None else prev
    recorded_at = clock()
    if type(recorded_at) is not int or not 0 <= recorded_at <= MAX_TIME:
        raise InvalidConfig("clock", recorded_at, "a function that gives µs since the epoch, as a whole number")
    for offset, (new, encoded) in enumerate(batch, start=1):
        version = head + offset
        grain = hidden = None
        if encoded.private is not None:
            grain = salt()
            hidden = commitment(grain, encoded.private)
        last = envelope_hash(
            new,
            encoded,
            stream=stream,
            version=version,
            recorded_at=recorded_at,
            private_sha256=hidden,
            prev=last,
        )
        made.append(
            (
                position + offset,
                stream,
                version,
                new.event_id,
                new.event.type,
                new.event.schema_version,
                new.event.at,
                recorded_at,
                new.actor,
                new.writer,
                new.correlation_id,
                new.causation_id,
                encoded.data,
                hidden,
                last,
                encoded.private,
                grain,
            )
        )
    return made
