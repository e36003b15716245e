"""ProcessContract: what a log that has a locator must do for several processes. Part of LogContract.

Run as a program it is one of the writers: it appends until it has done its share and prints the id of every event
that the log has acknowledged.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import closing
from typing import TYPE_CHECKING

from lifecycle.errors import IllegalHistory, WrongVersion
from lifecycle.log.locate import open_log
from lifecycle.log.port import ANY
from lifecycle.testing.contract import equal, holds
from lifecycle.testing.log_samples import annotated, begin, closed, fresh_id, new

if TYPE_CHECKING:
    from lifecycle.log.port import Cursor, EventLog, Recorded

__all__ = ["ProcessContract", "Writer"]

_WRITERS = 4
_EACH = 25


class Writer:
    """A process that appends to the log at *locator* and tells what was acknowledged."""

    def __init__(self, locator: str, stream: str, count: int) -> None:
        self.acknowledged: list[str] = []
        self._kill_after: int | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lifecycle.testing.log_processes", locator, stream, str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)

    def start(self, kill_after: int | None = None) -> Writer:
        """Listen; SIGKILL the process once it has told of *kill_after* events."""
        self._kill_after = kill_after
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.acknowledged.append(line.strip())
            if len(self.acknowledged) == self._kill_after:
                self.process.kill()

    def end(self) -> str:
        """Wait for the process; what it said on stderr."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return said


class ProcessContract(ABC):
    """Several processes on a log under test."""

    @abstractmethod
    def log(self) -> EventLog:
        """A new, empty log."""

    def check_a_locator_opens_the_same_log(self) -> None:
        with closing(self.log()) as log:
            if log.locator is None:
                return
            begin(log, "s-1")
            with closing(open_log(log.locator)) as other:
                equal("a log opened by its locator has that locator", other.locator, log.locator)
                equal("a log opened by its locator has the same events", other.read("s-1"), log.read("s-1"))
                other.append("s-1", [new(annotated())], expected=2)
            equal("what was written through the locator is in the log", log.head("s-1"), 3)

    def check_a_tailing_reader_sees_every_event_of_many_writers_once_in_order(self) -> None:
        with closing(self.log()) as log:
            if log.locator is None:
                return
            begin(log, "shared")
            writers = [Writer(log.locator, stream, _EACH).start() for stream in ["shared", "own"] * (_WRITERS // 2)]
            seen = _tail(log, until=2 + _WRITERS * _EACH + 2 * (_WRITERS // 2))
            for writer in writers:
                equal("a writer among many fails at nothing", writer.end(), "")
            positions = [row.position for row in seen]
            equal("a tailing reader sees events in order, each once", positions, sorted(set(positions)))
            stored = {row.event_id for row in seen}
            acknowledged = {event_id for writer in writers for event_id in writer.acknowledged}
            equal("every event of every writer is acknowledged", len(acknowledged), _WRITERS * _EACH)
            holds(f"acknowledged events are read: {len(acknowledged - stored)} were not", acknowledged <= stored)
            _check_versions(seen)

    def check_killed_writers_lose_nothing_they_were_told_and_block_nobody(self) -> None:
        with closing(self.log()) as log:
            if log.locator is None:
                return
            begin(log, "shared")
            writers = [Writer(log.locator, "shared", 10_000).start(kill_after=5 + 3 * n) for n in range(_WRITERS)]
            for writer in writers:
                writer.end()
            seen = _tail(log, until=0)
            stored = {row.event_id for row in seen}
            for writer in writers:
                missing = set(writer.acknowledged) - stored
                holds(f"acknowledged events survive a killed writer: {len(missing)} did not", not missing)
            _check_versions(seen)
            log.append("shared", [new(annotated())], expected=ANY)
            holds("killed writers leave an index that a rebuild finds equal", log.sessions.rebuild().equal)

    def check_a_writer_that_dies_between_statements_leaves_all_or_nothing(self) -> None:
        with closing(self.log()) as log:
            if log.locator is None:
                return
            begin(log, "s-1")
            command = [sys.executable, "-m", "lifecycle.testing.log_crashes", log.locator, "s-1"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            equal(
                f"the log can be opened and appended to by another process ({done.stderr.strip()})", done.returncode, 0
            )
            deaths = [json.loads(line) for line in done.stdout.splitlines()]
            *died, last = deaths
            holds("the append makes a statement that is known (lifecycle.testing.log_crashes.STATEMENTS)", died)
            equal("the append that is not to die ends well", last["code"], 0)
            for death in deaths:
                holds(f"a batch is left whole or not at all: {death}", death["there"] in ([True, True], [False, False]))
                equal(
                    f"versions have no gaps after a crash: {death}",
                    death["versions"],
                    list(range(1, len(death["versions"]) + 1)),
                )
            equal("an acknowledged batch is there", last["there"], [True, True])
            log.append("s-1", [new(annotated())], expected=len(last["versions"]))
            holds("crashes leave an index that a rebuild finds equal", log.sessions.rebuild().equal)

    def check_of_many_processes_that_end_a_session_one_does(self) -> None:
        with closing(self.log()) as log:
            if log.locator is None:
                return
            begin(log, "s-1")
            writers = [Writer(log.locator, "s-1", 0).start() for _ in range(_WRITERS)]
            equal(
                "a writer that loses the race to end a session fails at nothing else",
                [writer.end() for writer in writers],
                [""] * _WRITERS,
            )
            equal(
                "of many processes that end a session one does", sum(len(writer.acknowledged) for writer in writers), 1
            )
            equal("a session that many end has one ending", log.head("s-1"), 3)


def _tail(log: EventLog, until: int) -> list[Recorded]:
    """All events, read while they come, until there are *until* of them and nothing more."""
    seen: list[Recorded] = []
    cursor: Cursor | None = None
    while True:
        page = log.read_all(cursor, limit=7)
        seen += page.events
        cursor = page.cursor
        if page.caught_up:
            if len(seen) >= until:
                return seen
            holds(
                f"an append wakes who waits: nothing came for a minute after {len(seen)} of {until} events",
                log.wait(cursor, 60),
            )


def _check_versions(seen: list[Recorded]) -> None:
    streams: dict[str, list[int]] = {}
    for row in seen:
        streams.setdefault(row.stream, []).append(row.version)
    for stream, versions in streams.items():
        equal(f"versions of {stream} count from 1 without gaps", versions, list(range(1, len(versions) + 1)))


def _write(locator: str, stream: str, count: int) -> None:
    with closing(open_log(locator)) as log:
        if not count:
            ending = new(closed())
            try:
                log.append(stream, [ending], expected=2)
            except (WrongVersion, IllegalHistory):
                return
            sys.stdout.write(f"{ending.event_id}\n")
            return
        if stream == "own":
            stream = fresh_id("own")
            begin(log, stream)
        for number in range(count):
            event = new(annotated(n=number))
            while True:
                try:
                    log.append(stream, [event], expected=log.head(stream))
                    break
                except WrongVersion:
                    continue
            sys.stdout.write(f"{event.event_id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _write(sys.argv[1], sys.argv[2], int(sys.argv[3]))
