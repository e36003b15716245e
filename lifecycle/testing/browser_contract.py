"""BrowserContract: what every BrowserHost must do, checked through the production client. No test runner needed.

Subclass it with your host; each `check_*` raises AssertionError with what was expected and seen. All at once, or one by
one with pytest:

    MyContract.prove()

    @pytest.mark.parametrize("check", BrowserContract.checks())
    def test_contract(check, my_contract):
        getattr(my_contract, check)()
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from lifecycle.client.async_api import AsyncClient
from lifecycle.core import Cause, State
from lifecycle.errors import AlreadyStarted, BrowserNotFound, LaunchFailed, LifecycleError, SessionEnded
from lifecycle.log.codec import decode
from lifecycle.testing.contract import Contract, equal, holds

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.client.shared import Shared
    from lifecycle.client.sync_api import Client, Session
    from lifecycle.core import Event, SessionView

__all__ = ["BrowserContract"]

_PATIENCE_S = 15.0


class BrowserContract(Contract, ABC):
    """One client on the host under test, in real time, and the hooks that reach behind it."""

    @abstractmethod
    def client(self) -> Client:
        """The client of this check; the same one each time."""

    @abstractmethod
    def kill_browser(self, session_id: str) -> None:
        """Kill the session's browser from outside with SIGKILL."""

    @abstractmethod
    def quit_browser(self, session_id: str) -> None:
        """Make the session's browser quit by itself, with exit code 0."""

    @abstractmethod
    def lose_keeper(self, session_id: str) -> None:
        """Kill the session's keeper, its owner living on."""

    @abstractmethod
    def remains(self, session_id: str) -> list[str]:
        """What of the session is there: processes, profile, endpoint; [] if nothing is.

        Each by a name that nothing else has, such as "process 4711" or a path: of two sessions, none may be the same.
        """

    @abstractmethod
    def broken(self) -> Session:
        """A session whose browser will not come up."""

    @abstractmethod
    def absent(self) -> Session:
        """A session whose browser is not on this machine."""

    def session(self, **config: object) -> Session:
        """A new session without pages."""
        return self.client().Session(page=False, **config)  # type: ignore[arg-type] # forwarded as given

    def check_starts_and_stops(self) -> None:
        """Start runs a browser, stop leaves nothing, and the history says both."""
        session = self.session()
        session.start()
        equal("a session is active once start() has returned", session.status().status, State.ACTIVE)
        holds("an active session has a browser", self.remains(session.session_id))
        session.stop()
        self._ended(session.session_id, State.CLOSED, Cause.STOPPED)

    def check_stop_is_idempotent(self) -> None:
        """Stopping again returns the same ending and adds nothing; before start it does nothing."""
        session = self.session()
        equal("stop() before start() does nothing", session.stop(), None)
        session.start()
        first = session.stop()
        version = session.status().version
        equal("a second stop() returns the same ending", session.stop(), first)
        equal("a second stop() records nothing", session.status().version, version)

    def check_starts_once(self) -> None:
        """A second start is refused and changes nothing."""
        with self.session() as session:
            _raises(AlreadyStarted, session.start)
            equal("a refused start() changes nothing", session.status().status, State.ACTIVE)

    def check_exception_in_block(self) -> None:
        """An exception ends the session as error and propagates."""
        session = self.session()

        def block() -> None:
            with session:
                raise ValueError("broken on purpose")

        _raises(ValueError, block)
        ending = self._ended(session.session_id, State.ERROR, Cause.EXCEPTION)
        equal("the exception is recorded", ending.error, "ValueError: broken on purpose")

    def check_killed_from_outside(self) -> None:
        """A browser that is killed is noticed by itself, with the signal as evidence."""
        session = self.session()
        session.start()
        self.kill_browser(session.session_id)
        self._ended(session.session_id, State.ERROR, Cause.BROWSER_CRASHED)
        failed = next(event for event in self._history(session.session_id) if event.type == "session.failed")
        equal("the signal that killed the browser is recorded", getattr(failed, "evidence", {}).get("signal"), 9)
        session.stop()
        equal("stop() after a crash leaves the ending as it is", session.status().cause, Cause.BROWSER_CRASHED)

    def check_stopped_after_a_crash(self) -> None:
        """A browser that died before stop() has crashed, also while nobody has written that down yet."""
        session = self.session()
        session.start()
        shared: Shared = vars(self.client())["_shared"]
        loaded = shared.recorder.load(session.session_id)
        holds("a browser that runs has not died", not shared.host.browser_died(loaded, shared.log))
        self.kill_browser(session.session_id)
        _until(
            lambda: (
                shared.host.browser_died(loaded, shared.log)
                or shared.recorder.load(session.session_id).status is not State.ACTIVE
            ),
            "a browser that was killed has died: it has not",
        )
        session.stop()
        self._ended(session.session_id, State.ERROR, Cause.BROWSER_CRASHED)

    def check_quits_by_itself(self) -> None:
        """A browser that quits with exit code 0 was closed, not lost."""
        session = self.session()
        session.start()
        self.quit_browser(session.session_id)
        self._ended(session.session_id, State.CLOSED, Cause.BROWSER_CLOSED)

    def check_keeper_lost(self) -> None:
        """A keeper that is killed takes its browser along; the owner records why."""
        session = self.session()
        session.start()
        self.lose_keeper(session.session_id)
        self._ended(session.session_id, State.ERROR, Cause.KEEPER_LOST)

    def check_host_lives_on_after_keeper_lost(self) -> None:
        """The next session after a lost keeper starts as if nothing had been."""
        session = self.session()
        session.start()
        self.lose_keeper(session.session_id)
        self._ended(session.session_id, State.ERROR, Cause.KEEPER_LOST)
        with self.session() as following:
            equal("the next session after a lost keeper starts", following.status().status, State.ACTIVE)

    def check_times_out(self) -> None:
        """The deadline ends the session by itself, stamped with the deadline."""
        session = self.session(idle_timeout_minutes=1.5 / 60)
        session.start()
        deadline = session.status().deadline
        ending = self._ended(session.session_id, State.TIMED_OUT, Cause.IDLE)
        equal("a session that timed out ends at its deadline", ending.closed_at, deadline)

    def check_stop_while_starting(self) -> None:
        """A stop that comes while the browser is on its way leaves nothing and records one ending."""
        session = self.session()
        starter = threading.Thread(target=lambda: _quietly(session.start))
        starter.start()
        _until(lambda: self._recorded(session.session_id), "a session is recorded before its browser runs: it was not")
        session.stop()
        starter.join(_PATIENCE_S)
        self._ended(session.session_id, State.CLOSED, Cause.STOPPED)

    def check_cancelled_start(self) -> None:
        """A start whose task is cancelled while the browser is on its way leaves nothing, and says so."""
        session_id = asyncio.run(self._cancelled())
        self._ended(session_id, State.CLOSED, Cause.CANCELLED)

    async def _cancelled(self) -> str:
        shared: Shared = vars(self.client())["_shared"]
        session = AsyncClient(shared.log, browser=shared.host).Session(page=False)
        starting = asyncio.create_task(session.start())
        await asyncio.sleep(0)  # it has handed the start to a thread, and waits
        starting.cancel()
        await asyncio.wait([starting])
        holds("a start that was cancelled raises CancelledError", starting.cancelled())
        return session.session_id

    def check_launch_fails(self) -> None:
        """A browser that does not come up is an error of its own, recorded, with nothing left."""
        session = self.broken()
        _raises(LaunchFailed, session.start)
        self._ended(session.session_id, State.ERROR, Cause.LAUNCH_FAILED)

    def check_browser_absent(self) -> None:
        """No browser on the machine: refused before anything is recorded."""
        session = self.absent()
        _raises(BrowserNotFound, session.start)
        holds("a session without a browser is not recorded", not self._recorded(session.session_id))
        equal("a session without a browser leaves nothing", self.remains(session.session_id), [])

    def check_two_at_once(self) -> None:
        """Two sessions live side by side, and one's crash is not the other's."""
        with self.session() as first, self.session() as second:
            self.kill_browser(second.session_id)
            self._ended(second.session_id, State.ERROR, Cause.BROWSER_CRASHED)
            self._lives(first)
            self.quit_browser(first.session_id)  # had it gone with the other, it would not end as its own
            self._ended(first.session_id, State.CLOSED, Cause.BROWSER_CLOSED)

    def check_stopping_one_leaves_the_other(self) -> None:
        """Stopping a session ends its browser and nobody else's."""
        with self.session() as first, self.session() as second:
            second.stop()
            self._ended(second.session_id, State.CLOSED, Cause.STOPPED)
            self._lives(first)
            self.kill_browser(first.session_id)
            self._ended(first.session_id, State.ERROR, Cause.BROWSER_CRASHED)

    def check_reconcile_leaves_who_lives(self) -> None:
        """A session whose keeper lives is none of those that reconcile puts right."""
        with self.session() as session:
            equal("reconcile() leaves a session whose keeper lives", self.client().reconcile(), [])
            self._lives(session)

    def check_two_share_nothing(self) -> None:
        """Two sessions have no process and no file in common."""
        with self.session() as first, self.session() as second:
            one, other = self.remains(first.session_id), self.remains(second.session_id)
            holds("an active session has a browser", one and other)
            promise = "two sessions have nothing in common (remains() gives each thing a name that no other has)"
            equal(promise, sorted({*one} & {*other}), [])

    def check_attach_and_leave(self) -> None:
        """Attaching by id leaves the session running when its block ends."""
        with self.session() as session:
            with self.client().Session(session.session_id) as again:
                equal("attaching by id gives that session", again.session_id, session.session_id)
            equal("leaving an attached session leaves it running", session.status().status, State.ACTIVE)
        _raises(SessionEnded, self.client().Session(session.session_id).start)

    def _lives(self, session: Session) -> None:
        equal("a session that nobody ended is active", session.status().status, State.ACTIVE)
        holds("an active session has a browser", self.remains(session.session_id))

    def _history(self, session_id: str) -> list[Event]:
        return [decode(row) for row in self.client().log.read(session_id)]

    def _recorded(self, session_id: str) -> bool:
        return self.client().log.head(session_id) > 0

    def _ended(self, session_id: str, status: State, cause: Cause) -> SessionView:
        """Wait until the session is released; exactly one ending of that status and cause, and nothing left."""
        sessions = self.client().sessions
        _until(
            lambda: self._recorded(session_id) and self._history(session_id)[-1].type == "session.released",
            f"an ended session is released: {session_id} was not",
        )
        ending = sessions.get(session_id)
        equal("status of the ended session", ending.status, status)
        equal("cause of the ending", ending.cause, cause)
        ends = [e.type for e in self._history(session_id) if e.type in _ENDINGS]
        equal("a session ends exactly once", len(ends), 1)
        equal("nothing of a released session is left", self.remains(session_id), [])
        return ending


_ENDINGS = ("session.closed", "session.failed", "session.timed_out")


def _raises(expected: type[BaseException], call: Callable[[], object]) -> None:
    try:
        call()
    except expected:
        return
    raise AssertionError(f"expected {expected.__name__}, nothing was raised")


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except LifecycleError:
        return


def _until(condition: Callable[[], bool], message: str) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            why = "if a thread of the host has failed, stderr has its traceback"
            raise AssertionError(f"{message} within {_PATIENCE_S:.0f} s; {why}")
        time.sleep(0.01)
