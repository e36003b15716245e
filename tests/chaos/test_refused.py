"""A log that refuses one event, or is slow, at the worst moment; and numbers and ids that mean nothing elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import AsyncClient, Client
from lifecycle.core.events import SessionAnnotated
from lifecycle.errors import LaunchFailed, LogUnavailable
from lifecycle.log import MemoryLog, SqliteLog
from lifecycle.log.codec import decode
from lifecycle.testing import FakeBrowser, VirtualClock, check_history
from lifecycle.testing.history import rows
from lifecycle.testing.log_samples import created, new
from lifecycle_chromium import ChromiumHost, paths, process
from lifecycle_chromium.serving import core_identity
from tests.chaos.check import whole
from tests.chaos.record import SEED, judged
from tests.log.support import run_child

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lifecycle.log.port import Appended, Expected, NewEvent
    from tests.chaos.record import Figures


class Refusing(MemoryLog):
    """Refuses events of some types, or has an append wait."""

    refused: frozenset[str] = frozenset()
    slow: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go_on = threading.Event(), threading.Event()

    def append(self, stream: str, events: Sequence[NewEvent], *, expected: Expected) -> Appended:
        types = {event.event.type for event in events}
        if types & self.refused:
            raise LogUnavailable("the disk is full")
        if self.slow in types:
            self.entered.set()
            assert self.go_on.wait(30)
        return super().append(stream, events, expected=expected)


def types(log: MemoryLog, session_id: str) -> list[str]:
    return [row.type.removeprefix("session.") for row in log.read(session_id)]


def test_a_log_that_refuses_started_gets_no_browser_that_runs_on() -> None:
    log, host = Refusing(), FakeBrowser()
    log.refused = frozenset({"session.started"})
    client = Client(log=log, browser=host, clock=VirtualClock())
    session = client.Session(page=False)
    with pytest.raises(LaunchFailed, match="the log refuses `started`"):
        session.start()
    (view,) = client.sessions.list()
    assert view.cause == "launch_failed"
    assert types(log, view.session_id) == ["created", "failed", "released"]
    assert [browser.running for browser in host.browsers.values()] == [False]
    assert list(check_history(rows(log))) == []


@pytest.mark.parametrize("kind", ["session.annotated", "session.closed", "session.extended", "session.accessed"])
def test_what_was_refused_is_nowhere(kind: str) -> None:
    """Not in what this client answers, nor in what another one that only replays does."""
    log = Refusing()
    client = Client(log=log, browser=FakeBrowser(), clock=VirtualClock())
    session = client.Session(page=False)
    session.start()
    before, stored = session.status(), types(log, session.session_id)
    log.refused = frozenset({kind})
    act: dict[str, Any] = {
        "session.annotated": lambda: session.annotate("step"),
        "session.closed": session.stop,
        "session.extended": lambda: session.extend(minutes=30),
        "session.accessed": session.touch,
    }
    with pytest.raises(LogUnavailable):
        act[kind]()
    assert types(log, session.session_id) == stored
    now, elsewhere = session.status(), Client(log=log, browser=FakeBrowser()).log.load(session.session_id, None)
    assert elsewhere is not None
    assert (now.status, now.deadline, now.last_accessed_at) == (before.status, before.deadline, before.last_accessed_at)
    assert (str(elsewhere.status), elsewhere.version) == (str(now.status), len(stored))
    log.refused = frozenset()
    act[kind]()
    session.stop()
    assert kind.removeprefix("session.") in types(log, session.session_id)
    assert list(check_history(rows(log))) == []


def test_a_task_that_is_cancelled_in_an_append_knows_nothing_and_the_log_all() -> None:
    """The append that was on its way stands once; what the same client does next comes after it."""
    log = Refusing()

    async def body() -> str:
        async with AsyncClient(log=log, browser=FakeBrowser()) as client:
            session = await client.Session(page=False).start()
            log.slow = "session.annotated"
            task = asyncio.ensure_future(session.annotate("step"))
            await asyncio.to_thread(log.entered.wait, 30)
            task.cancel()
            await asyncio.sleep(0)
            log.slow = None
            log.go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            await session.stop()
            return session.session_id

    session_id = asyncio.run(body())
    assert types(log, session_id) == ["created", "started", "annotated", "closed", "released"]
    assert list(check_history(rows(log))) == []


def test_a_storm_of_cancellations_loses_nothing_and_doubles_nothing(tmp_path: Path, figures: Figures) -> None:
    """At whatever moment an append is cancelled, it stands once or not at all, and the session goes on from there."""
    chance, told, doubt = random.Random(SEED), list[int](), list[int]()

    async def body() -> str:
        async with AsyncClient(tmp_path / "log.db", browser=FakeBrowser()) as client:
            session = await client.Session(page=False).start()
            for n in range(60):
                task = asyncio.ensure_future(session.annotate("step", {"n": n}))
                await asyncio.sleep(chance.uniform(0, 0.006))  # the moment is the attack
                task.cancel()
                try:
                    await task
                    told.append(n)
                except asyncio.CancelledError:
                    doubt.append(n)
            await session.annotate("step", {"n": 60})
            await session.stop()
            return session.session_id

    session_id = asyncio.run(body())
    with SqliteLog(tmp_path / "log.db") as log:
        annotations = [event for event in map(decode, log.read(session_id)) if isinstance(event, SessionAnnotated)]
    steps = [dict(event.data or {})["n"] for event in annotations]
    found = whole(tmp_path / "log.db", ())
    assert found == []
    assert steps == [n for n in range(61) if n in steps], "in another order, or twice"
    assert {*told, 60} <= set(steps)
    assert doubt, "no append was cancelled"
    figures(
        "tasks cancelled in an append",
        {"stood untold": len(set(steps) & set(doubt))},
        seed=SEED,
        acknowledged=len(told) + 1,
        ambiguous=len(doubt),
        **judged([found]),
    )


class Marked(VirtualClock):
    """Its monotonic time can be told from everything else."""

    def monotonic(self) -> float:
        return super().monotonic() + 7.0e9


def numbers(text: str) -> list[float]:
    """Every number in a JSON text."""
    found: list[float] = []

    def seen(number: str) -> float:
        found.append(float(number))
        return found[-1]

    json.loads(text, parse_int=seen, parse_float=seen)
    return found


def test_no_monotonic_time_is_ever_stored() -> None:
    """It would mean nothing after a boot, or on another host."""
    clock = Marked()
    client = Client(log=MemoryLog(), browser=FakeBrowser(), clock=clock)
    for end in ("stop", "expire", "fail"):
        session = client.Session(page=False)
        session.start()
        session.annotate("step", {"n": 1})
        clock.sleep(1)
        clock.step(30)
        if end == "expire":
            clock.sleep(3600)
        session.stop()
    found = [number for row in rows(client.log) for number in [row.at, row.recorded_at, *numbers(row.data)]]
    assert len(found) > 20
    # Seconds, milliseconds, microseconds.
    assert [number for number in found for scale in (1, 1e3, 1e6) if 6.9e9 < number / scale < 7.1e9] == []


FORKS = """
import os, sys
from lifecycle.client.system import Uuid7
ids = Uuid7()
ids.new()
for _ in range(4):
    if not os.fork():
        break
