"""Many sessions through one log: what a day of work does to memory, descriptors, write-ahead log and latency.

    python -m tests.chaos.soak              100,000 pretended browsers from 8 processes, then 200 real ones, 2 at a time
    python -m tests.chaos.soak --fake 2000 --browsers 10 --page docs/explanation/soak

Every session has a cause that it must end with. Every process tells how long its sessions took, and is looked at from
outside meanwhile. It fails where a session is missing or has another cause, where the log does not verify, and where
the last quarter needs more than the second one. With --page the curves and figures go to FILE.svg and FILE.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle import Client
from lifecycle.audit.verify import verify
from lifecycle.log import SqliteLog
from lifecycle.log.checkpoint import WAL_LIMIT_BYTES
from lifecycle.log.driver import sqlite3
from lifecycle.ports import Exit
from lifecycle.testing.fake_host import FakeBrowser
from tests.log.support import foreign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle import SessionView
    from lifecycle.core import Session
    from lifecycle.log.port import EventLog

ROOT: Final = Path(__file__).parents[2]
#: How often the processes are looked at, and after how many sessions one tells of itself.
LOOK_S: Final = 1.0
TELL: Final = 20
#: Of how many sessions one runs into its idle timeout, of a second.
TIMEOUT_EACH: Final = 200


class Oops(Exception):
    """What a script may come to grief with."""


class Host(FakeBrowser):
    """Pretended browsers of one process among several: another one's keeper is alive as well, as far as it can tell."""

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        return True


def fake_sessions(log: str, count: int, offset: int) -> Iterator[tuple[str, SessionView]]:
    """Expected cause and ending of each of *count* sessions with pretended browsers."""
    host = Host()
    with Client(log, browser=host, actor="soak") as client:
        for number in range(offset, offset + count):
            expected, ending = _fake(client, host, number)
            host.forget(ending.session_id)
            yield expected, ending


def _fake(client: Client, host: Host, number: int) -> tuple[str, SessionView]:
    if number % TIMEOUT_EACH == 7:
        session = client.Session(page=False, idle_timeout_minutes=1 / 60)
        session.start()
        return "idle", _ended(session.wait_ended(60))
    session = client.Session(page=False, labels={"n": str(number % 10)})
    if number % 10 == 3:
        with contextlib.suppress(Oops), session:
            raise Oops
        return "exception", session.status()
    session.start()
    if number % 10 in (5, 6):
        crashed = number % 10 == 5
        host.browsers[session.session_id].end(Exit(signal=11) if crashed else Exit(code=0))
        ending = _ended(session.wait_ended(60))
        session.stop()
        return "browser_crashed" if crashed else "browser_closed", ending
    session.annotate("step", {"n": number})
    return "stopped", _ended(session.stop())


def real_sessions(log: str, count: int, offset: int) -> Iterator[tuple[str, SessionView]]:
    """The same with Chromium and Playwright."""
    with Client(log, actor="soak") as client:
        for number in range(offset, offset + count):
            yield _real(client, number)


def _real(client: Client, number: int) -> tuple[str, SessionView]:
    if number % 20 == 7:
        session = client.Session(page=False, idle_timeout_minutes=1 / 60)
        session.start()
        return "idle", _ended(session.wait_ended(60))
    session = client.Session()
    if number % 10 == 3:
        with contextlib.suppress(Oops), session:
            raise Oops
        return "exception", session.status()
    session.start()
    page = session.page
    page.goto("data:text/html,<title>soak</title><h1>soak</h1>")
    assert page.title() == "soak"
    assert page.evaluate("document.querySelector('h1').textContent") == "soak"
    if number % 10 == 5:
        browser = client.log.load(session.session_id, None)
        assert browser is not None
        assert browser.browser is not None
        os.kill(browser.browser.pid, 9)
        ending = _ended(session.wait_ended(60))
        session.stop()
        return "browser_crashed", ending
    return "stopped", _ended(session.stop())


def _ended(view: SessionView | None) -> SessionView:
    assert view is not None, "a session did not end within a minute"
    return view


def work(kind: str, log: str, count: int, offset: int) -> None:
    """One process: its sessions, one after the other; says how long they took, and which cause is not the right one."""
    sessions = fake_sessions if kind == "fake" else real_sessions
    took: list[float] = []
    causes: Counter[str] = Counter()
    wrong: list[str] = []
    began = time.monotonic()
    for done, (expected, view) in enumerate(sessions(log, count, offset), 1):
        found = str(view.cause)
        causes[expected] += 1
        if found != expected:
            wrong.append(f"{view.session_id}: {found}, not {expected}")
        if expected != "idle":  # that one waits for a second by intent
            took.append((time.monotonic() - began) * 1000)
        began = time.monotonic()
        if done % (TELL if kind == "fake" else 2) == 0 or done == count:
            print(json.dumps({"done": done, "ms": [round(ms, 2) for ms in took], "wrong": wrong}), flush=True)
            took, wrong = [], []
            began = time.monotonic()
    print(json.dumps({"done": count, "ms": [], "wrong": [], "causes": causes}), flush=True)


