"""From the stored form of any age to the current event. The stored form itself is never changed.

A step takes the data of (type, n) and returns the data of (event_type, n + 1); both are plain dicts, public and private
fields together. Steps are checked at import: from every older version an unbroken chain leads to the current one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from lifecycle.core.events import EVENT_TYPES, Event
from lifecycle.errors import FutureSchema, MalformedEvent, UnknownEventType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Data = dict[str, Any]
    Step = Callable[[Data], Data]
    Steps = Mapping[tuple[str, int], Step]

__all__ = ["STEPS", "check", "load", "upcast"]

#: (type, schema_version) -> step to the next version. Empty until the first released shape changes.
STEPS: Final[Steps] = {}


def check(steps: Steps, current: Mapping[str, int]) -> None:
    """Raise AssertionError unless *steps* lead from every older version of every type to its *current* one."""
    for event_type, version in steps:
        if event_type not in current:
            raise AssertionError(f"a step for unknown event type {event_type}")
        if not 1 <= version < current[event_type]:
            raise AssertionError(
                f"a step from {event_type} version {version}, which is not older than {current[event_type]}"
            )
    for event_type, newest in current.items():
        for version in range(1, newest):
            if (event_type, version) not in steps:
                raise AssertionError(f"no step from {event_type} version {version} to {version + 1}")


check(STEPS, {event_type: cls.schema_version for event_type, cls in EVENT_TYPES.items()})


def upcast(event_type: str, schema_version: int, data: Data, *, newest: int, steps: Steps) -> Data:
    """*data* of *schema_version* in the shape of version *newest*."""
    data = dict(data)
    for version in range(schema_version, newest):
        data = steps[event_type, version](data)
    return data


def load(
    event_type: str, schema_version: int, at: int, data: Data, *, types: Mapping[str, type[Event]] = EVENT_TYPES
) -> Event:
    """The current event for a stored one; *data* holds its public fields and those private ones not yet forgotten.

    `at` is not part of the data: the envelope has it. *types* are those known: a log has some of its own.

    Raises:
        UnknownEventType: Nothing of that name is known.
        FutureSchema: Written by a newer version of this library.
        MalformedEvent: The data does not have the type's shape.
    """
    cls = types.get(event_type)
    if cls is None:
        raise UnknownEventType(event_type)
    if schema_version > cls.schema_version:
        raise FutureSchema(event_type, schema_version, cls.schema_version)
    if schema_version < 1:
        raise MalformedEvent(event_type, f"schema version {schema_version}, they start at 1")
    stored: Any = data  # parsed from text, which may hold anything
    if not isinstance(stored, dict) or "at" in stored:
        raise MalformedEvent(event_type, "its data must be a JSON object without `at`, which the envelope holds")
    try:
        current = upcast(event_type, schema_version, data, newest=cls.schema_version, steps=STEPS)
    except Exception as error:
        raise MalformedEvent(event_type, f"it can't be brought from version {schema_version}: {error!r}") from error
    try:
        return cls.model_validate({**current, "at": at})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedEvent(event_type, f"{where}: {first['msg']}") from None
