"""Mark: the file in which a reader of a log keeps its place, for itself alone, from one run to the next."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

from lifecycle.errors import InvalidConfig, SinkUnavailable
from lifecycle.log.atomic import replace_file
from lifecycle.log.port import Cursor

if TYPE_CHECKING:
    from lifecycle.log.port import EventLog

__all__ = ["Mark"]

_ALLOWED: Final = "must be a cursor file that forwarding has written, or not exist"


class Mark:
    """The cursor in *path*, and the id of the event it stands on, by which a wrong log is noticed.

    A context manager: inside, nobody else has this file. `found`: there was one. `cursor` None: before everything.

    Raises:
        InvalidConfig: The file holds something else.
        SinkUnavailable: Another process has it, or it can't be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._beside = self.path.with_name(f"{self.path.name}.lock")
        self.found = False
        self.cursor: Cursor | None = None
        self._event_id: str | None = None
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            while self._lock is None:
                lock = os.open(self._beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BaseException:
                    os.close(lock)
                    raise
                if os.fstat(lock).st_nlink:
                    self._lock = lock
                else:
                    os.close(lock)  # whoever had it took the file away before it let go
            self._read()
        except BlockingIOError:
            self.__exit__()
            raise SinkUnavailable(str(self.path), "another process forwards with this cursor file") from None
        except OSError as error:
            self.__exit__()
            raise SinkUnavailable(str(self.path), error.strerror or str(error)) from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            with suppress(OSError):
                os.unlink(self._beside)
            os.close(self._lock)
            self._lock = None

    def _read(self) -> None:
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return
        except UnicodeDecodeError:
            raise InvalidConfig("cursor", str(self.path), _ALLOWED) from None
        try:
            held: Any = json.loads(text)
        except ValueError:
            held = None
        held = cast("dict[str, Any]", held) if isinstance(held, dict) else {}
        cursor, event_id = held.get("cursor"), held.get("event_id")
        right = cursor is None or (type(cursor) is int and cursor > 0 and isinstance(event_id, str))
        if "cursor" not in held or not right:
            raise InvalidConfig("cursor", str(self.path), _ALLOWED)
        self.found = True
        self.cursor = None if cursor is None else Cursor(cursor)
        self._event_id = event_id

    def check(self, log: EventLog) -> None:
        """Refuse a log that does not hold the event on which the cursor stands.

        Raises:
            InvalidConfig: It is another log, or its end was cut off.
        """
        if self.cursor is not None and _event_at(log, self.cursor) != self._event_id:
            where = log.locator or "this log"
            raise InvalidConfig(
                "cursor", str(self.path), f"stands on event {self._event_id} at {self.cursor}, which is not in {where}"
            )

    def store(self, log: EventLog, cursor: Cursor | None) -> None:
        """Move to *cursor*: atomically, and on the disk on return.

        Raises:
            SinkUnavailable: The file can't be written.
            InvalidConfig: No event stands there.
        """
        if self.found and cursor == self.cursor:
            return
        event_id = None if cursor is None else _event_at(log, cursor)
        if cursor is not None and event_id is None:
            raise InvalidConfig("after", cursor, "must be the cursor of an event of this log")
        try:
            text = json.dumps({"cursor": cursor, "event_id": event_id}) + "\n"
            replace_file(self.path, text.encode())
        except OSError as error:
            raise SinkUnavailable(str(self.path), error.strerror or str(error)) from error
        self.found, self.cursor, self._event_id = True, cursor, event_id


def _event_at(log: EventLog, cursor: Cursor) -> str | None:
    before = Cursor(cursor - 1) if cursor > 1 else None
    events = log.read_all(before, limit=1).events
    return events[0].event_id if events and events[0].position == cursor else None
