"""The shape of every event is frozen in a file: changing it without a new schema_version fails here.

`python -m tests.schemas.test_schemas` writes the files that are missing. A file of a released version is never changed
or removed; a new shape gets a new schema_version, a step in core/upcast.py, and a file of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lifecycle.core.events import EVENT_TYPES, private_fields
from lifecycle.core.upcast import STEPS
from lifecycle.log.codec import TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.core import Event

HERE = Path(__file__).parent


def schema(cls: type[Event]) -> dict[str, Any]:
    """The shape of what is stored, without prose: `at` has a column of its own."""
    found = cast("dict[str, Any]", _bare(cls.model_json_schema()))
    del found["properties"]["at"]
    private = sorted(private_fields(cls.type)) if cls.type in EVENT_TYPES else []
    return {"type": cls.type, "schema_version": cls.schema_version, "private": private, "shape": found}


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {
            name: _bare(item)
            for name, item in items
            # A property may be called so too; then it is an object.
            if name not in ("title", "description") or isinstance(item, dict)
        }
    if isinstance(value, list):
        return [_bare(item) for item in cast("Sequence[Any]", value)]
    return value


def text(cls: type[Event]) -> str:
    return json.dumps(schema(cls), indent=2, sort_keys=True) + "\n"


def file_of(cls: type[Event]) -> Path:
    return HERE / f"{cls.type}-{cls.schema_version}.json"


@pytest.mark.parametrize("cls", TYPES.values(), ids=lambda cls: cls.type)
def test_an_events_shape_is_the_frozen_one(cls: type[Event]) -> None:
    assert file_of(cls).is_file(), f"python -m {__name__} writes it"
    assert json.loads(file_of(cls).read_text()) == schema(cls), (
        "a new shape needs a new schema_version, and a step; before its release, remove the file and run "
        f"python -m {__name__}"
    )


def test_every_frozen_file_is_of_an_event_that_can_still_be_read() -> None:
    for path in HERE.glob("*.json"):
        event_type, _, version = path.stem.rpartition("-")
        assert event_type in TYPES
        newest = TYPES[event_type].schema_version
        assert int(version) == newest or all((event_type, step) in STEPS for step in range(int(version), newest))


def main() -> None:
    """Write what is missing."""
    for cls in TYPES.values():
        if not file_of(cls).exists():
            file_of(cls).write_text(text(cls))


if __name__ == "__main__":
    main()
