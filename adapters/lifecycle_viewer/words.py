"""What the page says of a session: its state as JSON, and each ending in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifecycle.core import LIVE, deadline, view
from lifecycle.core.deadlines import rule
from lifecycle.core.events import Cause

if TYPE_CHECKING:
    from datetime import datetime

    from lifecycle.core import Session

__all__ = ["SENTENCES", "state"]

_ERROR_CHARACTERS: Final = 600

#: Why a session ended, for somebody who only watched it.
SENTENCES: Final[dict[Cause, str]] = {
    Cause.STOPPED: "It was stopped: its script was done, or somebody ended it.",
    Cause.EXITED: "Its script left with sys.exit().",
    Cause.INTERRUPTED: "Its script was interrupted (Ctrl-C).",
    Cause.CANCELLED: "Its script was cancelled.",
    Cause.OWNER_EXITED: "The process that owned it is gone.",
    Cause.BROWSER_CLOSED: "The browser was closed.",
    Cause.LAUNCH_FAILED: "The browser did not start.",
    Cause.BROWSER_CRASHED: "The browser crashed.",
    Cause.BROWSER_LOST: "The browser is gone, and nobody here could see why.",
    Cause.KEEPER_LOST: "The process that kept its browser is gone.",
    Cause.EXCEPTION: "Its script failed with an exception.",
    Cause.IDLE: "Nobody used it for as long as its idle timeout allows.",
    Cause.MAX_DURATION: "It reached its maximum duration.",
}


def state(session: Session, now: int) -> dict[str, Any]:
    """*session* at *now* (µs) as the page gets it; times are ms since the epoch. Holds no secret."""
    seen = view(session, now)
    over = seen.status not in LIVE
    return {
        "session_id": seen.session_id,
        "status": seen.status.value,
        "over": over,
        "cause": seen.cause.value if seen.cause else None,
        "why": SENTENCES[seen.cause] if seen.cause else None,
        "error": seen.error[:_ERROR_CHARACTERS] if seen.error else None,
        "created_ms": _ms(seen.created_at),
        "closed_ms": _ms(seen.closed_at),
        "deadline_ms": deadline(session) // 1000,
        "limit": rule(session).value,
    }


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
