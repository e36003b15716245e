"""From an id or a selector to an element, and the actions on one: click, fill, check, choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lifecycle.ports import Performed
from lifecycle_playwright.failures import Refused

if TYPE_CHECKING:
    from lifecycle import actions
    from lifecycle.actions import ElementAction
    from lifecycle_playwright.steps import Steps
    from lifecycle_playwright.tabs import Page, Tabs

__all__ = ["FIELD", "Locator", "check", "click", "fill", "fill_in", "locate", "select", "what"]

#: Playwright's Locator of either API
Locator: TypeAlias = Any

#: Of the field that the element is, or labels: its kind, and what stands in it.
FIELD: Final = """element => {
  const field = element instanceof HTMLLabelElement && element.control || element
  if (field instanceof HTMLInputElement) return [field.type, field.value]
  if (field instanceof HTMLTextAreaElement) return ['textarea', field.value]
  if (field instanceof HTMLSelectElement) return ['select', field.value]
  return field.isContentEditable ? ['editable', field.innerText] : ['none', '']
}"""

#: Kinds of fields that take nothing but what has a form of its own.
_FORMATTED: Final = ("date", "datetime-local", "month", "week", "time", "number", "color", "range")


def what(tabs: Tabs, action: ElementAction) -> str:
    """How *action*'s element is called in messages and in the log."""
    if action.selector is not None:
        return repr(action.selector)
    assert action.id is not None  # exactly one of both is given
    known = tabs.seen.elements.get(action.id) if tabs.seen is not None else None
    return known or f"element {action.id!r}"


def locate(tabs: Tabs, page: Page, action: ElementAction) -> Steps[Locator]:
    """The element that *action* means. A selector is looked up when it is used, an id now.

    Raises:
        Refused: The id is not from the latest observe(), or its element is gone.
    """
    if action.selector is not None:
        return page.locator(action.selector)
    seen = tabs.seen
    if seen is None:
        raise Refused("stale", f"no element {action.id!r}: ids come from observe(), and hold until a page is loaded")
    if seen.page is not page:
        raise Refused("stale", "the latest observe() saw another tab, and ids belong to their tab; observe again")
    if (known := seen.elements.get(action.id or "")) is None:
        raise Refused("stale", f"the latest observe() gave no element {action.id!r}; observe again")
    # Playwright's own reference, which stays with its element for as long as the document does.
    locator = page.locator(f"aria-ref={action.id}")
    if not (yield locator.count()):
        raise Refused("stale", f"{known} ({action.id}) is gone from the page; observe again")
    return locator


def click(tabs: Tabs, page: Page, action: actions.Click) -> Steps[Performed]:
    """Click."""
    element = yield from locate(tabs, page, action)
    yield element.click(timeout=action.timeout)
    return Performed(ok=True, message=f"clicked {what(tabs, action)}")


def fill(tabs: Tabs, page: Page, action: actions.Fill) -> Steps[Performed]:
    """Put text into a field."""
    field = yield from locate(tabs, page, action)
    yield from fill_in(field, action.value, action.timeout, clear=action.clear_before_fill)
    return Performed(ok=True, message=f"filled {what(tabs, action)}")


def fill_in(field: Locator, value: str, timeout_ms: int, *, clear: bool = True) -> Steps[None]:
    """Put *value* into *field*, or behind what stands there.

    Raises:
        Refused: The field has a form of its own, a date's for example, and did not take the value.
    """
    kind, before = yield field.evaluate(FIELD, timeout=timeout_ms)
    yield field.fill(value if clear else before + value, timeout=timeout_ms)
    if value and kind in _FORMATTED:
        _, after = yield field.evaluate(FIELD, timeout=timeout_ms)
        if not after:
            raise Refused("unsuitable", f"the field did not take the value: it is not a {kind} as HTML writes it")


def check(tabs: Tabs, page: Page, action: actions.Check) -> Steps[Performed]:
    """Check or uncheck."""
    box = yield from locate(tabs, page, action)
    yield box.set_checked(action.value, timeout=action.timeout)
    return Performed(ok=True, message=f"{'checked' if action.value else 'unchecked'} {what(tabs, action)}")


def select(tabs: Tabs, page: Page, action: actions.SelectDropdownOption) -> Steps[Performed]:
    """Choose an option of a <select>."""
    field = yield from locate(tabs, page, action)
    kind, _ = yield field.evaluate(FIELD, timeout=action.timeout)
    if kind != "select":
        raise Refused("unsuitable", f"{what(tabs, action)} is not a <select>; click it, then click its option")
    yield field.select_option(action.value, timeout=action.timeout)
    return Performed(ok=True, message=f"chose an option of {what(tabs, action)}")
