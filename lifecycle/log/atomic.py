"""Files that survive a crash: a small one is replaced whole, and a new one is there under its name."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["replace_file", "sync_directory"]


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Make *path* a file of *data*, for its owner only unless *mode* says more, and durable on return.

    Raises:
        OSError: It can't be written, or is a symbolic link; what was there is there.
    """
    if path.is_symlink():
        raise OSError(0, "it is a symbolic link")
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600, O_EXCL, O_NOFOLLOW
    try:
        os.fchmod(fd, mode)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(path)


def sync_directory(path: Path) -> None:
    """Make the name of the file *path* durable: of a new one, its own sync need not bring the name to the disk."""
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # it may be written and not read: then it can't be synced
        return
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
