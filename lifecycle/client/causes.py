"""What an exception means for a session: the command that ends it. And what an ending means to a script: an error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lifecycle.client import redact
from lifecycle.core import Close, Fail, SessionView
from lifecycle.core.events import Cause
from lifecycle.core.states import State
from lifecycle.errors import (
    BrowserLost,
    KeeperUnavailable,
    LaunchFailed,
    LifecycleError,
    SessionEnded,
    SessionStopped,
    SessionTimedOut,
)

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["ended_error", "ending_for", "no_driver", "not_started"]


def ended_error(ending: SessionView) -> SessionEnded:
    """The error that says how an ended session ended."""
    if ending.status is State.TIMED_OUT:
        return SessionTimedOut(ending)
    if ending.cause in (Cause.BROWSER_CRASHED, Cause.BROWSER_LOST, Cause.BROWSER_CLOSED, Cause.KEEPER_LOST):
        return BrowserLost(ending)
    if ending.status is State.CLOSED:
        return SessionStopped(ending)
    return SessionEnded(ending)


def ending_for(error: BaseException | None) -> Close | Fail:
    """The command that ends a session whose block was left with *error* (DESIGN, how a with block ends)."""
    match error:
        case None:
            return Close(cause=Cause.STOPPED)
        case SystemExit(code=None | 0):
            return Close(cause=Cause.EXITED)
        case KeyboardInterrupt():
            return Close(cause=Cause.INTERRUPTED)
        case GeneratorExit():
            return Close(cause=Cause.CANCELLED, evidence={"exception": "GeneratorExit"})
        case _ if type(error).__name__ == "CancelledError":  # asyncio's and trio's Cancelled, without importing either
            return Close(cause=Cause.CANCELLED, evidence={"exception": _qualified(error)})
        case _:
            text = redact.message(redact.said(error))
            return Fail(cause=Cause.EXCEPTION, error_type=_qualified(error)[:256], error_message=text or None)


def not_started(error: LaunchFailed) -> Fail:
    """For a launch whose failure the keeper could not record: it has, or this does, whoever comes first."""
    return Fail(cause=Cause.LAUNCH_FAILED, error_type="LaunchFailed", error_message=redact.message(str(error)) or None)


@contextmanager
def no_driver(session_id: str, *, lives: bool = False) -> Generator[None]:
    """What keeps the pages' driver from starting, as an error of ours.

    Raises:
        LaunchFailed: It did not start, and with it the session.
        KeeperUnavailable: The same for a session that *lives*.
    """
    try:
        yield
    except LifecycleError:
        raise
    except Exception as error:
        why = f"the driver of its pages did not start: {redact.message(redact.said(error))}"
        if lives:
            raise KeeperUnavailable(f"session {session_id} can't be reached from here, and goes on: {why}") from error
        raise LaunchFailed(session_id, f"{why}; it may have said more on stderr, and page=False needs none") from error


def _qualified(error: BaseException) -> str:
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
