"""client.sessions: what is listed, counted and fetched, in which order, and by pages. Browsers are pretended here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypedDict, Unpack

import pytest
from pydantic import ValidationError

from lifecycle import Cause, Client, State, UnknownSession
from lifecycle.ports import Exit
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeBrowser
from tests.client.world import failing, inside, until

if TYPE_CHECKING:
    from lifecycle import Session
    from tests.client.world import World


class Filters(TypedDict, total=False):
    status: str | Collection[str] | None
    labels: Mapping[str, str] | None
    since: datetime | None
    until: datetime | None
    limit: int | None
    after: str | None


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def host(clock: ManualClock) -> FakeBrowser:
    return FakeBrowser(clock=clock)


@pytest.fixture
def client(world: World, clock: ManualClock, host: FakeBrowser) -> Iterator[Client]:
    with Client(world.log, browser=host, clock=clock) as made:
        yield made
        for view in made.sessions.list(status="active"):
            made.Session(view.session_id).stop()


def start(client: Client, **labels: str) -> Session:
    return client.Session(page=False, labels=labels, timeout_minutes=5).start()


def listed(client: Client, **filters: Unpack[Filters]) -> list[str]:
    return [view.session_id for view in client.sessions.list(**filters)]


@pytest.fixture
def five(client: Client, host: FakeBrowser, clock: ManualClock) -> list[str]:
    """Ids of five sessions, a second apart: stopped, failed, crashed, timed out, and one that runs."""
    stopped = start(client, job="a", n="0")
    clock.advance(1)
    failed = client.Session(page=False, labels={"job": "a", "n": "1"})
    with pytest.raises(ValueError, match="mine"):
        inside(failed, failing(ValueError("mine")))
    clock.advance(1)
    crashed = start(client, job="b", n="2")
    clock.advance(1)
    expired = client.Session(page=False, labels={"job": "b", "n": "3"}, max_duration_minutes=1 / 60).start()
    clock.advance(1)
    running = start(client, job="b", n="4")
    stopped.stop()
    host.browsers[crashed.session_id].end(Exit(signal=11))
    until(lambda: crashed.status().status is State.ERROR, "the crash is not recorded")
    return [one.session_id for one in (stopped, failed, crashed, expired, running)]


def test_an_empty_log_lists_nothing(client: Client) -> None:
    assert client.sessions.list() == []
    assert client.sessions.list(status="active", labels={"a": "b"}, limit=5) == []
    assert client.sessions.count() == 0


def test_everything_is_listed_newest_first(client: Client, five: list[str]) -> None:
    assert listed(client) == five[::-1]
    assert client.sessions.count() == 5
    views = client.sessions.list()
    assert [view.status for view in views] == ["active", "timed_out", "error", "error", "closed"]
    assert [view.cause for view in views] == [None, "max_duration", "browser_crashed", "exception", "stopped"]
    assert [client.sessions.get(view.session_id) for view in views] == views


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("active", [4]),
        ("timed_out", [3]),
        ("error", [2, 1]),
        ("closed", [0]),
        ("created", []),
        (State.ERROR, [2, 1]),
        (["closed", "active"], [4, 0]),
        ({"error", "timed_out"}, [3, 2, 1]),
        ([], []),
    ],
)
def test_by_status(status: str | list[str], expected: list[int], client: Client, five: list[str]) -> None:
    assert listed(client, status=status) == [five[n] for n in expected]
    assert client.sessions.count(status=status) == len(expected)


def test_a_session_past_its_deadline_is_timed_out_written_down_or_not(
    client: Client, clock: ManualClock, five: list[str]
) -> None:
    clock.advance(3600)
    assert listed(client, status="active") == []
    assert listed(client, status="timed_out") == [five[4], five[3]]
    view = client.sessions.get(five[4])
    assert (view.status, view.cause) == (State.TIMED_OUT, Cause.IDLE)
    assert view.closed_at == view.deadline


def test_by_labels(client: Client, five: list[str]) -> None:
    assert listed(client, labels={"job": "b"}) == [five[4], five[3], five[2]]
    assert listed(client, labels={"job": "b", "n": "3"}) == [five[3]]
    assert listed(client, labels={"job": "a", "n": "3"}) == []
    assert listed(client, labels={"other": "a"}) == []
    assert listed(client, labels={}) == five[::-1]
    assert listed(client, labels={"job": "b"}, status="active") == [five[4]]


def test_by_time_the_start_is_inside_and_the_end_is_not(client: Client, five: list[str]) -> None:
    times = [client.sessions.get(session_id).created_at for session_id in five]
    assert listed(client, since=times[1], until=times[3]) == [five[2], five[1]]
    assert listed(client, since=times[4]) == [five[4]]
    assert listed(client, until=times[0]) == []
    elsewhere = times[1].astimezone(timezone(timedelta(hours=-5)))
    assert listed(client, since=elsewhere, until=elsewhere + timedelta(microseconds=1)) == [five[1]]
    assert listed(client, since=datetime(1970, 1, 1, tzinfo=UTC), until=datetime(9999, 1, 1, tzinfo=UTC)) == five[::-1]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_pages_hold_everything_once(size: int, client: Client, five: list[str]) -> None:
    found: list[str] = []
    after: str | None = None
    while page := listed(client, limit=size, after=after):
        assert len(page) <= size
        found += page
        after = page[-1]
    assert found == five[::-1]


def test_pages_stay_put_while_sessions_are_added_and_ended(client: Client, clock: ManualClock, five: list[str]) -> None:
    first = listed(client, limit=2)
    clock.advance(1)
    newer = start(client)
    client.Session(five[2]).stop()
    rest = listed(client, after=first[-1])
    assert first + rest == five[::-1]
    assert listed(client)[0] == newer.session_id


def test_pages_of_a_filter(client: Client, five: list[str]) -> None:
    assert listed(client, status="error", limit=1) == [five[2]]
    assert listed(client, status="error", limit=1, after=five[2]) == [five[1]]
    assert listed(client, status="error", limit=1, after=five[1]) == []
    assert listed(client, status="error", after=five[4]) == [five[2], five[1]]


def test_sessions_of_the_same_instant_are_paged_without_loss(client: Client) -> None:
    made = {start(client).session_id for _ in range(7)}
    found: list[str] = []
    while page := listed(client, limit=2, after=found[-1] if found else None):
        found += page
    assert len(found) == 7
    assert set(found) == made


def test_views_do_not_change_by_themselves(client: Client, clock: ManualClock) -> None:
    session = start(client)
    [view] = client.sessions.list()
    clock.advance(30)
    assert client.sessions.get(session.session_id).duration == view.duration + timedelta(seconds=30)
    with pytest.raises(ValidationError):
        view.status = State.CLOSED  # pyright: ignore[reportAttributeAccessIssue]


def test_reading_never_writes_and_never_extends_a_life(client: Client, clock: ManualClock) -> None:
    session = start(client)
    before = client.log.read(session.session_id)
    clock.advance(60)
    for _ in range(3):
        client.sessions.list()
        client.sessions.get(session.session_id)
        session.status()
    clock.advance(3600)
    client.sessions.list(status="active")
    client.sessions.get(session.session_id)
    until(lambda: client.log.read(session.session_id)[-1].type == "session.released", "never released")
    after = client.log.read(session.session_id)
    assert after[: len(before)] == before
    assert [row.type for row in after[len(before) :]] == ["session.timed_out", "session.released"]


def test_two_clients_of_one_log_see_the_same(client: Client, world: World, clock: ManualClock, five: list[str]) -> None:
    with Client(world.log, browser=FakeBrowser(clock=clock), clock=clock) as other:
        assert other.sessions.list() == client.sessions.list()
        with pytest.raises(UnknownSession):
            other.sessions.get("nope")
        assert listed(other, after=five[2]) == [five[1], five[0]]


def test_the_beginning_of_an_id_attaches_and_stops(client: Client) -> None:
    session = start(client)
    short = session.session_id[:-1]
    again = client.Session(short, page=False).start()
    assert again.session_id == session.session_id
    assert client.sessions.get(short).session_id == session.session_id
    assert again.stop() is not None
    assert client.why(short).cause == "stopped"
    assert [step.name for step in client.history(short)][-2:] == ["closed", "released"]
