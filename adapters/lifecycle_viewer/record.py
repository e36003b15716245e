"""Reads one session's state from its log, and never writes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lifecycle.errors import LogUnavailable
from lifecycle.log.locate import open_log

if TYPE_CHECKING:
    from lifecycle.core import Session

__all__ = ["Record"]


class Record:
    """A session as its log has it. For one thread.

    Raises:
        LogUnsuitable, LogTampered, LogUnavailable: As opening the log says.
    """

    def __init__(self, locator: str, session_id: str) -> None:
        self._log = open_log(locator, create=False, read_only=True)
        self._session_id = session_id
        self._session: Session | None = None

    def read(self) -> Session | None:
        """The session now; what it was when the log can't be read at this moment. None where there is none."""
        with suppress(LogUnavailable):
            self._session = self._log.load(self._session_id, self._session)
        return self._session

    def close(self) -> None:
        """Let go of the log."""
        self._log.close()
