"""At most so many sessions on a log at a time: a queue in order, a clear refusal, and letting go in order."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lifecycle.client.places
from lifecycle import AsyncClient, Cause, Client, InvalidConfig, MemoryLog, SessionStopped, SqliteLog, State
from lifecycle.client.places import Places, _FileQueue  # pyright: ignore[reportPrivateUsage]
from lifecycle.client.reconcile import RELEASE_WAIT_S
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import Uuid7
from lifecycle.core import Close, Create, Limits, ProcessIdentity, Release
from lifecycle.core.events import SessionCreated, SessionReleased
from lifecycle.errors import ClientClosed, LogUnavailable, TooManySessions
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeBrowser
from tests.client.world import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lifecycle import Session
    from lifecycle.log.port import EventLog
    from tests.client.world import World


@pytest.fixture(params=["memory", "file"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    """A log of this process alone, and one that others can open: their queues differ."""
    made: EventLog = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.db")
    yield made
    made.close()


@pytest.fixture
def host() -> FakeBrowser:
    return FakeBrowser()


def _waited(log: EventLog, session_id: str) -> int | None:
    from lifecycle.core.events import SessionCreated
    from lifecycle.log.codec import decode

    created = decode(log.read(session_id)[0])
    assert isinstance(created, SessionCreated)
    return created.waited_us


def _in_line(log: EventLog) -> int:
    """How many wait for a place in the log, the one at the head included: nothing else tells of them."""
    runtime: Path | None = getattr(log, "runtime_dir", None)
    if runtime is None:
        queue = lifecycle.client.places._local.get(log)  # pyright: ignore[reportPrivateUsage]
        return 0 if queue is None else len(queue._waiting)  # pyright: ignore[reportPrivateUsage]
    if not (runtime / "places").exists():
        return 0
    inode = f":{(runtime / 'places').stat().st_ino} "
    return sum(inode in line for line in Path("/proc/locks").read_text().splitlines())


def _until_in_line(log: EventLog, wanted: int) -> None:
    until(lambda: _in_line(log) == wanted, f"{wanted} never stood in line")


linux_only = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="a queue can be seen on Linux only")


def test_a_full_log_is_refused_with_both_numbers_and_nothing_recorded(log: EventLog, host: FakeBrowser) -> None:
    client = Client(log, browser=host, max_sessions=2, max_wait_s=0)
    with client.Session(page=False), client.Session(page=False) as second:
        third = client.Session(page=False)
        with pytest.raises(TooManySessions, match="2 run on this log, at most 2 may") as caught:
            third.start()
        assert (caught.value.limit, caught.value.running, caught.value.retryable) == (2, 2, True)
        assert client.sessions.count() == 2
        second.stop()
        third.start()
        third.stop()
    assert _waited(log, third.session_id) == pytest.approx(0, abs=5e6)


def test_sessions_of_clients_without_a_limit_count_too(log: EventLog, host: FakeBrowser) -> None:
    with Client(log, browser=host).Session(page=False) as session:
        assert _waited(log, session.session_id) is None
        with pytest.raises(TooManySessions, match=r"waited \d+\.\d s"):
            Client(log, browser=host, max_sessions=1, max_wait_s=0.05).Session(page=False).start()


@linux_only
def test_who_came_first_is_next_and_how_long_it_took_stands_in_the_history(log: EventLog, host: FakeBrowser) -> None:
    client = Client(log, browser=host, max_sessions=1)
    running = client.Session(page=False).start()
    order: list[str] = []
    sessions = [client.Session(page=False) for _ in range(4)]

    def one(session: Session) -> None:
        session.start()
        order.append(session.session_id)
        session.stop()

    threads = [threading.Thread(target=one, args=(session,)) for session in sessions]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        _until_in_line(log, number)
    running.stop()
    for thread in threads:
        thread.join(30)
    assert order == [session.session_id for session in sessions]
    waits = [_waited(log, session_id) or 0 for session_id in order]
    assert min(waits) > 0
    assert client.sessions.count(status="closed") == 5


def test_a_place_that_a_lost_keeper_held_is_free(log: EventLog, host: FakeBrowser) -> None:
    client = Client(log, browser=host, max_sessions=1, max_wait_s=30)
    client.Session(page=False).start()
    host.lose_keeper(beside=lambda _: None)  # and nobody notices
    with client.Session(page=False):
        assert client.sessions.count(cause="keeper_lost") == 1


class TestHolding:
    """From `created` on, until its browser is gone or should be. On pretended clocks, and with nobody who tidies."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def recorder(self, clock: ManualClock) -> Recorder:
        recorder = Recorder(MemoryLog(clock=clock.now), clock, Uuid7(), actor="tester", writer="test")
        owner = ProcessIdentity(host="elsewhere", boot_id="b", pid=1, started=1)
        limits = Limits(idle_timeout_us=60_000_000, max_duration_us=600_000_000)
        recorder.create(Create(event=SessionCreated(session_id="s", limits=limits, owner=owner, keeper_id="k")))
        return recorder

    def free(self, recorder: Recorder) -> bool:
        try:
            with Places(recorder, 1, 0, lambda: None).turn(lambda: False):
                return True
        except TooManySessions:
            return False

    def test_until_it_is_released(self, recorder: Recorder) -> None:
        assert not self.free(recorder)
        recorder.execute("s", Close(cause=Cause.STOPPED))
        assert not self.free(recorder)
        recorder.execute("s", Release(event=SessionReleased(how="graceful", profile_removed=True)))
        assert self.free(recorder)

    @pytest.mark.parametrize("ended_s", [10, 60])
    def test_not_for_ever(self, clock: ManualClock, recorder: Recorder, ended_s: int) -> None:
        """One out of reach, stopped or at its deadline: as long as a keeper would need."""
        clock.advance(ended_s)
        if ended_s < 60:
            recorder.execute("s", Close(cause=Cause.STOPPED))
        clock.advance(RELEASE_WAIT_S - 0.001)
        assert not self.free(recorder)
        clock.advance(0.001)
        assert self.free(recorder)


