"""Actions on tabs and their history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.client import redact
from lifecycle.ports import Performed
from lifecycle_playwright.common import is_driver_error
from lifecycle_playwright.failures import Refused

if TYPE_CHECKING:
    from lifecycle import actions
    from lifecycle_playwright.steps import Steps
    from lifecycle_playwright.tabs import Page, Tabs

__all__ = ["close_tab", "go_back", "go_forward", "goto", "goto_new_tab", "reload", "switch_tab"]


def goto(tabs: Tabs, page: Page, action: actions.Goto) -> Steps[Performed]:
    """Load a page."""
    response = yield page.goto(action.url, timeout=action.timeout)
    return _loaded(page, response)


def goto_new_tab(tabs: Tabs, page: Page, action: actions.GotoNewTab) -> Steps[Performed]:
    """Load a page in a new tab; a tab that can't load it is closed again."""
    new = yield tabs.context.new_page()
    try:
        response = yield new.goto(action.url, timeout=action.timeout)
    except BaseException as error:
        if is_driver_error(error):
            yield new.close()
        raise
    tabs.activate(new)
    return _loaded(new, response)


def _loaded(page: Page, response: Any) -> Performed:
    status = response.status if response is not None else None
    shown = redact.url(page.url)
    return Performed(
        ok=True,
        message=f"loaded {shown}" + (f", which the server answered with {status}" if status and status >= 400 else ""),
        data={"url": page.url, "status": status},
    )


def switch_tab(tabs: Tabs, page: Page, action: actions.SwitchTab) -> Steps[Performed]:
    """Make another tab the active one."""
    pages = yield from tabs.pages()
    if action.tab_index >= len(pages):
        there = f"tabs 0 to {len(pages) - 1}" if len(pages) > 1 else "tab 0"
        raise Refused("tab", f"there is no tab {action.tab_index}, only {there}")
    chosen = pages[action.tab_index]
    tabs.activate(chosen)
    if not tabs.crashed(chosen):
        yield chosen.bring_to_front()
    return Performed(ok=True, message=f"tab {action.tab_index} is active: {redact.url(chosen.url)}")


def close_tab(tabs: Tabs, page: Page, action: actions.CloseTab) -> Steps[Performed]:
    """Close the active tab. The last one gives way to an empty one first: a browser may end with its last tab."""
    pages = list((yield from tabs.pages()))
    place = pages.index(page)
    if len(pages) == 1:
        pages.append((yield tabs.context.new_page()))
    others = [one for one in pages if one is not page]
    tabs.activate(others[max(place - 1, 0)])
    yield page.close()
    return Performed(ok=True, message=f"closed tab {place}; tab {max(place - 1, 0)} is active")


def go_back(tabs: Tabs, page: Page, action: actions.GoBack) -> Steps[Performed]:
    """One step back."""
    yield from _step_exists(tabs, page, -1, "there is no page to go back to")
    response = yield page.go_back(timeout=action.timeout)
    return _loaded(page, response)


def go_forward(tabs: Tabs, page: Page, action: actions.GoForward) -> Steps[Performed]:
    """One step forward."""
    yield from _step_exists(tabs, page, 1, "there is no page to go forward to")
    response = yield page.go_forward(timeout=action.timeout)
    return _loaded(page, response)


def _step_exists(tabs: Tabs, page: Page, step: int, otherwise: str) -> Steps[None]:
    # Playwright answers None both where there is nothing and where the page was kept alive.
    ear = yield from tabs.ear(page)
    history = yield ear.session.send("Page.getNavigationHistory")
    if not 0 <= history["currentIndex"] + step < len(history["entries"]):
        raise Refused("history", otherwise)


def reload(tabs: Tabs, page: Page, action: actions.Reload) -> Steps[Performed]:
    """Load the page again."""
    response = yield page.reload(timeout=action.timeout)
    return _loaded(page, response)
