"""The actions that `session.execute` takes: one frozen model a type, and the union of them.

Each can be given as an object, `execute(Click(selector="#go"))`, as a dict, `execute({"type": "click", …})`, or as
keywords, `execute(type="click", …)`. `AnyAction` is the discriminated union for models of your own; its JSON schema
(`TypeAdapter(AnyAction).json_schema()`) describes all of them to a language model.

Times are milliseconds. What is typed, chosen, evaluated, read from a file or answered is left out of every repr, as are
the secrets of a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lifecycle.client import redact
from lifecycle.core.frozen import FrozenDict

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ACTIONS",
    "Action",
    "AnyAction",
    "Check",
    "Click",
    "CloseTab",
    "Completion",
    "DownloadFile",
    "ElementAction",
    "EvaluateJs",
    "Extract",
    "Fill",
    "FormFill",
    "GoBack",
    "GoForward",
    "Goto",
    "GotoNewTab",
    "Observe",
    "PressKey",
    "Reload",
    "Scrape",
    "ScrollDown",
    "ScrollUp",
    "SelectDropdownOption",
    "SwitchTab",
    "TimedAction",
    "UploadFile",
    "Wait",
]

_Milliseconds = Annotated[int, Field(ge=1, le=600_000)]
_Hidden = Annotated[str, Field(repr=False)]
_Amount = Annotated[int, Field(ge=1, le=1_000_000)]
_HiddenPath = Annotated[str | Path, Field(repr=False)]
_Selector = Annotated[str, Field(min_length=1, max_length=4096)]
_Model: TypeAlias = type[BaseModel]
_FormValue: TypeAlias = str | bool | int | float


class Action(BaseModel):
    """Base of all actions. Nothing is coerced: `"3"` is not a number and `1` is not True."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @property
    def kind(self) -> str:
        """The action's `type`, as the log has it."""
        kind: str = type(self).model_fields["type"].default
        return kind


class TimedAction(Action):
    """An action that has to be done within `timeout` ms, 1 to 600000."""

    timeout: _Milliseconds = 15_000


class ElementAction(TimedAction):
    """An action on one element: `id` as observe() gave it, or a Playwright `selector` (CSS, text=, role=, xpath=)."""

    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    selector: _Selector | None = None

    @model_validator(mode="after")
    def _one_element(self) -> Self:
        if (self.id is None) is (self.selector is None):
            raise ValueError("give exactly one of id (from observe()) and selector")
        return self


class _Loading(TimedAction):
    url: Annotated[str, Field(min_length=1)]

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(name, redact.url(value) if name == "url" else value) for name, value in super().__repr_args__()]


class Goto(_Loading):
    """Load *url*, with its scheme, in the active tab."""

    type: Literal["goto"] = "goto"


class GotoNewTab(_Loading):
    """Load *url* in a new tab, which becomes the active one; a tab that can't load it is closed again."""

    type: Literal["goto_new_tab"] = "goto_new_tab"


class SwitchTab(TimedAction):
    """Make the tab of that index the active one; observe() lists them, counted from 0."""

    type: Literal["switch_tab"] = "switch_tab"
    tab_index: Annotated[int, Field(ge=0)]


class CloseTab(TimedAction):
    """Close the active tab; the one before it becomes active. An empty tab takes the place of the last one."""

    type: Literal["close_tab"] = "close_tab"


class GoBack(TimedAction):
    """Go back in the active tab's history."""

    type: Literal["go_back"] = "go_back"


class GoForward(TimedAction):
    """Go forward in the active tab's history."""

    type: Literal["go_forward"] = "go_forward"


class Reload(TimedAction):
    """Load the active tab's page again."""

    type: Literal["reload"] = "reload"


class Wait(Action):
    """Do nothing for *time_ms*, at most 30000."""

    type: Literal["wait"] = "wait"
    time_ms: Annotated[int, Field(ge=0, le=30_000)]


