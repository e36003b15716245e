"""Concurrent commands on one session: recorded from real processes on a real log, and explained by the core alone."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import SqliteLog
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import SystemClock, Uuid7
from lifecycle.core import Cause, Close, Create, Extend, Fail, Limits, ProcessIdentity, Record, Session, Start
from lifecycle.core.events import SessionAnnotated, SessionCreated, SessionStarted
from lifecycle.testing.linearizability import UNKNOWN, NotLinearizable, Operation, apply_command, linearize

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.core import Command

ME = ProcessIdentity(host="here", boot_id="b", pid=1, started=1)
HOUR = 3_600_000_000
COMMANDS: dict[str, Command] = {
    "stop": Close(cause=Cause.STOPPED),
    "fail": Fail(cause=Cause.EXCEPTION),
    "extend": Extend(by_us=1_000_000),
    "annotate": Record(event=SessionAnnotated(name="step")),
}

#: Says what it is about to do and what it was told, on the clock that all processes of a machine share.
PROCESS = """
import json, random, sys, time
from lifecycle import SqliteLog
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import SystemClock, Uuid7
from lifecycle.errors import HistoryError, IllegalCommand, WrongVersion
from lifecycle.core import Cause, Close, Extend, Fail, Record
from lifecycle.core.events import SessionAnnotated
from lifecycle.log.port import Appended

COMMANDS = {
    "stop": Close(cause=Cause.STOPPED),
    "fail": Fail(cause=Cause.EXCEPTION),
    "extend": Extend(by_us=1_000_000),
    "annotate": Record(event=SessionAnnotated(name="step")),
}
path, seed, planted = sys.argv[1:]
log = SqliteLog(path)
if planted == "yes":
    append = log.append
    def deaf(stream, events, *, expected):
        try:
            return append(stream, events, expected=expected)
        except WrongVersion:
            return Appended(0, 0)
    log.append = deaf
recorder = Recorder(log, SystemClock(), Uuid7(), actor="tester", writer=f"process {seed}")
choose = random.Random(int(seed))
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    name = choose.choices(list(COMMANDS), [number // 20, number // 30, 2, 4])[0]
    print(json.dumps([time.monotonic_ns(), name]), flush=True)
    try:
        told = [event.type for event in recorder.execute("s1", COMMANDS[name]).events]
    except (IllegalCommand, HistoryError):  # with the bug planted, the log itself refuses some
        told = "refused"
    print(json.dumps([time.monotonic_ns(), told]), flush=True)
"""


def begin(path: Path) -> Session:
    with SqliteLog(path) as log:
        recorder = Recorder(log, SystemClock(), Uuid7(), actor="tester", writer="test")
        limits = Limits(idle_timeout_us=HOUR, max_duration_us=HOUR)
        recorder.create(Create(event=SessionCreated(session_id="s1", limits=limits, owner=ME)))
        return recorder.execute("s1", Start(event=SessionStarted(ownership="launched", browser=ME))).session


def recorded(path: Path, seed: int, *, planted: bool = False, kill: bool = False) -> list[Operation]:
    """What four processes did to s1 at the same time, and were told."""
    arguments = [str(path), *("yes" if planted else "no",)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, arguments[0], str(seed * 10 + number), arguments[1]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    try:
        return _heard(started, seed if kill else None)
    finally:
        for each in started:
            each.kill()
            each.communicate()


def _heard(started: list[subprocess.Popen[str]], kill: int | None) -> list[Operation]:
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    if kill is not None:
        time.sleep(random.Random(kill).uniform(0.005, 0.05))
        started[0].send_signal(signal.SIGKILL)
    history: list[Operation] = []
    for number, each in enumerate(started):
        assert each.stdout is not None
        said = each.stdout.read()
        each.wait(60)
        assert kill is not None or each.returncode == 0
        history += operations(number, [json.loads(line) for line in said.splitlines() if line.endswith("]")])
    return history


def operations(process: int, lines: list[Any]) -> list[Operation]:
    found: list[Operation] = []
    for index in range(0, len(lines), 2):
        invoked, name = lines[index]
        returned, told = lines[index + 1] if index + 1 < len(lines) else (None, UNKNOWN)
        result: object = tuple(map(str, told)) if isinstance(told, list) else told  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # JSON
        found.append(Operation(process=process, invoked=invoked, returned=returned, command=name, result=result))
    return found


def explained(history: list[Operation], session: Session) -> list[Operation]:
    """An order; only what a caller can be told apart by counts as the session's state."""
    now = session.last_at

    def apply(state: str, name: object) -> tuple[str, object]:
        before = session if state == "live" else ended
        after, told = apply_command(before, COMMANDS[str(name)], now=now)
        return "live" if after.status is session.status else "ended", told

    ended, _ = apply_command(session, COMMANDS["stop"], now=now)
    return linearize(history, "live", apply)


@pytest.mark.parametrize("kill", [False, True], ids=["all live", "one is killed"])
def test_what_four_processes_are_told_has_an_order(tmp_path: Path, kill: bool) -> None:
    session = begin(tmp_path / "log.db")
    history = recorded(tmp_path / "log.db", 1, kill=kill)
    order = explained(history, session)
    assert len(order) >= sum(one.known for one in history) > 100
    assert {"refused", ("session.annotated",), ("session.extended",)} <= {one.result for one in order}
    assert sum(one.result in (("session.closed",), ("session.failed",)) for one in order) <= 1


def test_a_lost_race_that_is_taken_for_success_has_none(tmp_path: Path) -> None:
    def five_runs() -> None:
        for seed in range(5):
            path = tmp_path / f"{seed}.db"
            session = begin(path)
            explained(recorded(path, seed, planted=True), session)

    with pytest.raises(NotLinearizable) as found:
        five_runs()
    assert found.value.left


def op(process: int, invoked: int, returned: int | None, command: str, result: object) -> Operation:
    return Operation(process=process, invoked=invoked, returned=returned, command=command, result=result)


def register(state: int, command: object) -> tuple[int, object]:
    """A register of one number: the best known example of all."""
    kind, _, value = str(command).partition(" ")
    return (int(value), "ok") if kind == "write" else (state, state)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [op(1, 0, 10, "write 1", "ok"), op(2, 5, 6, "read", 0)],
        [op(1, 0, 10, "write 1", "ok"), op(2, 5, 6, "read", 1)],
        [op(1, 0, None, "write 1", UNKNOWN), op(2, 5, 6, "read", 1)],
        [op(1, 0, None, "write 1", UNKNOWN), op(2, 5, 6, "read", 0)],
        [op(1, 0, None, "write 1", UNKNOWN), op(2, 5, 6, "read", 0), op(2, 7, 8, "read", 1)],
    ],
)
def test_a_history_that_has_an_order(history: list[Operation]) -> None:
    order = linearize(history, 0, register)
    assert [one for one in history if one.known and one not in order] == []


@pytest.mark.parametrize(
    "history",
    [
        [op(1, 0, 1, "write 1", "ok"), op(2, 5, 6, "read", 0)],
        [op(1, 0, 10, "write 1", "ok"), op(2, 2, 3, "read", 1), op(2, 4, 5, "read", 0)],
        [op(1, 7, None, "write 1", UNKNOWN), op(2, 5, 6, "read", 1)],
        [op(1, 0, None, "write 1", UNKNOWN), op(2, 5, 6, "read", 1), op(2, 7, 8, "read", 0)],
    ],
)
def test_a_history_that_has_none(history: list[Operation]) -> None:
    with pytest.raises(NotLinearizable):
        linearize(history, 0, register)
