"""load() is fold of the decoded events: of every short history, of long ones at random, of what no log lets in."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.core import Cause, evolve, fold
from lifecycle.core.events import (
    SessionAccessed,
    SessionAnnotated,
    SessionClosed,
    SessionExtended,
    SessionOperation,
    SessionReleased,
    SessionTimedOut,
    TabClosed,
)
from lifecycle.errors import HistoryError
from lifecycle.log import MemoryLog, SqliteLog
from lifecycle.log.codec import decode, encode, events, hash_of, stored_hash
from lifecycle.log.loading import fact, load
from lifecycle.log.outline import NOTES, covers_private, outline
from lifecycle.log.port import Cursor, Recorded
from lifecycle.log.record import values
from lifecycle.testing.log_samples import (
    IDLE,
    MAX,
    SECOND,
    T0,
    accessed,
    closed,
    created,
    failed,
    navigated,
    new,
    released,
    started,
)
from lifecycle.testing.strategies import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lifecycle.core import Event, Session
    from lifecycle.testing.runs import Run


def row(event: Event, version: int = 1) -> Recorded:
    encoded = encode(event)
    return Recorded(
        position=Cursor(version),
        stream="s-1",
        version=version,
        event_id=f"e-{version}",
        type=event.type,
        schema_version=event.schema_version,
        at=event.at,
        recorded_at=event.at,
        actor="a",
        writer="w",
        correlation_id=None,
        causation_id=None,
        data=encoded.data,
        private_sha256=None,
        hash="",
        private=encoded.private,
    )


def rows(told: Iterable[Event]) -> list[Recorded]:
    return [row(event, version) for version, event in enumerate(told, start=1)]


def folded(history: Sequence[Recorded]) -> Session | str | None:
    try:
        return fold(events(history))
    except HistoryError as error:
        return f"{type(error).__name__}: {error}"


def loaded(history: Sequence[Recorded]) -> Session | str | None:
    try:
        return load("s-1", map(fact, history))
    except HistoryError as error:
        return f"{type(error).__name__}: {error}"


LIVED = (T0 + 2 * SECOND, T0 + SECOND + IDLE - 1, T0 + SECOND + IDLE, T0 + MAX)
KINDS: tuple[Event, ...] = (
    created("s-1"),
    started(),
    accessed(T0),
    SessionAccessed(at=T0, last_at=T0 - 1, by="api"),
    SessionOperation(at=T0, kind="execute", ok=True, took_us=3),
    SessionExtended(at=T0, until=T0 + 2 * MAX),
    navigated(),
    SessionAnnotated(at=T0, name="step"),
    closed(),
    failed(),
    SessionTimedOut(at=T0, rule=Cause.IDLE),
    released(),
)


def test_every_sequence_of_two_events_after_the_first_whatever_its_times() -> None:
    """Legal or not: the same session, or the same kind of refusal."""
    steps = [event.model_copy(update={"at": at}) for event in KINDS for at in (T0 - 1, *LIVED)]
    tried = 0
    for begin in ((), (created("s-1"),), (created("s-1"), started())):
        for told in product(steps, repeat=2):
            history = rows((*begin, *told))
            assert loaded(history) == folded(history), [(one.type, one.at) for one in history]
            tried += 1
    assert tried > 10_000


@pytest.mark.parametrize("at", [T0 + MAX - 1, T0 + MAX])
def test_an_access_leaves_the_maximum_where_it_is(at: int) -> None:
    """The access alone would let the session live for longer."""
    used = [accessed(T0 + n * (IDLE - 1)) for n in range(1, MAX // (IDLE - 1) + 1)]
    assert used[-1].at < T0 + MAX < used[-1].at + IDLE
    history = rows([created("s-1"), *used, TabClosed(at=at, tab="t")])
    assert loaded(history) == folded(history)
    assert isinstance(folded(history), str) == (at == T0 + MAX)


ALPHABET: tuple[Event, ...] = (
    started(T0),
    accessed(T0),
    TabClosed(at=T0, tab="t"),
    SessionExtended(at=T0, until=T0 + 2 * MAX),
    closed(T0),
    released(T0),
)


def test_every_history_of_up_to_five_events() -> None:
    for length in range(5):
        for told in product(ALPHABET, repeat=length):
            moved = [
                replace_at(event, T0 + number * 100 * SECOND) for number, event in enumerate((created("s-1"), *told))
            ]
            history = rows(moved)
            assert loaded(history) == folded(history), [(one.type, one.at) for one in history]


def replace_at(event: Event, at: int) -> Event:
    last = {"last_at": at} if isinstance(event, SessionAccessed) else {}
    return event.model_copy(update={"at": at, **last})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(run=runs(), cut=st.integers(0, 50))
def test_any_history_and_any_part_of_it_on_top_of_the_rest(run: Run, cut: int) -> None:
    history = rows(run.events)
    whole = fold(run.events)
    name = "s-1" if whole is None else whole.session_id
    assert load(name, map(fact, history)) == whole
    before = load(name, map(fact, history[:cut]))
    kept = None if before is None else replace(before)
    assert load(name, map(fact, history[cut:]), before) == whole
    assert before == kept  # it is somebody's


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(run=runs())
def test_both_logs_load_what_they_read(tmp_path: Path, run: Run) -> None:
    name = run.session.session_id
    with SqliteLog(tmp_path / f"{name}.db", synchronous="NORMAL") as sqlite, MemoryLog() as memory:
        for log in (sqlite, memory):
            if not log.head(name):
                log.append(name, [new(event) for event in run.events], expected=0)
            assert log.load(name) == fold(events(log.read(name))) == log.sessions.get(name)
            assert log.load("nobody") is None


USUAL: tuple[Event, ...] = (
    created("s-1"),
    created("s-1", labels={"job": "nightly"}),
    started(),
    accessed(T0),
    navigated(),
    SessionOperation(at=T0, kind="execute", ok=True, took_us=3),
    closed(),
    SessionTimedOut(at=T0, rule=Cause.IDLE, evidence={"late_us": 12, "found": "close/stopped", "ok": True, "no": None}),
    released(),
)


@pytest.mark.parametrize("event", USUAL, ids=[event.type for event in USUAL])
def test_the_usual_events_are_not_decoded(event: Event) -> None:
    """A field that is added to one has to be added to its pattern, or every load takes several times as long."""
    stored = row(event)
    covered = NOTES[event.type](stored.data) if event.type in NOTES else outline(event.type, 1, event.at, stored.data)
    assert covered is not None


def _edits() -> st.SearchStrategy[tuple[Event, str]]:
    """A stored text with a part of it replaced, by something of its own or by what texts consist of."""

    @st.composite
    def edit(draw: st.DrawFn) -> tuple[Event, str]:
        event = draw(st.sampled_from([*USUAL, *(one for one in KINDS if one.type not in {u.type for u in USUAL})]))
        text = encode(event).data
        begin = draw(st.integers(0, len(text)))
        end = draw(st.integers(begin, min(len(text), begin + 12)))
        piece = draw(
            st.sampled_from(['"', ",", "{", "}", ":", "null", "true", "-1", "0", "01", "1.0", "9" * 16, '"x":1,', " "])
            | st.just(text[begin:end] * 2)
            | st.text(max_size=3).filter(lambda said: said.isprintable())
            | st.sampled_from(["x" * 257, "y" * 1025, "\\u0041", "log", '"a":1,"a":2', '"by":"gate",'])
        )
        return event, text[:begin] + piece + text[end:]

    return edit()


@settings(deadline=None, max_examples=1500)
@given(edited=_edits())
def test_what_is_taken_undecoded_is_what_pydantic_takes(edited: tuple[Event, str]) -> None:
    event, text = edited
    stored = replace(row(event), data=text, private=None)
    if event.type in NOTES:
        if NOTES[event.type](text) is not None:
            known = decode(stored)
            if isinstance(known, SessionAccessed):
                assert json.loads(text)["last_at"] == known.last_at
        return
    taken = outline(event.type, 1, event.at, text)
    if taken is None:
        return
    typed = decode(stored)
    before = {
        "session.created": None,
        "session.released": fold([created("s-1"), started(), closed()]),
    }.get(event.type, fold([created("s-1")]))
    if isinstance(typed, SessionTimedOut):
        assert isinstance(taken, SessionTimedOut)
        assert taken.rule == typed.rule
    else:
        assert evolve(before, taken) == evolve(before, typed)


@pytest.mark.parametrize(
    "text",
    [
        '{"cause":"stopped","evidence":{"a":1,"a":2}}',
        '{"cause":"stopped","evidence":{"a":1.5}}',
        '{"cause":"stopped","evidence":{"a":9007199254740993}}',
        '{"cause":"idle","evidence":{}}',
        '{"cause":"stopped","evidence":{},"evidence":{}}',
        '{"cause":"stopped","evidence":{' + ",".join(f'"{key}":1' for key in range(33)) + "}}",
        '{"cause":"stopped","evidence":{' + ",".join(f'"{key}":"{"x" * 1000}"' for key in range(5)) + "}}",
    ],
)
def test_evidence_that_is_refused_is_refused(text: str) -> None:
    with pytest.raises(HistoryError):
        load("s-1", map(fact, [*rows([created("s-1")]), replace(row(closed(), 2), data=text)]))


SECRETS: tuple[Event, ...] = (
    created("s-1"),
    started().model_copy(update={"profile": "/tmp/p"}),
    navigated(),
    failed(),
    SessionOperation(at=T0, kind="execute", ok=True, took_us=3, target="a", error_message="b"),
)


@pytest.mark.parametrize("event", SECRETS, ids=[event.type for event in SECRETS])
def test_the_usual_private_texts_are_not_decoded(event: Event) -> None:
    assert covers_private(event.type, row(event).private or "")


@settings(deadline=None, max_examples=600)
@given(data=st.data())
def test_a_private_text_that_is_taken_is_one_that_pydantic_takes(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(SECRETS))
    text = row(event).private or ""
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 12)))
    piece = data.draw(
        st.sampled_from(['"', ",", "{", "}", ":", "null", "1", '"x":"1",', ',"url":"a"', "x" * 4097, "\\", "[]"])
        | st.just(text[begin:end] * 2)
    )
    edited = text[:begin] + piece + text[end:]
    if covers_private(event.type, edited):
        decode(replace(row(event), private=edited))


@settings(deadline=None, max_examples=100)
@given(run=runs())
def test_the_hash_of_a_row_is_that_of_its_canonical_envelope(run: Run) -> None:
    for one in rows(run.events):
        stored = (*values(one), one.private, one.private_salt)
        assert stored_hash(stored, "0" * 64) == hash_of(one, "0" * 64)
        for strange in (2**53, 1.0, None, b"x"):
            assert stored_hash((*stored[:6], strange, *stored[7:]), "0" * 64) is None
        assert stored_hash((stored[0], "\ud800", *stored[2:]), "0" * 64) is None


def test_an_event_of_a_newer_version_is_refused_and_not_passed_over() -> None:
    for event in (accessed(T0 + SECOND), navigated(), closed()):
        newer = replace(row(event, 2), schema_version=2)
        assert str(loaded([row(created("s-1")), newer])).startswith("FutureSchema")
    strange = replace(row(accessed(T0 + SECOND), 2), type="session.dreamt")
    assert str(loaded([row(created("s-1")), strange])).startswith("UnknownEventType")


def test_released_and_closed_say_what_is_needed_of_them() -> None:
    told = [created("s-1"), started(), closed(), released()]
    session = load("s-1", map(fact, rows(told)))
    assert session is not None
    assert (session.cause, session.released) == (Cause.STOPPED, True)
    assert isinstance(told[2], SessionClosed)
    assert isinstance(told[3], SessionReleased)
