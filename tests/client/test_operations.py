"""The shell around active operations, in both twins, on pretended pages: validate, perform, record once, answer."""

from __future__ import annotations

import asyncio
import importlib.util
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import FrozenInstanceError
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel

from lifecycle import (
    ActionFailed,
    AsyncClient,
    BrowserLost,
    Client,
    ExecutionResult,
    InvalidConfig,
    LogUnavailable,
    MemoryLog,
    SessionStopped,
    SessionTimedOut,
)
from lifecycle.actions import Action, Click, Extract, Fill, Goto, Observe, Scrape
from lifecycle.client.handle import Handle
from lifecycle.core.events import SessionOperation
from lifecycle.errors import MissingExtra, NotStarted
from lifecycle.log.codec import decode
from lifecycle.log.port import Appended, Expected, NewEvent
from lifecycle.ports import Exit, Performed
from lifecycle.results import Reason
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeHost

T = TypeVar("T")
SECRET = "correct horse battery"


class DriverError(Exception):
    """What the pretended driver raises."""


class Pages:
    """A pretended driver of both kinds. `answer` says how each action goes; `done` are those that were performed."""

    def __init__(self) -> None:
        self.answer: Callable[[Action], Performed] = lambda _: Performed(ok=True, message="done")
        self.done: list[Action] = []
        self.up = True
        self.connects = 0
        self.refuses: Exception | None = None

    def check(self) -> None:
        pass

    def warm(self) -> Callable[[], None]:
        return lambda: None

    def connect(self, cdp_url: str, tabs: object, folder: object) -> Connection:
        self.connects += 1
        if self.refuses is not None:
            raise self.refuses
        self.up = True
        return Connection(self)

    def is_driver_error(self, error: BaseException) -> bool:
        return isinstance(error, DriverError)


