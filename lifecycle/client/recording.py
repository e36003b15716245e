"""What a session's `record` asks for: validated before anything starts, and made an order for its keeper."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from lifecycle.client import adapters
from lifecycle.client.text import clean
from lifecycle.errors import InvalidConfig
from lifecycle.ports import RecordingOrder

if TYPE_CHECKING:
    from lifecycle.log.port import EventLog

__all__ = ["LIMIT_BYTES", "Recorder", "Wish", "order", "wish"]

#: How large a recording may become unless the session says otherwise: hours of an ordinary page.
LIMIT_BYTES: Final = 256 * 2**20
_LEAST_BYTES: Final = 2**20
_ALLOWED: Final = "must be True, a directory that exists, or the path of a new .mp4 file in a directory that exists"


class Recorder(Protocol):
    """What makes recordings: the adapter."""

    @property
    def command(self) -> tuple[str, ...]:
        """The process that records one session; its keeper starts it."""
        ...

    def check(self) -> None:
        """Refuse what could only fail later.

        Raises:
            MissingExtra: There is no encoder.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """A recording that is asked for. `path`: a directory, a file that is not there yet, or None for beside the log."""

    recorder: Recorder
    path: Path | None
    limit_bytes: int


def wish(record: object, limit_bytes: object) -> Wish | None:
    """What these two arguments ask for; None where nothing is to be recorded.

    Raises:
        InvalidConfig: Names the argument.
        MissingExtra: There is no encoder.
    """
    if limit_bytes is not None:
        good = isinstance(limit_bytes, int) and not isinstance(limit_bytes, bool) and limit_bytes >= _LEAST_BYTES
        if not good:
            raise InvalidConfig("record_limit_bytes", limit_bytes, f"must be a whole number from {_LEAST_BYTES} up")
        if record is False:
            raise InvalidConfig("record_limit_bytes", limit_bytes, "is for a session with record=True, or a path")
    if record is False:
        return None
    path = None if record is True else _path(record)
    recorder: Recorder = adapters.load("recorder")
    recorder.check()
    return Wish(recorder, path, LIMIT_BYTES if limit_bytes is None else cast("int", limit_bytes))


def _path(record: object) -> Path:
    try:
        path = Path(cast("str", record)).absolute()  # anything at all may come in here; the except answers it
        if not str(record).strip() or not clean(str(path)):
            raise InvalidConfig("record", record, _ALLOWED)
        folder = path if path.is_dir() else path.parent
        there = folder.is_dir()
    except (TypeError, OSError):  # no path at all; a name that is too long
        raise InvalidConfig("record", record, _ALLOWED) from None
    if not there or (folder != path and path.suffix.lower() != ".mp4"):
        raise InvalidConfig("record", record, _ALLOWED)
    if os.path.lexists(path) and folder != path:
        raise InvalidConfig("record", record, "is there already, and a recording replaces nothing")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidConfig("record", record, f"{str(folder)!r} can't be written")
    return path


def order(wish: Wish | None, log: EventLog, session_id: str) -> RecordingOrder | None:
    """The keeper's order for a session's recording; makes the directory beside the log where that is its place.

    Raises:
        InvalidConfig: There is no place beside this log, or it can't be written.
    """
    if wish is None:
        return None
    path = wish.path
    if path is None:
        runtime: Path | None = getattr(log, "runtime_dir", None)
        if runtime is None:
            raise InvalidConfig("record", True, "this log is no file to put recordings beside; give a path")
        path = runtime / "recordings"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidConfig("record", True, f"{str(path)!r} can't be made: {error.strerror}") from None
    if path.is_dir():
        path = path / f"{session_id}.mp4"
    return RecordingOrder(command=wish.recorder.command, path=str(path), limit_bytes=wish.limit_bytes)
