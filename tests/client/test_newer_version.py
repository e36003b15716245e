"""A newer version of this library writes to the same log: what it adds can't be read here, and ends nobody's duty."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lifecycle import AsyncClient, Client, SqliteLog
from lifecycle.client.keeping import Kept
from lifecycle.client.reconcile import Reconciled, reconcile
from lifecycle.client.recorder import Recorder
from lifecycle.client.sessions import Sessions
from lifecycle.client.system import Uuid7
from lifecycle.core import Create, Limits, ProcessIdentity, Start
from lifecycle.core.commands import Close, Record
from lifecycle.core.events import Cause, SessionAnnotated, SessionCreated, SessionStarted
from lifecycle.errors import FutureSchema, HistoryError, UnknownEventType
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeBrowser, PretendedBrowser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lifecycle.core import Session
    from lifecycle.log.port import EventLog

ME = ProcessIdentity(host="here", boot_id="b", pid=1, started=1)
SECOND = 1_000_000


def newer_writes(log: SqliteLog, session_id: str, event_type: str, *, at: int, schema_version: int = 1) -> None:
    """Add an event to the stream as a version would that knows *event_type* of *schema_version*."""
    assert log.locator is not None
    with closing(sqlite3.connect(log.locator.removeprefix("sqlite:"), isolation_level=None)) as conn:
        conn.execute(
            "INSERT INTO events SELECT (SELECT max(position) FROM events) + 1, 'newer-' || version, stream,"
            " version + 1, ?, ?, ?, recorded_at, actor, 'newer', NULL, NULL, '{\"mood\":\"blue\"}', NULL, hash"
            " FROM events WHERE stream = ? ORDER BY version DESC LIMIT 1",
            (event_type, schema_version, at, session_id),
        )


class Host(FakeBrowser):
    alive: bool | None = True

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        return self.alive


class World:
    """One active session on a file, idle timeout one minute; beside it the keeper's rules on a pretended browser."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.log = SqliteLog(path)
        self.recorder = Recorder(self.log, self.clock, Uuid7(), actor="tester", writer="test")
        limits = Limits(idle_timeout_us=60 * SECOND, max_duration_us=600 * SECOND)
        self.recorder.create(Create(event=SessionCreated(session_id="s1", limits=limits, owner=ME, keeper_id="k")))
        session = self.recorder.execute("s1", Start(event=SessionStarted(ownership="launched", browser=ME))).session
        self.browser = PretendedBrowser()
        self.kept = Kept(
            session,
            Recorder(self.log, self.clock, Uuid7(), actor="keeper", writer="test"),
            self.browser,
            on_released=lambda: None,
            grace_s=0.0,
        )

    def newer_writes(self, event_type: str, schema_version: int = 1) -> None:
        newer_writes(self.log, "s1", event_type, at=self.clock.now(), schema_version=schema_version)

    def types(self) -> list[str]:
        return [row.type.removeprefix("session.") for row in self.log.read("s1")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "log.db")
    yield made
    made.log.close()


NEWER = [("session.dreamt", 1), ("session.annotated", 2)]


@pytest.mark.parametrize(("event_type", "schema_version"), NEWER)
def test_the_keeper_expires_its_session_at_the_deadline(world: World, event_type: str, schema_version: int) -> None:
    world.newer_writes(event_type, schema_version)
    world.kept.look()
    assert world.kept.step() is not None
    world.clock.advance(60)
    assert world.kept.step() is None
    assert world.types() == ["created", "started", event_type.removeprefix("session."), "timed_out", "released"]


@pytest.mark.parametrize(("event_type", "schema_version"), NEWER)
def test_the_keeper_goes_on_recording_what_it_sees(world: World, event_type: str, schema_version: int) -> None:
    world.newer_writes(event_type, schema_version)
    world.kept.note(SessionAnnotated(name="seen"))
    assert world.kept.step() is not None
    assert world.types()[-2:] == [event_type.removeprefix("session."), "annotated"]


def test_an_ending_of_a_newer_form_is_an_ending(world: World) -> None:
    world.newer_writes("session.closed", 2)
    world.kept.look()
    assert world.kept.step() is None
    assert world.types() == ["created", "started", "closed", "released"]
    assert world.browser.exit(0) is not None


