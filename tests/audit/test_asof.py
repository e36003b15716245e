"""The past as it was and as it was known; and sessions found by the beginning of their ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle import Cause, InvalidConfig, UnknownSession
from lifecycle.audit.asof import list_at
from lifecycle.audit.stats import stats
from lifecycle.client.recorder import Recorder
from lifecycle.client.sessions import Sessions
from lifecycle.client.system import Uuid7
from lifecycle.core import Close, deadline, evolve, fold, moment, view
from lifecycle.core.events import SessionCreated
from lifecycle.errors import AmbiguousSession
from lifecycle.log import ANY, NO_STREAM, MemoryLog, SqliteLog, events
from lifecycle.projections.query import ORDERS, checked, rank
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.log_samples import SECOND, T0, closed, created, fresh_id, new
from lifecycle.testing.runs import Run
from lifecycle.testing.strategies import runs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lifecycle.core import Event, Session
    from lifecycle.log.port import EventLog, Recorded
    from tests.audit.corpus import Writer

shared = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)


def named(session_id: str, history: Sequence[Event]) -> list[Event]:
    first = history[0]
    assert isinstance(first, SessionCreated)
    return [first.model_copy(update={"session_id": session_id}), *history[1:]]


def prefix(history: Sequence[Event], at: int) -> Session | None:
    """By the definition: what had happened, folded."""
    session: Session | None = None
    for event in history:
        if event.at <= at:
            session = evolve(session, event)
    return session


@shared
@given(runs(), st.integers(0, 20), st.sampled_from([-1, 0, 1]))
def test_as_of_is_the_fold_of_the_prefix(run: Run, which: int, by: int) -> None:
    """Wherever the moment falls: before, on, and after each event and the deadline."""
    log, clock = MemoryLog(), ManualClock(run.events[-1].at + SECOND)
    log.append("s", [new(event) for event in run.events], expected=ANY)
    sessions = Sessions(Recorder(log, clock, Uuid7(), actor="a", writer="w"))
    moments = [*(event.at for event in run.events), deadline(run.session)]
    at = max(moments[which % len(moments)] + by, 0)
    expected = prefix(run.events, at)
    if expected is None:
        with pytest.raises(UnknownSession, match=" at "):
            sessions.get("s", at=moment(at))
    else:
        assert sessions.get("s", at=moment(at)) == view(expected, at)
    for version in range(1, len(run.events) + 1):
        folded = fold(run.events[:version])
        assert folded is not None
        assert sessions.get("s", at=version) == view(folded, run.events[version - 1].at)


@pytest.fixture
def piled(tmp_path: Path) -> Any:
    logs: list[EventLog] = [MemoryLog(), SqliteLog(tmp_path / "log.db", synchronous="NORMAL")]
    yield logs
    for log in logs:
        log.close()


@shared
@given(
    runs(),
    st.integers(0, 20),
    st.sampled_from([-1, 0, 1]),
    st.sampled_from(ORDERS),
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from([["active"], ["closed", "error"], ["timed_out"]]),
            "cause": st.sampled_from(["stopped", "idle"]),
            "longer_us": st.just(SECOND),
            "until": st.sampled_from([T0, 1_800_000_000 * SECOND + 1]),
            "actor": st.sampled_from(["tester", "nobody"]),
        },
    ),
)
def test_a_list_as_of_holds_every_session_as_it_stood(
    piled: list[EventLog], run: Run, which: int, by: int, order: str, question: dict[str, Any]
) -> None:
    """Both logs, every order and filter, against a plain filter over replayed prefixes."""
    session_id = fresh_id("s")
    for log in piled:
        log.append(session_id, [new(event) for event in named(session_id, run.events)], expected=ANY)
    at = max(run.events[which % len(run.events)].at + by, 0)
    log = piled[0]
    names = [session.session_id for session in log.sessions.list(now=at)]
    stood = [found for name in names if (found := prefix(events(log.read(name)), at)) is not None]
    query = checked(now=at, **question)
    wanted = [one for one in stood if query.matches(one, lambda: log.read(one.session_id))]  # noqa: B023 - called at once
    wanted.sort(key=lambda one: rank(one, order, at), reverse=order in ("newest", "longest"))
    for log in piled:
        assert list_at(log, at, order=order, **question) == wanted
        if len(wanted) > 1:
            assert list_at(log, at, order=order, after=wanted[0].session_id, limit=2, **question) == wanted[1:3]


def test_a_page_of_the_past_reads_no_more_than_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every session of the log was looked at, and held, for a page of two."""
    log = MemoryLog()
    for number in range(7):
        session_id = f"s-{number}"
        log.append(session_id, [new(created(session_id, T0 + number)), new(closed(T0 + SECOND))], expected=NO_STREAM)
    read, looked_at = log.read, list[str]()

    def seen(stream: str, after: int = 0, until: int | None = None) -> tuple[Recorded, ...]:
        looked_at.append(stream)
        return read(stream, after, until)

    monkeypatch.setattr("lifecycle.projections.walk._PAGE", 3)
    monkeypatch.setattr(log, "read", seen)
    at = T0 + 10
    assert [one.session_id for one in list_at(log, at, limit=2, after="s-5")] == ["s-4", "s-3"]
    assert looked_at == ["s-5", "s-4", "s-3"]
    assert [one.session_id for one in list_at(log, at, order="oldest")] == [f"s-{number}" for number in range(7)]
    assert stats(log, at).sessions == 7