os.write(1, "".join(f"{ids.new()}\\n" for _ in range(80)).encode())
"""


def test_forked_children_make_no_id_twice() -> None:
    """A generator whose state was copied with the process would begin the same series in each of them."""
    found = run_child(FORKS).stdout.split()
    # The last 62 bits, which hold no time: the end of a count that began at random, and random bits.
    assert len({text[19:] for text in found}) == len(found) == 400


def test_a_copy_of_a_log_takes_no_living_keeper_for_gone(tmp_path: Path) -> None:
    """The same ids in two logs: beside the copy there is no lock, but the keeper in the history lives."""
    me = process.identify(os.getpid())
    assert me is not None
    mine = core_identity(me)
    event = created("s-1").model_copy(update={"owner": mine, "keeper": mine, "keeper_id": "k-1"})
    with SqliteLog(tmp_path / "log.db") as log, SqliteLog(tmp_path / "copy.db") as copy:
        for each in (log, copy):
            each.append("s-1", [new(event)], expected=0)
        lock = paths.keeper_lock(log.runtime_dir, "k-1")
        lock.touch()
        session = copy.load("s-1", None)
        assert session is not None
        assert ChromiumHost().keeper_alive(session, copy) is True
        gone = mine.model_copy(update={"started": mine.started - 1})
        event = created("s-2").model_copy(update={"owner": mine, "keeper": gone, "keeper_id": "k-1"})
        log.append("s-2", [new(event)], expected=0)
        dead = log.load("s-2", None)
        assert dead is not None
        assert ChromiumHost().keeper_alive(dead, log) is False
