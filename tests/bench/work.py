"""What is timed: one side of one row, in a process of its own. Prints seconds (or bytes) for one unit as JSON.

    python -m tests.bench.work SIDE ROW SIZE

Ours is the way that applications take: SqliteLog.append and its SessionIndex, with hash chain, legality, read model and
the settings that the library ships. The floor is the least that SQLite can do for the same bytes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from lifecycle.audit.verify import verify
from lifecycle.core import Close, Session, decide, fold
from lifecycle.core.events import Cause
from lifecycle.core.machine import fire
from lifecycle.core.states import State, Trigger
from lifecycle.log import ANY, SqliteLog
from lifecycle.log.loading import fact
from lifecycle.log.loading import load as load_facts
from lifecycle.log.port import NewEvent
from lifecycle.log.versions import Synchronous
from lifecycle.testing.log_samples import SECOND, T0, accessed, closed, created, fresh_id, new, released, started
from tests.bench import browsers
from tests.bench.big import LARGE, LIFE, grow, kept_log

WRITERS: Final = 8

_COLUMNS: Final = (
    "position INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, stream TEXT NOT NULL, version INTEGER NOT NULL,"
    " type TEXT, schema_version INTEGER, at INTEGER, recorded_at INTEGER, actor TEXT, writer TEXT, correlation_id TEXT,"
    " causation_id TEXT, data TEXT, private_sha256 TEXT, hash TEXT, UNIQUE (stream, version)"
)
#: Every row is touched: the length of a text column has to be read from it.
SCAN: Final = "SELECT count(*), max(at), sum(version), sum(length(type)) FROM events NOT INDEXED"
ROWS_OF: Final = "SELECT * FROM events WHERE stream = ? ORDER BY version"
LIST: Final = "SELECT * FROM sessions WHERE status = 'active' ORDER BY created_at DESC, session_id DESC LIMIT 100"
_INSERT: Final = f"INSERT INTO events VALUES ({', '.join('?' * 15)})"


def sqlite_log(path: Path, synchronous: Synchronous) -> SqliteLog:
    """The log as an application opens it: nothing but the path, and how durable."""
    return SqliteLog(path, synchronous=synchronous)


def life(name: str, at: int = T0) -> list[NewEvent]:
    """Created, started, used, closed, released."""
    told = [
        created(name, at),
        started(at + SECOND),
        accessed(at + 2 * SECOND),
        closed(at + 3 * SECOND),
        released(at + 4 * SECOND),
    ]
    return [new(event) for event in told]


def long_life(name: str, size: int) -> list[NewEvent]:
    """One session of *size* events."""
    used = [new(accessed(T0 + 2 * SECOND + number)) for number in range(size - 2)]
    return [new(created(name)), new(started()), *used]


def filled(directory: Path, events: int) -> SqliteLog:
    """A log of whole lives, every tenth session still alive; a large one is made once."""
    if events >= LARGE:
        return kept_log(events)
    log = sqlite_log(directory / "log.db", "NORMAL")
    grow(log, events)
    return log


def file_of(log: SqliteLog) -> Path:
    """Where it is."""
    return Path(log.locator.removeprefix("sqlite:"))


def bare(path: Path, synchronous: str) -> sqlite3.Connection:
    """SQLite with the same three keys and no more."""
    conn = sqlite3.connect(path, isolation_level=None, timeout=60)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute(f"PRAGMA synchronous = {synchronous}")
    conn.execute(f"CREATE TABLE IF NOT EXISTS events ({_COLUMNS}) STRICT")
    return conn


def bare_rows(path: Path, batches: list[tuple[str, list[NewEvent]]]) -> list[tuple[Any, ...]]:
    """The very rows that our log writes for the batches."""
    with sqlite_log(path / "rows.db", "NORMAL") as log:
        for name, batch in batches:
            log.append(name, batch, expected=ANY)
    with closing(sqlite3.connect(path / "rows.db")) as conn:
        order = "position, event_id, stream, version, type, schema_version, at, recorded_at, actor, writer"
        order += ", correlation_id, causation_id, data, private_sha256, hash"
        return conn.execute(f"SELECT {order} FROM events ORDER BY position").fetchall()


def timed(work: Callable[[], object], units: int) -> float:
    """Seconds a unit."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / units


