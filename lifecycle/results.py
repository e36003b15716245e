"""What active operations give back: the result of an action, and what observe() sees. Frozen, and safe to print.

No repr here holds what was typed into a page, what a script returned, or a picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from lifecycle.actions import Action
    from lifecycle.errors import ActionFailed

__all__ = ["Element", "ExecutionResult", "Observation", "Reason", "Tab"]

#: Why an operation failed. The set is closed; programs may branch on it.
Reason: TypeAlias = Literal[
    "ambiguous",  # the selector matches several elements
    "closed",  # the tab was closed, or its page left for another one, meanwhile
    "crashed",  # the page crashed; other tabs live
    "dialog",  # a dialog that nobody answered blocked the page
    "download",  # no download began, or it did not come to its end
    "file",  # the file to upload, or the folder to download to, is not there
    "history",  # nothing to go back or forward to
    "hung",  # the page does not answer
    "invalid",  # not a URL, selector or key
    "lost",  # no connection to the browser; the next call makes a new one
    "mismatch",  # what the page holds does not fit the model, or can't be written as Markdown
    "navigation",  # the page could not be loaded; the message has Chromium's code
    "not_found",  # no such element
    "script",  # the JavaScript raised
    "stale",  # the id is not from the latest observe(), or its element is gone
    "tab",  # no tab of that index
    "timeout",  # not done in time
    "unsuitable",  # the element can't do that
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """How one operation went. `message` is for people, `reason` for programs; `data` depends on the action."""

    action: Action
    success: bool
    message: str
    data: Any = field(default=None, repr=False)
    reason: Reason | None = None
    #: the message without what must not be recorded: paths, a page's own words, JavaScript
    summary: str = field(default="", repr=False)
    started_at: datetime
    ended_at: datetime

    @property
    def exception(self) -> ActionFailed | None:
        """What execute() raises for this result; None after a success."""
        from lifecycle.errors import ActionFailed

        return None if self.success else ActionFailed(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A tab of the browser; `index` is what switch_tab takes."""

    index: int
    url: str
    title: str
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Something that can be acted upon by its `id`. A state is None where it means nothing for the element.

    `kind` says what a field takes: an input's type ("text", "password", "file", …), "textarea", "select" or "editable".
    `filled` says whether a field holds something; what it holds is never told. Of a page with very many fields, only
    the first hundred are asked about these.
    """

    id: str
    role: str
    name: str
    kind: str | None = None
    checked: bool | Literal["mixed"] | None = None
    pressed: bool | Literal["mixed"] | None = None
    selected: bool | None = None
    expanded: bool | None = None
    disabled: bool = False
    readonly: bool = False
    required: bool = False
    invalid: bool = False
    focused: bool = False
    filled: bool | None = None
    options: tuple[str, ...] = ()
    url: str | None = None

    def __str__(self) -> str:
        said = [f"[{self.id}]", self.role, *([f'"{self.name}"'] if self.name else [])]
        if self.kind and self.kind not in ("text", "select", "textarea", self.role):
            said.append(self.kind)
        for name in ("checked", "pressed", "selected", "expanded"):
            if (state := getattr(self, name)) is not None:
                said.append({True: name, False: f"not {name}"}.get(state, f"{name}: {state}"))
        said += [name for name in ("disabled", "readonly", "required", "invalid", "focused") if getattr(self, name)]
        if self.filled is not None:
            said.append("filled" if self.filled else "empty")
        if self.options:
            said.append(f"options: {', '.join(self.options)}")
        if self.url is not None:
            said.append(f"-> {self.url}")
        return " ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The active tab as it was seen. `str()` of it is a text for prompts."""

    url: str
    title: str
    tabs: tuple[Tab, ...]
    elements: tuple[Element, ...] = field(repr=False)
    #: the page's accessibility snapshot in Playwright's notation, without what stands in its fields
    outline: str = field(repr=False)
    #: PNG, of what is in view
    screenshot: bytes | None = field(default=None, repr=False)
    started_at: datetime
    ended_at: datetime

    def element(self, name: str, role: str | None = None) -> Element:
        """The one element of that exact name, and role.

        Raises:
            LookupError: There is none, or several.
        """
        found = [one for one in self.elements if one.name == name and role in (None, one.role)]
        if len(found) != 1:
            names = ", ".join(f'{one.role} "{one.name}"' for one in self.elements[:20] if one.name)
            raise LookupError(f"{len(found)} elements are named {name!r}; named are: {names or 'none'}")
        return found[0]

    def __str__(self) -> str:
        tabs = [f"{'*' if tab.active else ' '} {tab.index} {tab.title} <{tab.url}>" for tab in self.tabs]
        return "\n".join([f"{self.title} <{self.url}>", "tabs:", *tabs, "elements:", *map(str, self.elements)])
