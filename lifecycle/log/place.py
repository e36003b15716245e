"""Where a log is: the file, its runtime directory, and what a path must be to serve. Never opens a log."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lifecycle.errors import InvalidConfig, LogUnsuitable
from lifecycle.log.atomic import sync_directory

__all__ = ["Place", "make_directory", "make_file", "open_lock", "place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log is: its absolute path with every symbolic link resolved, and text to open it by."""

    path: str

    @property
    def locator(self) -> str:
        return f"sqlite:{self.path}"

    @property
    def runtime_dir(self) -> Path:
        return Path(f"{self.path}.d")

    @property
    def lock_path(self) -> str:
        return f"{self.path}.d/writers"

    def identity(self) -> tuple[int, int] | None:
        """(device, inode) of the file; None if there is none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def make_writable(self) -> None:
        """Give -wal and -shm the mode of the file: SQLite made them so, and leaves them when the file's was changed."""
        for beside in ("-wal", "-shm"):
            with suppress(OSError):  # not there, or somebody else's
                found = os.lstat(self.path + beside)
                mode = stat.S_IMODE(os.stat(self.path).st_mode) & 0o666
                if stat.S_ISREG(found.st_mode) and mode & ~found.st_mode & 0o222:
                    os.chmod(self.path + beside, mode)

    def denied(self, *, writing: bool) -> str | None:
        """What of it this user may not read, or else write where that is wanted; None where all of it is allowed."""
        for path in (self.path, f"{self.path}-wal", f"{self.path}-journal"):
            if os.path.exists(path) and not os.access(path, os.R_OK):
                return f"{path} may not be read"
        for path in (self.path, os.path.dirname(self.path)) if writing else ():
            if not os.access(path, os.W_OK):
                return f"{path} may not be written"
        return None

    def check(self, *, create: bool) -> int:
        """The size of the file in bytes, 0 if it has to be made.

        Raises:
            LogUnsuitable: It can't be a log's place; the message says why.
        """
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            directory = os.path.dirname(self.path)
            if not os.path.isdir(directory):
                raise LogUnsuitable(self.locator, f"the directory {directory} does not exist") from None
            if not create:
                raise LogUnsuitable(self.locator, "there is no such file") from None
            return 0
        except OSError as error:
            raise LogUnsuitable(self.locator, f"can't be reached: {error.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            what = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise LogUnsuitable(self.locator, f"is {what}")
        if found.st_nlink > 1:
            # SQLite names the write-ahead log after the file's name: two names, two of them, and a broken database.
            raise LogUnsuitable(self.locator, f"has {found.st_nlink} hard links; a log must have one name only")
        if not found.st_size and not create:
            raise LogUnsuitable(self.locator, "the file is empty")
        return found.st_size


def place(path: str | os.PathLike[str]) -> Place:
    """The place *path* means; relative paths and `~` are resolved now.

    Raises:
        InvalidConfig: Not usable as a path.
    """
    text = os.fspath(path)
    if not _is_text(text) or "\0" in text or text == ":memory:":
        raise InvalidConfig("path", path, "the path of a file, in UTF-8; for a log in memory use MemoryLog")
    try:
        return Place(os.path.realpath(os.path.expanduser(text)))
    except OSError as error:  # relative to a directory that was deleted
        raise InvalidConfig("path", path, f"the path of a file: {error.strerror}") from error


def _is_text(value: object) -> bool:
    """Whether it is text that another process can be told: a file name that is not UTF-8 is not."""
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False


def make_file(where: Place) -> None:
    """Make the empty file, readable by its owner only, and its directory entry durable. Not an error if it is there."""
    try:
        fd = os.open(where.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return
    os.close(fd)  # nobody has opened it with SQLite yet, so there are no locks to lose
    sync_directory(Path(where.path))


def make_directory(where: Place) -> None:
    """Make the runtime directory, for its owner only; tighten it if it is open to others.

    Raises:
        LogUnsuitable: Something else is in its place, or it belongs to another user.
        OSError: It can't be made here.
    """
    directory = where.runtime_dir
    try:
        os.mkdir(directory, 0o700)
        _give_to_owner(where, directory)
    except FileExistsError:
        pass
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise LogUnsuitable(where.locator, f"{directory} is not a directory")
    if found.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise LogUnsuitable(where.locator, f"{directory} belongs to another user")
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        os.chmod(directory, 0o700)


def open_lock(where: Place) -> int:
    """The descriptor of the file on which writers queue, made with its directory if need be.

    Raises:
        LogUnsuitable, OSError: As make_directory.
    """
    make_directory(where)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(where.lock_path, flags | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(where.lock_path, flags, 0o600)
    _give_to_owner(where, where.lock_path)
    return fd


def _give_to_owner(where: Place, path: Path | str) -> None:
    """What root makes beside a user's log belongs to that user, as SQLite does with its own files."""
    if os.geteuid() == 0:
        with suppress(OSError):
            owner = os.stat(where.path)
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
