"""form_fill: from names to the fields of a form, all of them found before any is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from lifecycle.ports import Performed
from lifecycle_playwright.elements import FIELD, Locator, fill_in
from lifecycle_playwright.failures import Refused

if TYPE_CHECKING:
    from lifecycle import actions
    from lifecycle_playwright.steps import Steps
    from lifecycle_playwright.tabs import Page, Tabs

__all__ = ["form_fill"]

_Value: TypeAlias = "str | bool | int | float"

_ROLES: Final = ["textbox", "searchbox", "spinbutton", "combobox", "listbox", "checkbox", "radio", "switch", "slider"]
#: By what else a field may be called, in this order; the first that finds any counts.
_ATTRIBUTES: Final = ("name", "id", "placeholder", "autocomplete")


def form_fill(tabs: Tabs, page: Page, action: actions.FormFill) -> Steps[Performed]:
    """Fill a form's fields."""
    found: list[tuple[Locator, str, _Value]] = []
    for name, value in action.value.items():
        field, kind = yield from _field(page, name, value, action.timeout)
        found.append((field, kind, value))
    for field, kind, value in found:
        yield from _put(field, kind, value, action.timeout)
    return Performed(ok=True, message=f"filled {len(found)} fields")


def _field(page: Page, name: str, value: _Value, timeout_ms: int) -> Steps[tuple[Locator, str]]:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\a ")
    ways = [_named(page, name), page.get_by_label(name, exact=True)]
    ways += [page.locator(f':is(input, textarea, select, [contenteditable])[{one}="{quoted}"]') for one in _ATTRIBUTES]
    for way in ways:
        matches: int = yield way.count()
        if not matches:
            continue
        kind, _ = yield way.first.evaluate(FIELD, timeout=timeout_ms)
        if kind == "radio" and isinstance(value, str):
            return (yield from _radio(way, name, value))
        if matches > 1:
            raise Refused("ambiguous", f"{matches} fields are called {name!r}", f"{matches} fields have the same name")
        _suitable(kind, name, value)
        return way, kind
    raise Refused("not_found", f"no field is called {name!r}; nothing was filled", "a field was not found")


def _named(page: Page, name: str) -> Locator:
    """Fields of that accessible name, which is what observe() shows."""
    first, *others = [page.get_by_role(role, name=name, exact=True) for role in _ROLES]
    found = first
    for other in others:
        found = found.or_(other)
    return found


def _radio(buttons: Locator, name: str, value: str) -> Steps[tuple[Locator, str]]:
    """The one of a group that has *value* as its value or label."""
    texts = yield buttons.evaluate_all(
        "all => all.map(one => [one.value, ...[...(one.labels || [])].map(label => label.innerText.trim())])"
    )
    fitting = [index for index, words in enumerate(texts) if value in words]
    if len(fitting) != 1:
        raise Refused(
            "not_found", f"{len(fitting)} of the buttons called {name!r} have that value", "a choice was not found"
        )
    return buttons.nth(fitting[0]), "radio"


def _suitable(kind: str, name: str, value: _Value) -> None:
    box = kind in ("checkbox", "radio")
    if box is not isinstance(value, bool):
        wants = "True or False" if box else "a text"
        raise Refused("unsuitable", f"{name!r} is a {kind} field: give {wants}", f"a {kind} field takes {wants}")
    if kind in ("file", "none", "submit", "button", "reset", "image"):
        raise Refused("unsuitable", f"{name!r} is not a field that can be filled", "not a field that can be filled")


def _put(field: Locator, kind: str, value: _Value, timeout_ms: int) -> Steps[None]:
    if kind in ("checkbox", "radio"):
        yield field.set_checked(value is not False, timeout=timeout_ms)
    elif kind == "select":
        yield field.select_option(str(value), timeout=timeout_ms)
    else:
        yield from fill_in(field, str(value), timeout_ms)
