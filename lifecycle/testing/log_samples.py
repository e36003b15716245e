"""Small, legal histories for tests of logs: the examples of samples.py with private parts, and ids that never repeat.

Each stands a second after the one before it: whole streams can be appended as they come.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from lifecycle.core import Cause, Config, ProcessIdentity
from lifecycle.core.events import SessionAnnotated
from lifecycle.log.port import NO_STREAM, NewEvent
from lifecycle.testing import samples
from lifecycle.testing.samples import IDLE, SECOND, accessed
from lifecycle.testing.samples import LONGEST as MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle.core import Event
    from lifecycle.core.events import (
        SessionClosed,
        SessionCreated,
        SessionFailed,
        SessionNavigated,
        SessionReleased,
        SessionStarted,
        SessionTimedOut,
    )
    from lifecycle.log.port import EventLog

__all__ = [
    "IDLE",
    "MAX",
    "OWNER",
    "SECOND",
    "T0",
    "accessed",
    "annotated",
    "begin",
    "closed",
    "created",
    "failed",
    "fresh_id",
    "navigated",
    "new",
    "released",
    "started",
    "timed_out",
]

#: 2026-09-21 in µs since the epoch
T0: Final = 1_790_000_000 * SECOND
OWNER: Final = ProcessIdentity(host="host", boot_id="boot", pid_namespace="ns", pid=100, started=5)


def fresh_id(prefix: str = "e") -> str:
    """An id that no other call gives, in any process."""
    return f"{prefix}-{uuid.uuid4().hex}"


def new(
    event: Event,
    event_id: str | None = None,
    *,
    actor: str = "tester",
    writer: str = "w-1",
    correlation_id: str | None = "c-1",
) -> NewEvent:
    """*event* on its way into a log."""
    return NewEvent(
        event_id=event_id or fresh_id(),
        event=event,
        actor=actor,
        writer=writer,
        correlation_id=correlation_id,
        causation_id=None,
    )


def created(session_id: str, at: int = T0, labels: Mapping[str, str] | None = None) -> SessionCreated:
    """Created by OWNER, with an idle timeout of 3 minutes and a longest life of 15."""
    return samples.created(
        at,
        session_id=session_id,
        config=Config(headless=True, viewport_width=1920, viewport_height=1080),
        labels=dict(labels or {}),
        owner=OWNER,
        keeper_id="k-1",
        browser_args=("--lang=de",),
    )


def started(at: int = T0 + SECOND) -> SessionStarted:
    """The browser runs."""
    return samples.started(at, keeper=OWNER, browser=OWNER, browser_version="131.0.1")


def annotated(at: int = T0 + SECOND, **data: str | int | float) -> SessionAnnotated:
    """A note of the embedder's."""
    return SessionAnnotated(at=at, name="step", data=dict(data))


def navigated(at: int = T0 + SECOND, url: str = "https://example.com/") -> SessionNavigated:
    """A visit; the URL is private."""
    return samples.navigated(at, tab="t-1", url=url)


def closed(at: int = T0 + 2 * SECOND) -> SessionClosed:
    """Stopped by somebody."""
    return samples.closed(at, evidence={"by": "api"})


def failed(at: int = T0 + 2 * SECOND, message: str = "it broke") -> SessionFailed:
    """Ended by an exception, whose message is private."""
    return samples.failed(at, cause=Cause.EXCEPTION, error_type="ValueError", error_message=message)


def timed_out(created_at: int = T0) -> SessionTimedOut:
    """Idle, when nothing but created and started happened at *created_at* and a second later."""
    return samples.timed_out(created_at + SECOND + IDLE, evidence={"late_us": 12})


def released(at: int = T0 + 3 * SECOND) -> SessionReleased:
    """The browser is gone."""
    return samples.released(at, exit_code=0, took_us=1500, profile_removed=True)


def begin(log: EventLog, session_id: str, at: int = T0, labels: Mapping[str, str] | None = None) -> None:
    """A session that has started, at version 2."""
    log.append(session_id, [new(created(session_id, at, labels)), new(started(at + SECOND))], expected=NO_STREAM)
