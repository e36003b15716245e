"""export_to(): an export as a file that is there when it is whole, and one that was interrupted taken up.

Until then it stands in FILE.part. Taken up, what stands there is compared with what would be written and stays as far
as it is the same; from the first difference on it is written anew. So the file is what an uninterrupted export gives,
whatever stood there. Only what sessions amounted to is taken as it stands: to make it is half of the work.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lifecycle.audit.export import lines_of_rows, rows_of
from lifecycle.errors import InvalidConfig, SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lifecycle.audit.export import Format
    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.projections import Progress

__all__ = ["Exported", "export_to"]


@dataclass(frozen=True, slots=True)
class Exported:
    """`bytes` of the file, with `events`; so many bytes of them were `there`, from an interrupted attempt."""

    path: Path
    events: int
    bytes: int
    there: int


def export_to(
    log: EventLog,
    path: str | os.PathLike[str],
    form: Format = "jsonl",
    *,
    sessions: Collection[str] | None = None,
    private: bool = False,
    source: str = "urn:session-lifecycle",
    resume: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write export() into the new file *path*, which only its owner may read.

    Interrupted, it leaves `PATH.part`; with *resume* it goes on with that.

    Raises:
        InvalidConfig: There is such a file, or another export to it is under way, or it can't be written there.
        SinkUnavailable: The disk is full or fails; as interrupted.
        LogUnavailable, LogTampered: As export.
    """
    target = Path(path)
    part = target.with_name(f"{target.name}.part")
    if "\0" in str(target):
        raise InvalidConfig("to", str(target), "a path without a NUL")
    _refuse_one_there(target)
    try:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with open(fd, "r+b") as file:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InvalidConfig("to", str(target), "a file that no other export is writing now") from None
            _refuse_one_there(target)  # what was opened may be it: the other export's, whole meanwhile
            os.fchmod(fd, 0o600)  # one that stood there may be everybody's
            if not resume:
                file.truncate()
            events = 0

            def counted(rows: Iterator[Recorded]) -> Iterator[Recorded]:
                nonlocal events
                for row in rows:
                    events += 1
                    yield row

            begun = _Begun(file)
            rows = counted(rows_of(log, sessions, progress))
            for line in lines_of_rows(log, rows, form, private=private, source=source, begun=begun):
                begun.write(line)
            size = begun.end()
            file.flush()
            os.fsync(fd)
            part.rename(target)  # under the lock, or it could be another export's already
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise SinkUnavailable(str(target), str(error.strerror)) from error
        raise InvalidConfig("to", str(target), f"a file that can be written: {error.strerror}") from None
    return Exported(target, events, size, begun.there)


def _refuse_one_there(target: Path) -> None:
    if os.path.lexists(target):
        raise InvalidConfig("to", str(target), "a file that is not there yet")


class _Begun:
    """The file, and how far what stands in it is what is to be there."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead = b""
        self._size = 0
        self.there = 0
        #: whether everything was the same up to here
        self.same = True

    def write(self, text: str) -> None:
        """The next of what is to be there."""
        data = text.encode()
        self._size += len(data)
        if self.same:
            found = self._ahead or self._file.read(len(data))
            self._ahead = b""
            if found == data:
                self.there += len(data)
                return
            self._cut()
        self._file.write(data)

    def summary(self, session_id: str) -> str | None:
        """What is there next, if it is what the session amounted to."""
        self._ahead = self._file.readline()
        try:
            found = json.loads(self._ahead)["session"]["session_id"]
            return self._ahead.decode() if found == session_id and self._ahead.endswith(b"\n") else None
        except (ValueError, KeyError, TypeError):
            return None

    def end(self) -> int:
        """Nothing more is to be there; how many bytes it is."""
        if self.same:
            self._cut()
        return self._size

    def _cut(self) -> None:
        self.same = False
        self._file.seek(self.there)
        self._file.truncate()
