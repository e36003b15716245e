"""A private copy of a log file, to read where SQLite can't: a WAL file on a file system that may not be written.

immutable=1 would need no copy, and leave out what stands in the write-ahead log. The copying is another process's work:
closing a descriptor of the database file in this one would drop the locks that SQLite holds on it here
(lifecycle.log.connection says more).

The folder of a copy holds a file that its reader keeps locked. A reader that is killed leaves both; the next one that
makes a copy takes away the folders of this user whose lock is free, and touches no other.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lifecycle.errors import LogUnavailable

if TYPE_CHECKING:
    from lifecycle.log.place import Place

__all__ = ["PrivateCopy"]

_BESIDE: Final = ("", "-wal", "-journal")
_PREFIX: Final = "lifecycle-log-"
_LOCK: Final = ".reader"
_TIMEOUT_S: Final = 3600
#: A file that changes while it is copied is copied again.
_ATTEMPTS: Final = 10


class PrivateCopy:
    """A copy of the file at *where* with its write-ahead log, readable by this user only; it shows what stood there.

    Raises:
        LogUnavailable: It can't be copied: not readable, no room, or never at rest.
    """

    def __init__(self, where: Place) -> None:
        self._pid = os.getpid()
        self._folder, self._lock = "", None
        try:
            _clear()
            self._folder, self._lock = _folder()
            self.path = os.path.join(self._folder, os.path.basename(where.path))
            self._fill(where)
        except (OSError, subprocess.SubprocessError) as error:
            self.remove()
            said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
            why = str(said).strip() or str(error)
            raise LogUnavailable(
                f"{where.locator}: can't be read here: SQLite needs to write beside it, and it can't be copied: {why}"
            ) from error
        except BaseException:
            self.remove()
            raise

    def _fill(self, where: Place) -> None:
        for _ in range(_ATTEMPTS):
            before = _state(where.path)
            for beside, there in zip(_BESIDE, before, strict=True):
                target = f"{self.path}{beside}"
                with suppress(FileNotFoundError):
                    os.unlink(target)
                if there is not None:
                    line = ["cp", "--", f"{where.path}{beside}", target]
                    subprocess.run(
                        line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
                    )
                    os.chmod(target, 0o600)
            if before[0] is not None and _state(where.path) == before:
                return
        raise OSError("it is being written to all the time")

    def remove(self) -> None:
        """Delete it; not in a forked child, whose parent may still read it."""
        if os.getpid() == self._pid:
            if self._folder:
                shutil.rmtree(self._folder, ignore_errors=True)
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None


def _folder() -> tuple[str, int | None]:
    """A new folder and the descriptor that locks it: made again where _clear() took it away before it was locked."""
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        fd = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return folder, fd
        os.close(fd)


def _clear() -> None:
    """Delete the copies whose readers are gone; what can't be told or deleted stays."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            fd = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(fd)


def _state(path: str) -> list[tuple[int, int, int] | None]:
    """Size, time and inode of the file and what stands beside it; asked with stat(2), which takes no locks along."""
    found: list[tuple[int, int, int] | None] = []
    for beside in _BESIDE:
        try:
            status = os.stat(f"{path}{beside}")
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns, status.st_ino))
    return found