class TestTheFile:
    """The queue that all processes have in common."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "places"

    @staticmethod
    def open_at(path: Path) -> list[int]:
        """Our descriptors of it."""
        found: list[int] = []
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if link.readlink() == path:
                    found.append(int(link.name))
        return found

    def test_what_can_not_be_opened_is_told_in_our_words(self, path: Path, tmp_path: Path) -> None:
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(LogUnavailable, match="the queue for a place"), _FileQueue(path).head(lambda: 0):
            pass
        assert not (tmp_path / "elsewhere").exists()

    @linux_only
    def test_who_waits_in_vain_leaves_the_descriptor_to_the_thread_that_waits(self, path: Path) -> None:
        queue = _FileQueue(path)
        with queue.head(lambda: 0) as first:
            assert first
            with queue.head(lambda: 0) as second:
                assert not second
            assert len(self.open_at(path)) == 2
        until(lambda: self.open_at(path) == [], "the thread never let go")
        with queue.head(lambda: 10) as third:
            assert third

    @linux_only
    def test_a_forked_child_s_copy_keeps_nobody_out(self, path: Path) -> None:
        queue = _FileQueue(path)
        with queue.head(lambda: 0):
            copy = os.dup(self.open_at(path)[0])
        with queue.head(lambda: 0) as first:
            assert first
        os.close(copy)


HOLDS = """
client = Client(log, max_sessions=1, max_wait_s=60)
say("comes")
with client.Session(page=False) as session:
    say(session.session_id)
    time.sleep(60)
