"""execute, observe and scrape, without a page. The order, which both twins keep:

1. validate (orders.py): InvalidConfig, and nothing was performed or recorded;
2. perform: the connection acts on the page. A failure there is an outcome, not an exception;
3. where the connection is gone, ask what became of the session: SessionEnded, if it is over;
4. make of what the page gave what was asked for (Markdown, a model);
5. record one SessionOperation, which counts as access: SessionEnded, if the session is over by now;
6. give the result, or raise ActionFailed with it.

What is recorded: the kind, the outcome, the time it took, and a target (a URL without its secrets; a selector; an
element's role and name). Never what was typed, chosen, evaluated or found. Values that were typed are remembered for
the life of the session object, so that they are taken out wherever a page repeats them, in a label for example.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import OrderedDict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from lifecycle import actions
from lifecycle.client import extract, markdown, redact
from lifecycle.client.causes import ended_error
from lifecycle.core.events import SessionOperation
from lifecycle.core.states import LIVE
from lifecycle.core.view import moment
from lifecycle.errors import LifecycleError, LogUnavailable, NotRecorded
from lifecycle.ports import Performed
from lifecycle.results import ExecutionResult

if TYPE_CHECKING:
    from lifecycle.client.handle import Handle

__all__ = ["Hidden", "Operation", "checked", "connecting_s", "unreachable", "without_page"]

#: Keys that say nothing of a text; single characters may be those of a password.
_KEY: Final = re.compile(
    r"(?:(?:Control|Alt|Shift|Meta|ControlOrMeta)\+)*"
    r"(?:F\d{1,2}|Arrow\w+|Enter|Tab|Escape|Backspace|Delete|Insert|Home|End|Page(?:Up|Down)|Space)|"
    r"(?:Control|Alt|Meta|ControlOrMeta)\+[A-Za-z]"
)


#: The least and the most that a connection is waited for.
_CONNECTING_S: Final = (10.0, 30.0)


def without_page(action: actions.Action) -> Performed | None:
    """The outcome of an action that needs no page; None for all others."""
    if isinstance(action, actions.Completion):
        data = {"success": action.success, "answer": action.answer}
        return Performed(ok=True, message="the task is over", data=data)
    return None


def connecting_s(action: actions.Action) -> float:
    """How long a connection for *action* may take to come about: as long as the action, and time enough on any machine.

    It takes a tenth of a second, some seconds on a busy machine.
    """
    timeout_ms = action.timeout if isinstance(action, actions.TimedAction) else 0
    return min(max(timeout_ms / 1000, _CONNECTING_S[0]), _CONNECTING_S[1])


def unreachable(error: BaseException) -> Performed:
    """The outcome where no connection to the browser could be made because of a driver's *error*."""
    message = f"no connection to the browser: {redact.message(str(error))}"
    return Performed(ok=False, message=message, reason="lost", summary="no connection to the browser")


def checked(result: ExecutionResult, raise_on_failure: bool = True) -> ExecutionResult:
    """*result*, if it is a success or failures are wanted.

    Raises:
        ActionFailed: It is a failure.
    """
    if raise_on_failure and (error := result.exception) is not None:
        raise error
    return result


class Hidden:
    """What was typed through one session object, to be taken out of whatever is told of its operations. Thread-safe."""

    #: Shorter values say nothing, and taking them out would spoil every message.
    TELLING: Final = 4
    REMEMBERED: Final = 256

    def __init__(self) -> None:
        self._values: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, action: actions.Action) -> None:
        """Remember what *action* types."""
        typed: list[str] = []
        match action:
            case actions.Fill() | actions.SelectDropdownOption():
                typed = [action.value]
            case actions.FormFill():
                typed = [value for value in action.value.values() if isinstance(value, str)]
            case actions.PressKey() if not _KEY.fullmatch(action.key):
                typed = [action.key]
            case _:
                return
        with self._lock:
            for value in typed:
                if len(value) >= self.TELLING:
                    self._values[value] = None
                    self._values.move_to_end(value)
            while len(self._values) > self.REMEMBERED:
                self._values.popitem(last=False)

    def out_of(self, text: str) -> str:
        """*text* without any of it."""
        with self._lock:
            values = sorted(self._values, key=len, reverse=True)
        for value in values:
            # As it is, as repr() and JSON write it, and with its blanks as a page shows them.
            for form in {value, repr(value)[1:-1], " ".join(value.split())}:
                text = text.replace(form, "(hidden)") if len(form) >= self.TELLING else text
        return text


