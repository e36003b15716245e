"""Every invariant can fail: for each there is a subject that breaks it, and that one only has to be named."""

from __future__ import annotations

from contextlib import closing as closing_log
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.core import Cause, Close, Expire, Extend, Fail, Record, fold, view
from lifecycle.errors import InvalidConfig
from lifecycle.log import MemoryLog
from lifecycle.log.port import Appended, Cursor
from lifecycle.testing import INVARIANTS, Broken, Checker, Invariant, Vacuous, forget, register
from lifecycle.testing.history import rows
from lifecycle.testing.invariants import Appending, Entry, Look, Quiet, Replayed, Space, Step, Store, Upcast
from lifecycle.testing.laws.worlds import Answer
from lifecycle.testing.log_samples import annotated, begin, new
from lifecycle.testing.log_samples import closed as closing
from lifecycle.testing.runs import play
from lifecycle.testing.samples import (
    MINUTE,
    T0,
    D,
    accessed,
    closed,
    created,
    extended,
    failed,
    navigated,
    started,
    timed_out,
)
from lifecycle.testing.told import Fact, Told, tell

if TYPE_CHECKING:
    from collections.abc import Collection

    from lifecycle.core import Event, Session
    from lifecycle.log.port import Page, Recorded

STOP = Close(cause=Cause.STOPPED)


def told(*events: Event) -> Told:
    story: Told | None = None
    for version, event in enumerate(events, start=1):
        story = tell(story, Fact.of(event, "s-1", version))
    assert story is not None
    return story


def entry(*events: Event, **changed: Any) -> Entry:
    """The last of *events*, after the others."""
    fact = Fact.of(events[-1], "s-1", len(events))
    fields = {name: changed.pop(name) for name in list(changed) if name in Fact.__dataclass_fields__}
    return Entry(told(*events[:-1]) if events[1:] else None, replace(fact, **fields), **changed)


def session(*events: Event) -> Session:
    made = fold(events)
    assert made is not None
    return made


LIFE = (created(), started())
ACTIVE = session(*LIFE)
ENDED = session(*LIFE, closed(T0 + 1))


def record() -> list[Recorded]:
    log = MemoryLog()
    begin(log, "s-1")
    return list(rows(log))


def row_entry(**changed: Any) -> Entry:
    first, second = record()
    story = tell(None, Fact.read(first))
    return Entry(story, Fact.read(replace(second, **changed)), first.position)


def look(now: int, *events: Event, earlier: Look | None = None, **changed: Any) -> Look:
    return Look(told(*events), now, view(session(*events), now).model_copy(update=changed), earlier)


def step(before: Session | None, command: Any, clock: int, **changed: Any) -> Step:
    return replace(play(before, command, clock, LIFE), **changed)


