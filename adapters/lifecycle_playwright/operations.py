"""The way into an operation on a page: its limit of time, its failures in our words, and what happened besides.

What each action does stands in navigation.py, elements.py, screen.py, forms.py, files.py, observe.py and scrape.py.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lifecycle import actions
from lifecycle.ports import Performed
from lifecycle_playwright import elements, files, forms, navigation, observe, scrape, screen
from lifecycle_playwright.common import is_driver_error
from lifecycle_playwright.failures import CRASHED, HUNG, Refused, about_dialog, explained, failed
from lifecycle_playwright.steps import OutOfTime, Within, until
from lifecycle_playwright.tabs import Tabs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lifecycle_playwright.steps import Steps
    from lifecycle_playwright.tabs import Ear, Page

__all__ = ["Tabs", "operate"]

#: What Playwright's own timeouts get to fire, which can say why, before ours.
_SLACK_S: Final = 3.0
_PING_S: Final = 1.0
#: How long a tab that the page has opened may take to appear.
_WINDOW_S: Final = 1.0

_BODIES: Final[Mapping[type[actions.Action], Callable[[Tabs, Page, Any], Steps[Performed]]]] = {
    actions.Goto: navigation.goto,
    actions.GotoNewTab: navigation.goto_new_tab,
    actions.SwitchTab: navigation.switch_tab,
    actions.CloseTab: navigation.close_tab,
    actions.GoBack: navigation.go_back,
    actions.GoForward: navigation.go_forward,
    actions.Reload: navigation.reload,
    actions.Wait: screen.wait,
    actions.PressKey: screen.press_key,
    actions.ScrollUp: screen.scroll_up,
    actions.ScrollDown: screen.scroll_down,
    actions.EvaluateJs: screen.evaluate_js,
    actions.Click: elements.click,
    actions.Fill: elements.fill,
    actions.Check: elements.check,
    actions.SelectDropdownOption: elements.select,
    actions.FormFill: forms.form_fill,
    actions.UploadFile: files.upload,
    actions.DownloadFile: files.download,
    actions.Observe: observe.observe,
    actions.Scrape: scrape.html,
    actions.Extract: scrape.extract,
}

#: Actions that work whatever state the active tab is in.
_ELSEWHERE: Final = (actions.GotoNewTab, actions.SwitchTab, actions.CloseTab)


def operate(tabs: Tabs, action: actions.Action) -> Steps[Performed]:
    """Do *action* in the active tab; ends within its timeout and a few seconds."""
    target: str | None = None
    if isinstance(action, actions.ElementAction):
        target = action.selector or elements.what(tabs, action)
    try:
        done: Performed = yield Within(_limit_s(action), _attempt(tabs, action, target))
        return done
    except OutOfTime:
        pass
    return failed((yield from _rescue(tabs, action)), target)


def _limit_s(action: actions.Action) -> float:
    match action:
        case actions.EvaluateJs() | actions.PressKey() | actions.ScrollUp() | actions.ScrollDown():
            return action.timeout / 1000  # Playwright has no limit for these
        case actions.Wait():
            return action.time_ms / 1000 + _SLACK_S
        case actions.TimedAction():
            return action.timeout / 1000 + _SLACK_S
        case _:
            return _SLACK_S


def _attempt(tabs: Tabs, action: actions.Action, target: str | None) -> Steps[Performed]:
    page: Page = None
    ear: Ear | None = None
    try:
        page = yield from tabs.active()
        before = list((yield from tabs.pages()))
        if not isinstance(action, _ELSEWHERE):
            if tabs.crashed(page):
                raise Refused("crashed", CRASHED)
            ear = yield from tabs.ear(page)
            ear.begin()
        done = yield from _body(action)(tabs, page, action)
        return (yield from _besides(tabs, page, ear, before, replace(done, target=target)))
    except Refused as refused:
        return failed(refused, target)
    except Exception as error:
        if not is_driver_error(error):
            raise
        text = str(error)
    # Out here, so that the driver's error, which may hold what was typed, is not even a context.
    return failed((yield from _why(tabs, page, ear, action, text)), target)


def _body(action: actions.Action) -> Callable[[Tabs, Page, Any], Steps[Performed]]:
    return _BODIES[type(action)]


def _why(tabs: Tabs, page: Page, ear: Ear | None, action: actions.Action, text: str) -> Steps[Refused]:
    """What is behind the driver's error *text*."""
    if ear is not None and ear.open_dialog() is not None:
        return (yield from _dismiss(ear))
    # A tab is closed, too, when its browser is gone. The browser itself tells its cookies, whatever its pages do.
    closed = page is not None and page.is_closed() and (yield from _works(lambda: tabs.context.cookies()))
    timeout = action.timeout if isinstance(action, actions.TimedAction) else 0
    name = elements.what(tabs, action) if isinstance(action, actions.ElementAction) else "the page"
    refused = explained(text, name, timeout, closed=closed)
    if refused.reason == "navigation" and ear is not None:
        # Chromium puts a page of its own in the place of one that can't be loaded, a moment after it has said so, and
        # answers only then. By then a crash that broke the loading off has been told, too.
        yield from _answers(ear)
    if tabs.crashed(page):
        return Refused("crashed", CRASHED)
    element = isinstance(action, actions.ElementAction)
    if ear is not None and (
        refused.reason in ("timeout", "not_found") or (refused.reason == "unsuitable" and not element)
    ):
        silent = yield from _silent(ear)
        if silent is not None:
            return silent
    if refused.reason == "not_found" and isinstance(action, actions.ElementAction) and action.id is not None:
        return Refused("stale", f"{name} ({action.id}) is gone from the page; observe again")
    return refused


