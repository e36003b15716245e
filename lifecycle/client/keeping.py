"""How a keeper sees one session through, whatever kind of browser it is: the rules, without processes or sockets.

Order, in every step:
1. what was seen since the last step is recorded: facts in the order they came, then an access that is due;
2. what ends the session is decided: found dead, owner gone, deadline passed, or ended by somebody else in the log;
3. the terminal event is appended FIRST: afterwards a clean close and a kill look the same from outside;
4. only then its cookies are saved and its recording is finished, the browser is asked to close, killed after the
   grace, its profile removed;
5. `released` is appended with what was seen.

A log that refuses the ending keeps no browser alive: after the grace steps 4 and 5 happen anyway, and the ending is
offered for ten minutes.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from lifecycle import crash
from lifecycle.client import redact
from lifecycle.core import Close, Expire, Fail, Record, Release, Session, Start, deadline, view
from lifecycle.core.events import Cause, SessionAccessed, SessionReleased
from lifecycle.core.states import LIVE
from lifecycle.errors import IllegalCommand, LifecycleError, LogUnavailable
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.client.recorder import Recorder
    from lifecycle.core import Command
    from lifecycle.core.events import CookiesSaved, Evidence, Note, SessionStarted
    from lifecycle.ports import Clock, Exit, KeptBrowser

__all__ = ["GRACE_S", "Kept", "exit_evidence", "record_gone"]

#: Between asking a browser to close and killing it.
GRACE_S: Final = 3.0
#: The longest sleep of a keeper: it rereads the wall clock that often, so a suspend or a step is seen within it.
_NAP_S: Final = 1.0
_STEP_SEEN_US: Final = 1_000_000
_RETRY_S: Final = 0.1
#: How long a log may refuse what a session begins with, `started` or that its browser did not come up.
_INSIST_S: Final = 15.0
#: How long an ending is offered to a log that does not take it, once the browser is gone.
_OFFER_S: Final = 600.0
#: How often a running browser's cookies are looked at: what a crash can lose at most.
_COOKIES_S: Final = 30.0
#: How long the whole of an ending may wait for what finishes beside it, such as a recording: below RELEASE_WAIT_S.
_RECEIPTS_S: Final = 3.5
#: Clients named in `released`; an ending must fit into the log, however many were connected.
_CLIENTS: Final = 64
#: A burst of facts beyond this is cut: the history says how many were dropped.
_FACTS: Final = 10_000


def exit_evidence(exit: Exit) -> Evidence:
    """An exit as evidence: the code or the signal, whichever is known."""
    return {
        **({"exit_code": exit.code} if exit.code is not None else {}),
        **({"signal": exit.signal} if exit.signal is not None else {}),
    }


def _receipts(saved: CookiesSaved) -> Evidence:
    if saved.why_not is not None:
        return {"cookies_why_not": saved.why_not}
    return {"cookies_count": saved.count, "cookies_sha256": saved.sha256}


def insist(recorder: Recorder, session_id: str, command: Command) -> Session:
    """Run *command*, also when the log refuses it for a while."""
    clock = recorder.clock
    until = clock.monotonic() + _INSIST_S
    while True:
        try:
            return recorder.execute(session_id, command).session
        except LogUnavailable:
            if clock.monotonic() >= until:
                raise
        clock.sleep(_RETRY_S)


def record_gone(recorder: Recorder, session_id: str, command: Close | Fail, released: SessionReleased) -> None:
    """Record the ending, if it has none yet, of a session whose browser is gone or did not come up, and the release."""
    try:
        session = insist(recorder, session_id, command)
    except IllegalCommand:
        session = recorder.load(session_id)
    if session.status not in LIVE:
        insist(recorder, session_id, Release(event=released))


class Kept:
    """One session in its keeper. `run` (or `step`) belongs to the session's own thread; the rest is for any thread."""

    def __init__(
        self,
        session: Session,
        recorder: Recorder,
        browser: KeptBrowser,
        *,
        on_released: Callable[[], None],
        grace_s: float = GRACE_S,
    ) -> None:
        self.session_id = session.session_id
        self._session = session
        self._recorder = recorder.lenient()
        self._clock: Clock = recorder.clock
        self._browser = browser
        self._on_released = on_released
        self._grace_s = grace_s
        self._monotonic = recorder.clock.monotonic
        self._wake = threading.Condition()
        self._facts: deque[Note] = deque()
        self._dropped = 0
        self._accessed_at: int | None = None
        self._recorded_access = session.last_accessed_at
        self._poked = False
        self._stale = False
        self._owner_gone: Evidence | None = None
        self._wanted: Close | Fail | None = None
        self._offset_us = self._offset()
        self._clock_step_us = 0
        self._cookies_at = self._monotonic()
        self._refused_since: float | None = None
        self._released: SessionReleased | None = None
        self._letting_go = False

    def accessed(self) -> None:
        """A client used the session just now."""
        now = self._clock.now()
        with self._wake:
            self._accessed_at = now
            if now >= self._next_access_due():
                self._poke()

    def note(self, fact: Note) -> None:
        """Record *fact*, in the order of these calls."""
        with self._wake:
            if len(self._facts) >= _FACTS:
                self._dropped += 1
                return
            self._facts.append(fact)
            self._poke()

    def missed(self, count: int) -> None:
        """So many facts could not be told: the ending says so."""
        with self._wake:
            self._dropped += count

    def look(self) -> None:
        """The log may hold news of this session, or the browser may be gone."""
        with self._wake:
            self._stale = True
            self._poke()

    def lives(self) -> bool:
        """Whether the session has not ended by now, as the log tells; one that can't be read does not end it."""
        try:
            session = self._recorder.load(self.session_id)
        except LifecycleError:
            session = self._session
        lives = not self._letting_go and view(session, self._clock.now()).status in LIVE
        if not lives:
            self.look()  # whoever wrote the ending may have been killed before it said so
        return lives

    def owner_gone(self, evidence: Evidence) -> None:
        """The owner's process is gone: end the session unless it is kept alive."""
        with self._wake:
            self._owner_gone = evidence
            self._poke()

    def end(self, command: Close | Fail) -> None:
        """End the session with *command*: for an owner whose log refuses the ending now."""
        with self._wake:
            self._wanted = command
            self._poke()

    def _poke(self) -> None:
        self._poked = True
        self._wake.notify()

    def begin(self, started: SessionStarted, *facts: Note) -> str | None:
        """Record *facts* and *started*, before run(); why the log refuses them, None when it does not.

        A session that ended while its browser came up stays ended: run() releases it at once. A log that refuses
        `started` gets launch_failed offered instead, and the browser goes.
        """
        try:
            for fact in facts:  # before `started`: a stop right after it must not cost the receipt
                self._session = insist(self._recorder, self.session_id, Record(event=fact))
            self._session = insist(self._recorder, self.session_id, Start(event=started))
        except IllegalCommand:
            self.look()
        except LifecycleError as error:
            reason = f"the log refuses `started`: {error}"
            kind, message = type(error).__name__, redact.message(reason)
            self.end(Fail(cause=Cause.LAUNCH_FAILED, error_type=kind, error_message=message))
            return reason
        return None

    def run(self) -> None:
        """See the session through to `released`; returns when there is nothing left to do.

        Whatever goes wrong in here, neither the browser nor the session in the record outlives it.
        """
        try:
            while (pause := self.step()) is not None:
                with self._wake:
                    self._clock.wait_for(self._wake, lambda: self._poked, pause)
                    self._poked = False
        except Exception as error:
            self._broken(error)
            raise
        finally:
            self._browser.kill()
            self._browser.clean_up()
            self._on_released()

    def _broken(self, error: Exception) -> None:
        """No rule provides for *error*: its keeper lives, so nobody else would write down that the session does not."""
        self._browser.kill()
        lost = Fail(
            cause=Cause.KEEPER_LOST,
            error_type=type(error).__qualname__,
            error_message=redact.message(str(error)) or None,
            evidence={"keeper": "failed"},
        )
        how: Literal["killed", "detached"] = "killed" if self._browser.ours else "detached"
        released = SessionReleased(how=how, profile_removed=self._browser.clean_up())
        record_gone(self._recorder, self.session_id, lost, released)

    def step(self) -> float | None:
        """Do what is due now; the seconds until the next look at the latest, None when the session is over."""
        self._watch_clock()
        try:
            pause = self._step()
        except LifecycleError as error:
            return self._refused(error)
        self._refused_since = None
        return pause

    def _step(self) -> float | None:
        with self._wake:
            facts = list(self._facts)
            stale = self._stale
        self._record(facts)
        if stale:
            self._stale = False  # first: whoever calls look() while the log is read is heard in the next step
            try:
                self._session = self._recorder.load(self.session_id)
            except BaseException:
                self._stale = True
                raise
        now = self._clock.now()
        if self._session.status in LIVE and (command := self._ending(now)) is not None:
            self._flush_access(now)
            crash.point("keeper.ending")
            self._execute(command)
        if self._session.status not in LIVE:
            self._release()
            return None
        self._access_if_due(now)
        self._cookies_if_due()
        return self._pause(self._clock.now())

    def _record(self, facts: list[Note]) -> None:
        for fact in facts:
            self._execute(Record(event=fact))
            with self._wake:
                self._facts.popleft()

    def _execute(self, command: Command) -> None:
        try:
            self._session = self._recorder.execute(self.session_id, command).session
        except IllegalCommand:  # somebody else has ended the session meanwhile
            self._session = self._recorder.load(self.session_id)

    def _ending(self, now: int) -> Close | Fail | Expire | None:
        """What should end the live session now, if anything; the deadline is decide's to put first."""
        evidence: Evidence = {"clock_step_us": self._clock_step_us} if self._clock_step_us else {}
        if self._dropped:
            evidence = {**evidence, "facts_dropped": self._dropped}
        if self._wanted is not None:
            return self._wanted.model_copy(update={"evidence": {**self._wanted.evidence, **evidence}})
        if (exit := self._browser.exit(0)) is not None:
            seen = {**evidence, **exit_evidence(exit)}
            if exit.code == 0:
                return Close(cause=Cause.BROWSER_CLOSED, evidence=seen)
            lost = exit.code is None and exit.signal is None
            return Fail(cause=Cause.BROWSER_LOST if lost else Cause.BROWSER_CRASHED, evidence=seen)
        if self._owner_gone is not None and not self._session.keep_alive:
            return Close(cause=Cause.OWNER_EXITED, evidence={**evidence, **self._owner_gone})
        if now >= deadline(self._session):
            # Somebody may have extended it from elsewhere; decide reads the history afresh and says so.
            return Expire(evidence=evidence)
        return None

    def _cookies_if_due(self) -> None:
        if self._monotonic() - self._cookies_at < _COOKIES_S:
            return
        self._cookies_at = self._monotonic()
        if (saved := self._browser.save_cookies()) is not None:
            self._execute(Record(event=saved))

    def _quarter(self) -> int:
        idle = self._session.limits.idle_timeout_us
        return 30_000_000 if idle is None else min(idle // 4, 30_000_000)

    def _next_access_due(self) -> int:
        return self._recorded_access + self._quarter()

    def _access_if_due(self, now: int) -> None:
        pending = self._accessed_at
        if pending is None:
            return
        if pending >= self._next_access_due() or now >= self._last_call():
            self._flush_access(now)

    def _last_call(self) -> int:
        """When a pending access can't wait any longer: a quarter before the deadline, where none was recorded since."""
        until = deadline(self._session)
        last = until - self._quarter()
        return last if self._recorded_access < last else until

    def _flush_access(self, now: int) -> None:
        with self._wake:
            pending, self._accessed_at = self._accessed_at, None
        if pending is None or pending <= self._session.last_accessed_at or now >= deadline(self._session):
            return
        try:
            self._execute(Record(event=SessionAccessed(last_at=pending, by="gate")))
            self._recorded_access = pending
        except BaseException:
            self._put_back(pending)
            raise

    def _put_back(self, pending: int) -> None:
        with self._wake:
            if self._accessed_at is None:
                self._accessed_at = pending

    def _pause(self, now: int) -> float:
        until = deadline(self._session) if self._accessed_at is None else self._last_call()
        return min(_NAP_S, max(0.0, (until - now) / 1e6))

    def _offset(self) -> int:
        return self._clock.now() - round(self._monotonic() * 1e6)

    def _watch_clock(self) -> None:
        offset = self._offset()
        if abs(offset - self._offset_us) >= _STEP_SEEN_US:
            self._clock_step_us += offset - self._offset_us
        self._offset_us = offset

    def _release(self) -> None:
        if self._session.released:
            self._browser.kill()
            self._browser.clean_up()
            return
        crash.point("keeper.ended")
        if self._released is None:
            self._released = self._end_browser()
        crash.point("keeper.cleaned_up")
        self._session = self._recorder.execute(self.session_id, Release(event=self._released)).session

    def _end_browser(self) -> SessionReleased:
        self._letting_go = True  # also where the log has refused the ending
        began = self._monotonic()
        clients = self._browser.clients()[:_CLIENTS]
        self._browser.finish()
        exit = self._browser.exit(0)
        if not self._browser.ours:
            return self._detach(began, clients, alive=exit is None)
        killed = False
        receipts: Evidence = {}
        if exit is None:
            if (saved := self._browser.save_cookies()) is not None:
                receipts = _receipts(saved)
            crash.point("keeper.cookies_saved")
            self._browser.ask_to_close()
            crash.point("keeper.asked_to_close")
            exit = self._browser.exit(self._grace_s)
            killed = exit is None
        self._browser.kill()  # also for what a dead browser left behind: stopped children survive their parent
        crash.point("keeper.killed_browser")
        exit = exit or self._browser.exit(1.0)
        never = self._session.cause is Cause.LAUNCH_FAILED and self._session.started_at is None
        died = exit is not None and not killed and self._session.cause is Cause.BROWSER_CRASHED
        kept = self._browser.receipts(_RECEIPTS_S - (self._monotonic() - began))
        return SessionReleased(
            how="never_started" if never else "killed" if killed or died else "graceful",
            exit_code=exit.code if exit else None,
            signal=exit.signal if exit else None,
            took_us=round((self._monotonic() - began) * 1e6),
            profile_removed=self._browser.clean_up(),
            receipts={**receipts, **kept.evidence},
            recording=kept.recording,
            clients=clients,
        )

    def _detach(self, began: float, clients: tuple[str, ...], *, alive: bool) -> SessionReleased:
        saved = self._browser.save_cookies() if alive else None
        kept = self._browser.receipts(_RECEIPTS_S - (self._monotonic() - began))
        self._browser.clean_up()
        return SessionReleased(
            how="detached",
            took_us=round((self._monotonic() - began) * 1e6),
            receipts={**(_receipts(saved) if saved is not None else {}), **kept.evidence},
            recording=kept.recording,
            clients=clients,
        )

    def _refused(self, error: Exception) -> float | None:
        """The log did not take it: retry, end the browser once an ending has waited for the grace, give up at last."""
        now = self._monotonic()
        if self._refused_since is None:
            self._refused_since = now
            logger.warning("log_refused", session_id=self.session_id, error=str(error))
        waited = now - self._refused_since
        why = self._ending(self._clock.now())
        if why is not None and waited >= self._grace_s and self._released is None:
            if not isinstance(why, Expire):
                self._wanted = why  # from here on the browser's exit is our doing, and no cause
            self._released = self._end_browser()
        if self._released is not None and waited >= _OFFER_S:
            logger.warning("ending_not_recorded", session_id=self.session_id, error=str(error))
            return None
        return min(_NAP_S, _RETRY_S * (1 + waited))
