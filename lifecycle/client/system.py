"""The real clock and real ids, and who is writing."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import uuid_utils

from lifecycle.errors import LogUnsuitable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SystemClock", "Uuid7", "default_actor", "default_log", "writer_name"]


class SystemClock:
    """The machine's clocks and real threads."""

    def now(self) -> int:
        """µs since the Unix epoch."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since the machine started, or thereabouts."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block the thread."""
        time.sleep(seconds)

    def wait_for(self, changed: threading.Condition, true: Callable[[], bool], timeout_s: float) -> bool:
        """Block the thread until *true*, looked at whenever *changed* is notified, or until the time is over."""
        return changed.wait_for(true, timeout_s)

    def start(self, name: str, run: Callable[[], object]) -> None:
        """Start a daemon thread."""
        threading.Thread(target=run, name=name, daemon=True).start()


class Uuid7:
    """Time-ordered random ids (RFC 9562)."""

    def new(self) -> str:
        """A new UUIDv7 as text."""
        return str(uuid_utils.uuid7())


def default_actor() -> str:
    """Who acts when nobody said: the user's name, or the numeric id where there is none."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid:{os.getuid()}"


def writer_name(role: str) -> str:
    """The process that writes, for the envelope: role, host and pid."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


def default_log(*, make: bool = True) -> str:
    """Where the log is when nobody said: $LIFECYCLE_LOG, else one file in the platform's user data directory.

    An empty variable counts as unset. The directory is made, for the user alone, unless *make* is False.

    Raises:
        LogUnsuitable: There is no such directory, and it can't be made.
    """
    if given := os.environ.get("LIFECYCLE_LOG"):
        return given
    from platformdirs import user_data_path

    try:
        folder = user_data_path("lifecycle", appauthor=False)
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (RuntimeError, OSError) as error:  # a user without a home, as in containers, or one that can't be written
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else "there is no home directory"
        raise LogUnsuitable("the default log", f"can't be made: {why}; name a log, or set $LIFECYCLE_LOG") from None
    return str(folder / "sessions.db")
