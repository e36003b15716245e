"""Hooks for a host: the log as a stream, waiting for an end, and being called with it."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import AsyncClient, AsyncSession, Cause, Client, InvalidConfig, MemoryLog, SessionView, SqliteLog, State
from lifecycle.audit import follow
from lifecycle.client import async_api, endings
from lifecycle.client.endings import Once
from lifecycle.errors import HistoryError, LaunchFailed, LogTampered, LogUnavailable, NotStarted
from lifecycle.ports import Exit
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeBrowser
from tests.client.world import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.client.world import World


class _Fake:
    """Pretended browsers, and the endings that were heard of."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.clock = ManualClock()
        self.host = FakeBrowser(clock=self.clock)
        self.heard: list[SessionView] = []
        self.client = Client(self.log, browser=self.host, clock=self.clock)

    def asynchronous(self) -> AsyncClient:
        return AsyncClient(self.log, browser=self.host, clock=self.clock)

    def session(self, **given: Any) -> Any:
        return self.client.Session(page=False, on_end=self.heard.append, **given)

    def causes(self) -> list[Cause | None]:
        return [ending.cause for ending in self.heard]


@pytest.fixture
def fake() -> Iterator[_Fake]:
    made = _Fake()
    yield made
    made.client.close()


class TestSubscribing:
    def test_only_the_types_asked_for_by_short_or_whole_name(self, fake: _Fake) -> None:
        first, session = fake.client.Session(page=False), fake.client.Session(page=False)
        for each in (first, session):
            with each:
                each.annotate("step")
        steps = list(islice(fake.client.subscribe(types=["closed", "session.created"]), 4))
        assert [step.name for step in steps] == ["created", "closed", "created", "closed"]
        after = fake.client.subscribe(types=["closed"], after=steps[1].cursor)
        assert next(after).session_id == session.session_id
        one = list(fake.client.subscribe(session.session_id, types=["annotated"]))
        assert [step.name for step in one] == ["annotated"]

    @pytest.mark.parametrize("twin", ["sync", "async"])
    @pytest.mark.parametrize("given", [True, False], ids=["a given log", "a log of its own"])
    def test_a_client_that_is_closed_ends_the_loop_without_an_error(
        self, tmp_path: Path, twin: str, given: bool
    ) -> None:
        log = SqliteLog(tmp_path / "log.db") if given else tmp_path / "log.db"
        heard: list[str] = []

        def listen() -> None:
            client = Client(log, browser=FakeBrowser())
            for step in client.subscribe(types=["created"]):
                heard.append(step.name)
                threading.Timer(0.01, client.close).start()

        async def listen_too() -> None:
            client = AsyncClient(log, browser=FakeBrowser())
            async for step in client.subscribe(types=["created"]):
                heard.append(step.name)
                asyncio.get_running_loop().call_later(0.01, client.close)

        with Client(tmp_path / "log.db", browser=FakeBrowser()).Session(page=False):
            pass
        listen() if twin == "sync" else asyncio.run(listen_too())
        assert heard == ["created"]

    def test_a_long_session_is_read_a_page_at_a_time(self, fake: _Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        with fake.client.Session(page=False) as session:
            for _ in range(5):
                session.annotate("step")
        read, asked = fake.log.read, list[int | None]()

        def looked(stream: str, after: int = 0, until: int | None = None) -> Any:
            asked.append(until)
            return read(stream, after, until)

        monkeypatch.setattr(follow, "_PAGE", 2)
        monkeypatch.setattr(fake.log, "read", looked)
        monkeypatch.setattr(fake.log, "wait", None)  # of a session that is over nobody waits for anything
        steps = list(fake.client.subscribe(session.session_id))
        assert [step.version for step in steps] == list(range(1, len(read(session.session_id)) + 1))
        assert None not in asked

    def test_from_now_on_means_from_the_call(self, fake: _Fake) -> None:
        with fake.client.Session(page=False):
            pass
        news = fake.client.subscribe(after="now", types=["created"])
        with fake.client.Session(page=False) as session:
            pass
        assert next(news).session_id == session.session_id

    @pytest.mark.parametrize("wrong", ["closed", ["close"], [5], 5, {"session.": 1}], ids=str)
    def test_a_type_that_there_is_not_is_refused_before_anybody_waits(self, wrong: Any, fake: _Fake) -> None:
        with pytest.raises(InvalidConfig, match=r"types.*timed_out"):
            fake.client.subscribe(types=wrong)

    @pytest.mark.parametrize("wrong", ["later", -1, 1.5, True], ids=str)
    def test_what_is_no_cursor_is_refused(self, wrong: Any, fake: _Fake) -> None:
        with pytest.raises(InvalidConfig, match="after"):
            fake.client.subscribe(after=wrong)

    def test_the_asynchronous_twin(self, fake: _Fake) -> None:
        with fake.client.Session(page=False) as session:
            pass

        async def run() -> list[str]:
            client = fake.asynchronous()
            return [step.name async for step in client.subscribe(session.session_id, types=["closed", "released"])]

        assert asyncio.run(run()) == ["closed", "released"]


FOLLOWS = """
seen = open("seen", "a")
last = open("seen").read().split()
after = int(last[-1]) if last else None
say("ready")
for step in client.subscribe(after=after, types=["annotated"]):
    seen.write(f"{step.data['data']['n']} {step.cursor}\\n")
    seen.flush()
"""


def test_a_subscriber_of_another_process_dies_and_comes_back_and_misses_nothing(world: World) -> None:
    """What it has dealt with is what it has written down: nothing is missing in there, and nothing stands twice."""

    def seen() -> list[int]:
        file = world.folder / "seen"
        lines = file.read_text().splitlines() if file.exists() else []
        return [int(line.split()[0]) for line in lines]

    with Client(world.log, browser=FakeBrowser()) as client, client.Session(page=False) as session:
        for begun in (0, 40):
            script = world.script(FOLLOWS)
            assert script.hear() == ["ready"]
            for number in range(begun, begun + 40):
                session.annotate("n", {"n": number})
            until(lambda least=begun + 20: len(seen()) > least, "it does not follow")  # type: ignore[misc] # a bound name
            script.signal(signal.SIGKILL)
            script.end()
        script = world.script(FOLLOWS)
        until(lambda: len(seen()) >= 80, "it does not catch up")
        script.signal(signal.SIGKILL)
        script.end()
    assert seen() == list(range(80))


class TestWaitingForTheEnd:
    def test_it_comes_with_whoever_ends_it(self, fake: _Fake) -> None:
        session = fake.client.Session(page=False).start()
        assert session.wait_ended(0) is None
        assert session.wait_ended(0.01) is None
        threading.Timer(0.05, fake.host.browsers[session.session_id].end, [Exit(signal=9)]).start()
        ending = session.wait_ended(30)
        assert ending is not None
        assert ending.cause is Cause.BROWSER_CRASHED
        assert session.wait_ended() == ending

    def test_a_guest_waits_as_well_as_the_owner(self, fake: _Fake) -> None:
        with fake.client.Session(page=False) as session:
            guest = fake.client.Session(session.session_id, page=False).start()
            found: list[SessionView | None] = []
            waiting = threading.Thread(target=lambda: found.append(guest.wait_ended(30)))
            waiting.start()
        waiting.join()
        assert found[0] is not None
        assert found[0].cause is Cause.STOPPED

    def test_the_deadline_ends_it_written_down_or_not(self, fake: _Fake) -> None:
        session = fake.client.Session(page=False, timeout_minutes=1).start()
        fake.host.browsers[session.session_id].keeper_gone = True
        fake.clock.advance(61)
        ending = session.wait_ended(30)
        assert ending is not None
        assert ending.cause is Cause.IDLE

    def test_before_the_start_there_is_nothing_to_wait_for(self, fake: _Fake) -> None:
        with pytest.raises(NotStarted):
            fake.client.Session(page=False).wait_ended(1)

    @pytest.mark.parametrize("wrong", ["1", float("nan"), True, [1]], ids=str)
    def test_a_time_to_wait_that_is_none_is_refused(self, fake: _Fake, wrong: Any) -> None:
        """Of NaN nothing is ever less or more: it waited for ever."""

        async def asynchronously() -> None:
            async with fake.asynchronous().Session(page=False) as session:
                await session.wait_ended(wrong)

        with fake.session() as session, pytest.raises(InvalidConfig, match="timeout_s"):
            session.wait_ended(wrong)
        with pytest.raises(InvalidConfig, match="timeout_s"):
            asyncio.run(asynchronously())

    def test_the_asynchronous_twin_waits_and_can_be_cancelled(self, fake: _Fake) -> None:
        async def run() -> None:
            async with fake.asynchronous().Session(page=False) as session:
                assert await session.wait_ended(0.01) is None
                waiting = asyncio.create_task(session.wait_ended())
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                again = asyncio.create_task(session.wait_ended())
            ending = await again
            assert ending is not None
            assert ending.cause is Cause.STOPPED
            later = await session.wait_ended(0)
            assert later is not None, "and by now with `released`, it may be"
            assert (later.cause, later.closed_at) == (ending.cause, ending.closed_at)

        asyncio.run(run())


class TestBeingCalledWithTheEnd:
    def test_by_the_end_of_the_block_it_has_been_called_once(self, fake: _Fake) -> None:
        with fake.session() as session:
            assert fake.heard == []
        assert fake.causes() == [Cause.STOPPED]
        session.stop()
        assert fake.causes() == [Cause.STOPPED]
        assert fake.heard[0].session_id == session.session_id

    def test_an_end_underneath_is_heard_while_the_script_does_something_else(self, fake: _Fake) -> None:
        session = fake.session().start()
        fake.host.browsers[session.session_id].end(Exit(signal=9))
        until(lambda: fake.causes() == [Cause.BROWSER_CRASHED], "nobody was called")
        session.stop()
        assert len(fake.heard) == 1

    def test_each_session_hears_of_its_own_end(self, fake: _Fake) -> None:
        first, second = fake.session().start(), fake.session().start()
        fake.host.browsers[second.session_id].end(Exit(code=0))
        until(lambda: fake.causes() == [Cause.BROWSER_CLOSED], "nobody was called")
        assert fake.heard[0].session_id == second.session_id
        first.stop()
        assert fake.causes() == [Cause.BROWSER_CLOSED, Cause.STOPPED]

    def test_the_end_of_one_that_is_left_alive_is_heard_of_later(self, fake: _Fake) -> None:
        with fake.session(keep_alive=True) as session:
            pass
        assert fake.heard == []
        fake.client.Session(session.session_id, page=False).start().stop()
        until(lambda: fake.causes() == [Cause.STOPPED], "nobody was called")

    def test_a_guest_hears_of_it(self, fake: _Fake) -> None:
        heard: list[SessionView] = []
        with fake.client.Session(page=False) as session:
            fake.client.Session(session.session_id, page=False, on_end=heard.append).start()
        until(lambda: [ending.cause for ending in heard] == [Cause.STOPPED], "nobody was called")

    def test_a_browser_that_does_not_come_up_is_an_end_too(self, fake: _Fake) -> None:
        fake.host.fail_launch = "no display"
        with pytest.raises(LaunchFailed):
            fake.session().start()
        assert fake.causes() == [Cause.LAUNCH_FAILED]

    def test_what_it_raises_spoils_nothing(self, fake: _Fake) -> None:
        def raises(_: SessionView) -> None:
            raise ValueError("mine")

        with fake.client.Session(page=False, on_end=raises) as session:
            pass
        assert session.status().cause is Cause.STOPPED
        other = fake.client.Session(page=False, on_end=raises).start()
        third = fake.session().start()
        for ended in (other, third):
            fake.host.browsers[ended.session_id].end(Exit(signal=9))
        until(lambda: fake.causes() == [Cause.BROWSER_CRASHED], "the thread has died of it")

    def test_it_may_stop_the_session(self, fake: _Fake) -> None:
        def stops(ending: SessionView) -> None:
            fake.heard.append(ending)
            session.stop()

        session = fake.client.Session(page=False, on_end=stops).start()
        session.stop()
        assert session.status().cause is Cause.STOPPED
        assert fake.causes() == [Cause.STOPPED]

    def test_it_may_be_called_by_the_first_only_and_the_second_waits_for_that(self) -> None:
        called, go = threading.Event(), threading.Event()
        order: list[str] = []

        def call(_: SessionView) -> None:
            called.set()
            assert go.wait(20)
            order.append("called")

        once = Once("s", call)
        ending: Any = None

        def second() -> None:
            once(ending)
            order.append("second")

        threads = [threading.Thread(target=once, args=(ending,)), threading.Thread(target=second)]
        threads[0].start()
        assert called.wait(20)
        threads[1].start()
        threads[1].join(0.05)
        go.set()
        for thread in threads:
            thread.join()
        assert order == ["called", "second"]

    def test_what_cannot_be_called_is_refused(self, fake: _Fake) -> None:
        with pytest.raises(InvalidConfig, match="on_end"):
            fake.client.Session(on_end="me")  # type: ignore[arg-type] # what a user might write

    def test_the_asynchronous_twin_calls_on_the_loop_and_awaits(self, fake: _Fake) -> None:
        async def run() -> None:
            async def heard(ending: SessionView) -> None:
                assert asyncio.get_running_loop() is loop
                await asyncio.sleep(0)
                fake.heard.append(ending)
                await session.stop()
                if len(fake.heard) == 2:
                    second.set()

            loop, second = asyncio.get_running_loop(), asyncio.Event()
            client = fake.asynchronous()
            async with client.Session(page=False, on_end=heard) as session:
                pass
            assert fake.causes() == [Cause.STOPPED]
            session = await client.Session(page=False, on_end=heard).start()
            fake.host.browsers[session.session_id].end(Exit(signal=9))
            await asyncio.wait_for(second.wait(), 10)
            await session.stop()
            assert fake.causes() == [Cause.STOPPED, Cause.BROWSER_CRASHED]

        asyncio.run(run())

    @pytest.mark.parametrize("how", ["block", "stop", "start that fails"])
    def test_the_asynchronous_twin_awaits_it_to_its_end(
        self, fake: _Fake, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ending_of = async_api._Ending  # pyright: ignore[reportPrivateUsage]
        told = ending_of.told

        async def run() -> None:
            waits = asyncio.Event()

            async def awaited(self: Any) -> None:
                waits.set()
                await told(self)

            async def heard(ending: SessionView) -> None:
                await waits.wait()
                fake.heard.append(ending)

            monkeypatch.setattr(ending_of, "told", awaited)
            session = fake.asynchronous().Session(page=False, on_end=heard)
            if how == "block":
                async with session:
                    pass
            elif how == "stop":
                await (await session.start()).stop()
            else:
                fake.host.fail_launch = "no display"
                with pytest.raises(LaunchFailed):
                    await session.start()
            assert len(fake.heard) == 1

        asyncio.run(run())

    def test_the_asynchronous_twin_s_block_is_not_spoilt_by_it(self, fake: _Fake) -> None:
        async def raises(_: SessionView) -> None:
            raise ValueError("mine")

        async def run() -> None:
            async with fake.asynchronous().Session(page=False, on_end=raises) as session:
                pass
            assert (await session.status()).cause is Cause.STOPPED

        asyncio.run(run())

    def test_an_asynchronous_end_that_is_cancelled_leaves_it_alone(
        self, fake: _Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ending_of = async_api._Ending  # pyright: ignore[reportPrivateUsage]
        told = ending_of.told

        async def run() -> None:
            waits, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

            async def heard(ending: SessionView) -> None:
                await go.wait()
                fake.heard.append(ending)
                done.set()

            async def awaited(self: Any) -> None:
                waits.set()
                await told(self)

            monkeypatch.setattr(ending_of, "told", awaited)
            session = await fake.asynchronous().Session(page=False, on_end=heard).start()
            stopping = asyncio.create_task(session.stop())
            await asyncio.wait_for(waits.wait(), 20)
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            go.set()
            await asyncio.wait_for(done.wait(), 20)

        asyncio.run(run())
        assert fake.causes() == [Cause.STOPPED]


class TestWatchingForTheEnd:
    """By one thread, which is there as long as somebody waits, whatever becomes of the log meanwhile."""

    @pytest.fixture(autouse=True)
    def threads(self, fake: _Fake, monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
        """Those that were started to watch."""
        started: list[threading.Thread] = []
        start = fake.clock.start

        def watched(name: str, run: Callable[[], object]) -> None:
            if name != "lifecycle-endings":
                return start(name, run)
            started.append(threading.Thread(target=run, daemon=True))
            return started[-1].start()

        monkeypatch.setattr(fake.clock, "start", watched)
        monkeypatch.setattr(endings, "_NAP_S", 0.01)
        return started

    def ended(self, fake: _Fake, *sessions: Any) -> None:
        """End these underneath, and hear of it."""
        before = len(fake.heard)
        for session in sessions:
            fake.host.browsers[session.session_id].end(Exit(signal=9))
        until(lambda: len(fake.heard) == before + len(sessions), "nobody was called")

    def test_one_thread_for_all_and_another_once_it_has_gone(
        self, fake: _Fake, threads: list[threading.Thread]
    ) -> None:
        sessions = [fake.session().start() for _ in range(3)]
        assert len(threads) == 1
        self.ended(fake, *sessions)
        threads[0].join(20)
        self.ended(fake, fake.session().start())
        assert len(threads) == 2

    def test_a_client_that_is_closed_watches_no_longer(self, fake: _Fake, threads: list[threading.Thread]) -> None:
        with fake.session(keep_alive=True):
            pass
        fake.client.close()
        threads[0].join(20)
        assert not threads[0].is_alive()
        assert fake.heard == []

    def test_more_endings_than_a_page_holds(self, fake: _Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(endings, "_PAGE", 1)
        self.ended(fake, *(fake.session().start() for _ in range(3)))

    @pytest.mark.parametrize("error", [LogUnavailable("busy"), LogTampered("log", "it", expected="a", found="b")])
    def test_a_log_that_can_not_be_read_for_a_while(
        self, fake: _Fake, threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        read_all, failing = fake.log.read_all, threading.Event()

        def fails(*_given: object, **_more: object) -> object:
            monkeypatch.setattr(fake.log, "read_all", read_all)
            failing.set()
            raise error

        monkeypatch.setattr(fake.log, "read_all", fails)
        session = fake.session().start()
        assert failing.wait(20)
        self.ended(fake, session)
        assert len(threads) == 1

    def test_a_history_that_can_not_be_read(
        self,
        fake: _Fake,
        threads: list[threading.Thread],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Its ending can't be told; those of others are."""
        broken, other = fake.session().start(), fake.session().start()
        watching = fake.client._shared.endings._recorder  # pyright: ignore[reportPrivateUsage]
        load = watching.load

        def loaded(session_id: str) -> Any:
            if session_id == broken.session_id:
                raise HistoryError("not this one")
            return load(session_id)

        monkeypatch.setattr(watching, "load", loaded)
        fake.host.browsers[broken.session_id].end(Exit(signal=9))
        self.ended(fake, other)
        assert [ending.session_id for ending in fake.heard] == [other.session_id]
        assert len(threads) == 1
        [said] = [record.getMessage() for record in caplog.records if "on_end_failed" in record.getMessage()]
        assert broken.session_id in said

    def test_a_callback_that_wants_to_end_the_program_ends_no_watching(
        self, fake: _Fake, threads: list[threading.Thread]
    ) -> None:
        """sys.exit() in a thread ends the thread alone, and silently: nobody was called any more."""

        def ends(_: SessionView) -> None:
            raise SystemExit(1)

        first = fake.client.Session(page=False, on_end=ends).start()
        other = fake.session().start()
        fake.host.browsers[first.session_id].end(Exit(signal=9))
        until(lambda: first.session_id not in fake.client._shared.endings._calls, "it was not called")  # pyright: ignore[reportPrivateUsage]
        self.ended(fake, other)
        assert len(threads) == 1

    def test_an_end_that_comes_before_the_thread_does(self, fake: _Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        late: list[Callable[[], object]] = []
        start = fake.clock.start

        def starts(name: str, run: Callable[[], object]) -> None:
            if name == "lifecycle-endings":
                late.append(run)
            else:
                start(name, run)

        monkeypatch.setattr(fake.clock, "start", starts)
        session = fake.session().start()
        fake.host.browsers[session.session_id].end(Exit(signal=9))
        until(lambda: session.status().status is State.ERROR, "it does not end")
        late[0]()
        assert fake.causes() == [Cause.BROWSER_CRASHED]

    def test_a_loop_that_is_gone_hears_nothing(self, fake: _Fake, threads: list[threading.Thread]) -> None:
        """And no coroutine is left that nobody awaits, of which Python would warn."""

        async def run() -> AsyncSession:
            return await fake.asynchronous().Session(page=False, on_end=fake.heard.append).start()

        session = asyncio.run(run())
        fake.host.browsers[session.session_id].end(Exit(signal=9))
        threads[0].join(20)
        gc.collect()
        assert fake.heard == []