class PressKey(TimedAction):
    """Press *key* where the focus is: "Enter", "ArrowDown", "a", or a combination such as "Control+A"."""

    type: Literal["press_key"] = "press_key"
    key: Annotated[str, Field(min_length=1, repr=False)]


class ScrollUp(TimedAction):
    """Scroll up by *amount* pixels; by one screen without it."""

    type: Literal["scroll_up"] = "scroll_up"
    amount: _Amount | None = None


class ScrollDown(TimedAction):
    """Scroll down by *amount* pixels; by one screen without it."""

    type: Literal["scroll_down"] = "scroll_down"
    amount: _Amount | None = None


class Click(ElementAction):
    """Click an element."""

    type: Literal["click"] = "click"


class Fill(ElementAction):
    """Put *value* into a text field, or behind what stands there with clear_before_fill=False."""

    type: Literal["fill"] = "fill"
    value: _Hidden
    clear_before_fill: bool = True


class Check(ElementAction):
    """Check or uncheck a checkbox, radio button or switch."""

    type: Literal["check"] = "check"
    value: bool


class SelectDropdownOption(ElementAction):
    """Choose the option of a <select> that has *value* as its value or label."""

    type: Literal["select_dropdown_option"] = "select_dropdown_option"
    value: _Hidden


class FormFill(TimedAction):
    """Fill the fields of a form: by label, name, id, placeholder or autocomplete word; nothing if one can't be found.

    True and False check and uncheck; for a select or a group of radio buttons, the value chooses.
    """

    type: Literal["form_fill"] = "form_fill"
    value: Annotated[dict[str, _FormValue], Field(min_length=1, repr=False), AfterValidator(FrozenDict)]


class UploadFile(ElementAction):
    """Give the file at *file_path* to a file input, or to the button that asks for one."""

    type: Literal["upload_file"] = "upload_file"
    file_path: _HiddenPath


class DownloadFile(ElementAction):
    """Click the element and save the file that comes, never over another one.

    The result's data tells `path`, `suggested_filename` and `size` in bytes. Without a *directory* it is a new one
    among the system's temporary files, which is yours to remove.
    """

    type: Literal["download_file"] = "download_file"
    directory: Annotated[str | Path | None, Field(repr=False)] = None


class EvaluateJs(TimedAction):
    """Run JavaScript in the page: an expression, or a function that is called; the result's data is its value.

    Code that has not come to an end in time is stopped.
    """

    type: Literal["evaluate_js"] = "evaluate_js"
    code: _Hidden


class Scrape(TimedAction):
    """The visible page, or the element of *selector*, as Markdown in the result's data."""

    type: Literal["scrape"] = "scrape"
    selector: _Selector | None = None
    only_main_content: bool = False
    scrape_links: bool = True
    scrape_images: bool = False


class Completion(Action):
    """Say that the task is over. Nothing is done with the page, and *answer* is not recorded."""

    type: Literal["completion"] = "completion"
    success: bool
    answer: _Hidden


class Observe(TimedAction):
    """What observe() does; not an action of execute()."""

    type: Literal["observe"] = "observe"
    screenshot: bool = False


class Extract(TimedAction):
    """What scrape(response_format=…) does; not an action of execute(). *fields* says where each field stands."""

    type: Literal["scrape"] = "scrape"
    selector: _Selector | None = None
    response_format: _Model
    fields: Mapping[str, Any]


AnyAction: TypeAlias = Annotated[
    Goto
    | GotoNewTab
    | SwitchTab
    | CloseTab
    | GoBack
    | GoForward
    | Reload
    | Wait
    | PressKey
    | ScrollUp
    | ScrollDown
    | Click
    | Fill
    | Check
    | SelectDropdownOption
    | FormFill
    | UploadFile
    | DownloadFile
    | EvaluateJs
    | Scrape
    | Completion,
    Field(discriminator="type"),
]

#: type -> model
ACTIONS: Final[Mapping[str, type[Action]]] = MappingProxyType(
    {model.model_fields["type"].default: model for model in get_args(get_args(AnyAction)[0])}
)
