"""Operations that end otherwise than with a result: ended sessions, lost connections, interruptions, a full log."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from datetime import timedelta

import pytest

from lifecycle import (
    ActionFailed,
    BrowserLost,
    Client,
    LogUnavailable,
    MemoryLog,
    SessionStopped,
    SessionTimedOut,
    SessionView,
)
from lifecycle.actions import Action
from lifecycle.client.handle import Handle
from lifecycle.core.events import SessionOperation
from lifecycle.errors import KeeperUnavailable, NotRecorded, NotStarted
from lifecycle.log.port import Appended, Expected, NewEvent
from lifecycle.ports import Exit, Performed
from tests.client.pretended import AsyncConnection, DriverError, Pretence

SECRET = "correct horse battery"


def test_a_session_that_ended_meanwhile_is_told_as_its_ending(pretence: Pretence) -> None:
    def ends(_: Action) -> Performed:
        pretence.host.browsers[pretence.session.session_id].end(Exit(signal=9))
        pretence.pages.up = False
        return Performed(ok=False, message="lost", reason="lost", summary="lost")

    pretence.answers(ends)
    with pytest.raises(BrowserLost) as lost:
        pretence.execute(type="fill", selector="#a", value=SECRET, raise_on_failure=False)
    assert lost.value.__context__ is None
    assert pretence.operations() == []
    with pytest.raises(BrowserLost):
        pretence.execute(type="reload")


def test_a_session_that_was_stopped_meanwhile_is_told_even_after_a_success(pretence: Pretence) -> None:
    def stopped(_: Action) -> Performed:
        Client(pretence.log, browser=pretence.host, clock=pretence.clock).Session(
            pretence.session.session_id
        ).start().stop()
        return Performed(ok=True, message="done")

    pretence.answers(stopped)
    with pytest.raises(SessionStopped):
        pretence.execute(type="reload")
    assert pretence.operations() == []


def test_an_operation_past_the_deadline_records_the_timeout(pretence: Pretence) -> None:
    def late(_: Action) -> Performed:
        pretence.clock.advance(4 * 60)
        return Performed(ok=True, message="done")

    pretence.answers(late)
    with pytest.raises(SessionTimedOut):
        pretence.execute(type="reload")


def test_an_operation_counts_as_access(pretence: Pretence) -> None:
    for _ in range(3):
        pretence.clock.advance(2 * 60)
        pretence.execute(type="reload")
    view = pretence.run(lambda: pretence.session.status())
    assert view.status == "active"
    assert view.last_accessed_at == view.created_at + timedelta(minutes=6)


def test_a_lost_connection_of_a_living_session_fails_and_the_next_call_makes_a_new_one(
    pretence: Pretence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.client.handle._VERDICT_WAIT_S", 0.05)
    pretence.execute(type="reload")

    def lost(_: Action) -> Performed:
        pretence.pages.up = False
        return Performed(ok=False, message="lost", reason="lost", summary="lost")

    pretence.answers(lost)
    assert pretence.execute(type="reload", raise_on_failure=False).reason == "lost"
    pretence.answers()
    connects = pretence.pages.connects
    assert pretence.execute(type="reload").success
    assert pretence.pages.connects == connects + 1


def test_a_browser_that_can_not_be_reached_is_a_failure_without_the_drivers_error(
    pretence: Pretence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.client.handle._VERDICT_WAIT_S", 0.05)
    pretence.pages.up = False
    pretence.pages.refuses = DriverError("connect: ws://127.0.0.1:5/token refused")
    with pytest.raises(ActionFailed) as failed:
        pretence.execute(type="reload")
    assert failed.value.result.reason == "lost"
    assert "token" not in "".join(traceback.format_exception(failed.value))
    assert [(event.ok, event.error_type) for event in pretence.operations()] == [(False, "lost")]


@pytest.mark.parametrize(("timeout", "limit_s"), [(1_000, 10), (15_000, 15), (600_000, 30)])
def test_a_connection_is_waited_for_as_long_as_the_action_may_take(
    pretence: Pretence, timeout: int, limit_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute, whatever the action's timeout, was what a hung keeper cost; and its word was waited for twice."""
    asked: list[object] = []
    verdict = Handle.verdict

    def heard(handle: Handle) -> SessionView:
        asked.append(handle)
        return verdict(handle, 0.05)

    monkeypatch.setattr(Handle, "verdict", heard)
    pretence.pages.up = False
    pretence.pages.refuses = DriverError("no answer")
    failed = pretence.execute(type="reload", timeout=timeout, raise_on_failure=False)
    assert failed.reason == "lost"
    assert pretence.pages.limits[-1] == limit_s
    assert len(asked) == 1


