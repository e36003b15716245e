"""A log written without a browser, and two ways to run the command: in this process, and as a user does."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from click.testing import CliRunner

from lifecycle.cli.app import app
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import Uuid7
from lifecycle.core import Cause, Close, Create, Fail, Limits, ProcessIdentity, Record, Release, Start
from lifecycle.core.events import SessionCreated, SessionNavigated, SessionReleased, SessionStarted
from lifecycle.log.sqlite import SqliteLog
from lifecycle.testing.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

HOUR = 3600.0
#: A process of another machine: nothing here may judge or end what is its.
ELSEWHERE = ProcessIdentity(host="elsewhere", boot_id="another", pid=4242, started=1)


class Book:
    """A log under *path* whose clock is moved by hand; it ends at this machine's time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(time.time_ns() // 1000)
        self.log = SqliteLog(path, clock=self.clock.now)
        self.recorder = Recorder(self.log, self.clock, Uuid7(), actor="ada", writer="client@desk:100")
        self.keeper = Recorder(self.log, self.clock, Uuid7(), actor="keeper", writer="keeper@desk:200:k1")

    def begin(self, session_id: str, *, hours_ago: float = 0, minutes: float = 15, **more: Any) -> None:
        """A session that was started so long ago and runs."""
        self.clock.step(-hours_ago * HOUR + (time.time() - self.clock.now() / 1e6))
        limits = Limits(idle_timeout_us=None, max_duration_us=round(minutes * 60e6))
        created = SessionCreated(session_id=session_id, limits=limits, owner=ELSEWHERE, keeper_id="k1", **more)
        self.recorder.create(Create(event=created))
        self.clock.advance(0.5)
        started = SessionStarted(ownership="launched", browser=ELSEWHERE, browser_version="HeadlessChrome/156.0")
        self.keeper.execute(session_id, Start(event=started))
        self.clock.advance(0.25)
        url = "https://shop.example/prices?page=REDACTED"
        self.keeper.execute(session_id, Record(event=SessionNavigated(tab="A" * 32, url=url)))
        self.clock.advance(1.25)

    def add(self, session_id: str) -> None:
        """One more session, of which nothing is known but that it was to be started."""
        limits = Limits(idle_timeout_us=None, max_duration_us=900_000_000)
        self.clock.advance(0.001)
        created = SessionCreated(session_id=session_id, limits=limits, owner=ELSEWHERE, keeper_id="k1")
        self.recorder.create(Create(event=created))

    def close(self, session_id: str) -> None:
        """Its script left the block."""
        self.recorder.execute(session_id, Close(cause=Cause.STOPPED))
        self.release(session_id, "graceful")

    def fail(self, session_id: str, message: str) -> None:
        """Its script raised."""
        command = Fail(cause=Cause.EXCEPTION, error_type="LookupError", error_message=message)
        self.recorder.execute(session_id, command)
        self.release(session_id, "graceful")

    def crash(self, session_id: str) -> None:
        """Its browser was killed."""
        self.keeper.execute(session_id, Fail(cause=Cause.BROWSER_CRASHED, evidence={"signal": 9}))
        self.release(session_id, "killed")

    def release(self, session_id: str, how: Any) -> None:
        """Its browser is gone."""
        self.clock.advance(0.125)
        event = SessionReleased(how=how, took_us=83_500, profile_removed=True, exit_code=0)
        self.keeper.execute(session_id, Release(event=event))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """An empty log."""
    made = Book(tmp_path / "sessions.db")
    yield made
    made.log.close()


@pytest.fixture
def story(book: Book) -> Book:
    """Five sessions, oldest first: closed, failed, crashed, overdue (and not written down as such), living."""
    book.begin("closed-1", hours_ago=5, labels={"job": "nightly", "n": "1"})
    book.close("closed-1")
    book.begin("failed-1", hours_ago=4, labels={"job": "nightly"})
    book.fail("failed-1", "no price for cocoa")
    book.begin("crashed-1", hours_ago=3)
    book.crash("crashed-1")
    book.begin("overdue-1", hours_ago=2)
    book.begin("living-1", hours_ago=0.5, minutes=600)
    return book


class Command(Protocol):
    """`lifecycle ARGS` in this process, its streams captured apart."""

    def __call__(self, *args: object, **environ: str) -> Result: ...


class User(Protocol):
    """`lifecycle ARGS` as a process of its own."""

    def __call__(self, *args: object, **environ: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def command() -> Command:
    """Run it here."""

    def run(*args: object, **environ: str) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="lifecycle", env=environ)

    return run


@pytest.fixture
def user() -> User:
    """Run it as a user does."""

    def run(*args: object, **environ: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "lifecycle", *map(str, args)]
        env = {**os.environ, **environ}
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, env=env)

    return run


@pytest.fixture
def unknown_event(story: Book) -> None:
    """A session of a newer library in *story*: its last event is of a type that is not known here."""
    story.begin("strange-1", minutes=600)
    story.log.close()
    row = (
        "INSERT INTO events (position, event_id, stream, version, type, schema_version, at, recorded_at, actor, writer,"
        " data, hash) SELECT position + 1, 'from-tomorrow', stream, 4, 'session.teleported', 1, at, at, actor, writer,"
        " ?, hash FROM events WHERE stream = 'strange-1' AND version = 3"
    )
    with closing(sqlite3.connect(story.path)) as other, other:
        other.execute(row, ('{"to":"the moon"}',))
    SqliteLog(story.path).close()  # the next writer notices that the list is behind