class Connection:
    """A connection of the synchronous kind."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.page = "the first tab"

    def connected(self) -> bool:
        return self.pages.up

    def operate(self, action: Action) -> Performed:
        self.pages.done.append(action)
        return self.pages.answer(action)

    def close(self) -> None:
        pass


class AsyncPages(Pages):
    """The same for asyncio."""

    async def warm(self) -> Any:  # type: ignore[override] # the asynchronous twin of it
        async def give_back() -> None:
            pass

        return give_back

    async def connect(self, cdp_url: str, tabs: object, folder: object) -> Any:  # type: ignore[override] # as warm
        await asyncio.sleep(0)
        return AsyncConnection(super().connect(cdp_url, tabs, folder))


class AsyncConnection:
    """A connection of the asynchronous kind."""

    def __init__(self, connection: Connection) -> None:
        self.inner = connection
        self.page = connection.page
        self.gate: asyncio.Event | None = None

    def connected(self) -> bool:
        return self.inner.connected()

    async def operate(self, action: Action) -> Performed:
        await asyncio.sleep(0)
        return self.inner.operate(action)

    async def close(self) -> None:
        pass


class World:
    """A session of either twin on pretended browsers and pages, and a clock that the test sets."""

    def __init__(self, twin: str, log: MemoryLog | None = None) -> None:
        self.log = log or MemoryLog()
        self.clock = ManualClock()
        self.host = FakeHost(clock=self.clock)
        self.pages: Any = Pages() if twin == "sync" else AsyncPages()
        self._runner = asyncio.Runner() if twin == "async" else None
        make: Any = Client if twin == "sync" else AsyncClient
        self.client = make(self.log, browser=self.host, pages=self.pages, clock=self.clock)
        self.session = self.client.Session(timeout_minutes=3)

    def run(self, call: Callable[[], Any]) -> Any:
        """What *call* gives, awaited where it has to be."""
        if self._runner is None:
            return call()

        async def awaited() -> Any:
            result = call()
            return await result if asyncio.iscoroutine(result) else result

        return self._runner.run(awaited())

    def answers(
        self,
        answer: Callable[[Action], Performed] | None = None,
        *,
        message: str = "done",
        data: object = None,
        target: str | None = None,
    ) -> None:
        """From now on every action goes as *answer* says, or well."""

        def well(_: Action) -> Performed:
            return Performed(ok=True, message=message, data=data, target=target)

        self.pages.answer = answer or well

    def execute(self, *given: Any, **fields: Any) -> ExecutionResult:
        result: ExecutionResult = self.run(lambda: self.session.execute(*given, **fields))
        return result

    def operations(self) -> list[SessionOperation]:
        events = (decode(row) for row in self.log.read(self.session.session_id))
        return [event for event in events if isinstance(event, SessionOperation)]

    def close(self) -> None:
        self.run(lambda: self.session.stop())
        self.client.close()
        if self._runner is not None:
            self._runner.close()


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(request.param)
    world.run(lambda: world.session.start())
    yield world
    world.close()


def failing(reason: Reason = "timeout", message: str = "too late", **more: Any) -> Callable[[Action], Performed]:
    """Pages on which every action fails."""
    return lambda _: Performed(ok=False, message=message, reason=reason, **{"summary": message, **more})


def test_a_success_is_one_event_and_a_frozen_result(world: World) -> None:
    world.answers(message="clicked", data={"a": 1}, target='button "Go"')
    result = world.execute(Click(id="e1"))
    assert (result.success, result.message, result.data, result.reason, result.exception) == (
        True,
        "clicked",
        {"a": 1},
        None,
        None,
    )
    assert result.action == Click(id="e1")
    assert result.started_at <= result.ended_at < result.started_at + timedelta(seconds=5)
    with pytest.raises(FrozenInstanceError):
        result.success = False  # type: ignore[misc] # what must not work
    [event] = world.operations()
    assert (event.kind, event.ok, event.target, event.error_type, event.error_message) == (
        "click",
        True,
        'button "Go"',
        None,
        None,
    )
    assert event.took_us == (result.ended_at - result.started_at) / timedelta(microseconds=1)


def test_three_ways_to_give_an_action(world: World) -> None:
    world.execute(Goto(url="https://a"))
    world.execute({"type": "goto", "url": "https://a"})
    world.execute(type="goto", url="https://a")
    assert world.pages.done == [Goto(url="https://a")] * 3


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"type": "clik"},
        {"type": "goto"},
        {"type": "goto", "url": "https://a", "raise_on_failure": "no"},
        {"type": "fill", "id": "e1", "selector": "#a", "value": SECRET},
    ],
)
def test_bad_input_performs_and_records_nothing(world: World, order: dict[str, Any]) -> None:
    before = world.log.head(world.session.session_id)
    with pytest.raises(InvalidConfig):
        world.execute(**order)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("observe", {"timeout": 0}),
        ("observe", {"screenshot": 1}),
        ("scrape", {"fields": {}}),
        ("scrape", {"response_format": int, "fields": {}}),
        ("scrape", {"selector": ""}),
        ("scrape", {"nothing": 1}),
    ]
    for name, options in wrong:
        with pytest.raises(InvalidConfig):
            world.run(partial(getattr(world.session, name), **options))
    assert world.pages.done == []
    assert world.log.head(world.session.session_id) == before


@pytest.mark.parametrize("twin", ["sync", "async"])
def test_nothing_works_before_start(twin: str) -> None:
    world = World(twin)
    for call in (
        lambda: world.session.execute(type="reload"),
        lambda: world.session.observe(),
        lambda: world.session.scrape(),
    ):
        with pytest.raises(NotStarted):
            world.run(call)
    world.close()


def test_a_failure_is_raised_with_its_result_and_survives_a_process(world: World) -> None:
    world.answers(failing("dialog", "a dialog: 'Sure?'", summary="a dialog"))
    with pytest.raises(ActionFailed) as failed:
        world.execute(type="reload")
    error = failed.value
    assert str(error) == "reload failed: a dialog"
    assert error.__notes__ == ["a dialog: 'Sure?'"]
    assert error.__cause__ is None
    assert error.__context__ is None
    assert (error.result.success, error.result.reason, error.result.message) == (False, "dialog", "a dialog: 'Sure?'")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.result) == (str(error), error.result)
    [event] = world.operations()
    assert (event.kind, event.ok, event.error_type, event.error_message) == ("reload", False, "dialog", "a dialog")


def test_a_failure_is_given_back_where_that_is_wanted(world: World) -> None:
    world.answers(failing())
    result = world.execute(type="reload", raise_on_failure=False)
    assert not result.success
    assert isinstance(result.exception, ActionFailed)
    assert result.exception.result == result
    assert [event.ok for event in world.operations()] == [False]


def test_observe_and_scrape_give_their_data_or_raise(world: World) -> None:
    world.answers(data="<p>Text")
    assert world.run(lambda: world.session.observe(screenshot=True)) == "<p>Text"
    assert world.run(lambda: world.session.scrape(selector="main")) == "Text"
    assert world.execute(type="scrape").data == "Text"
    assert world.pages.done == [Observe(screenshot=True), Scrape(selector="main"), Scrape()]
    assert [(event.kind, event.target) for event in world.operations()] == [
        ("observe", None),
        ("scrape", "main"),
        ("scrape", None),
    ]
    world.answers(failing("crashed"))
    for call in (lambda: world.session.observe(), lambda: world.session.scrape()):
        with pytest.raises(ActionFailed) as failed:
            world.run(call)
        assert failed.value.result.reason == "crashed"


class Lamp(BaseModel):
    name: str
    price: float


def test_scrape_fills_a_model_or_says_what_does_not_fit(world: World) -> None:
    def scrape() -> Any:
        return world.run(
            lambda: world.session.scrape(response_format=Lamp, fields={"name": "h2", "price": ".price"}, timeout=5)
        )

    world.answers(data={"name": "Desk lamp", "price": "19.90"})
    assert scrape() == Lamp(name="Desk lamp", price=19.9)
    [order] = world.pages.done
    assert isinstance(order, Extract)
    assert (order.timeout, order.fields["price"]["selector"]) == (5, ".price")
    world.answers(data={"name": "Desk lamp", "price": "a lot"})
    with pytest.raises(ActionFailed) as failed:
        scrape()
    assert failed.value.result.reason == "mismatch"
    assert "price: Input should be a valid number" in failed.value.result.message
    assert [(event.kind, event.ok, event.error_message) for event in world.operations()] == [
        ("scrape", True, None),
        ("scrape", False, "the page does not fit Lamp: price (float_parsing)"),
    ]


def test_a_missing_library_is_told_before_anything_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def absent(name: str) -> object:
        return None if name == "markdownify" else real(name)

    monkeypatch.setattr("lifecycle.client.markdown.find_spec", absent)
    for call in (lambda: world.session.scrape(), lambda: world.session.execute(type="scrape")):
        with pytest.raises(MissingExtra):
            world.run(call)
    assert world.pages.done == []
    world.answers(data={"name": "Lamp", "price": "1"})
    world.run(lambda: world.session.scrape(response_format=Lamp, fields={"name": "h2", "price": "b"}))


def test_completion_needs_no_page_and_its_answer_is_not_recorded(world: World) -> None:
    world.pages.refuses = DriverError("must not be asked")
    result = world.execute(type="completion", success=False, answer=SECRET)
    assert result.success
    assert result.data == {"success": False, "answer": SECRET}
    [event] = world.operations()
    assert (event.kind, event.ok, event.target) == ("completion", True, None)


@pytest.mark.parametrize(
    ("order", "target"),
    [
        ({"type": "goto", "url": "https://u:p@a.example/b?token=1#c"}, "https://a.example/b?token=REDACTED"),
        ({"type": "goto_new_tab", "url": "not a url"}, "REDACTED"),
        ({"type": "goto", "url": "data:text/html,secret"}, "data:REDACTED"),
        ({"type": "switch_tab", "tab_index": 2}, "tab 2"),
        ({"type": "press_key", "key": "Control+Shift+ArrowDown"}, "Control+Shift+ArrowDown"),
        ({"type": "press_key", "key": "Control+a"}, "Control+a"),
        ({"type": "press_key", "key": "x"}, None),
        ({"type": "press_key", "key": "Shift+x"}, None),
        ({"type": "click", "selector": "a[href='https://a/?token=1']"}, "a[href='https://a/?token=REDACTED']"),
        ({"type": "click", "selector": "#a\x00b"}, "#ab"),
        ({"type": "evaluate_js", "code": "secret()"}, None),
        ({"type": "form_fill", "value": {"Name": "Bob"}}, None),
        ({"type": "wait", "time_ms": 1}, None),
    ],
)
def test_the_target_is_redacted(world: World, order: dict[str, Any], target: str | None) -> None:
    world.execute(**order)
    assert world.operations()[-1].target == target


TYPING: list[dict[str, Any]] = [
    {"type": "fill", "selector": "#a", "value": SECRET},
    {"type": "select_dropdown_option", "selector": "#a", "value": SECRET},
    {"type": "form_fill", "value": {"Name": SECRET, "Age": 7}},
    {"type": "press_key", "key": SECRET},
]


@pytest.mark.parametrize("order", TYPING)
def test_what_was_typed_is_taken_out_of_whatever_the_page_makes_of_it(world: World, order: dict[str, Any]) -> None:
    world.execute(**order)
    world.answers(failing(message=f"no {SECRET} here, nor {SECRET!r}", target=f'checkbox "Say {SECRET} twice"'))
    with pytest.raises(ActionFailed) as failed:
        world.execute(type="click", id="e1")
    assert failed.value.result.message == "no (hidden) here, nor '(hidden)'"
    shown = "".join(traceback.format_exception(failed.value)) + repr(failed.value.result) + repr(world.session)
    assert SECRET not in shown
    assert world.operations()[-1].target == 'checkbox "Say (hidden) twice"'
    for row in world.log.read(world.session.session_id):
        assert SECRET not in repr(row)


def test_a_session_that_ended_meanwhile_is_told_as_its_ending(world: World) -> None:
    def ends(_: Action) -> Performed:
        world.host.browsers[world.session.session_id].end(Exit(signal=9))
        world.pages.up = False
        return Performed(ok=False, message="lost", reason="lost", summary="lost")

    world.answers(ends)
    with pytest.raises(BrowserLost) as lost:
        world.execute(type="fill", selector="#a", value=SECRET, raise_on_failure=False)
    assert lost.value.__context__ is None
    assert world.operations() == []
    with pytest.raises(BrowserLost):
        world.execute(type="reload")


def test_a_session_that_was_stopped_meanwhile_is_told_even_after_a_success(world: World) -> None:
    def stopped(_: Action) -> Performed:
        Client(world.log, browser=world.host, clock=world.clock).Session(world.session.session_id).start().stop()
        return Performed(ok=True, message="done")

    world.answers(stopped)
    with pytest.raises(SessionStopped):
        world.execute(type="reload")
    assert world.operations() == []


def test_an_operation_past_the_deadline_records_the_timeout(world: World) -> None:
    def late(_: Action) -> Performed:
        world.clock.advance(4 * 60)
        return Performed(ok=True, message="done")

    world.answers(late)
    with pytest.raises(SessionTimedOut):
        world.execute(type="reload")


def test_an_operation_counts_as_access(world: World) -> None:
    for _ in range(3):
        world.clock.advance(2 * 60)
        world.execute(type="reload")
    view = world.run(lambda: world.session.status())
    assert view.status == "active"
    assert view.last_accessed_at == view.created_at + timedelta(minutes=6)


def test_a_lost_connection_of_a_living_session_fails_and_the_next_call_makes_a_new_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.client.handle._VERDICT_WAIT_S", 0.05)
    world.execute(type="reload")

    def lost(_: Action) -> Performed:
        world.pages.up = False
        return Performed(ok=False, message="lost", reason="lost", summary="lost")

    world.answers(lost)
    assert world.execute(type="reload", raise_on_failure=False).reason == "lost"
    world.answers()
    connects = world.pages.connects
    assert world.execute(type="reload").success
    assert world.pages.connects == connects + 1


def test_a_browser_that_can_not_be_reached_is_a_failure_without_the_drivers_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.client.handle._VERDICT_WAIT_S", 0.05)
    world.pages.up = False
    world.pages.refuses = DriverError("connect: ws://127.0.0.1:5/token refused")
    with pytest.raises(ActionFailed) as failed:
        world.execute(type="reload")
    assert failed.value.result.reason == "lost"
    assert "token" not in "".join(traceback.format_exception(failed.value))
    assert [(event.ok, event.error_type) for event in world.operations()] == [(False, "lost")]


@pytest.mark.parametrize(
    ("twin", "interruption"),
    [("sync", KeyboardInterrupt), ("sync", SystemExit), ("sync", ZeroDivisionError), ("async", ZeroDivisionError)],
)
def test_an_interruption_is_recorded_and_goes_on(twin: str, interruption: type[BaseException]) -> None:
    def interrupted(_: Action) -> Performed:
        raise interruption

    world = World(twin)
    world.run(lambda: world.session.start())
    world.answers(interrupted)
    with pytest.raises(interruption):
        world.execute(type="click", selector="#a")
    [event] = world.operations()
    assert (event.kind, event.ok, event.target, event.error_type) == ("click", False, "#a", interruption.__name__)
    world.close()


def test_a_cancellation_is_recorded_and_goes_on() -> None:
    world = World("async")
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
    world = World("async")
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
    world = World("async")
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
            raise LogUnavailable("the disk is full")
        return super().append(stream, events, expected=expected)


@pytest.mark.parametrize("twin", ["sync", "async"])
def test_a_log_that_refuses_is_told(twin: str) -> None:
    world = World(twin, Full())
    world.run(lambda: world.session.start())
    with pytest.raises(LogUnavailable):
        world.execute(type="reload")
    assert world.pages.done
    world.close()


def test_only_so_much_is_remembered_of_what_was_typed() -> None:
    from lifecycle.client.operations import Hidden

    hidden = Hidden()
    for number in range(Hidden.REMEMBERED + 1):
        hidden.remember(Fill(selector="#a", value=f"value-{number:04}"))
    assert hidden.out_of("value-0000 value-0256") == "value-0000 (hidden)"
    hidden.remember(Fill(selector="#a", value="abc"))
    assert hidden.out_of("abc") == "abc"
    hidden.remember(Fill(selector="#a", value="two\n  lines"))
    assert hidden.out_of("two lines, 'two\\n  lines'") == "(hidden), '(hidden)'"


def test_the_handle_is_all_an_operation_needs() -> None:
    """observe() and scrape() name themselves in NotStarted; everything else is execute()."""
    from lifecycle.client.operations import Hidden, Operation

    handle = Handle(None, None, "s-1", None, page=False)  # type: ignore[arg-type] # neither is touched
    for action, what in ((Observe(), "observe()"), (Scrape(), "scrape()"), (Goto(url="https://a"), "execute()")):
        with pytest.raises(NotStarted) as refused:
            Operation(handle, action, Hidden())
        assert refused.value.what == what
