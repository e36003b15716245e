"""A browser that somebody else launched, as the host of one session: what both of Playwright's APIs share.

There is no keeper and no gate; the owner's process stands for the keeper:

1. prepare() refuses what is gone, or has a session already, before anything is recorded;
2. start() listens to the end of the browser or context, and records `started`;
3. an end that Playwright tells of is recorded from a thread, for its handlers must not wait for a log. It tells of the
   script's own close() as it does of a crash, so that is noticed apart, on the object itself;
4. done() closes it where that was asked for; else it is left as it is.

Only the object's own thread (or loop) may ask Playwright anything: Reach is the way there.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from lifecycle.client.reconcile import finish
from lifecycle.core import LIVE, Close, Fail, Start
from lifecycle.core.events import Cause, SessionStarted
from lifecycle.errors import IllegalCommand, InvalidConfig, KeeperUnavailable, LifecycleError, WrongThread
from lifecycle.ports import Found, Remains
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.client.recorder import Recorder
    from lifecycle.core import Config, ProcessIdentity, Session
    from lifecycle.log.port import EventLog
    from lifecycle.ports import BrowserHost, Plan
    from lifecycle_playwright.steps import Steps

__all__ = ["PATIENCE_S", "AttachedHost", "Reach", "answers", "first_page"]

#: How long Playwright may take to answer what takes milliseconds.
PATIENCE_S: Final = 5.0
#: A browser that dies takes its contexts first: how long a context's end waits for that of its browser.
_WITH_ITS_BROWSER_S: Final = 0.5
_NOBODY: Final = "http://nobody.invalid/"


class Reach(Protocol):
    """The way to where an object of Playwright's belongs."""

    def ask(self, steps: Steps[Any]) -> Any:
        """The result of *steps*, made there.

        Raises:
            WrongThread: There is no way from here.
            KeeperUnavailable: No answer in time.
            playwright.sync_api.Error, playwright.async_api.Error: What the steps raise.
        """
        ...

    def stopped(self) -> bool:
        """Whether the object's Playwright has been stopped."""
        ...


def contexts(given: Any) -> list[Any]:
    """The contexts of a Browser, or the BrowserContext itself."""
    found: list[Any] = given.contexts if hasattr(given, "contexts") else [given]
    return found


def first_page(given: Any) -> Any:
    """The first page that is open in a Browser or BrowserContext; None where there is none."""
    return next((page for context in contexts(given) for page in context.pages), None)


def _ping(given: Any) -> Steps[None]:
    """Have Playwright deliver what has happened, and fail where it can't ask the browser."""
    if found := contexts(given):
        yield found[0].cookies(_NOBODY)
    elif given.browser_type.name == "chromium":
        session: Any = yield given.new_browser_cdp_session()
        yield session.detach()


def _cookies(given: Any) -> Steps[list[Any]]:
    found = contexts(given)
    return (yield found[0].cookies()) if found else []


def _add_cookies(given: Any, cookies: list[dict[str, Any]]) -> Steps[None]:
    found = contexts(given)
    if not found:
        raise InvalidConfig("cookies", "…", "the browser has no context that could hold them; open one")
    yield found[0].add_cookies([_for_playwright(cookie) for cookie in cookies])


def _for_playwright(cookie: dict[str, Any]) -> dict[str, Any]:
    partition = cookie.get("partitionKey")
    return cookie if partition is None else {**cookie, "partitionKey": partition["topLevelSite"]}


def answers(given: Any, reach: Reach) -> bool:
    """Whether a Browser or BrowserContext answers; what can't be asked from here counts as there."""
    if reach.stopped():
        return False
    try:
        reach.ask(_ping(given))
    except (WrongThread, KeeperUnavailable):
        return True
    except Exception as error:
        logger.debug("attached_does_not_answer", error=type(error).__name__)
        return False
    browser: Any = given if hasattr(given, "contexts") else given.browser
    return browser is None or bool(browser.is_connected())


