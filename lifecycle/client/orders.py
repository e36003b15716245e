"""From what execute(), observe() and scrape() were given to an action, or one clear refusal before anything is done."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from lifecycle import actions
from lifecycle.client import extract, markdown
from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["action", "execute", "observe", "scrape"]


def execute(given: object, fields: Mapping[str, Any], raise_on_failure: object) -> actions.Action:
    """The action that `execute(given, **fields)` orders.

    Raises:
        InvalidConfig, MissingExtra: Nothing was done.
    """
    if not isinstance(raise_on_failure, bool):
        raise InvalidConfig("raise_on_failure", raise_on_failure, "must be True or False")
    order = action(given, fields)
    if isinstance(order, actions.Scrape):
        markdown.require("scrape")
    return order


def observe(**fields: Any) -> actions.Action:
    """The order of `observe(**fields)`; errors as execute()."""
    return _validated(actions.Observe, fields)


def scrape(response_format: object, fields: object, options: Mapping[str, Any]) -> actions.Action:
    """The order of `scrape(**options)`; errors as execute()."""
    if response_format is None and fields is None:
        markdown.require("scrape()")
        return _validated(actions.Scrape, options)
    if response_format is None:
        raise InvalidConfig("response_format", response_format, "must be the model whose fields are described")
    planned = extract.plan(response_format, fields)
    return _validated(actions.Extract, {**options, "response_format": response_format, "fields": planned})


class _Unseen:
    """Stands in a message for what must not be in it, or what is not there."""

    def __init__(self, word: str) -> None:
        self._word = word

    def __repr__(self) -> str:
        return self._word


_HIDDEN: Final = _Unseen("(hidden)")
_MISSING: Final = _Unseen("(missing)")


def action(given: object = None, fields: Mapping[str, Any] | None = None) -> actions.Action:
    """The action that `execute(given, **fields)` means.

    Raises:
        InvalidConfig: Names the first field that is wrong, and what is allowed; never a value that is hidden.
    """
    if isinstance(given, actions.Action):
        if type(given) not in actions.ACTIONS.values() or fields:
            wrong = ", ".join(fields or {}) or type(given).__name__
            raise InvalidConfig("action", _Unseen(wrong), "give one of lifecycle.actions, and nothing besides it")
        return given
    if given is not None and (fields or not isinstance(given, Mapping)):
        allowed = "must be an action of lifecycle.actions, a dict, or keywords such as type= and url=; one of them"
        raise InvalidConfig("action", _Unseen(type(given).__name__), allowed)
    full: dict[str, Any] = {
        str(name): value for name, value in cast("Mapping[Any, Any]", given or fields or {}).items()
    }
    kind = full.pop("type", _MISSING)
    model = actions.ACTIONS.get(kind) if isinstance(kind, str) else None
    if model is None:
        close = difflib.get_close_matches(kind, actions.ACTIONS, n=1) if isinstance(kind, str) else []
        hint = f"did you mean {close[0]}? " if close else ""
        raise InvalidConfig("type", kind, f"no such action; {hint}known are {', '.join(actions.ACTIONS)}")
    return _validated(model, full)


def _validated(model: type[actions.Action], fields: Mapping[str, Any]) -> actions.Action:
    """A *model* of *fields*.

    Raises:
        InvalidConfig: As action().
    """
    try:
        return model(**fields)
    except ValidationError as found:
        error = _refusal(model, found.errors(include_url=False)[0])
    raise error  # out here, where pydantic's, which holds the input, is not even its context


def _refusal(model: type[actions.Action], error: ErrorDetails) -> InvalidConfig:
    kind = model.model_fields["type"].default
    places = error["loc"]
    if not places:  # the one rule about a whole action
        allowed = error["msg"].removeprefix("Value error, ")
        return InvalidConfig(f"{kind}.id, {kind}.selector", _Unseen("(both or neither)"), allowed)
    name = str(places[0])
    taken = [field for field in model.model_fields if field != "type"]
    if error["type"] == "extra_forbidden":
        return InvalidConfig(f"{kind}.{name}", _HIDDEN, f"no such field; {kind} takes {', '.join(taken) or 'none'}")
    if error["type"] == "missing":
        return InvalidConfig(f"{kind}.{name}", _MISSING, f"needed; {kind} takes {', '.join(taken)}")
    shown = error["input"] if model.model_fields[name].repr and len(places) == 1 else _HIDDEN
    return InvalidConfig(f"{kind}.{name}", shown, error["msg"][:1].lower() + error["msg"][1:])
