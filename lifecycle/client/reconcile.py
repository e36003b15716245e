"""Put right what a dead keeper could not: the log says a session lives, or holds a browser, and nobody keeps it.

| log says            | found                                       | done                                        |
|---------------------|---------------------------------------------|---------------------------------------------|
| live, now >= D      | anything                                    | timed_out at D; end the browser; released   |
| created, at D and   | keeper alive                                | timed_out at D; the rest is its keeper's,   |
| within the grace    |                                             | which may be launching just now             |
| live                | keeper alive                                | nothing                                     |
| live                | keeper gone                                 | failed/keeper_lost; end what is ours;       |
|                     |                                             | released                                    |
| live                | other host; other pid namespace of this one | nothing; D decides, and then only the       |
|                     | whose keeper has not let go of its lock     | ending is written: nobody saw its browser   |
| ended, not released | keeper gone, or ended longer ago than grace | end what is ours; released                  |
| live, without a     | owner gone                                  | closed/owner_exited; released, left running |
| keeper (attached)   |                                             |                                             |

A session without a keeper is attached to a browser that somebody else launched: its owner stands for the keeper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lifecycle import crash
from lifecycle.client.keeping import GRACE_S
from lifecycle.core import Close, Expire, Fail, Release, Session, deadline
from lifecycle.core.events import Cause, SessionReleased
from lifecycle.core.states import LIVE
from lifecycle.errors import HistoryError, IllegalCommand, UnknownSession
from lifecycle.ports import Sweeping
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lifecycle.client.recorder import Recorder
    from lifecycle.ports import BrowserHost

__all__ = ["RELEASE_WAIT_S", "Reconciled", "finish", "reconcile", "reconcile_log"]

#: How long whoever ended a session leaves its browser to the keeper before ending it itself.
RELEASE_WAIT_S: Final = GRACE_S + 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """One session put right: the cause recorded (None: it had ended before), and what became of its browser.

    `how` is as in SessionReleased, or "out of reach" for a browser of another host, of which nothing is claimed, or
    "left to its keeper" for one that a living keeper may be launching just now: it is released by that keeper, or by
    whoever reconciles after the grace.
    """

    session_id: str
    cause: str | None
    how: str


def reconcile(
    sessions: Iterable[Session], recorder: Recorder, host: BrowserHost, *, patient: bool = True
) -> list[Reconciled]:
    """Apply the table above to each of *sessions* (those not released). Idempotent, and safe to run in many processes.

    With *patient* False an ended session is finished even within the grace: its keeper is known to be hopeless.
    """
    recorder = recorder.lenient()
    done: list[Reconciled] = []
    for stale in sessions:
        try:
            session = recorder.load(stale.session_id)
            result = _one(session, recorder, host, patient=patient)
        except (HistoryError, UnknownSession, OSError) as error:  # OSError: such as no descriptor left, just now
            logger.warning("reconcile_skipped", session_id=stale.session_id, error=str(error))
            continue
        if result is not None:
            logger.info("reconciled", session_id=result.session_id, cause=result.cause, how=result.how)
            done.append(result)
    return done


def reconcile_log(
    unreleased: Callable[[], Sequence[Session]], recorder: Recorder, host: BrowserHost
) -> list[Reconciled]:
    """Reconcile the *unreleased* sessions of a log, and remove what killed processes have left beside it."""
    done = reconcile(unreleased(), recorder, host)
    if isinstance(host, Sweeping):
        host.sweep(recorder.log, unreleased)
    return done


def _one(session: Session, recorder: Recorder, host: BrowserHost, *, patient: bool) -> Reconciled | None:
    if session.released:
        return None
    alive = host.keeper_alive(session, recorder.log)
    cause: str | None = None
    if session.status in LIVE:
        if (command := _ending(session, recorder.clock.now(), alive)) is None:
            return None
        try:
            outcome = recorder.execute(session.session_id, command)
        except IllegalCommand:
            return None  # somebody else ended it just now and sees to the rest
        session = outcome.session
        if not outcome.events:
            return None  # ended or extended meanwhile
        cause = session.cause
        if alive is None:
            return Reconciled(session_id=session.session_id, cause=cause, how="out of reach")
        if alive and session.keeper_id and session.started_at is None and _in_grace(session, recorder.clock.now()):
            # It may launch the browser at this very moment: `never_started` would be found, and not be true.
            return Reconciled(session_id=session.session_id, cause=cause, how="left to its keeper")
    elif alive is None or (alive and patient and _in_grace(session, recorder.clock.now())):
        return None
    how = finish(session, recorder, host)
    return None if how is None else Reconciled(session_id=session.session_id, cause=cause, how=how)


def _ending(session: Session, now: int, alive: bool | None) -> Expire | Close | Fail | None:
    if now >= deadline(session):
        return Expire()
    if alive is False and session.keeper_id is None:
        return Close(cause=Cause.OWNER_EXITED, evidence={"owner": "gone"})
    return Fail(cause=Cause.KEEPER_LOST, evidence={"keeper": "gone"}) if alive is False else None


def _in_grace(session: Session, now: int) -> bool:
    return now - (session.closed_at or 0) < RELEASE_WAIT_S * 1e6


def finish(session: Session, recorder: Recorder, host: BrowserHost) -> str | None:
    """End the browser of an ended session by its recorded identity and append `released`.

    Returns what became of the browser; None when somebody else had released it already.
    """
    crash.point("reconcile.ended")
    remains = host.end(session, recorder.log)
    crash.point("reconcile.cleaned_up")
    event = SessionReleased.model_validate(
        {"how": remains.how, "profile_removed": remains.profile_removed, "evidence": remains.evidence}
    )
    outcome = recorder.execute(session.session_id, Release(event=event))
    return remains.how if outcome.events else None