"""


@linux_only
@pytest.mark.browser
def test_processes_queue_and_whoever_is_killed_leaves_the_queue_or_the_place(world: World) -> None:
    holder = world.script(HOLDS)
    assert holder.hear() == ["comes"]
    [held] = holder.hear()
    log = world.client().log
    waiter = world.script(HOLDS)
    assert waiter.hear() == ["comes"]
    _until_in_line(log, 1)
    next_one = world.script(HOLDS)
    assert next_one.hear() == ["comes"]
    _until_in_line(log, 2)
    waiter.signal(signal.SIGKILL)
    waiter.end()
    holder.signal(signal.SIGKILL)
    holder.end()
    [got] = next_one.hear()
    assert world.types(held) == ["created", "started", "closed", "released"]
    assert [row.stream for row in log.read_all(limit=1000, types=["session.created"]).events] == [held, got]
    next_one.signal(signal.SIGKILL)
    next_one.end()
    until(lambda: world.types(got)[-1] == "released", "not released")


class TestAsynchronous:
    @linux_only
    def test_a_start_that_is_cancelled_while_it_waits_leaves_the_queue(self, log: EventLog, host: FakeBrowser) -> None:
        async def run() -> None:
            client = AsyncClient(log, browser=host, max_sessions=1, max_wait_s=86_400)
            running = await client.Session(page=False).start()
            waiting = asyncio.create_task(client.Session(page=False).start())
            await asyncio.to_thread(_until_in_line, log, 1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting  # and not for the whole day
            other = asyncio.create_task(client.Session(page=False).start())
            await running.stop()
            await (await other).stop()
            assert await client.sessions.count() == 2
            client.close()

        asyncio.run(run())

    def test_more_starts_than_threads_wait_and_all_come_through(self, log: EventLog, host: FakeBrowser) -> None:
        """The ends that they wait for need threads, too."""

        async def run() -> None:
            client = AsyncClient(log, browser=host, max_sessions=8)

            async def one() -> None:
                async with client.Session(page=False):
                    await asyncio.sleep(0)

            await asyncio.gather(*(one() for _ in range(80)))
            assert await client.sessions.count(status="closed") == 80
            client.close()

        asyncio.run(run())

    def test_a_refused_session_can_be_started_later(self, log: EventLog, host: FakeBrowser) -> None:
        async def run() -> None:
            client = AsyncClient(log, browser=host, max_sessions=1, max_wait_s=0)
            session = client.Session(page=False)
            async with client.Session(page=False):
                with pytest.raises(TooManySessions):
                    await session.start()
            async with session:
                pass
            client.close()

        asyncio.run(run())


@pytest.mark.parametrize(
    "wrong",
    [{"max_sessions": 0}, {"max_sessions": True}, {"max_sessions": "4"}, {"max_wait_s": -1}, {"max_wait_s": None}],
    ids=str,
)
def test_what_is_no_number_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(wrong))):
        Client(MemoryLog(), browser=FakeBrowser(), **wrong)


class TestDraining:
    def test_those_that_end_in_time_end_as_they_like_and_the_rest_is_ended(
        self, log: EventLog, host: FakeBrowser
    ) -> None:
        client = Client(log, browser=host)
        quick, slow = client.Session(page=False).start(), client.Session(page=False).start()
        kept = client.Session(page=False, keep_alive=True).start()
        threading.Timer(0.05, quick.__exit__, (ValueError, ValueError("its own"), None)).start()
        client.close(drain_s=1)
        assert quick.status().cause is Cause.EXCEPTION
        assert slow.status().cause is Cause.STOPPED
        [closed] = [step for step in client.history(slow.session_id) if step.name == "closed"]
        assert closed.data["evidence"] == {"by": "drain"}
        assert kept.status().status is State.ACTIVE
        with pytest.raises(ClientClosed):
            client.Session(page=False).start()
        Client(log, browser=host).Session(kept.session_id, page=False).start().stop()

    def test_when_all_have_ended_it_does_not_wait(self, log: EventLog, host: FakeBrowser) -> None:
        client = Client(log, browser=host)
        with client.Session(page=False):
            pass
        client.drain(86_400)

    @linux_only
    def test_a_start_that_waits_for_a_place_is_refused(self, log: EventLog, host: FakeBrowser) -> None:
        client = Client(log, browser=host, max_sessions=1)
        client.Session(page=False).start()
        found: list[type[BaseException]] = []

        def starts() -> None:
            try:
                client.Session(page=False).start()
            except (TooManySessions, ClientClosed) as error:
                found.append(type(error))

        thread = threading.Thread(target=starts)
        thread.start()
        _until_in_line(log, 1)
        client.drain(0)
        thread.join(20)
        assert len(found) == 1
        assert client.sessions.count() == 1

    def test_the_asynchronous_twin(self, log: EventLog, host: FakeBrowser) -> None:
        async def run() -> None:
            client = AsyncClient(log, browser=host)
            session = await client.Session(page=False).start()
            await client.drain(0)
            assert (await session.status()).cause is Cause.STOPPED
            with pytest.raises(ClientClosed):
                await client.Session(page=False).start()
            client.close()

        asyncio.run(run())

    @pytest.mark.parametrize("wrong", [-1, 1e9, float("nan"), "1"])
    def test_what_is_no_time_is_refused(self, wrong: Any) -> None:
        with pytest.raises(InvalidConfig, match="drain_s"):
            Client(MemoryLog(), browser=FakeBrowser()).drain(wrong)


@pytest.mark.browser
def test_a_script_hears_that_its_session_was_drained(client: Client) -> None:
    def drains(session: Session, drain: Callable[[float], None]) -> None:
        with session:
            threading.Timer(0.2, drain, (0,)).start()
            session.page.wait_for_timeout(60_000)

    with pytest.raises(SessionStopped):
        drains(client.Session(), client.drain)


@pytest.mark.parametrize("wrong", [{"max_sessions": 0}, {"max_wait_s": -1}, {"clock": 5}, {"ids": 5}], ids=str)
def test_a_client_that_is_refused_leaves_no_log_behind(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig):
        Client(tmp_path / "log.db", browser=FakeBrowser(), **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("twin", [Client, AsyncClient])
def test_what_makes_no_pages_is_refused_at_once(tmp_path: Path, twin: Any) -> None:
    with pytest.raises(InvalidConfig, match="pages"):
        twin(tmp_path / "log.db", pages=object())
