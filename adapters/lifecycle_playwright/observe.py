"""observe(): what stands in the active tab, from Playwright's accessibility snapshot, and what its fields take.

Ids are Playwright's references. They stay with their element for as long as it is on the page, within frames too.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from lifecycle.ports import Performed
from lifecycle.results import Element, Observation, Tab
from lifecycle_playwright import aria
from lifecycle_playwright.common import is_driver_error
from lifecycle_playwright.tabs import Seen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle import actions
    from lifecycle_playwright.steps import Steps
    from lifecycle_playwright.tabs import Page, Tabs

__all__ = ["observe"]

_INTERACTIVE: Final = aria.FIELDS | frozenset(
    {"button", "checkbox", "link", "listbox", "menuitem", "menuitemcheckbox", "menuitemradio", "option", "radio"}
    | {"slider", "switch", "tab", "treeitem"}
)
_CHECKABLE: Final = frozenset({"checkbox", "menuitemcheckbox", "menuitemradio", "radio", "switch"})
_SELECTABLE: Final = frozenset({"option", "tab", "treeitem"})
#: Fields that are asked about one by one, a few milliseconds each; what is beyond has no kind and no `filled`.
_ASKED: Final = 100
_NAME: Final = 200

#: Of one field: its kind, whether it is read-only, required and filled. What it holds stays in the page.
_DETAILS: Final = """field => {
  if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement || field instanceof HTMLSelectElement) {
    const kind = field instanceof HTMLInputElement ? field.type : field.tagName.toLowerCase()
    return [kind, !!field.readOnly, field.required, field.value !== '']
  }
  const says = name => field.getAttribute('aria-' + name) === 'true'
  const kind = field.isContentEditable ? 'editable' : null
  return [kind, says('readonly'), says('required'), kind && field.innerText.trim() !== '']
}"""


def observe(tabs: Tabs, page: Page, action: actions.Observe) -> Steps[Performed]:
    """Look at the active tab."""
    started_at = datetime.now(UTC)
    snapshot = yield page.aria_snapshot(mode="ai", timeout=action.timeout)
    nodes = aria.parse(snapshot)
    chosen = [node for node in nodes if node.ref is not None and _interactive(node)]
    uploads = bool((yield page.locator("input[type=file]").count()))
    fields = [node for node in chosen if node.role in aria.FIELDS or (uploads and node.role == "button")]
    details = yield from _details(page, fields[:_ASKED], time.monotonic() + action.timeout / 2000)
    found = [_element(node, details.get(node.ref)) for node in chosen]
    screenshot = (yield page.screenshot(timeout=action.timeout)) if action.screenshot else None
    title = yield page.title()
    observation = Observation(
        url=page.url,
        title=title,
        tabs=(yield from _tabs(tabs, page, title)),
        elements=tuple(found),
        outline=aria.outline(nodes),
        screenshot=screenshot,
        started_at=started_at,
        ended_at=datetime.now(UTC),
    )
    tabs.seen = Seen(page, {one.id: f'{one.role} "{one.name}"' if one.name else one.role for one in found})
    return Performed(ok=True, message=f"saw {len(found)} elements", data=observation)


def _interactive(node: aria.Node) -> bool:
    if node.role in _INTERACTIVE:
        return True
    if node.role == "generic" and node.name and node.parent is not None and node.parent.role == "group":
        return True  # a <summary>
    inside = any(around.role in _INTERACTIVE or "cursor" in around.states for around in node.up())
    return "cursor" in node.states and not inside  # clickable, as its author shows


def _details(page: Page, fields: list[aria.Node], end: float) -> Steps[dict[str | None, tuple[Any, ...]]]:
    """What the page says of each field by its reference, until time.monotonic() is *end*."""
    found: dict[str | None, tuple[Any, ...]] = {}
    for node in fields:
        if time.monotonic() >= end:
            break
        try:
            details = yield page.locator(f"aria-ref={node.ref}").evaluate(_DETAILS, timeout=1_000)
            found[node.ref] = tuple(details)
        except Exception as error:
            if not is_driver_error(error):  # else it is gone meanwhile
                raise
    return found


def _element(node: aria.Node, details: tuple[Any, ...] | None) -> Element:
    assert node.ref is not None  # only such are chosen
    kind, readonly, required, filled = details or (None, False, False, None)
    options = tuple(child.name for child in node.children if child.role == "option" and child.ref is None)
    field = node.role in aria.FIELDS
    return Element(
        id=node.ref,
        role=node.role,
        name=(node.name or ("" if field else node.words()))[:_NAME],
        kind=kind if field or kind == "file" else None,
        checked=_state(node, "checked") if node.role in _CHECKABLE else None,
        pressed=_state(node, "pressed") or None,
        selected=bool(node.states.get("selected")) if node.role in _SELECTABLE else None,
        expanded=bool(node.states.get("expanded")) or None,
        disabled="disabled" in node.states,
        readonly=readonly,
        required=required,
        invalid="invalid" in node.states,
        focused="active" in node.states,
        filled=filled if field or kind == "file" else None,
        options=options,
        url=node.properties.get("url"),
    )


def _state(node: aria.Node, name: str) -> bool | Literal["mixed"]:
    found: str | bool = node.states.get(name, False)
    return "mixed" if found == "mixed" else bool(found)


def _tabs(tabs: Tabs, active: Page, title: str) -> Steps[tuple[Tab, ...]]:
    found: list[Tab] = []
    for index, page in enumerate((yield from tabs.pages())):
        info: Mapping[str, Any] = {"title": title} if page is active else (yield from tabs.info(page))
        found.append(Tab(index=index, url=page.url, title=str(info.get("title", "")), active=page is active))
    return tuple(found)