def test_what_happened_and_what_was_known_differ_where_something_was_noticed_late(book: Writer) -> None:
    """A timeout is at its deadline; that it was written down two minutes later changes no status that anybody saw."""
    book.create("s", idle=3)
    book.start("s")
    ends = moment(deadline(book.client.load("s")))
    book.clock.advance(300)
    book.client.execute("s", Close(cause=Cause.STOPPED))  # too late: the timeout is what is recorded
    just_after = ends + timedelta(seconds=1)
    was = book.sessions.get("s", at=just_after)
    known = book.sessions.get("s", known_at=just_after)
    assert (was.status, was.cause, was.closed_at, was.version) == ("timed_out", "idle", ends, 3)
    assert (known.status, known.cause, known.closed_at, known.version) == ("timed_out", "idle", ends, 2)
    before = ends - timedelta(seconds=1)
    assert book.sessions.get("s", at=before) == book.sessions.get("s", known_at=before)
    assert book.sessions.get("s", at=before, known_at=just_after).status == "active"
    assert book.sessions.get("s", known_at=moment(book.clock.now())).version == 3


def test_before_its_time_there_was_no_session(book: Writer) -> None:
    book.create("s")
    early = moment(book.clock.now()) - timedelta(microseconds=1)
    for past in ({"at": early}, {"known_at": early}):
        with pytest.raises(UnknownSession):
            book.sessions.get("s", **past)
    assert book.sessions.list(at=early) == []
    assert book.sessions.count(at=early) == 0
    assert book.sessions.count(at=moment(book.clock.now()).astimezone(timezone(timedelta(hours=5)))) == 1


@pytest.mark.parametrize("at", [0, -1, 3, True, datetime(2026, 1, 1), "yesterday", 1.5])  # noqa: DTZ001 - naive is the point
def test_a_point_that_is_none_is_refused(book: Writer, at: Any) -> None:
    book.create("s")
    book.start("s")
    with pytest.raises(InvalidConfig, match="at"):
        book.sessions.get("s", at=at)


def test_a_list_as_of_pages_after_a_session_that_was_there(book: Writer) -> None:
    book.create("first")
    there = moment(book.clock.now())
    book.clock.advance(1)
    book.create("second")
    assert [view.session_id for view in book.sessions.list(at=there)] == ["first"]
    with pytest.raises(InvalidConfig, match="after"):
        book.sessions.list(at=there, after="second")
    with pytest.raises(InvalidConfig, match="at"):
        book.sessions.list(at=datetime(2026, 1, 1))  # noqa: DTZ001 - naive is the point


def test_the_beginning_of_an_id_is_enough_where_it_is_one_session_s(book: Writer) -> None:
    for name in ("01a21411-238b-a", "01a21411-238b-b", "01a21412", "01a2"):
        book.create(name)
    assert book.sessions.get("01a21412").session_id == "01a21412"
    assert book.sessions.get("01a21411-238b-a").session_id == "01a21411-238b-a"
    assert book.sessions.get("01a2").session_id == "01a2", "a whole id is never ambiguous"
    with pytest.raises(AmbiguousSession, match="01a21411-238b-a, 01a21411-238b-b") as caught:
        book.sessions.get("01a21411")
    assert caught.value.candidates == ("01a21411-238b-a", "01a21411-238b-b")
    for nobody in ("01a", "01a3", "01a21411-238b-c", "%%%%", "____", "A1A2", ""):
        with pytest.raises(UnknownSession):
            book.sessions.get(nobody)
    assert [view.session_id for view in book.sessions.list(after="01a21411-238b-b")] == ["01a21411-238b-a", "01a2"]


def test_candidates_are_ten_at_most(book: Writer) -> None:
    for number in range(12):
        book.create(f"same-{number:02}")
    with pytest.raises(AmbiguousSession, match=r"and more$") as caught:
        book.sessions.get("same-")
    assert len(caught.value.candidates) == 10


def test_lists_show_themselves(book: Writer) -> None:
    book.create("s", labels={"job": "<script>"})
    book.start("s")
    found = book.sessions.list()
    assert repr(found) == "[<Session s active after 0:00:00.500000 job='<script>'>]"
    assert repr(found[0]) == str(found[0])
    for html in (found._repr_html_(), found[0]._repr_html_()):  # pyright: ignore[reportPrivateUsage]
        assert "job=&lt;script&gt;" in html
        assert "<script>" not in html


def test_filters_of_the_client_and_what_they_refuse(book: Writer) -> None:
    book.every_cause()
    one = book.sessions.list(cause="exception", error="no price", url="shop.example", actor="ada", owner="desk:100")
    assert [view.session_id for view in one] == ["exception"]
    assert book.sessions.count(longer_than=timedelta(minutes=10)) == 1
    assert [v.session_id for v in book.sessions.list(order="longest", limit=2)] == ["max_duration", "idle"]
    assert book.sessions.list(since=datetime(2026, 1, 1, tzinfo=UTC), cause=["idle"])[0].cause == "idle"
    nonsense: list[dict[str, Any]] = [{"longer_than": 5}, {"cause": "why"}, {"order": "random"}, {"url": ""}]
    for wrong in nonsense:
        with pytest.raises(InvalidConfig, match=next(iter(wrong))):
            book.sessions.list(**wrong)
    with pytest.raises(TypeError, match="colour"):
        book.sessions.list(colour="red")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
