"""What things cost in logs of 10⁴ to 10⁷ events: `make bench BENCH='--growth'`, a JSON file and a chart for docs.

    python -m tests.bench.growth [--most EVENTS] [--directory DIR] [--json FILE] [--svg FILE] [--resume]

Logs are made once and kept in the directory (10 million events take 9 GB), and what has been measured stands in the
JSON file at once: with --resume an interrupted run goes on where it stopped. Each figure is taken in a process of its
own, as CPU time, which others on the machine disturb least; where it works through the log, that of one event.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lifecycle.audit.checkpoint import Tree
from lifecycle.audit.verify import verify
from lifecycle.cli.rates import line
from lifecycle.log import SqliteLog
from lifecycle.testing.log_samples import SECOND, fresh_id
from tests.bench.big import KEPT, kept_log
from tests.bench.chart import Line, chart
from tests.bench.work import LIST, ROWS_OF, SCAN, file_of, life

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]
_MINUTE_S: Final = 60
SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)


def _events(log: SqliteLog) -> int:
    return int(log.last(1)[0].position)


def _cpu(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _peak_mb() -> float:
    """The most memory of this process, or, where there is no /proc, of the one that started it if that was more."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def append(log: SqliteLog) -> float:
    """µs of one event of 200 lives, event by event."""
    at = log.last(1)[0].at
    lives = [(name, life(name, at)) for name in (fresh_id("s") for _ in range(200))]
    told: list[float] = []
    for name, batch in lives:
        for version, one in enumerate(batch):
            began = time.thread_time()
            log.append(name, [one], expected=version)
            told.append(time.thread_time() - began)
    return statistics.median(told)


def listing(log: SqliteLog) -> float:
    """One list of 100 active sessions."""
    now = log.last(1)[0].at + SECOND
    assert len(log.sessions.list(now=now, status="active", limit=100)) == 100
    return statistics.median(_cpu(lambda: log.sessions.list(now=now, status="active", limit=100)) for _ in range(50))


def bare_list(log: SqliteLog) -> float:
    """The rows of 100 active sessions, from SQLite's index."""
    with closing(sqlite3.connect(file_of(log))) as conn:
        return statistics.median(_cpu(lambda: conn.execute(LIST).fetchall()) for _ in range(50))


def _anywhere(log: SqliteLog) -> list[str]:
    """500 sessions from anywhere in the log, read once: they are in the system's cache."""
    end = _events(log)
    with closing(sqlite3.connect(file_of(log))) as conn:
        names = [
            conn.execute("SELECT stream FROM events WHERE position = ?", (random.randint(1, end),)).fetchone()[0]
            for _ in range(500)
        ]
        for name in names:
            conn.execute(ROWS_OF, (name,)).fetchall()
    return names


def load(log: SqliteLog) -> float:
    """One session of five events, anywhere in the log."""
    return statistics.median(_cpu(partial(log.load, name)) for name in _anywhere(log))


def bare_load(log: SqliteLog) -> float:
    """SQLite's rows of one such session."""
    names = _anywhere(log)
    with closing(sqlite3.connect(file_of(log))) as conn:
        return statistics.median(_cpu(lambda name=name: conn.execute(ROWS_OF, (name,)).fetchall()) for name in names)  # type: ignore[misc]  # bound


def verifying(log: SqliteLog) -> float:
    """verify, an event."""
    assert verify(log, progress=told("verified")).ok
    return 0


def checkpoint(log: SqliteLog) -> float:
    """The root over everything, nothing of it known before; an event."""
    Tree(log.material, progress=told("hashed")).root()
    return 0


def replay(log: SqliteLog) -> float:
    """Status, cause and duration of every session; an event."""
    assert sum(one.duration_us or 0 for one in log.sessions.outcomes()) > 0
    return 0


def rebuild(log: SqliteLog) -> float:
    """Every session replayed and compared; an event."""
    assert log.sessions.rebuild(told("replayed")).equal
    return 0


def scan(log: SqliteLog) -> float:
    """SQLite touching every event, the floor of replay; an event."""
    with closing(sqlite3.connect(file_of(log))) as conn:
        conn.execute(SCAN).fetchall()
    return 0


WORK: Final[dict[str, Callable[[SqliteLog], float]]] = {
    "load": load,
    "bare load": bare_load,
    "list": listing,
    "bare list": bare_list,
    "scan": scan,
    "replay": replay,
    "checkpoint": checkpoint,
    "rebuild": rebuild,
    "verify": verifying,
    "append": append,  # last: it adds to the log
}
TITLES: Final = {
    "append": "append one event",
    "list": "list 100 active",
    "load": "load a session",
    "verify": "verify, an event",
    "checkpoint": "checkpoint, an event",
    "replay": "outcomes, an event",
    "rebuild": "rebuild, an event",
}