class Index(MemoryLog):
    """Lists what it likes."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        begin(self, "s-1")
        begin(self, "s-2")
        if wrong == "list":
            del self._sessions._sessions["s-1"]  # pyright: ignore[reportPrivateUsage]
            self._sessions.count = lambda **asked: 2  # type: ignore[method-assign]  # on purpose
        if wrong == "get":
            self._sessions.put(replace(session(created(session_id="s-1")), session_id="s-1"))
        self.wrong = wrong

    def read(self, stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        found = super().read(stream, after, until)
        return found[1:] if self.wrong == "read" else found

    def read_all(self, after: Cursor | None = None, *, limit: int, types: Collection[str] | None = None) -> Page:
        page = super().read_all(after, limit=limit, types=types)
        return replace(page, events=page.events[1:]) if self.wrong == "tail" and limit == 3 else page


def store(wrong: str, earlier: list[Recorded] | None = None) -> Store:
    return Store(log=Index(wrong), now=T0, earlier=earlier or [])


def quiet(*batches: Any, **fields: Any) -> Quiet:
    log = MemoryLog()
    begin(log, "s-1")
    for batch in batches:
        log.append("s-1", [new(batch)], expected=log.head("s-1"))
    return Quiet(log=log, now=T0, **fields)


BEFORE = record()
BATCH = [new(annotated()), new(annotated())]
MORE = [
    replace(BEFORE[1], event_id=each.event_id, version=3 + n, position=Cursor(3 + n)) for n, each in enumerate(BATCH)
]
DONE = Appended(4, Cursor(4))


def appending(**fields: Any) -> Appending:
    given: dict[str, Any] = {
        "before": BEFORE,
        "stream": "s-1",
        "batch": BATCH,
        "expected": 2,
        "told": DONE,
        "after": [*BEFORE, *MORE],
    }
    return Appending(**{**given, **fields})


ANSWERED = view(session(*LIFE, failed(T0 + 1)), T0 + 2)
LONGER = view(ENDED, T0 + 9).model_copy(update={"duration": timedelta(1)})
BROKEN: dict[str, object] = {
    "1": entry(started()),
    "2": entry(*LIFE, started()),
    "3": entry(created(), closed(T0), failed(T0)),
    "4": entry(created(), closed(T0), navigated(T0)),
    "5": entry(created(), started(), version=7),
    "6": row_entry(position=Cursor(1)),
    "7": entry(*LIFE, started()),
    "8": row_entry(type="session.invented"),
    "9": entry(created(session_id="s-2")),
    "10": entry(created(), started(T0 - 1)),
    "11": entry(created(), started(T0 + 5), clock=T0 + 4),
    "12": entry(created(), timed_out(D + 1)),
    "13": entry(created(), closed(D)),
    "14": step(ACTIVE, Expire(), D, events=()),
    "15": step(ACTIVE, Record(event=navigated(0)), T0 + 1, after=replace(ACTIVE, extended_until=D + MINUTE)),
    "16": step(ACTIVE, Record(event=accessed(T0 + 5)), T0 + 5, after=replace(ACTIVE, last_accessed_at=T0 - 1)),
    "17": step(ACTIVE, STOP, T0 - 5, events=(closed(T0 - 5),)),
    "17-seen": look(T0 - 5, *LIFE, status="timed_out"),
    "19": step(ACTIVE, STOP, T0, after=replace(ENDED, version=9)),
    "21": look(T0 + 5, *LIFE, duration=timedelta(seconds=9)),
    "22": look(T0 + 5, *LIFE, earlier=look(T0 + 4, *LIFE, duration=timedelta(minutes=9))),
    "23": look(
        T0 + 9,
        *LIFE,
        closed(T0 + 1),
        earlier=Look(told(*LIFE), T0, LONGER),
    ),
    "24": look(D, *LIFE, duration=timedelta(seconds=1)),
    "26": step(ACTIVE, STOP, T0 + 1, events=(closed(T0 + 2),)),
    "28": step(ACTIVE, STOP, T0 + 1, events=(started(),)),
    "29": step(ACTIVE, STOP, T0 + 1, after=ACTIVE),
    "30": step(ACTIVE, STOP, T0 + 1, after=ACTIVE),
    "31": step(ACTIVE, STOP, T0 + 1, history=(created(),)),
    "33": Upcast(history=(created(),), upcast=started(), current=started(T0 + 1)),
    "34": Replayed(here=b"1", elsewhere=b"2"),
    "35": step(ENDED, Extend(by_us=1), T0 + 1, after=ACTIVE),
    "36": step(ENDED, STOP, T0 + 1, events=(closed(T0 + 1),)),
    "37": step(ENDED, Fail(cause=Cause.EXCEPTION), T0 + 1, events=(failed(T0 + 1),)),
    "38": step(ACTIVE, STOP, T0 + 1, after=ACTIVE),
    "41": Space([play(None, STOP, T0), step(ACTIVE, STOP, T0 + 1)]),
    "42": appending(expected=7),
    "43": appending(after=[*BEFORE, MORE[0]]),
    "44": appending(after=BEFORE),
    "45": appending(after=[replace(BEFORE[0], at=1), BEFORE[1], *MORE]),
    "45-kept": store("", earlier=record()),
    "46": store("list"),
    "47": store("get"),
    "48": store("tail"),
    "49": store("read"),
    "50": quiet(closing(), answers=[Answer(session_id="s-1", view=ANSWERED)]),
    "51": quiet(annotated(), annotated(), offered=[set()]),
    "51-log": appending(before=[*BEFORE, *MORE], after=[*BEFORE, *MORE, *MORE]),
    "52": quiet(acknowledged=["lost"]),
    "53": quiet(running=["s-1"]),
    "54": quiet(died=["s-1"]),
    "55": row_entry(writer="another"),
    "56": row_entry(private='{"profile":"/other"}', private_salt=b"x" * 16, private_sha256="0" * 64),
    "57": entry(created(), timed_out(D, rule=Cause.MAX_DURATION)),
    "58": entry(*LIFE, extended(T0 + 5, until=T0 + 5)),
    "59": entry(*LIFE, closed(T0 + 1), data={"cause": "exception"}),
    "60": entry(*LIFE, accessed(T0 + 5, last_at=T0 + 6)),
    "61": look(T0 + 5, *LIFE, deadline=view(ACTIVE, T0).created_at),
}
_two = quiet(annotated(), annotated())
BROKEN["51"] = replace(_two, offered=[{row.event_id for row in rows(_two.log)}])
#: Judged by what the core itself does with the step, so that a step made by hand can't break them: bugs planted in the
#: core do (tests/testing/test_rules.py and the list of mutants).
OF_THE_CORE = {"18", "20", "25", "27", "32", "39", "40"}


@pytest.mark.parametrize("id", BROKEN)
def test_an_invariant_can_be_broken(id: str) -> None:
    found = list(Checker().violations(BROKEN[id]))
    assert id in {violation.id for violation in found}, found


def test_every_invariant_has_its_breach() -> None:
    assert {invariant.id for invariant in INVARIANTS} == set(BROKEN) | OF_THE_CORE
    assert len({invariant.id for invariant in INVARIANTS}) == len(INVARIANTS)
    assert {str(number) for number in range(1, 55)} <= {invariant.id for invariant in INVARIANTS}


def test_an_embedders_own_invariant_and_command_are_used_by_every_engine() -> None:
    from lifecycle.core.events import SessionAnnotated
    from lifecycle.testing.model import closure

    def known(it: Entry) -> Any:
        if it.fact.type == "session.annotated":
            yield it.fact.data["name"] == "checkout" or f"a step {it.fact.data['name']}"

    mine = Invariant("shop-1", "Every annotation is a step of the shop's.", Entry, known)
    order = Record(event=SessionAnnotated(name="login"))
    register(mine, order)
    try:
        with pytest.raises(ValueError, match="shop-1"):
            register(mine)
        checker = Checker()
        with pytest.raises(AssertionError, match=r"\[shop-1\].*a step login"):
            list(map(checker.step, closure()))
    finally:
        forget(mine, order)
    assert all(invariant.id != "shop-1" for invariant in Checker().invariants)


def test_each_of_the_54_invariants_of_the_reference_has_its_check() -> None:
    """An id such as `45-kept` is a second check of 45."""
    assert {int(each.id.split("-")[0]) for each in INVARIANTS} >= set(range(1, 55))


def _gives(given: Any) -> Any:
    def check(it: object) -> Any:
        return given

    return check


def _stumbles(it: Entry) -> Any:
    yield it.fact.data["total"] < 100


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (_gives(True), "its check gave True; it must yield True, or a sentence"),
        (_gives(None), "its check gave None; it must yield"),
        (_gives("wrong"), "its check gave 'wrong'; it must yield"),
        (_stumbles, r"its check failed with KeyError\('total'\) in _stumbles, .*test_laws.py:\d+"),
    ],
)
def test_a_check_that_is_none_is_told_by_the_law_s_id(check: Any, told: str) -> None:
    checker = Checker([Invariant("shop-1", "No checkout is dear.", Entry, check)])
    with pytest.raises(Broken, match=rf"^\[shop-1\] s version 1: {told}"):
        checker.check(Entry(None, Fact.of(created(), "s", 1)))


def test_what_no_invariant_is_about_is_not_passed_over() -> None:
    with pytest.raises(Vacuous, match="is about str, they are about Appending, Entry, "):
        Checker().check("a session")
    Checker([]).check("a session")


def test_only_invariants_and_commands_are_registered_and_all_or_none() -> None:
    law = Invariant("shop-1", "Always.", Entry, _gives(()))
    for wrong in ("shop-2", _stumbles, law):
        with pytest.raises(InvalidConfig, match=r"register=.*an Invariant, or a command|id='shop-1'"):
            register(law, wrong)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert law not in Checker().invariants
    forget(law)


def test_a_law_sees_what_an_annotation_says_in_a_log_and_in_the_core() -> None:
    event = annotated(total=120)
    with closing_log(MemoryLog()) as log:
        begin(log, "s-1")
        log.append("s-1", [new(event)], expected=2)
        [row] = log.read("s-1", 2)
    assert Fact.read(row).said == Fact.of(event, "s-1", 3).said == {"total": 120}
    assert Fact.read(replace(row, private=None)).said is None
    assert Fact.read(replace(row, private="[]")).said is None
    assert Fact.of(started(), "s-1", 2).said is None