class AttachedHost:
    """lifecycle.ports.BrowserHost of one session on a Browser or BrowserContext that is there already."""

    def __init__(self, given: Any, reach: Reach, recorder: Recorder, host: BrowserHost, *, close: bool) -> None:
        self._given = given
        self._browser: Any = given if hasattr(given, "contexts") else given.browser
        self._reach = reach
        self._recorder = recorder.lenient()
        self._host = host
        self._close = close
        self._session_id = ""
        self._undo: list[Callable[[], object]] = []
        self._closing = False  # close() has been called, by the script or by us
        self._gone = False
        self._recorded = threading.Event()
        self._lock = threading.Lock()

    def prepare(self, config: Config, browser_path: str | None, log: EventLog) -> Found:
        """Refuse what is gone, and what has a session already."""
        reference = _hosts.get(self._given)
        other = None if reference is None else reference()
        if other is not None and other.live():
            raise InvalidConfig(
                "browser_or_context", self._given, f"session {other._session_id} is attached to it; one at a time"
            )
        if not self.there():
            raise InvalidConfig("browser_or_context", self._given, "it is closed, or its browser is gone")
        return Found(keeper_id=None, keeper=None, browser_path=None, browser="attached")

    def live(self) -> bool:
        """Whether the session lives."""
        return self._recorder.view(self._session_id).status in LIVE

    def there(self) -> bool:
        """Whether the browser or context answers; what can't be asked from here counts as there."""
        return not self._gone and answers(self._given, self._reach) and not self._gone

    def start(self, plan: Plan, log: EventLog, on_keeper_lost: Callable[[], None]) -> _Talk:
        """Listen to its end, and record that it runs."""
        self._session_id = plan.session_id
        _hosts[self._given] = weakref.ref(self)
        self._listen()
        whole = self._given is self._browser
        version = None if self._browser is None else f"{self._browser.browser_type.name}/{self._browser.version}"
        attached_to: Literal["browser", "context"] = "browser" if whole else "context"
        event = SessionStarted(ownership="attached", attached_to=attached_to, browser_version=version)
        with contextlib.suppress(IllegalCommand):  # somebody has ended it meanwhile
            self._recorder.execute(plan.session_id, Start(event=event))
        return _Talk(self, self._given, self._reach)

    def _listen(self) -> None:
        if self._browser is not None:
            self._on(self._browser, "disconnected")
            self._notice_close(self._browser)
        if self._given is not self._browser:
            self._on(self._given, "close")
            self._notice_close(self._given)

    def _on(self, one: Any, event: str) -> None:
        one.on(event, self._ended)
        self._undo.append(lambda: one.remove_listener(event, self._ended))

    def _notice_close(self, one: Any) -> None:
        own: dict[str, Any] = one.__dict__
        before = own.get("close")
        close = one.close

        def closing(*args: Any, **options: Any) -> Any:
            self._closing = True
            return close(*args, **options)

        def undo() -> None:
            if own.get("close") is closing:
                del own["close"]
                if before is not None:
                    own["close"] = before

        own["close"] = closing
        self._undo.append(undo)

    def _ended(self, *_: object) -> None:
        """The browser is disconnected, or the context is closed."""
        with self._lock:
            first, self._gone = not self._gone, True
        if first:
            self._recorder.clock.start("lifecycle-attached", self._record)

    def _record(self) -> None:
        try:
            with contextlib.suppress(IllegalCommand):  # it has ended before
                self._recorder.execute(self._session_id, self._ending())
            finish(self._recorder.load(self._session_id), self._recorder, self)
        except LifecycleError as error:
            logger.warning("attached_end_not_recorded", session_id=self._session_id, error=str(error))
        finally:
            self._recorded.set()

    def _ending(self) -> Close | Fail:
        if self._closing or self._reach.stopped():
            return Close(cause=Cause.BROWSER_CLOSED, evidence={"closed_by": "owner"})
        if self._given is not self._browser and self._browser is not None and self._stays_connected():
            return Close(cause=Cause.BROWSER_CLOSED, evidence={"closed": "context", "browser_connected": True})
        return Fail(cause=Cause.BROWSER_LOST, evidence={"browser_connected": False})

    def _stays_connected(self) -> bool:
        clock = self._recorder.clock
        until = clock.monotonic() + _WITH_ITS_BROWSER_S
        while self._browser.is_connected() and clock.monotonic() < until:
            clock.sleep(0.01)
        return bool(self._browser.is_connected())

    def look(self) -> None:
        """See whether it is there still; if it isn't, that is recorded on return."""
        if not self.there():
            self._ended()
        if self._gone:
            self._recorded.wait(PATIENCE_S)

    def attach(self, session: Session, log: EventLog) -> _Talk:
        """As the client's own host: nobody attaches by way of this one."""
        raise KeeperUnavailable(f"session {session.session_id} has no keeper")

    def keeper_alive(self, session: Session, log: EventLog) -> bool | None:
        """As the client's own host."""
        return self._host.keeper_alive(session, log)

    def browser_died(self, session: Session, log: EventLog) -> bool:
        """That is recorded by look()."""
        return False

    def end(self, session: Session, log: EventLog) -> Remains:
        """Close it where that was asked for, and say what became of it."""
        if not self._gone:
            self.done(log)
        how = "graceful" if self._closing else "detached" if self._gone else "left_running"
        return Remains(how=how, profile_removed=False, evidence={})

    def done(self, log: EventLog | None = None) -> None:
        """Let go of it, and close it where that was asked for and can be done from here. Idempotent."""
        undo, self._undo = self._undo, []
        for one in undo:
            one()
        if not self._close or self._closing or self._gone:
            return
        try:
            self._reach.ask(_closed(self._given))
            self._closing = True
        except Exception as error:
            logger.warning("attached_not_closed", session_id=self._session_id, error=type(error).__name__)

    def drop_keeper(self, session: Session, log: EventLog) -> bool:
        """There is none."""
        return False

    def identity(self) -> ProcessIdentity:
        """This process."""
        return self._host.identity()


def _closed(given: Any) -> Steps[None]:
    yield given.close()


class _Talk:
    """Starting and Talk of a session without a keeper, in its owner."""

    cdp_url = look_url = ""
    folder = None

    def __init__(self, host: AttachedHost, given: Any, reach: Reach) -> None:
        self._host = host
        self._given = given
        self._reach = reach

    def result(self) -> _Talk:
        """It is up already."""
        return self

    def look(self) -> None:
        """As AttachedHost.look."""
        self._host.look()

    def end(self, command: Close | Fail) -> None:
        """The log refuses the ending: whoever reconciles records it later."""
        self._host.done()

    def cdp(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Cookies, the way Playwright has them."""
        try:
            if method == "Storage.getCookies":
                return {"cookies": self._reach.ask(_cookies(self._given))}
            self._reach.ask(_add_cookies(self._given, params["cookies"]))
        except LifecycleError:
            raise
        except Exception as error:
            said = str(error).partition("\n")[0] if method == "Storage.setCookies" else type(error).__name__
            raise InvalidConfig("cookies", "…", f"the browser refuses: {said}") from None
        return {}

    def wait_released(self, timeout_s: float) -> bool:
        """Nobody releases it but the owner itself."""
        return False


_hosts: Final[weakref.WeakKeyDictionary[Any, weakref.ref[AttachedHost]]] = weakref.WeakKeyDictionary()
