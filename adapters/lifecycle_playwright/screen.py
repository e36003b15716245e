"""Actions on a page as a whole: keys, scrolling, waiting, JavaScript."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lifecycle.ports import Performed
from lifecycle_playwright.common import is_driver_error
from lifecycle_playwright.failures import Refused

if TYPE_CHECKING:
    from lifecycle import actions
    from lifecycle_playwright.steps import Steps
    from lifecycle_playwright.tabs import Page, Tabs

__all__ = ["evaluate_js", "press_key", "scroll_down", "scroll_up", "wait"]

#: Scrolls the document, or where that can't be scrolled the largest thing in view that can; tells where that got it.
_SCROLL: Final = """([direction, amount]) => {
  const root = document.scrollingElement || document.documentElement
  const size = element => element.clientWidth * element.clientHeight
  const scrolls = element => element.scrollHeight > element.clientHeight + 1
    && ['auto', 'scroll', 'overlay'].includes(getComputedStyle(element).overflowY)
  let box = root
  if (root.scrollHeight <= root.clientHeight + 1)
    for (const element of document.querySelectorAll('*'))
      if (scrolls(element) && (box === root || size(element) > size(box))) box = element
  const from = box.scrollTop
  box.scrollBy({top: direction * (amount ?? box.clientHeight), behavior: 'instant'})
  return [Math.round(from), Math.round(box.scrollTop), Math.max(0, Math.round(box.scrollHeight - box.clientHeight))]
}"""

_RAISED: Final = re.compile(r"^[\w.]+: (?:(\w*(?:Error|Exception))\b)?")
#: Not of the code's making.
_LOST: Final = re.compile(
    r"^(?:[\w.]+: )?(?:\w+ crashed|Target page, context or browser has been closed|Connection closed"
    r"|Execution context was destroyed)"
)


def wait(tabs: Tabs, page: Page, action: actions.Wait) -> Steps[Performed]:
    """Let time pass; the browser goes on meanwhile."""
    yield page.wait_for_timeout(action.time_ms)
    return Performed(ok=True, message=f"waited {action.time_ms} ms")


def press_key(tabs: Tabs, page: Page, action: actions.PressKey) -> Steps[Performed]:
    """Press a key where the focus is."""
    yield page.keyboard.press(action.key)
    return Performed(ok=True, message="pressed the key")


def scroll_up(tabs: Tabs, page: Page, action: actions.ScrollUp) -> Steps[Performed]:
    """Up."""
    return (yield from _scroll(page, -1, action.amount))


def scroll_down(tabs: Tabs, page: Page, action: actions.ScrollDown) -> Steps[Performed]:
    """Down."""
    return (yield from _scroll(page, 1, action.amount))


def _scroll(page: Page, direction: int, amount: int | None) -> Steps[Performed]:
    before, now, most = yield page.evaluate(_SCROLL, [direction, amount])
    moved = f"scrolled by {abs(now - before)} px" if now != before else "nothing left to scroll"
    return Performed(ok=True, message=f"{moved}; at {now} of {most} px", data={"y": now, "max_y": most})


def evaluate_js(tabs: Tabs, page: Page, action: actions.EvaluateJs) -> Steps[Performed]:
    """Run the caller's JavaScript in the page."""
    try:
        value = yield page.evaluate(action.code)
    except Exception as error:
        if not is_driver_error(error) or _LOST.match(str(error)):
            raise
        line = str(error).partition("\n")[0]
    else:
        return Performed(ok=True, message="evaluated", data=value)
    found = _RAISED.match(line)
    raised = f"the code raised {found[1]}" if found and found[1] else "the code raised"
    raise Refused("script", f"{raised}: {_RAISED.sub('', line).strip(': ')}", raised)
