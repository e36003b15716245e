"""One side of one row for `eventsourcing` 9.5 on SQLite, run by an environment of its own: ROW SIZE DIRECTORY."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import sys
import time
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.sqlite import SQLiteConnectionPool

LIFE = 5
WRITERS = 8
#: sessions that are written at once where only what is in the file is of interest
_TOGETHER = 2_000


class Session(Aggregate):
    """The same five events with the same public fields."""

    @event("Created")
    def __init__(self, limits: dict, config: dict, owner: dict) -> None:
        self.limits, self.config, self.owner, self.status = limits, config, owner, "created"

    @event("Started")
    def start(self, ownership: str, keeper: dict, browser: dict) -> None:
        self.status = "active"

    @event("Accessed")
    def access(self, last_at: int, by: str) -> None:
        self.last_at = last_at

    @event("Closed")
    def close(self, cause: str) -> None:
        self.status = "closed"

    @event("Released")
    def release(self, how: str, exit_code: int) -> None:
        self.released = True


WHO = {"host": "host", "boot_id": "boot", "pid_namespace": "ns", "pid": 100, "started": 5}


def fresh() -> Session:
    return Session(
        limits={"idle_timeout_us": 180_000_000, "max_duration_us": 900_000_000},
        config={"headless": True, "viewport_width": 1920, "viewport_height": 1080},
        owner=WHO,
    )


STEPS = (
    lambda s: s.start("launched", WHO, WHO),
    lambda s: s.access(1_790_000_002_000_000, "gate"),
    lambda s: s.close("stopped"),
    lambda s: s.release("graceful", 0),
)


def app(directory: Path, synchronous: str) -> Application:
    """An application whose every connection has the durability that ours has."""
    create = SQLiteConnectionPool._create_connection
    level = {"NORMAL": 1, "FULL": 2}[synchronous]

    def durable(pool):
        conn = create(pool)
        cursor = conn.cursor()
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA synchronous")
        assert cursor.fetchone()[0] == level
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone()[0] == "wal"
        return conn

    SQLiteConnectionPool._create_connection = durable
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "SQLITE_DBNAME": str(directory / "peer.db"),
        "SQLITE_LOCK_TIMEOUT": "60",
    }
    return Application(env=env)


def append(directory: Path, synchronous: str, size: int) -> float:
    made = app(directory, synchronous)
    began = time.perf_counter()
    for _ in range(size // LIFE):
        session = fresh()
        made.save(session)
        for step in STEPS:
            step(session)
            made.save(session)
    return (time.perf_counter() - began) / (size // LIFE * LIFE)


def append_batches(directory: Path, size: int) -> float:
    made = app(directory, "NORMAL")
    began = time.perf_counter()
    for _ in range(size // 100):
        session = fresh()
        for number in range(99):
            session.access(1_790_000_002_000_000 + number, "gate")
        made.save(session)
    return (time.perf_counter() - began) / (size // 100 * 100)


def _write(directory: Path, size: int, answers) -> None:
    made = app(directory, "FULL")
    worst = 0.0
    answers.put(("ready", 0.0))
    began = time.perf_counter()
    for _ in range(size // LIFE):
        session = fresh()
        for step in (lambda _: None, *STEPS):
            step(session)
            before = time.perf_counter()
            made.save(session)
            worst = max(worst, time.perf_counter() - before)
    answers.put((time.perf_counter() - began, worst))


def writers(directory: Path, size: int) -> tuple[float, float]:
    """As ours and the floor: (seconds an event, the worst wait of anybody)."""
    app(directory, "FULL")
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    work = [context.Process(target=_write, args=(directory, size // WRITERS, answers)) for _ in range(WRITERS)]
    for one in work:
        one.start()
    told = [answers.get() for _ in range(2 * WRITERS)]
    for one in work:
        one.join()
    done = [(took, worst) for took, worst in told if took != "ready"]
    return max(took for took, _ in done) / (size // WRITERS * WRITERS), max(worst for _, worst in done)


def load(directory: Path, size: int) -> float:
    made = app(directory, "NORMAL")
    session = fresh()
    for number in range(size - 1):
        session.access(1_790_000_002_000_000 + number, "gate")
        if number % 1000 == 999:
            made.save(session)
    made.save(session)
    times = max(3, 2000 // size)
    began = time.perf_counter()
    for _ in range(times):
        made.repository.get(session.id)
    return (time.perf_counter() - began) / times


def _lives(made: Application, number: int) -> None:
    """Save whole sessions, all of them in one transaction."""
    sessions = [fresh() for _ in range(number)]
    for session in sessions:
        for step in STEPS:
            step(session)
    made.save(*sessions)


def fill(directory: Path, size: int) -> int:
    """Write whole sessions until there are *size* events; says on each line how many there are."""
    made = app(directory, "NORMAL")
    there = made.recorder.max_notification_id() or 0
    while there < size:
        number = min(_TOGETHER, (size - there) // LIFE)
        _lives(made, number)
        there += number * LIFE
        print(there, flush=True)
    return there


def rebuild(directory: Path, size: int) -> float:
    """Every session, in the order in which they were created; their names are no part of the time."""
    made = app(directory, "NORMAL")
    if not made.recorder.max_notification_id():
        _lives(made, size // LIFE)
    with sqlite3.connect(directory / "peer.db") as conn:
        names = [
            UUID(name)
            for (name,) in conn.execute("SELECT originator_id FROM stored_events WHERE originator_version = 1")
        ]
    began = time.perf_counter()
    closed = sum(made.repository.get(name).status == "closed" for name in names)
    took = time.perf_counter() - began
    assert closed == size // LIFE
    return took / size


def bytes_an_event(directory: Path, size: int) -> float:
    append(directory, "NORMAL", size)
    with sqlite3.connect(directory / "peer.db") as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return (directory / "peer.db").stat().st_size / (size // LIFE * LIFE)


ROWS = {
    "append_normal": lambda d, n: append(d, "NORMAL", n),
    "append_full": lambda d, n: append(d, "FULL", n),
    "append_batches": append_batches,
    "writers": lambda d, n: writers(d, n)[0],
    "writers_wait": lambda d, n: writers(d, n)[1],
    "load": load,
    "fill": fill,
    "rebuild": rebuild,
    "bytes_an_event": bytes_an_event,
}

if __name__ == "__main__":
    row, size, directory = sys.argv[1:]
    print(json.dumps(ROWS[row](Path(directory), int(size))))
