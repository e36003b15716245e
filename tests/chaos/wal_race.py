"""One process of a race that shows SQLite's WAL-reset bug: plain writers, and a program that checkpoints beside them.

    python -m tests.chaos.wal_race writer FILE NUMBER        commits rows 1, 2, 3 … without pause; says the last one
    python -m tests.chaos.wal_race checkpointer FILE         checkpoints as any other program might
Both end when their stdin closes.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from lifecycle.log.driver import SqliteError, sqlite3

if TYPE_CHECKING:
    from lifecycle.log.driver import Connection


def main(role: str, path: str, number: str = "0") -> None:
    """Play *role* until stdin closes."""
    over = threading.Event()
    threading.Thread(target=_await_end, args=(over,), daemon=True).start()
    conn = sqlite3.connect(path, isolation_level=None, timeout=30)
    conn.execute("PRAGMA synchronous = OFF")  # of the process alone: nobody cuts the power here
    print("ready", flush=True)
    done = _write(conn, int(number), over) if role == "writer" else _checkpoint(conn, over)
    print(done, flush=True)
    os._exit(0)  # without a last checkpoint of its own


def _await_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def _write(conn: Connection, number: int, over: threading.Event) -> int:
    done = 0
    conn.execute("PRAGMA wal_autocheckpoint = 5")
    while not over.is_set():
        conn.execute("INSERT INTO rows VALUES (?, ?)", (number, done + 1))
        done += 1
    return done


def _checkpoint(conn: Connection, over: threading.Event) -> int:
    done = 0
    while not over.is_set():
        try:
            conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            done += 1
        except SqliteError:
            continue
        over.wait(0.0005)
    return done


if __name__ == "__main__":
    main(*sys.argv[1:])
