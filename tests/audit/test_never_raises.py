"""Whatever stands in a log is shown: rows of any type with any data, in any order, answer every question."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.audit.detail import by, detail
from lifecycle.audit.diff import diff
from lifecycle.audit.history import history
from lifecycle.audit.timeline import timeline
from lifecycle.audit.why import why
from lifecycle.core import EVENT_TYPES
from lifecycle.log.port import Cursor, EventLog, Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIELDS = (
    *("cause", "rule", "how", "name", "evidence", "receipts", "owner", "keeper", "browser", "identity", "config"),
    *("labels", "tab", "url", "client", "kind", "ok", "target", "took_us", "error_type", "until", "last_at", "signal"),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=2),
    max_leaves=4,
)
_DATA = st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=4).map(json.dumps)
_ROWS = st.lists(
    st.tuples(
        st.sampled_from([*EVENT_TYPES, "session.teleported", "other.thing"]),
        _DATA | st.sampled_from(["{", "[]", "null", '{"a":1,"a":2}']),
        st.none() | _DATA,
        st.integers(0, 2**53 - 1),
        st.integers(0, 2**53 - 1),
        st.sampled_from([1, 2]),
        st.text(max_size=6),
    ),
    min_size=1,
    max_size=5,
)


class Shelf:
    """As much of a log as questions to one session need."""

    locator = "shelf"

    def __init__(self, rows: Sequence[tuple[str, str, str | None, int, int, int, str]]) -> None:
        self._rows = tuple(
            Recorded(
                position=Cursor(version),
                stream="s",
                version=version,
                event_id=f"e-{version}",
                type=kind,
                schema_version=schema,
                at=at,
                recorded_at=recorded_at,
                actor=who,
                writer=f"{who}@{who}:{who}",
                correlation_id=None,
                causation_id=None,
                data=data,
                private_sha256=None if private is None else "0" * 64,
                hash="0" * 64,
                private=private,
            )
            for version, (kind, data, private, at, recorded_at, schema, who) in enumerate(rows, 1)
        )

    def read(self, stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        return self._rows[after:until]


@settings(max_examples=300, deadline=None)
@given(_ROWS, st.integers(0, 2**53 - 1))
def test_every_question_has_an_answer(rows: list[tuple[str, str, str | None, int, int, int, str]], now: int) -> None:
    log = cast("EventLog", Shelf(rows))
    for step in history(log, "s"):
        assert step.name in step.type
        assert isinstance(detail(step) + by(step), str)
    assert why(log, "s", now).text
    assert diff(log, "s", "s", now).same
    drawn = timeline(log, ["s"], now)
    assert drawn.text(60)
    ElementTree.fromstring(drawn.svg())
    json.dumps(drawn.trace())
