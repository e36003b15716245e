"""Which journal mode a log gets, and why: decided by the SQLite version that is linked and the filesystem.

The WAL-reset bug (sqlite.org/wal.html#walresetbug, in every version from 3.7.0): a checkpoint that starts right after
another has completed can miss that a writer has begun the WAL anew, and acknowledged commits are lost. It takes a
checkpoint *beside* a writer. So a log runs with automatic checkpoints off, and the library's own are TRUNCATE, which
hold the write lock: 0 of 2.69 million appends lost where PASSIVE ones lost 1.2 of 6.6 million (research/reliability.md
§1.2). Another program that checkpoints the file can still hit it on an affected version; who can't exclude that takes
journal="delete".
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from lifecycle.errors import LogUnsuitable
from lifecycle.log.driver import sqlite3
from lifecycle.log.notice import warn_once

if TYPE_CHECKING:
    from lifecycle.log.place import Place

__all__ = ["Durability", "Journal", "Synchronous", "choose", "explain", "filesystem", "loses_commits"]

Journal = Literal["wal", "delete"]
Synchronous = Literal["FULL", "NORMAL", "EXTRA"]

_FIXED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))

#: filesystems where processes do not share memory or locks reliably (sqlite.org/wal.html, /useovernet.html)
_REMOTE: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs"}
    | {"fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs"}
    | {"vboxsf"}
)


@dataclass(frozen=True, slots=True)
class Durability:
    """How a log survives: journal mode and synchronous as SQLite reports them, the version linked, and the reason."""

    journal: Journal
    synchronous: Synchronous
    sqlite_version: str
    why: str = ""

    def because(self, why: str) -> Durability:
        """The same, with its reason."""
        return replace(self, why=why)

    @property
    def survives_power_loss(self) -> bool:
        """Whether an acknowledged append is on disk; with WAL and NORMAL only the process may die, not the machine."""
        return self.synchronous != "NORMAL"


def loses_commits(version: tuple[int, ...]) -> bool:
    """Whether SQLite *version* has the WAL-reset bug; a distribution may have fixed it without changing the number."""
    if version >= _FIXED[-1]:
        return False
    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in _FIXED)


def filesystem(path: str) -> str | None:
    """The type of the filesystem that *path* is on, as Linux names it; None where that can't be told."""
    try:
        device = os.stat(path).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        # 36 35 98:0 /root /mount options [optional …] - type source superoptions (proc_pid_mountinfo(5))
        left, _, right = line.partition(" - ")
        if left.split(" ")[2:3] == [wanted]:
            return right.split(" ")[0]
    return None


def choose(where: Place, asked: Journal | None) -> Journal:
    """The journal mode of a log that is about to be made.

    Raises:
        LogUnsuitable: WAL was asked for on a filesystem where it can't work.
    """
    kind = filesystem(os.path.dirname(where.path))
    if asked == "wal" and kind in _REMOTE:
        raise LogUnsuitable(
            where.locator, f"WAL needs shared memory, which {kind} does not have; take journal='delete'"
        )
    return asked or ("delete" if kind in _REMOTE else "wal")


def explain(where: Place, journal: Journal, *, asked: Journal | None, writing: bool) -> str:
    """Why an open log has the mode it has, in a sentence; says once what an affected SQLite means for it.

    Raises:
        LogUnsuitable: It is to be written, in WAL mode, on a filesystem where that breaks it.
    """
    version = sqlite3.sqlite_version
    affected = loses_commits(sqlite3.sqlite_version_info)
    kind = filesystem(where.path)
    if journal == "delete":
        if kind in _REMOTE:
            return f"WAL needs shared memory, which {kind} does not have"
        return "asked for" if asked == "delete" else "the file was made so"
    if kind in _REMOTE and writing:
        raise LogUnsuitable(where.locator, f"is in WAL mode, which needs shared memory, and {kind} does not have it")
    if not affected:
        return f"SQLite {version} does not have the WAL-reset bug"
    why = (
        f"SQLite {version} has the WAL-reset bug: only this library checkpoints the file, holding the write lock; "
        "where other programs open it too, journal='delete' is safe"
    )
    warn_once("log.sqlite_affected", where.locator, sqlite=version, why=why)
    return why