def _batches(count: int, batch: int) -> list[tuple[str, list[NewEvent]]]:
    if batch > 1:
        return [(name, long_life(name, batch)) for name in (fresh_id("s") for _ in range(count // batch))]
    lives = [(name, life(name)) for name in (fresh_id("s") for _ in range(count // LIFE))]
    return [(name, [one]) for name, told in lives for one in told]


def _append(side: str, directory: Path, synchronous: Synchronous, size: int, batch: int) -> float:
    batches = _batches(size, batch)
    total = sum(len(told) for _, told in batches)
    if side == "ours":
        with sqlite_log(directory / "log.db", synchronous) as log:
            heads: dict[str, int] = {}

            def ours() -> None:
                for name, told in batches:
                    heads[name] = log.append(name, told, expected=heads.get(name, 0)).version

            return timed(ours, total)
    rows = bare_rows(directory, batches)
    with closing(bare(directory / "bare.db", synchronous)) as conn:

        def one_by_one() -> None:
            for row in rows:
                conn.execute(_INSERT, row)

        def batched() -> None:
            for first in range(0, len(rows), batch):
                conn.execute("BEGIN IMMEDIATE")
                conn.executemany(_INSERT, rows[first : first + batch])
                conn.execute("COMMIT")

        return timed(batched if batch > 1 else one_by_one, total)


def append_normal(side: str, directory: Path, size: int) -> float:
    return _append(side, directory, "NORMAL", size, 1)


def append_full(side: str, directory: Path, size: int) -> float:
    return _append(side, directory, "FULL", size, 1)


def append_batches(side: str, directory: Path, size: int) -> float:
    return _append(side, directory, "NORMAL", size, 100)


def _write(side: str, path: str, size: int, answers: Any) -> None:
    batches = _batches(size, 1)
    worst = 0.0
    rows: list[tuple[Any, ...]] = []
    if side != "ours":
        with TemporaryDirectory(dir=Path(path).parent) as scratch:
            rows = bare_rows(Path(scratch), batches)
    log = sqlite_log(Path(path), "FULL") if side == "ours" else None
    conn = None if log else bare(Path(path), "FULL")
    answers.put(("ready", 0.0))
    began = time.perf_counter()
    if log is not None:
        for name, told in batches:
            before = time.perf_counter()
            log.append(name, told, expected=ANY)
            worst = max(worst, time.perf_counter() - before)
    for row in rows:
        assert conn is not None
        before = time.perf_counter()
        conn.execute("BEGIN IMMEDIATE")
        conn.execute(_INSERT, (None, *row[1:]))
        conn.execute("COMMIT")
        worst = max(worst, time.perf_counter() - before)
    answers.put((time.perf_counter() - began, worst))


def _writers(side: str, directory: Path, size: int) -> tuple[float, float]:
    """(seconds an event, the worst wait of anybody)."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.SimpleQueue()
    path = directory / "shared.db"
    (bare(path, "FULL") if side == "floor" else sqlite_log(path, "FULL")).close()
    work = [context.Process(target=_write, args=(side, str(path), size // WRITERS, answers)) for _ in range(WRITERS)]
    for one in work:
        one.start()
    told = [answers.get() for _ in range(2 * WRITERS)]
    for one in work:
        one.join()
    done = [(took, worst) for took, worst in told if took != "ready"]
    return max(took for took, _ in done) / (size // WRITERS * WRITERS), max(worst for _, worst in done)


def writers(side: str, directory: Path, size: int) -> float:
    return _writers(side, directory, size)[0]


def writers_wait(side: str, directory: Path, size: int) -> float:
    return _writers(side, directory, size)[1]


def rebuild(side: str, directory: Path, size: int) -> float:
    with filled(directory, size) as log:
        total = log.read_all(limit=1).cursor and len(log.last(size * 2))
        if side == "ours":
            return timed(lambda: log.sessions.rebuild(), total or 1)
    with closing(sqlite3.connect(file_of(log))) as conn:
        return timed(lambda: conn.execute(SCAN).fetchall(), total or 1)


def verifying(side: str, directory: Path, size: int) -> float:
    with filled(directory, size) as log:
        if side == "ours":
            return timed(lambda: verify(log), size)
    with closing(sqlite3.connect(file_of(log))) as conn:

        def floor() -> None:
            for row in conn.execute("SELECT * FROM events ORDER BY position"):
                sha256("".join(map(str, row)).encode()).digest()

        return timed(floor, size)


def replay(side: str, directory: Path, size: int) -> float:
    with filled(directory, size) as log:
        if side == "ours":
            return timed(lambda: sum(outcome.duration_us or 0 for outcome in log.sessions.outcomes()), size)
    with closing(sqlite3.connect(file_of(log))) as conn:
        return timed(lambda: conn.execute(SCAN).fetchall(), size)


def load(side: str, directory: Path, size: int) -> float:
    """Different sessions, each in its turn: what a process remembers of one would serve the next load of it."""
    times = max(3, 2000 // size)
    names = [fresh_id("s") for _ in range(min(times, 500))]
    with sqlite_log(directory / "log.db", "NORMAL") as log:
        for name in names:
            log.append(name, life(name) if size == LIFE else long_life(name, size), expected=0)
        if side == "ours":

            def ours() -> None:
                for number in range(times):
                    assert log.load(names[number % len(names)])

            return timed(ours, times)
    with closing(sqlite3.connect(directory / "log.db")) as conn:

        def floor() -> None:
            for number in range(times):
                conn.execute(ROWS_OF, (names[number % len(names)],)).fetchall()

        return timed(floor, times)


def listing(side: str, directory: Path, size: int) -> float:
    times = 50
    with filled(directory, size) as log:
        if side == "ours":

            def ours() -> None:
                for _ in range(times):
                    log.sessions.list(now=T0 + 2 * SECOND, status="active", limit=100)

            return timed(ours, times)
    with closing(sqlite3.connect(file_of(log))) as conn:

        def floor() -> None:
            for _ in range(times):
                conn.execute(LIST).fetchall()

        return timed(floor, times)


def _session() -> Session:
    session = fold([created("s-1"), started()])
    assert session is not None
    return session


def deciding(side: str, _directory: Path, size: int) -> float:
    session = _session()
    if side == "ours":
        return timed(lambda: [decide(session, Close(cause=Cause.STOPPED), T0 + 2 * SECOND) for _ in range(size)], size)
    table = {("active", "close"): "closed"}
    return timed(lambda: [table["active", "close"] for _ in range(size)], size)


def triggering(side: str, _directory: Path, size: int) -> float:
    if side == "ours":
        return timed(lambda: [fire(State.ACTIVE, Trigger.CLOSE) for _ in range(size)], size)
    table = {("active", "close"): "closed"}
    return timed(lambda: [table["active", "close"] for _ in range(size)], size)


def folding(side: str, directory: Path, size: int) -> float:
    """What loading does with the texts once SQLite has given them."""
    session = _session()
    with sqlite_log(directory / "log.db", "NORMAL") as log:
        log.append("s-1", long_life("s-1", size + 2), expected=0)
        facts = list(map(fact, log.read("s-1", after=2)))
    if side == "ours":
        return timed(lambda: load_facts("s-1", facts, session), size)
    table = {("active", "session.accessed"): "active"}
    return timed(lambda: [table["active", "session.accessed"] for _ in facts], size)


def importing(side: str, _directory: Path, _size: int) -> float:
    code = "import lifecycle" if side == "ours" else "pass"
    return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True), 1)


def empty_list(side: str, directory: Path, _size: int) -> float:
    sqlite_log(directory / "log.db", "FULL").close()
    args = ["-m", "lifecycle", "list", "--log", str(directory / "log.db")] if side == "ours" else ["-c", "pass"]
    return timed(lambda: subprocess.run([sys.executable, *args], check=True, stdout=subprocess.DEVNULL), 1)


def bytes_an_event(side: str, directory: Path, size: int) -> float:
    batches = _batches(size, 1)
    if side == "ours":
        with sqlite_log(directory / "log.db", "NORMAL") as log:
            for name, told in batches:
                log.append(name, told, expected=ANY)
        return _size_of(directory / "log.db") / len(batches)
    rows = bare_rows(directory, batches)
    with closing(bare(directory / "bare.db", "NORMAL")) as conn:
        conn.executemany(_INSERT, rows)
    return _size_of(directory / "bare.db") / len(batches)


def _size_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return os.stat(path).st_size


ROWS: Final[dict[str, Callable[[str, Path, int], float]]] = {
    work.__name__: work
    for work in (
        append_normal,
        append_full,
        append_batches,
        writers,
        writers_wait,
        replay,
        rebuild,
        verifying,
        load,
        listing,
        deciding,
        triggering,
        folding,
        importing,
        empty_list,
        bytes_an_event,
    )
} | browsers.ROWS


def main(side: str, row: str, size: str) -> None:
    # Beside the checkout's other leavings: a real disk, where /tmp may be memory.
    with TemporaryDirectory(dir=Path(__file__).parents[2] / "build") as directory:
        print(json.dumps(ROWS[row](side, Path(directory), int(size))))


if __name__ == "__main__":
    main(*sys.argv[1:])