class Operation:
    """One operation from its validation to its result. Its methods block; they write to the log."""

    def __init__(self, handle: Handle, action: actions.Action, hidden: Hidden) -> None:
        """Begin.

        Raises:
            NotStarted, ForkedSession: Nothing was done.
        """
        handle.check(f"{action.kind}()" if action.kind in ("observe", "scrape") else "execute()")
        hidden.remember(action)
        self._handle = handle
        self._action = action
        self._hidden = hidden
        self._started_at = handle.recorder.clock.now()
        self._began = handle.recorder.clock.monotonic()

    def finish(self, performed: Performed, *, connected: bool | None) -> ExecutionResult:
        """Record how it went; the result. *connected*: None where it was asked already what became of the session.

        Raises:
            SessionEnded: The session is over, which is why it failed, or by now.
            NotRecorded: It was performed, but not recorded.
        """
        if not performed.ok and connected is not None and (performed.reason == "lost" or not connected):
            # The browser may be gone, and its keeper is writing down why at this moment.
            now = self._handle.verdict()
            if now.status not in LIVE:
                raise ended_error(now)
        try:
            performed = self._made(performed)
        except BaseException as error:  # an interrupt, or whatever a model's own validators raise
            self.broke(error)
            raise
        took_us = self._took_us()
        summary = self._hidden.out_of(redact.message(performed.summary)) if not performed.ok else ""
        started_at = moment(self._started_at)
        result = ExecutionResult(
            action=self._action,
            success=performed.ok,
            message=self._hidden.out_of(performed.message),
            data=performed.data,
            reason=performed.reason,
            summary=summary,
            started_at=started_at,
            ended_at=started_at + timedelta(microseconds=took_us),
        )
        try:
            self._record(
                ok=performed.ok,
                took_us=took_us,
                target=performed.target or _target(self._action),
                error_type=performed.reason,
                error_message=summary or None,
            )
        except LogUnavailable as error:
            # That trying again is safe holds for the append.
            raise NotRecorded(result, str(error).partition("; nothing was acknowledged")[0]) from error
        return result

    def broke(self, error: BaseException) -> None:
        """Record that it was interrupted by *error*, which the caller raises again."""
        with contextlib.suppress(LifecycleError):  # the interruption is what the caller has to hear of
            self._record(
                ok=False,
                took_us=self._took_us(),
                target=_target(self._action),
                error_type=type(error).__qualname__[:256],
                error_message=None,
            )

    def _took_us(self) -> int:
        return round((self._handle.recorder.clock.monotonic() - self._began) * 1e6)

    def _record(self, *, target: str | None, **facts: Any) -> None:
        shown = self._hidden.out_of(redact.message(target)) if target is not None else None
        self._handle.operated(SessionOperation(kind=self._action.kind, target=shown, **facts))

    def _made(self, performed: Performed) -> Performed:
        """What was asked for, from what the page gave."""
        action = self._action
        if not performed.ok:
            return performed
        if isinstance(action, actions.Scrape):
            main, links, images = action.only_main_content, action.scrape_links, action.scrape_images
            try:
                text = markdown.markdown(performed.data, main=main, links=links, images=images)
            except Exception as error:  # what a page makes of three libraries: recursion without end, for one
                why = f"the page can't be written as Markdown: {type(error).__name__}"
                return Performed(ok=False, message=why, reason="mismatch", summary=why)
            return replace(performed, data=text, message=f"scraped {len(text)} characters of Markdown")
        if isinstance(action, actions.Extract):
            try:
                model = extract.filled(action.response_format, performed.data)
            except extract.Unfit as unfit:
                return Performed(ok=False, message=unfit.message, reason="mismatch", summary=unfit.summary)
            return replace(performed, data=model)
        return performed


def _target(action: actions.Action) -> str | None:
    match action:
        case actions.Goto() | actions.GotoNewTab():
            return redact.url(action.url)
        case actions.SwitchTab():
            return f"tab {action.tab_index}"
        case actions.PressKey() if _KEY.fullmatch(action.key):
            return action.key
        case actions.ElementAction() | actions.Scrape() | actions.Extract():
            return action.selector
        case _:
            return None
