"""Browser hosts that are careless in one way each; BrowserContract finds them all."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lifecycle.errors import LaunchFailed
from lifecycle.ports import Exit, Remains
from lifecycle.testing.fake_host import FakeBrowser, PretendedBrowser

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.core import Session
    from lifecycle.log.port import EventLog

__all__ = ["BROKEN"]


class _Immortal(PretendedBrowser):
    def ask_to_close(self) -> None:
        """Nobody is asked."""

    def kill(self) -> None:
        """Nobody is killed."""


class ForgetsToEndTheBrowser(FakeBrowser):
    """Closing a session leaves its browser running."""

    def launch(self, session_id: str) -> PretendedBrowser:
        super().launch(session_id)
        return _Immortal(self._clock)


class _Slow(PretendedBrowser):
    def exit(self, timeout_s: float) -> Exit | None:
        return Exit(code=0) if self._asked else super().exit(timeout_s)

    _asked = False

    def ask_to_close(self) -> None:
        self._asked = True
        threading.Timer(0.2, self.end, [Exit(code=0)]).start()

    def kill(self) -> None:
        """It goes by itself, some time."""


class SaysReleasedTooEarly(FakeBrowser):
    """The browser still runs when `released` is recorded, and is gone a little later."""

    def launch(self, session_id: str) -> PretendedBrowser:
        super().launch(session_id)
        return _Slow(self._clock)


class _Untidy(PretendedBrowser):
    def clean_up(self) -> bool:
        return True


class LeavesTheProfile(FakeBrowser):
    """Says that the profile is gone, and leaves it."""

    def launch(self, session_id: str) -> PretendedBrowser:
        super().launch(session_id)
        return _Untidy(self._clock)


class _Neighbour(PretendedBrowser):
    everybody: list[_Neighbour]

    def ask_to_close(self) -> None:
        for each in self.everybody:
            each.end(Exit(code=0))


class ClosesAllBrowsersAtOnce(FakeBrowser):
    """One session's end closes the browsers of the others."""

    def launch(self, session_id: str) -> PretendedBrowser:
        super().launch(session_id)
        made = _Neighbour(self._clock)
        made.everybody = self.__dict__.setdefault("everybody", [])
        made.everybody.append(made)
        return made


class OneBrowserForAll(FakeBrowser):
    """Two sessions get the same browser."""

    def launch(self, session_id: str) -> PretendedBrowser:
        return next(iter(self.browsers.values()), None) or super().launch(session_id)


class LeavesHalfABrowser(FakeBrowser):
    """A browser that did not come up is left behind."""

    def launch(self, session_id: str) -> PretendedBrowser:
        if self.fail_launch is not None:
            self.browsers[session_id] = PretendedBrowser(self._clock)
            raise LaunchFailed(session_id, self.fail_launch)
        return super().launch(session_id)


class TellsNobodyOfALostKeeper(FakeBrowser):
    """The owner never learns that its keeper is gone."""

    def lose_keeper(self, beside: Callable[[Callable[[], None]], object] = lambda call: None) -> None:
        super().lose_keeper(lambda call: None)


class EndsOnPaperOnly(FakeBrowser):
    """Ending a browser from outside its keeper only says so."""

    def end(self, session: Session, log: EventLog) -> Remains:
        return Remains(how="killed", profile_removed=True, evidence={})


class TakesWhatRunsForDead(FakeBrowser):
    """Takes browsers that run for dead, so that each stop waits for a word that does not come."""

    def browser_died(self, session: Session, log: EventLog) -> bool:
        return True


class ThinksEveryKeeperDead(FakeBrowser):
    """Takes keepers that live for dead, so whoever puts things in order ends sessions that run."""

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        return False


class ThinksEveryKeeperAlive(FakeBrowser):
    """Takes keepers that are dead for alive, so nobody puts in order what they left."""

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        return True


#: each with a check that finds it, and the promise that the check's message names, as a pattern
BROKEN: dict[type[FakeBrowser], tuple[str, str]] = {
    ForgetsToEndTheBrowser: ("check_starts_and_stops", "nothing of a released session is left"),
    SaysReleasedTooEarly: ("check_starts_and_stops", "nothing of a released session is left"),
    LeavesTheProfile: ("check_quits_by_itself", "nothing of a released session is left"),
    ClosesAllBrowsersAtOnce: (
        "check_stopping_one_leaves_the_other",
        "a session that nobody ended is active|status of the ended session",
    ),  # whether its keeper has noticed yet
    OneBrowserForAll: ("check_two_at_once", "an active session has a browser"),
    LeavesHalfABrowser: ("check_launch_fails", "nothing of a released session is left"),
    TellsNobodyOfALostKeeper: ("check_keeper_lost", "an ended session is released"),
    EndsOnPaperOnly: ("check_keeper_lost", "nothing of a released session is left"),
    TakesWhatRunsForDead: ("check_stopped_after_a_crash", "a browser that runs has not died"),
    ThinksEveryKeeperDead: ("check_reconcile_leaves_who_lives", "leaves a session whose keeper lives"),
    ThinksEveryKeeperAlive: ("check_keeper_lost", "an ended session is released"),
}
