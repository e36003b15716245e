"""Dicts and lists that can't be changed any more, so that a recorded fact stays what it was, all the way down.

They are real dicts and lists: they compare, print, pickle and serialise as such. `dict(x)` and `list(x)` are copies
that can be changed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

if TYPE_CHECKING:
    from pydantic import JsonValue

__all__ = ["FrozenDict", "FrozenList", "freeze"]

_K = TypeVar("_K")
_V = TypeVar("_V")


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("recorded facts do not change; dict(x) or list(x) makes a copy that can be changed")


#: Any, because it stands in for methods of many signatures
_REFUSE: Final[Any] = _refuse


class FrozenDict(dict[_K, _V]):
    """A dict that refuses every change. Hashable when its values are."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _REFUSE

    def __hash__(self) -> int:  # type: ignore[override] # a dict has none because it changes; this one does not
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)  # the default fills a copy item by item, which is refused


class FrozenList(list[_V]):
    """A list that refuses every change. Hashable when its items are."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _REFUSE
    append = clear = extend = insert = pop = remove = reverse = sort = _REFUSE

    def __hash__(self) -> int:  # type: ignore[override] # as FrozenDict
        return hash(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)


def freeze(value: JsonValue) -> JsonValue:
    """*value* with every dict and list in it replaced by a frozen copy."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list):
        return FrozenList([freeze(item) for item in value])
    return value
