"""scrape(response_format=…): a pydantic model filled from a mapping of its fields to CSS selectors; no language model.

| the mapping says          | the field gets                                                                           |
|---------------------------|------------------------------------------------------------------------------------------|
| `"h1"`                    | the text of the one element; for a list, of each                                         |
| `"a.more@href"`           | an attribute; URLs are whole                                                             |
| `""`, `"@href"`           | the text, an attribute, of the element around                                            |
| `("li.item", {…})`        | a nested model from inside the one element; for a list of models, from inside each       |
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic.fields import FieldInfo

__all__ = ["Fields", "Unfit", "filled", "plan"]

#: What a mapping looks like.
Fields: TypeAlias = Mapping[str, "str | tuple[str, Fields]"]

_ATTRIBUTE: Final = re.compile(r"^(?P<selector>.*?)(?:@(?P<attribute>[A-Za-z_][\w:.-]*))?$", re.DOTALL)
_MANY: Final = (list, tuple, set, frozenset)


class Unfit(Exception):
    """What was found does not fit the model. `summary` says the same without the page's own words."""

    def __init__(self, message: str, summary: str) -> None:
        super().__init__(message)
        self.message = message
        self.summary = summary


def plan(model: object, fields: object, argument: str = "fields") -> dict[str, Any]:
    """What to look for, as plain data, by field.

    Raises:
        InvalidConfig: Not a model, not such a mapping, a field that is unknown, or a needed one that is missing.
    """
    if not _is_model(model):
        raise InvalidConfig("response_format", model, "must be a pydantic model class")
    if not model.__pydantic_complete__ and not model.model_rebuild(raise_errors=False):
        raise InvalidConfig("response_format", model, "has annotations that can't be resolved; see model_rebuild()")
    if not isinstance(fields, Mapping):
        raise InvalidConfig(argument, fields, f"must map the fields of {model.__name__} to CSS selectors")
    given = cast("Mapping[str, object]", fields)
    for name in given:
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            raise InvalidConfig(argument, name, f"{model.__name__} has no such field; it has {known}")
    for name, field in model.model_fields.items():
        if field.is_required() and name not in given:
            raise InvalidConfig(argument, name, f"{model.__name__} needs this field; give its selector")
    return {name: _wanted(model.model_fields[name], value, f"{argument}.{name}") for name, value in given.items()}


def _wanted(field: FieldInfo, value: object, argument: str) -> dict[str, Any]:
    kind, many = _kind(field.annotation)
    if isinstance(value, str):
        if _is_model(kind):
            raise InvalidConfig(argument, value, "a nested model needs a pair: (selector, its own mapping)")
        found = _ATTRIBUTE.match(value)
        assert found is not None  # every text matches
        return {"selector": found["selector"].strip(), "attribute": found["attribute"], "many": many}
    if (pair := _pair(value)) is None:
        raise InvalidConfig(argument, value, 'must be a CSS selector ("h1", "a@href"), or (selector, mapping)')
    return {"selector": pair[0].strip(), "many": many, "fields": plan(kind, pair[1], argument)}


def _pair(value: object) -> tuple[str, object] | None:
    parts = cast("Sequence[object]", value) if isinstance(value, tuple | list) else ()
    return (parts[0], parts[1]) if len(parts) == 2 and isinstance(parts[0], str) else None


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The type of a field's single values, and whether it holds several."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner = [one for one in get_args(annotation) if one is not types.NoneType]
        return _kind(inner[0]) if len(inner) == 1 else (annotation, False)
    if origin in _MANY:
        return _kind(get_args(annotation)[0])[0], True
    return annotation, annotation in _MANY


def filled(model: type[BaseModel], found: Mapping[str, Any]) -> BaseModel:
    """A *model* of what was *found*; what was not there is left to its defaults.

    Raises:
        Unfit: It does not fit.
    """
    try:
        return model.model_validate(_named(model, found))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or model.__name__
    raise Unfit(
        f"the page does not fit {model.__name__}: {place}: {first['msg']}",
        f"the page does not fit {model.__name__}: {place} ({first['type']})",
    )


def _named(model: type[BaseModel], found: Mapping[str, Any]) -> dict[str, Any]:
    """*found* by the names that validation goes by."""
    named: dict[str, Any] = {}
    for name, value in found.items():
        field = model.model_fields[name]
        kind, many = _kind(field.annotation)
        if _is_model(kind):
            value = [_named(kind, one) for one in value] if many else _named(kind, value)
        if value is not None:
            named[field.validation_alias if isinstance(field.validation_alias, str) else name] = value
    return named