def test_a_page_that_can_not_be_reached_is_told_in_our_words(
    pretence: Pretence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keeper hangs, say: the session lives, and the driver knows only that its time is over."""
    monkeypatch.setattr("lifecycle.client.handle._VERDICT_WAIT_S", 0.05)
    pretence.pages.up = False
    pretence.pages.refuses = DriverError("Timeout 30000ms exceeded")
    with pytest.raises(KeeperUnavailable, match=r"Timeout 30000ms exceeded.*has not ended.*stop\(\)") as told:
        pretence.run(pretence.reach)
    assert told.value.retryable
    assert pretence.session.session_id in str(told.value)
    pretence.pages.refuses = None
    assert pretence.run(pretence.reach).page == "the first tab"


@pytest.mark.parametrize(
    ("twin", "interruption"),
    [("sync", KeyboardInterrupt), ("sync", SystemExit), ("sync", ZeroDivisionError), ("async", ZeroDivisionError)],
)
def test_an_interruption_is_recorded_and_goes_on(twin: str, interruption: type[BaseException]) -> None:
    def interrupted(_: Action) -> Performed:
        raise interruption

    world = Pretence(twin)
    world.run(lambda: world.session.start())
    world.answers(interrupted)
    with pytest.raises(interruption):
        world.execute(type="click", selector="#a")
    [event] = world.operations()
    assert (event.kind, event.ok, event.target, event.error_type) == ("click", False, "#a", interruption.__name__)
    world.close()


def test_a_cancellation_is_recorded_and_goes_on() -> None:
    world = Pretence("async")
    inside = asyncio.Event()

    async def operate(self: AsyncConnection, action: Action) -> Performed:
        inside.set()
        await asyncio.sleep(60)
        raise AssertionError

    async def body() -> None:
        await world.session.start()
        task = asyncio.ensure_future(world.session.execute(type="fill", selector="#a", value=SECRET))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncConnection, "operate", operate)
        world.run(body)
    [event] = world.operations()
    assert (event.kind, event.ok, event.error_type) == ("fill", False, "CancelledError")
    world.close()


def test_operations_of_one_asynchronous_session_wait_for_each_other() -> None:
    world = Pretence("async")
    running = 0

    async def operate(self: AsyncConnection, action: Action) -> Performed:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.01)
        running -= 1
        return Performed(ok=True, message="done")

    async def body() -> None:
        await world.session.start()
        await asyncio.gather(*(world.session.execute(type="reload") for _ in range(5)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncConnection, "operate", operate)
        world.run(body)
    assert len(world.operations()) == 5
    world.close()


def test_an_asynchronous_session_without_a_page_connects_with_the_first_operation() -> None:
    world = Pretence("async")
    world.session = world.client.Session(page=False)

    async def body() -> None:
        await world.session.start()
        with pytest.raises(NotStarted):
            _ = world.session.page
        await world.session.execute(type="reload")
        assert world.session.page == "the first tab"

    world.run(body)
    assert world.pages.connects == 1
    world.close()


class Full(MemoryLog):
    """Refuses operations."""

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        if any(isinstance(event.event, SessionOperation) for event in events):
            raise LogUnavailable("the disk is full; nothing was acknowledged, trying again is safe")
        return super().append(stream, events, expected=expected)


@pytest.mark.parametrize("twin", ["sync", "async"])
def test_a_log_that_refuses_is_told(twin: str) -> None:
    world = Pretence(twin, Full())
    world.run(lambda: world.session.start())
    with pytest.raises(LogUnavailable) as caught:
        world.execute(type="reload")
    assert world.pages.done
    error = caught.value
    assert isinstance(error, NotRecorded)
    assert (error.result.success, error.retryable) == (True, False), "a click on Buy must not be repeated"
    assert str(error) == "reload was performed, and that could not be recorded: the disk is full"
    world.close()