@dataclass
class Worker:
    """One process and what it told."""

    process: subprocess.Popen[str]
    done: int = 0
    ms: list[float] = field(default_factory=list[float])
    wrong: list[str] = field(default_factory=list[str])
    causes: Counter[str] = field(default_factory=Counter[str])

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told: dict[str, Any] = json.loads(line)
            self.done = told["done"]
            self.ms += told["ms"]
            self.wrong += told["wrong"]
            self.causes.update(told.get("causes", {}))


def _tree(pids: list[int]) -> list[int]:
    """Those processes and what they have started, without browsers, which come and go."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = set(pids)
    for _ in range(4):
        found |= {pid for pid, parent in parents.items() if parent in found}
    return [pid for pid in found if "--type=" not in _line(pid) and "--remote-debugging-pipe" not in _line(pid)]


def _line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    return ""


def _memory_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def _descriptors(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def soak(kind: str, sessions: int, processes: int, folder: Path) -> dict[str, Any]:
    """Run it; the figures and the curve."""
    log = folder / f"{kind}.db"
    SqliteLog(log).close()
    share = [sessions // processes + (n < sessions % processes) for n in range(processes)]
    workers = [
        Worker(
            subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.soak", "--work", kind, str(log), str(count), str(sum(share[:n]))],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
        )
        for n, count in enumerate(share)
    ]
    listeners = [threading.Thread(target=worker.listen) for worker in workers]
    for listener in listeners:
        listener.start()
    curve: list[dict[str, float]] = []
    began, shown = time.monotonic(), 0.0
    while any(worker.process.poll() is None for worker in workers):
        time.sleep(LOOK_S)
        running = [worker.process.pid for worker in workers if worker.process.poll() is None]
        if len(running) < processes:
            continue  # the last ones work alone: their figures are another machine's
        curve.append(_look(workers, _tree(running), log))
        if time.monotonic() - shown >= 10:
            shown = time.monotonic()
            print(f"  {kind}: {json.dumps(curve[-1])}", file=sys.stderr, flush=True)
    for listener in listeners:
        listener.join()
    took_s = time.monotonic() - began
    return {
        "kind": kind,
        "on": f"{platform.platform()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "sessions": sessions,
        "processes": processes,
        "took_s": round(took_s),
        "curve": curve,
        **_judged(workers, log, sessions, curve),
    }


def _look(workers: list[Worker], pids: list[int], log: Path) -> dict[str, float]:
    ms = sorted(ms for worker in workers for ms in worker.ms[-200:])
    wal = log.with_name(f"{log.name}-wal")
    return {
        "done": sum(worker.done for worker in workers),
        "memory_mb": round(sum(map(_memory_mb, pids)) / len(workers), 1),
        "descriptors": round(sum(map(_descriptors, pids)) / len(workers), 1),
        "wal_mb": round(wal.stat().st_size / 2**20, 1) if wal.exists() else 0.0,
        "median_ms": round(statistics.median(ms), 1) if ms else 0.0,
        "p95_ms": round(ms[int(len(ms) * 0.95)], 1) if ms else 0.0,
    }


def _judged(workers: list[Worker], log: Path, sessions: int, curve: list[dict[str, float]]) -> dict[str, Any]:
    causes = sum((worker.causes for worker in workers), Counter[str]())
    wrong = [text for worker in workers for text in worker.wrong]
    wrong += [f"a process ended with {w.process.returncode}" for w in workers if w.process.returncode]
    with foreign(log) as conn:
        stored = dict(conn.execute("SELECT cause, COUNT(*) FROM sessions GROUP BY cause").fetchall())
        (events,) = conn.execute("SELECT COUNT(*) FROM events").fetchone()
        (released,) = conn.execute("SELECT COUNT(*) FROM events WHERE type = 'session.released'").fetchone()
        (integrity,) = conn.execute("PRAGMA integrity_check").fetchone()
    if stored != dict(causes):
        wrong.append(f"the log has {stored}, the processes were told {dict(causes)}")
    if released != sessions:
        wrong.append(f"{released} of {sessions} sessions are released")
    if integrity != "ok":
        wrong.append(f"integrity: {integrity}")
    with SqliteLog(log, read_only=True) as opened:
        wrong += [f"verify: {fault}" for fault in verify(opened).faults]
    return {"events": events, "causes": stored, "wrong": wrong, "flat": flat(curve)}


def flat(curve: list[dict[str, float]]) -> dict[str, tuple[float, float, bool]]:
    """For each figure: the median of the second quarter, that of the last, and whether it stayed level.

    Memory may grow by a fifth, descriptors by one. Latency may double, for a machine that does other work too.
    The write-ahead log is held to the size at which it is cut, and what may come on top while it is read.
    """
    quarter = max(1, len(curve) // 4)
    found: dict[str, tuple[float, float, bool]] = {}
    for name in ("memory_mb", "descriptors", "wal_mb", "median_ms"):
        early = statistics.median(row[name] for row in curve[quarter : 2 * quarter] or curve)
        late = statistics.median(row[name] for row in curve[-quarter:])
        level = {
            "memory_mb": late <= early * 1.2 + 2,
            "descriptors": late <= early + 1,
            "wal_mb": max(row["wal_mb"] for row in curve) * 2**20 <= 3 * WAL_LIMIT_BYTES,
            "median_ms": late <= early * 2,
        }[name]
        found[name] = (early, late, level)
    return found


_PANELS: Final = (
    ("memory_mb", "memory of a process, MB"),
    ("descriptors", "descriptors of a process"),
    ("wal_mb", "write-ahead log, MB"),
    ("median_ms", "a session from start to end, ms (line: median; dots: 95 of 100)"),
)


def picture(runs: list[dict[str, Any]]) -> str:
    """All curves as one SVG: a column for each run, a row for each figure."""
    wide, high, left, gap = 420, 130, 60, 50
    parts: list[str] = []
    for column, run in enumerate(runs):
        curve, x0 = run["curve"], left + column * (wide + left + 20)
        end = max(row["done"] for row in curve) or 1
        title = f"{run['sessions']:,} sessions, {run['processes']} processes, {run['kind']} browsers"
        parts.append(f'<text x="{x0}" y="20" class="t">{title}</text>')
        for index, (name, label) in enumerate(_PANELS):
            y0 = 55 + index * (high + gap)
            shown = [name, "p95_ms"] if name == "median_ms" else [name]
            top = max(max(row[key] for row in curve) for key in shown) * 1.15 or 1
            parts.append(f'<text x="{x0}" y="{y0 - 7}">{label}</text>')
            parts.append(f'<rect x="{x0}" y="{y0}" width="{wide}" height="{high}" class="f"/>')
            parts.append(f'<text x="{x0 - 6}" y="{y0 + 10}" class="r">{top:,.0f}</text>')
            parts.append(f'<text x="{x0 - 6}" y="{y0 + high}" class="r">0</text>')
            points = [(x0 + row["done"] / end * wide, y0 + high * (1 - row[name] / top)) for row in curve]
            parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
            if len(shown) > 1:
                dots = [(x0 + row["done"] / end * wide, y0 + high * (1 - row["p95_ms"] / top)) for row in curve]
                parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.2"/>' for x, y in dots]
        parts.append(
            f'<text x="{x0 + wide}" y="{55 + 4 * (high + gap) - 28}" class="r">{end:,.0f} sessions done</text>'
        )
    width, height = left + len(runs) * (wide + left + 20), 55 + 4 * (high + gap)
    style = (
        "text{font:12px sans-serif;fill:#444}.t{font-size:14px;font-weight:bold}.r{text-anchor:end}"
        ".f{fill:#f7f7f7;stroke:#ccc}polyline{fill:none;stroke:#1565c0;stroke-width:1.5}circle{fill:#90a4ae}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([head, f"<style>{style}</style>", ground, *parts, "</svg>"]) + "\n"


def _write(page: Path, runs: list[dict[str, Any]]) -> None:
    """Put *runs* on the page; one of a kind that was not run this time stays."""
    figures = page.with_suffix(".json")
    # A picture of 200 points shows as much.
    runs = [{**run, "curve": run["curve"][:: 1 + len(run["curve"]) // 200]} for run in runs]
    before: list[dict[str, Any]] = json.loads(figures.read_text()) if figures.exists() else []
    runs = sorted([*runs, *(old for old in before if old["kind"] not in {run["kind"] for run in runs})], key=_kind)
    figures.write_text("[\n" + ",\n".join(json.dumps(run, separators=(",", ":")) for run in runs) + "\n]\n")
    page.with_suffix(".svg").write_text(picture(runs))


def _kind(run: dict[str, Any]) -> str:
    return str(run["kind"])


def main(argv: list[str] | None = None) -> int:
    """Run and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fake", type=int, default=100_000, help="sessions with pretended browsers")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--browsers", type=int, default=200, help="sessions with real browsers, two at a time")
    parser.add_argument("--page", type=Path, help="where the curves and figures go, without suffix")
    parser.add_argument("--folder", type=Path, help="where the logs are made; default: in memory, where that is there")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.work:
        kind, log, count, offset = given.work
        work(kind, log, int(count), int(offset))
        return 0
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=given.folder or (shm if shm.is_dir() else None)))
    wanted = (("fake", given.fake, given.processes), ("real", given.browsers, 2))
    runs = [soak(kind, count, processes, folder) for kind, count, processes in wanted if count]
    good = all(not run["wrong"] and all(level for _, _, level in run["flat"].values()) for run in runs)
    if given.page:
        _write(given.page, runs)
    for run in runs:
        print({key: value for key, value in run.items() if key != "curve"})
    print("good" if good else f"NOT GOOD; the logs are kept in {folder}")
    if good:
        shutil.rmtree(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
