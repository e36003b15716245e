"""What the tests of the SQLite log share: foreign connections, children that die, and how to look at what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings

from lifecycle.log.driver import sqlite3
from lifecycle.testing.log_contract import everything

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from lifecycle.log import SqliteLog
    from lifecycle.log.driver import Connection
    from lifecycle.log.port import EventLog

#: For properties: a loaded machine is slow, not wrong.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

__all__ = ["child", "child_code", "foreign", "integrity", "ours", "patient", "run_child", "versions"]


@contextmanager
def foreign(path: Path | str, **options: Any) -> Generator[Connection]:
    """A connection of somebody else's to the file: no authorizer, SQLite's own defaults."""
    with closing(sqlite3.connect(path, isolation_level=None, **options)) as conn:
        conn.execute("PRAGMA recursive_triggers = OFF")
        yield conn


def ours(log: SqliteLog) -> Connection:
    """The log's own writing connection, with its authorizer."""
    return log._file.writing.run(lambda conn: conn)  # pyright: ignore[reportPrivateUsage]


def integrity(path: Path | str) -> str:
    """What SQLite finds wrong with the file: ok if nothing."""
    with foreign(path) as conn:
        return str(conn.execute("PRAGMA integrity_check").fetchone()[0])


def versions(log: EventLog) -> dict[str, list[int]]:
    """The versions of every stream, as the whole log has them."""
    found: dict[str, list[int]] = {}
    for row in everything(log, 1000):
        found.setdefault(row.stream, []).append(row.version)
    return found


def child_code(code: str) -> list[str]:
    """The command line that runs *code* in this Python."""
    # Python 3.12 warns whoever forks beside threads, which is what forks are tested for.
    return [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", textwrap.dedent(code)]


def run_child(code: str, *args: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run *code* in a process of its own, to its end."""
    return subprocess.run(
        [*child_code(code), *map(str, args)], capture_output=True, text=True, timeout=60, check=False, **options
    )


@contextmanager
def child(code: str, *args: object) -> Generator[subprocess.Popen[str]]:
    """A process that runs *code*; it has printed its first line when the block begins, and is killed at its end."""
    with subprocess.Popen(
        [*child_code(code), *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the child said nothing"
            yield process
        finally:
            os.kill(process.pid, signal.SIGKILL)