def _silent(ear: Ear) -> Steps[Refused | None]:
    """Why the page does not answer; None where it does. What was being loaded is given up where that helps."""
    if (yield from _answers(ear)):
        return None
    # Chromium holds back what is meant for a page while another one is to take its place, however long that takes.
    yield from _works(lambda: ear.session.send("Page.stopLoading"))
    if (yield from _answers(ear)):
        return Refused("timeout", "the page had not been loaded in time, and loading it was stopped")
    return Refused("hung", HUNG)


def _answers(ear: Ear) -> Steps[bool]:
    return (yield from _works(lambda: ear.session.send("Runtime.evaluate", {"expression": "0"})))


def _works(call: Callable[[], Any]) -> Steps[bool]:
    """Whether Playwright's *call* comes back within a moment, and without an error."""
    try:
        yield Within(_PING_S, _one(call))
    except OutOfTime:
        return False
    except Exception as error:
        if not is_driver_error(error):
            raise
        return False
    return True


def _one(call: Callable[[], Any]) -> Steps[None]:
    yield call()


def _dismiss(ear: Ear) -> Steps[Refused]:
    dialog = ear.open_dialog()
    yield from _works(lambda: ear.session.send("Page.handleJavaScriptDialog", {"accept": False}))
    return about_dialog(dialog) if dialog is not None else Refused("dialog", "a dialog blocked the page; dismissed")


def _rescue(tabs: Tabs, action: actions.Action) -> Steps[Refused]:
    """The time is over: make the tab usable again where that is ours to do."""
    ear = tabs.heard()
    if ear is not None and ear.open_dialog() is not None:
        return (yield from _dismiss(ear))
    if isinstance(action, actions.EvaluateJs) and ear is not None:
        yield from _works(lambda: ear.session.send("Runtime.terminateExecution"))
    if ear is None:
        return Refused("hung", HUNG)
    if (silent := (yield from _silent(ear))) is not None:
        return silent
    if isinstance(action, actions.EvaluateJs):
        return Refused("timeout", f"the code had not come to an end within {action.timeout} ms and was stopped")
    if isinstance(action, actions.DownloadFile):
        return Refused("download", f"the download had not come to an end within {action.timeout} ms")
    return Refused("timeout", "it was not done in time")


def _besides(tabs: Tabs, page: Page, ear: Ear | None, before: list[Page], done: Performed) -> Steps[Performed]:
    """*done*, with the dialogs that opened meanwhile and the tabs that the page opened."""
    if ear is None:
        return done
    told: dict[str, Any] = {}
    if ear.windows and (opened := (yield from _opened(tabs, page, before))):
        told["opened_tabs"] = opened
    if ear.dialogs:
        told["dialogs"] = [{"kind": one.kind, "message": one.message, "answer": one.answer} for one in ear.dialogs]
    if not told:
        return done
    message = done.message
    if "opened_tabs" in told:
        message += f"; the page opened tab {', '.join(map(str, told['opened_tabs']))}, see switch_tab"
    for one in told.get("dialogs", []):
        message += f"; {one['kind']} dialog {one['answer'] or 'opened'}: {one['message']!r}"
    return replace(done, message=message, data=told if done.data is None else done.data)


def _opened(tabs: Tabs, page: Page, before: list[Page]) -> Steps[list[int]]:
    try:
        yield from until(page, lambda: len(tabs.context.pages) > len(before), time.monotonic() + _WINDOW_S)
    except Exception as error:
        if not is_driver_error(error):  # else it has closed itself
            raise
    pages = yield from tabs.pages()
    return [index for index, one in enumerate(pages) if one not in before]
