"""History, numbers, differences, and following; the methods of both clients."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import AsyncClient, Cause, Client, LogUnavailable, UnknownSession
from lifecycle.audit.diff import diff
from lifecycle.audit.follow import Follower
from lifecycle.audit.history import history
from lifecycle.audit.stats import stats
from lifecycle.core import Close
from lifecycle.core.events import SessionNavigated
from lifecycle.log import MemoryLog
from tests.audit.corpus import TAB, Writer
from tests.audit.strange import opener, plant

if TYPE_CHECKING:
    from pathlib import Path


def test_stats_count_what_the_lists_hold(book: Writer) -> None:
    book.every_cause()
    book.living()
    book.overdue()
    now = book.clock.now()
    found = stats(book.log, now)
    listed = book.sessions.list()
    assert found.sessions == len(listed) == 15
    assert found.by_status == {"closed": 6, "error": 5, "timed_out": 3, "active": 1}
    assert found.by_cause["idle"] == 2
    assert sum(found.by_cause.values()) == 14
    ended = sorted(view.duration for view in listed if view.closed_at)
    assert found.durations.count == len(ended) == 14
    assert found.durations.p50 == ended[6], "the nearest rank: a value that occurred"
    assert found.durations.longest == ended[-1] == timedelta(minutes=15)
    assert found.total == sum(ended, timedelta()), "of those that live nothing is counted yet"
    assert sum((group.total for group in found.by_day.values()), timedelta()) == found.total
    assert found.lateness.count == 13, "that of the overdue one is not recorded"
    assert found.lateness.p50 == timedelta(0)
    assert found.lateness.longest == timedelta(seconds=721)
    assert found.by_label["job=nightly"].sessions == 13
    assert next(iter(found.by_label)) == "job=nightly", "the most frequent first"
    assert [group.sessions for group in found.by_day.values()] == [15]
    asked = stats(book.log, now, cause="idle", labels={"job": "nightly"})
    assert (asked.sessions, asked.lateness.longest) == (1, timedelta(seconds=721))
    none = stats(book.log, now, actor="nobody")
    assert (none.sessions, none.durations.p50, str(none.durations)) == (0, None, "none")
    assert "timed_out 3" in found._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_a_difference_is_what_only_one_has(book: Writer) -> None:
    book.end(Cause.STOPPED)
    book.end(Cause.EXCEPTION)
    found = diff(book.log, "stopped", "exception", book.clock.now())
    assert found.fields["status"] == ("closed", "error")
    assert found.fields["error"] == ("", "LookupError: no price for cocoa")
    assert "duration" not in found.fields
    assert "session_id" not in found.fields
    changed = [(line.mark, line.step.name) for line in found.lines if line.mark != " "]
    assert changed == [("-", "closed"), ("+", "failed")]
    assert not found.same
    assert "- " in str(found)


def test_two_sessions_that_did_the_same_are_the_same(book: Writer) -> None:
    for name in ("one", "two"):
        book.create(name)
        book.start(name)
        book.clock.advance(3)
        book.note(name, SessionNavigated(tab=name.upper(), url="https://shop.example/"))
        book.client.execute(name, Close(cause=Cause.STOPPED))
        book.clock.advance(100)
    assert diff(book.log, "one", "two", book.clock.now()).same
    assert diff(book.log, "one", "one", book.clock.now()).same


def test_a_difference_shows_what_is_not_known_here(tmp_path: Path) -> None:
    book = Writer(opener(tmp_path / "log.db"))
    book.create("one")
    book.create("two")
    plant(tmp_path / "log.db", "two", "session.teleported", {"to": "the moon"}, at=book.clock.now())
    found = diff(book.log, "one", "two", book.clock.now())
    assert [(line.mark, line.step.type) for line in found.lines][-1] == ("+", "session.teleported")
    assert history(book.log, "two")[-1].data == {"to": "the moon"}
    book.log.close()


def names(follower: Follower) -> list[str]:
    return [f"{step.session_id}/{step.version}" for step in follower.ready()]


def test_following_gives_everything_once_and_goes_on_from_a_cursor(book: Writer) -> None:
    book.create("a")
    follower, one = Follower(book.log), Follower(book.log, "a")
    assert names(follower) == names(one) == ["a/1"]
    assert names(follower) == names(one) == []
    book.create("b")
    book.start("a")
    assert names(follower) == ["b/1", "a/2"]
    assert names(one) == ["a/2"]
    again = Follower(book.log, after=one.cursor)
    assert names(again) == []
    book.client.execute("a", Close(cause=Cause.STOPPED))
    assert names(again) == names(one) == ["a/3"]
    assert [one.over, follower.over] == [False, False]
    book.release("a")
    assert names(one) == ["a/4"]
    assert [one.over, follower.over] == [True, False]
    steps = list(Follower(book.log, "a", one.cursor).ready())
    assert steps == []
    offsets = [step.offset_us for step in Follower(book.log).ready() if step.session_id == "a"]
    assert offsets == [0, 500_000, 500_000, 625_000]


def test_following_one_session_waits_for_its_events_and_not_for_ever_at_others(book: Writer) -> None:
    book.create("a")
    one = Follower(book.log, "a")
    names(one)
    assert not one.wait(0)
    book.create("b")
    assert one.wait(0), "something came, though nothing of its own"
    assert names(one) == []
    assert not one.wait(0), "what was looked at does not wake again"
    book.start("a")
    assert one.wait(0)
    assert names(one) == ["a/2"]


def test_a_subscriber_is_woken_and_a_closed_client_ends_it() -> None:
    book = Writer(lambda clock: MemoryLog(clock=clock))
    client = Client(book.log, clock=book.clock)
    heard: list[str] = []
    ready, done = threading.Event(), threading.Event()

    def listen() -> None:
        try:
            for step in client.subscribe():
                heard.append(step.name)
                ready.set()
        except LogUnavailable:
            done.set()

    thread = threading.Thread(target=listen)
    thread.start()
    book.create("s")
    assert ready.wait(10)
    book.log.close()
    assert done.wait(10)
    thread.join()
    assert heard == ["created"]


def test_the_subscription_to_a_session_ends_with_it() -> None:
    book = Writer(lambda clock: MemoryLog(clock=clock))
    book.end(Cause.STOPPED)
    client = Client(book.log, clock=book.clock)
    steps = list(client.subscribe("stopped"))
    assert [step.name for step in steps][-2:] == ["closed", "released"]
    assert [step.version for step in client.subscribe("stopp", after=steps[2].cursor)] == list(range(4, len(steps) + 1))
    assert [step.name for step in islice(client.subscribe(), 2)] == ["created", "started"]


async def _ask(client: AsyncClient) -> dict[str, Any]:
    stream = client.subscribe("stopped")
    return {
        "history": await client.history("stopp"),
        "why": await client.why("stopp"),
        "stats": await client.stats(cause="stopped"),
        "diff": await client.diff("stopp", "excep"),
        "list": await client.sessions.list(cause=["stopped"], order="oldest"),
        "count": await client.sessions.count(error="cocoa"),
        "get": await client.sessions.get("stopp", at=2),
        "steps": [step async for step in stream],
    }


def test_both_clients_answer_alike() -> None:
    book = Writer(lambda clock: MemoryLog(clock=clock))
    book.end(Cause.STOPPED)
    book.end(Cause.EXCEPTION)
    client = Client(book.log, clock=book.clock)
    assert asyncio.run(_ask(AsyncClient(book.log, clock=book.clock))) == {
        "history": client.history("stopped"),
        "why": client.why("stopped"),
        "stats": client.stats(cause="stopped"),
        "diff": client.diff("stopped", "exception"),
        "list": client.sessions.list(cause="stopped", order="oldest"),
        "count": 1,
        "get": client.sessions.get("stopped", at=2),
        "steps": list(client.subscribe("stopped")),
    }
    with pytest.raises(UnknownSession):
        client.why("nobody")


def test_an_async_subscriber_can_be_cancelled() -> None:
    book = Writer(lambda clock: MemoryLog(clock=clock))
    book.create("s")

    async def scenario() -> list[str]:
        heard: list[str] = []

        async def listen() -> None:
            async for step in AsyncClient(book.log, clock=book.clock).subscribe():
                heard.append(step.name)
                woken.set()

        woken = asyncio.Event()
        task = asyncio.create_task(listen())
        await woken.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return heard

    assert asyncio.run(scenario()) == ["created"]


def test_a_tab_is_no_part_of_what_is_compared(book: Writer) -> None:
    for name, tab in (("one", TAB), ("two", "B" * 32)):
        book.create(name)
        book.start(name)
        book.note(name, SessionNavigated(tab=tab, url="https://shop.example/"))
    assert diff(book.log, "one", "two", book.clock.now()).same
