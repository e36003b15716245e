"""Rebuilt = live, and nothing left: what the demo proves, each part by another way than the library takes.

1. The rows of the events table, read with plain SQL, folded: equal to the live views.
2. A copy of the log whose read model was dropped, opened again: its list equal to the live views.
3. The log itself, rebuilt: its read model was what the events say.
4. The machine: no process that names this log's runtime directory, nothing left in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from lifecycle.client import adapters
from lifecycle.core import SessionView, fold, load, view
from lifecycle.log.driver import sqlite3
from lifecycle.log.locate import open_log
from lifecycle.ports import Examinable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lifecycle.cli.demo.cast import Played
    from lifecycle.core import Event
    from lifecycle.log.port import EventLog

__all__ = ["Proof", "commands", "prove"]

#: How long keepers may take to go after their last session.
_GOING_S: Final = 5.0
_EVENTS: Final = """
    SELECT type, schema_version, at, data, body FROM events LEFT JOIN private USING (event_id)
    WHERE stream = ? ORDER BY version
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that was compared, how many of it, and where it did not hold."""

    claim: str
    compared: int
    wrong: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether it was compared at all, and held everywhere."""
        return self.compared > 0 and not self.wrong


def prove(log: EventLog, path: Path, played: Sequence[Played], scratch: Path) -> list[Proof]:
    """All the proofs, for the sessions that were played on the log at *path*."""
    lives = {one.live.session_id: one.live for one in played if one.live is not None}
    with closing(_plain(path)) as conn:
        stored = {session_id: _stored(conn, session_id) for session_id in lives}
    dropped = _without_read_model(path, scratch / "dropped.db")
    report = log.sessions.rebuild()
    left = _left(Path(f"{path}.d"), log)
    return [
        _compare("a fold of the rows of the events table gives what a live process saw", lives, _views(stored)),
        _owners("it gives what each session's own process saw at its end", played, stored),
        _compare("a log whose read model was dropped lists the same", lives, dropped),
        Proof(claim="the read model was what the events say", compared=report.sessions, wrong=report.differing),
        Proof(claim="no process, profile, endpoint or keeper is left", compared=len(lives), wrong=tuple(left)),
    ]


def _plain(path: Path) -> Any:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)


def _stored(conn: Any, session_id: str) -> list[Event]:
    rows: list[tuple[str, int, int, str, str | None]] = conn.execute(_EVENTS, (session_id,)).fetchall()
    return [
        load(event_type, schema_version, at, {**json.loads(data), **json.loads(body or "{}")})
        for event_type, schema_version, at, data, body in rows
    ]


def _view(events: Sequence[Event]) -> SessionView | None:
    session = fold(events)
    return None if session is None else view(session, time.time_ns() // 1000)


def _views(stored: dict[str, list[Event]]) -> dict[str, SessionView]:
    return {session_id: found for session_id, events in stored.items() if (found := _view(events)) is not None}


def _compare(claim: str, lives: dict[str, SessionView], found: dict[str, SessionView]) -> Proof:
    wrong = [
        line for session_id, live in lives.items() for line in _differences(session_id, live, found.get(session_id))
    ]
    return Proof(claim=claim, compared=len(lives), wrong=tuple(wrong))


def _differences(session_id: str, live: SessionView, found: SessionView | None) -> Iterator[str]:
    if found is None:
        yield f"{session_id} is missing"
        return
    for name in SessionView.model_fields:
        one, other = getattr(live, name), getattr(found, name)
        if one != other:
            yield f"{session_id}: {name} was {one!r} live, is {other!r}"


def _owners(claim: str, played: Sequence[Played], stored: dict[str, list[Event]]) -> Proof:
    """The owner's last view may be of an earlier version than the last: it is compared with the history up to there."""
    wrong: list[str] = []
    compared = 0
    for one in played:
        if one.saw is None or one.session_id not in stored:
            continue  # who was killed says nothing
        seen = SessionView.model_validate(one.saw["view"])
        wrong += _differences(one.session_id, seen, _view(stored[one.session_id][: seen.version]))
        compared += 1
    return Proof(claim=claim, compared=compared, wrong=tuple(wrong))


def _without_read_model(path: Path, copy: Path) -> dict[str, SessionView]:
    """The sessions of a copy of the log in which nothing but the record was left."""
    with closing(_plain(path)) as source, closing(sqlite3.connect(copy)) as conn:
        source.backup(conn)
        for table in ("sessions", "session_labels"):
            conn.execute(f"DROP TABLE {table}")
        conn.commit()
    log = open_log(copy, create=False)
    try:
        now = time.time_ns() // 1000
        return {session.session_id: view(session, now) for session in log.sessions.list(now=now)}
    finally:
        log.close()


def _left(runtime: Path, log: EventLog) -> list[str]:
    """What is left of the sessions on this machine, after the time that keepers may take to go."""
    until = time.monotonic() + _GOING_S
    while (left := [*_processes(str(runtime)), *_findings(runtime, log)]) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def _findings(runtime: Path, log: EventLog) -> Iterator[str]:
    host = adapters.default_host()
    if isinstance(host, Examinable):
        for one in host.examine(runtime, log.sessions.live()):
            if one.name in ("keepers", "leftovers") and one.found != "none":
                yield f"{one.name}: {one.found}: {'; '.join(f'{what} ({said})' for what, said in one.details)}"


def _processes(named: str) -> Iterator[str]:
    """Processes whose command line names the runtime directory, as keepers' and browsers' do."""
    for pid, command in commands():
        if named in command and pid != os.getpid():
            yield f"process {pid}: {command[:120]}"


def commands() -> Iterator[tuple[int, str]]:
    """(pid, command line) of every process."""
    if Path("/proc/self/cmdline").exists():
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    yield (
                        int(folder.name),
                        (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"),
                    )
                except OSError:
                    continue
        return
    listed = subprocess.run(["ps", "-ax", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command