#: what -> the least that SQLite can do
FLOORS: Final = {"load": "bare load", "list": "bare list", "replay": "scan"}


def measure(path: Path, what: str) -> dict[str, float]:
    """µs, and the most memory that the process had, in MB."""
    with SqliteLog(path, synchronous="NORMAL") as log:
        events = _events(log)
        began = time.process_time()
        took = WORK[what](log)
        if not took:
            took = (time.process_time() - began) / events
    return {"us": took * 1e6, "peak_mb": _peak_mb(), "events": events}


def _in_process(path: Path, what: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.growth", "--one", what, "--directory", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _best(path: Path, what: str) -> dict[str, float]:
    """The best of three, as far as three take no more than a minute."""
    until = time.monotonic() + _MINUTE_S
    found = [_in_process(path, what)]
    while len(found) < 3 and time.monotonic() < until:
        found.append(_in_process(path, what))
    return min(found, key=lambda one: one["us"])


def told(done: str) -> Callable[[int, int], None]:
    """Says on stderr, now and then, how many of how many are *done* (a past participle)."""
    began = last = time.monotonic()
    first: int | None = None
    before = 0

    def tell(count: int, total: int) -> None:
        nonlocal began, last, first, before
        now = time.monotonic()
        if first is None or count < before:  # the first of it, or other work begins
            began, first = now, count
        before = count
        if now - last >= 5 and count > first:
            last = now
            print(line(done, "events", count, total, now - began, first), file=sys.stderr)

    return tell


def saved(path: Path, what: object) -> None:
    """Keep *what* in *path*; an interrupt leaves what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(what, indent=2, ensure_ascii=False) + "\n", "utf-8")
    new.replace(path)


def run(most: int, directory: Path, kept: Path, *, resume: bool = False) -> dict[str, dict[str, dict[str, float]]]:
    """Size -> what -> figures; with *resume* those that *kept* has are not taken again."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    if resume and kept.exists():
        figures = json.loads(kept.read_text("utf-8"))
    for size in (size for size in SIZES if size <= most):
        path = directory / f"{size}.db"
        known = figures.setdefault(str(size), {})
        if missing := [what for what in WORK if what not in known]:
            kept_log(size, told("made"), directory).close()
        for what in missing:
            known[what] = _best(path, what)
            print(
                f"{size} events, {what}: {known[what]['us']:.2f} µs, {known[what]['peak_mb']:.0f} MB", file=sys.stderr
            )
            saved(kept, figures)
    return figures


def drawn(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """The chart: each cost as a multiple of what it is at the smallest size."""
    sizes = sorted(map(int, figures))
    first = figures[str(sizes[0])]
    lines = [
        Line(
            title,
            tuple(
                (size, figures[str(size)][what]["us"] / first[what]["us"])
                for size in sizes
                if what in figures[str(size)]
            ),
        )
        for what, title in TITLES.items()
    ]
    return chart("CPU time in a growing log, as a multiple of that at 10 thousand events", "events in the log", lines)


def table(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """The figures as Markdown: µs, and in brackets how many times the floor's."""
    sizes = sorted(map(int, figures))

    def cell(what: str, size: int) -> str:
        known = figures[str(size)]
        us = known[what]["us"]
        shown = f"{us:.0f}" if us >= 100 else f"{us:.3g}"
        return f"{shown} ({us / known[FLOORS[what]]['us']:.2f} ×)" if what in FLOORS else shown

    lines = [
        f"| µs of CPU time | {' | '.join(f'{size:,}' for size in sizes)} | most memory |",
        f"|---|{'---|' * len(sizes)}---|",
    ]
    for what, title in TITLES.items():
        peak = max(figures[str(size)][what]["peak_mb"] for size in sizes)
        lines.append(f"| {title} | {' | '.join(cell(what, size) for size in sizes)} | {peak:.0f} MB |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description="Cost against size.")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest log, in events")
    parser.add_argument("--directory", type=Path, default=KEPT, help="where the logs are made")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "growth.json")
    parser.add_argument("--svg", type=Path, help="a file for the chart")
    parser.add_argument("--resume", action="store_true", help="take no figure again that the JSON file has")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.directory, asked.one)))
        return
    figures = run(asked.most, asked.directory, asked.json, resume=asked.resume)
    if asked.svg is not None:
        asked.svg.write_text(drawn(figures), "utf-8")


if __name__ == "__main__":
    main()
