"""The two drivers of operations: one body under both APIs, errors where they belong, and limits of time that hold."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle_playwright.steps import OutOfTime, Steps, Within, run, run_async, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


class Driven:
    """Both drivers, on Playwright's HTTP client: it blocks as pages do, and needs no browser."""

    def __init__(self, twin: str) -> None:
        self.twin = twin

    def run(self, body: Callable[[Any], Steps[Any]]) -> Any:
        """What *body* gives, in a thread of its own."""
        return self._async(body) if self.twin == "async" else self._sync(body)

    def _sync(self, body: Callable[[Any], Steps[Any]]) -> Any:
        from playwright.sync_api import sync_playwright

        results: list[Any] = []

        def work() -> None:
            with sync_playwright() as playwright:
                results.append(_caught(lambda: run(body(playwright.request.new_context()))))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
        return _given(results[0])

    def _async(self, body: Callable[[Any], Steps[Any]]) -> Any:
        from playwright.async_api import async_playwright

        async def work() -> Any:
            async with async_playwright() as playwright:
                return await run_async(body(await playwright.request.new_context()))

        return asyncio.run(work())


def _caught(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except BaseException as error:
        return error


def _given(result: Any) -> Any:
    if isinstance(result, BaseException):
        raise result
    return result


@pytest.fixture(params=["sync", "async"])
def driven(request: pytest.FixtureRequest) -> Driven:
    return Driven(request.param)


def test_values_come_back_and_errors_are_raised_where_the_call_stands(driven: Driven) -> None:
    def body(http: Any) -> Steps[Any]:
        state = yield http.storage_state()
        try:
            yield http.get("http://127.0.0.1:1/")
        except Exception as error:
            return state["cookies"], "ECONNREFUSED" in str(error)
        return None

    assert driven.run(body) == ([], True)


def test_an_error_that_nobody_catches_goes_out(driven: Driven) -> None:
    def body(http: Any) -> Steps[Any]:
        yield http.storage_state()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        driven.run(body)


def test_a_call_that_blocks_is_interrupted_and_the_connection_stays(driven: Driven, silent: str) -> None:
    def blocks(http: Any) -> Steps[Any]:
        yield http.get(silent, timeout=0)

    def body(http: Any) -> Steps[Any]:
        took: list[float] = []
        for _ in range(3):
            began = time.monotonic()
            try:
                yield Within(0.2, blocks(http))
            except OutOfTime:
                took.append(time.monotonic() - began)
        if driven.twin == "sync":
            assert asyncio.get_running_loop().get_task_factory() is None  # as it was
        return took, (yield http.storage_state())["cookies"]

    took, cookies = driven.run(body)
    assert len(took) == 3
    assert all(0.15 < one < 1 for one in took)
    assert cookies == []


def test_what_happens_meanwhile_is_not_interrupted_instead(silent: str) -> None:
    """Playwright's own tasks, and those of handlers, begin while a call blocks."""
    others: list[asyncio.Task[None]] = []

    async def other() -> None:
        await asyncio.sleep(30)

    def blocks(http: Any) -> Steps[Any]:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, lambda: others.append(loop.create_task(other())))
        yield http.get(silent, timeout=0)

    def body(http: Any) -> Steps[Any]:
        began = time.monotonic()
        with pytest.raises(OutOfTime):
            yield Within(0.2, blocks(http))
        ran = not others[0].done()
        others[0].cancel()
        yield http.storage_state()
        return ran, time.monotonic() - began

    ran, took = Driven("sync").run(body)
    assert ran
    assert took < 15, "as long as the other task sleeps, or longer"


def test_limits_inside_limits(driven: Driven, silent: str) -> None:
    def blocks(http: Any) -> Steps[Any]:
        yield http.get(silent, timeout=0)

    def outer(http: Any) -> Steps[Any]:
        try:
            yield Within(0.1, blocks(http))
        except OutOfTime:
            yield from blocks(http)

    def body(http: Any) -> Steps[Any]:
        began = time.monotonic()
        with pytest.raises(OutOfTime):
            yield Within(0.4, outer(http))
        return time.monotonic() - began

    assert 0.35 < driven.run(body) < 1.5


def test_what_is_interrupted_tidies_up(driven: Driven, silent: str) -> None:
    def tidy(http: Any) -> Steps[Any]:
        try:
            yield http.get(silent, timeout=0)
        finally:
            http.tidied = True

    def body(http: Any) -> Steps[Any]:
        with pytest.raises(OutOfTime):
            yield Within(0.1, tidy(http))
        return http.tidied

    assert driven.run(body) is True


def test_an_error_within_a_limit_is_that_error(driven: Driven) -> None:
    def fails(http: Any) -> Steps[Any]:
        yield http.storage_state()
        raise TimeoutError("not the limit's")

    def body(http: Any) -> Steps[Any]:
        with pytest.raises(TimeoutError, match="not the limit's"):
            yield Within(30, fails(http))
        return "on"

    assert driven.run(body) == "on"


def test_a_cancellation_is_thrown_in_and_goes_on(silent: str) -> None:
    tidied: list[str] = []

    def body(http: Any) -> Steps[Any]:
        try:
            yield Within(30, inner(http))
        finally:
            tidied.append("outer")

    def inner(http: Any) -> Steps[Any]:
        try:
            yield http.get(silent, timeout=0)
        finally:
            tidied.append("inner")

    async def work() -> None:
        from playwright.async_api import async_playwright

        async with async_playwright() as playwright:
            http = await playwright.request.new_context()
            task = asyncio.ensure_future(run_async(body(http)))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await http.storage_state()

    asyncio.run(work())
    assert tidied == ["inner", "outer"]


def test_waiting_until(driven: Driven) -> None:
    class Page:
        """Lets time pass."""

        def __init__(self, http: Any) -> None:
            self.http = http
            self.waits = 0

        def wait_for_timeout(self, _: float) -> Any:
            self.waits += 1
            return self.http.storage_state()

    def body(http: Any) -> Steps[Any]:
        page = Page(http)
        ready = yield from until(page, lambda: page.waits == 3, time.monotonic() + 30)
        late = yield from until(page, lambda: False, time.monotonic() + 0.05)
        return ready, late, page.waits > 3

    assert driven.run(body) == (True, False, True)
