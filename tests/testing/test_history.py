"""check_history says nothing about a sound record, and finds what was done to another one."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle import Client
from lifecycle.log import MemoryLog
from lifecycle.log.port import Recorded
from lifecycle.testing import Checker, FakeBrowser, VirtualClock, check_history
from lifecycle.testing.history import rows
from lifecycle.testing.log_samples import annotated, begin, closed, new, released
from lifecycle.testing.strategies import records, tampered
from tests.testing.engines import ENGINES

patient = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def test_a_sound_record_passes_and_every_law_of_events_is_exercised() -> None:
    checker = Checker()

    @settings(patient, max_examples=300)
    @given(records())
    def sound(record: tuple[Recorded, ...]) -> None:
        assert list(check_history(record, checker=checker)) == []

    sound()
    engine = ENGINES["check_history"]
    checker.require(*engine.subjects, besides=engine.besides)


@patient
@given(st.data())
def test_what_was_done_to_a_record_is_found(data: st.DataObject) -> None:
    record = data.draw(records())
    kind, changed = data.draw(tampered(record))
    assert list(check_history(changed)), f"{kind} was not found"


def record() -> list[Recorded]:
    log = MemoryLog()
    begin(log, "s-1")
    log.append("s-1", [new(annotated()), new(closed()), new(released())], expected=2)
    return list(rows(log, limit=2))


def test_a_finding_names_invariant_stream_and_version() -> None:
    broken = record()
    broken[3] = replace(broken[3], at=broken[0].at - 1)
    found = {violation.id: violation for violation in check_history(broken)}
    assert set(found) == {"10", "55"}
    assert (found["10"].stream, found["10"].version) == ("s-1", 4)
    assert "Times in a history never run back" in str(found["10"])


def exported() -> list[dict[str, Any]]:
    clock = VirtualClock()
    client = Client(log=MemoryLog(), browser=FakeBrowser(), clock=clock)
    with client.Session(page=False) as session:
        session.annotate("step")
    return [json.loads(line) for line in client.export()]


def test_lines_of_an_export_are_taken_as_well() -> None:
    """Those of events, with what is private; those of sessions and the last tell nothing of their own."""
    lines = exported()
    assert {"session", "end"} < {name for line in lines for name in line}
    assert any(line.get("private_salt") for line in lines)
    assert list(check_history(lines)) == []
    invented = [lines[0], lines[1] | {"type": "session.invented"}, *lines[2:]]
    assert {"8", "55"} <= {violation.id for violation in check_history(invented)}
    lines[0]["private_salt"] = "no digits"
    assert [violation.id for violation in check_history(lines)] == ["56"]
    lines[0]["private_salt"] = "00"
    assert [violation.id for violation in check_history(lines)] == ["56"]


def test_what_is_no_row_is_a_finding() -> None:
    """Every column in turn: an oracle that raises would say nothing of the rest."""
    assert [violation.id for violation in check_history([{}])] == ["8"]
    lines = exported()[:2]
    odds: list[object] = [None, 1, -1, "x", b"x", [], {}, True, 1.5]
    for name, odd in product(lines[1], odds):
        found = list(check_history([lines[0], lines[1] | {name: odd}]))
        assert found or odd == lines[1][name] or name in ("position", "private_salt"), (name, odd)


def test_it_reads_only_as_far_as_it_is_asked() -> None:
    def endless() -> object:
        broken = record()[1:]
        yield from broken
        raise AssertionError("read on although nobody asked")

    assert next(check_history(endless())).id == "1"  # type: ignore[arg-type]  # a generator of rows


def test_a_stream_that_is_no_sessions_is_held_to_less() -> None:
    """The log's own acts stand in such a one."""
    row = replace(record()[2], stream="log", version=1, type="log.sealed")
    assert {violation.id for violation in check_history([row])} <= {"8", "55"}
