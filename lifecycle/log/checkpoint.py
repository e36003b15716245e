"""Keeping the write-ahead log short: it is brought into the file and cut when it has grown past a limit.

Left to SQLite's automatic checkpoints, several processes that write never let it be reset and it grows without bound
(240 MB in 14 s, research/reliability.md F8); and those checkpoints are the ones that can lose commits
(lifecycle.log.versions). So they are off, and this runs in the writer's turn, after its commit.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from lifecycle.log.driver import SqliteError

if TYPE_CHECKING:
    from lifecycle.log.driver import Connection
    from lifecycle.log.place import Place

__all__ = ["WAL_LIMIT_BYTES", "Checkpoints", "truncate"]

#: A checkpoint costs two syncs of the disk whatever it brings over, and a page written often comes over once: at 4 MiB
#: an append at NORMAL took 1.4 times as long as at 16.
WAL_LIMIT_BYTES: Final = 16 * 1024 * 1024
#: How long a checkpoint waits for readers in other programs before it is put off; every writer waits with it.
_PATIENCE_MS: Final = 50
#: commits between two looks at the size; a short-lived process looks at its first
_LOOK_EVERY: Final = 16


class Checkpoints:
    """When the next checkpoint of the log at *where* is due."""

    def __init__(self, where: Place, timeout_s: float) -> None:
        self._wal = f"{where.path}-wal"
        self._timeout_ms = int(timeout_s * 1000)
        self._due_bytes = WAL_LIMIT_BYTES
        self._commits = 0

    def after_commit(self, conn: Connection) -> None:
        """Checkpoint if it is due. The events are safe either way: whatever goes wrong is left to the next time."""
        self._commits += 1
        if self._commits % _LOOK_EVERY != 1:
            return
        try:
            size = os.stat(self._wal).st_size
        except OSError:
            return
        if size < self._due_bytes:
            return
        try:
            conn.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
            cut = truncate(conn)
        except SqliteError:
            cut = False
        finally:
            with suppress(SqliteError):
                conn.execute(f"PRAGMA busy_timeout = {self._timeout_ms}")
        # Kept by a reader in another program: try again when as much has come on top.
        self._due_bytes = WAL_LIMIT_BYTES if cut else size + WAL_LIMIT_BYTES


def truncate(conn: Connection) -> bool:
    """Bring the write-ahead log into the file and cut it to nothing; whether all of it went.

    A TRUNCATE checkpoint that can't get the write lock goes on without it, which is the dangerous kind. So it is asked
    for only when the lock has just been free; of our own writers nobody else is running.
    """
    conn.execute("BEGIN IMMEDIATE")
    conn.execute("ROLLBACK")
    (kept, _, _) = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not kept
