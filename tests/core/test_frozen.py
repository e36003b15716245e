"""Frozen dicts and lists: real ones, that refuse every change."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from lifecycle.core.frozen import FrozenDict, FrozenList, freeze
from lifecycle.testing.strategies import json_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue


def assign(box: Any) -> None:
    box[0] = 1


def delete(box: Any) -> None:
    del box[0]


def merge(box: Any) -> None:
    box |= {0: 1}


def add(box: Any) -> None:
    box += [1]


def multiply(box: Any) -> None:
    box *= 2


DICT_CHANGES: list[Callable[[Any], object]] = [
    assign, delete, merge, lambda box: box.clear(), lambda box: box.pop(0), lambda box: box.popitem(),
    lambda box: box.setdefault(0, 1), lambda box: box.update({0: 1}), lambda box: box.update(a=1),
]  # fmt: skip
LIST_CHANGES: list[Callable[[Any], object]] = [
    assign, delete, add, multiply, lambda box: box.append(1), lambda box: box.clear(), lambda box: box.extend([1]),
    lambda box: box.insert(0, 1), lambda box: box.pop(), lambda box: box.remove(0), lambda box: box.reverse(),
    lambda box: box.sort(),
]  # fmt: skip


@pytest.mark.parametrize("change", DICT_CHANGES, ids=range(len(DICT_CHANGES)))
def test_a_frozen_dict_refuses_every_change(change: Callable[[Any], object]) -> None:
    box = FrozenDict({0: 0})
    with pytest.raises(TypeError, match="do not change"):
        change(box)
    assert box == {0: 0}


@pytest.mark.parametrize("change", LIST_CHANGES, ids=range(len(LIST_CHANGES)))
def test_a_frozen_list_refuses_every_change(change: Callable[[Any], object]) -> None:
    box = FrozenList([0, 2])
    with pytest.raises(TypeError, match="do not change"):
        change(box)
    assert box == [0, 2]


def test_no_way_to_change_them_was_forgotten() -> None:
    """Whatever a new Python adds to dict or list has to be looked at."""
    reading = {"copy", "count", "fromkeys", "get", "index", "items", "keys", "values"}
    for plain, frozen in ((dict, FrozenDict), (list, FrozenList)):
        public = {name for name in vars(plain) if not name.startswith("_")} - reading
        assert public <= set(vars(frozen))


def test_a_copy_can_be_changed_again() -> None:
    box = FrozenDict({"a": 1})
    thawed = dict(box)
    thawed["a"] = 2
    assert (box["a"], box | {"b": 1}, {**box, "c": 1}) == (1, {"a": 1, "b": 1}, {"a": 1, "c": 1})


@given(json_values)
def test_a_frozen_value_is_the_same_value_all_the_way_down(value: JsonValue) -> None:
    frozen = freeze(value)
    assert frozen == value
    assert json.dumps(frozen) == json.dumps(value)
    assert hash(frozen) == hash(freeze(json.loads(json.dumps(value))))
    for again in (pickle.loads(pickle.dumps(frozen)), copy.deepcopy(frozen), copy.copy(frozen)):
        assert again == value
        assert type(again) is type(frozen)


def test_equal_dicts_have_equal_hashes_whatever_their_order() -> None:
    one, other = FrozenDict({"a": 1, "b": 2}), FrozenDict({"b": 2, "a": 1})
    assert one == other
    assert hash(one) == hash(other)


def test_nothing_inside_can_be_changed_either() -> None:
    frozen: Any = freeze({"a": [{"b": [1]}]})
    with pytest.raises(TypeError):
        frozen["a"][0]["b"].append(2)
    with pytest.raises(TypeError):
        frozen["a"][0]["c"] = 2


def test_what_it_was_made_from_is_not_tied_to_it() -> None:
    inner: list[JsonValue] = [1]
    frozen = freeze({"a": inner})
    inner.append(2)
    assert frozen == {"a": [1]}