@pytest.mark.parametrize("alive", [True, False])
def test_reconcile_expires_it_and_ends_its_browser(world: World, alive: bool) -> None:
    world.newer_writes("session.dreamt")
    with pytest.raises(UnknownEventType):
        world.recorder.execute("s1", Record(event=SessionAnnotated(name="mine")))
    world.log.sessions.rebuild()
    assert world.log.sessions.live() == []
    world.clock.advance(60)
    host = Host()
    host.alive = alive
    done = reconcile(Sessions(world.recorder).unreleased(), world.recorder, host)
    assert done == [Reconciled(session_id="s1", cause="idle", how=done[0].how)]
    assert world.types()[-2:] == ["timed_out", "released"]
    assert reconcile(Sessions(world.recorder).unreleased(), world.recorder, host) == []


def test_a_released_one_is_done_with(world: World) -> None:
    world.newer_writes("session.dreamt")
    world.recorder.lenient().execute("s1", Close(cause=Cause.STOPPED))
    world.kept.look()
    assert world.kept.step() is None
    assert [session.session_id for session in Sessions(world.recorder).unreleased()] == []


@pytest.mark.parametrize(
    ("event_type", "schema_version", "error"),
    [("session.dreamt", 1, UnknownEventType), ("session.annotated", 2, FutureSchema)],
)
def test_whoever_reads_it_is_told(world: World, event_type: str, schema_version: int, error: type[Exception]) -> None:
    world.newer_writes(event_type, schema_version)
    with pytest.raises(error):
        world.recorder.load("s1")


def test_who_lists_is_told_of_those_left_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing in Python said so: only the command did."""

    async def asked() -> tuple[int, int, dict[str, str]]:
        async with AsyncClient(world.log, browser=FakeBrowser(), clock=world.clock) as client:
            return len(await client.sessions.list()), await client.sessions.count(), await client.sessions.unreadable()

    world.newer_writes("session.dreamt")
    world.log.sessions.rebuild()
    why = str(UnknownEventType("session.dreamt"))
    with caplog.at_level("WARNING", logger="lifecycle"):
        assert asyncio.run(asked()) == (0, 0, {"s1": why})
        with Client(world.log, browser=FakeBrowser(), clock=world.clock) as client:
            assert (client.sessions.list(), client.sessions.count()) == ([], 0)
            assert client.sessions.unreadable() == {"s1": why}
            assert client.stats().unreadable == 1
            assert "1 that can&#x27;t be read" in client.stats()._repr_html_()  # pyright: ignore[reportPrivateUsage]
    said = [record.getMessage() for record in caplog.records if "session_left_out" in record.getMessage()]
    assert len(said) == 2, "once for each client, however often it asks"
    assert all("s1" in line and why in line for line in said)


def test_a_block_ends_its_session_all_the_same(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        client = Client(log, browser=FakeBrowser())
        with client.Session(page=False) as session:
            newer_writes(log, session.session_id, "session.dreamt", at=client._shared.recorder.clock.now())  # pyright: ignore[reportPrivateUsage]
            with pytest.raises(HistoryError):
                session.status()
        types = [row.type for row in log.read(session.session_id)]
        assert types[-2:] == ["session.closed", "session.released"]
        assert session.stop() == session.response
        client.close()


def test_whoever_must_see_it_to_its_end_reads_on_from_what_is_known(world: World) -> None:
    """Twice, with what a newer version adds before each: the second time only the rest is read."""
    keeper = world.recorder.lenient()
    assert keeper.lenient() is keeper, "else each reconcile would read whole histories"
    world.newer_writes("session.dreamt")
    assert keeper.load("s1").version == 3
    world.clock.advance(1)
    world.newer_writes("session.dreamt")
    again = keeper.load("s1")
    assert (again.version, again.last_at) == (4, world.clock.now())
    assert keeper.execute("s1", Close(cause=Cause.STOPPED)).session.version == 5


def test_drain_ends_it(tmp_path: Path) -> None:
    """drain() raised instead, and the other sessions were left running."""
    log = SqliteLog(tmp_path / "log.db")
    client = Client(log, browser=FakeBrowser())
    sessions = [client.Session(page=False).start() for _ in range(2)]
    newer_writes(log, sessions[0].session_id, "session.mood", at=log.read(sessions[0].session_id)[-1].at)
    client.drain(0)
    assert [log.read(session.session_id)[-1].type for session in sessions] == ["session.released"] * 2
    client.close()
    log.close()
