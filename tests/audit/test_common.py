"""What two histories have in common is the most that there is, however long they are and however it is worked out."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.audit import common as module
from lifecycle.audit.common import common

if TYPE_CHECKING:
    from collections.abc import Sequence

#: _KEPT, _WEIGHED, _OFTEN: as they are; cut as often as can be; every mask kept
WAYS = {"whole": (2**26, 2**34, 64), "cut": (0, 2**34, 64), "cut, masks kept": (9, 2**34, 0)}


def longest(a: Sequence[str], b: Sequence[str]) -> int:
    """By the table that every textbook has."""
    lengths = [0] * (len(b) + 1)
    for one in a:
        before = 0
        for j, other in enumerate(b, start=1):
            before, lengths[j] = lengths[j], before + 1 if one == other else max(lengths[j], lengths[j - 1])
    return lengths[-1]


def check(a: Sequence[str], b: Sequence[str]) -> int:
    """How many pairs there are, which are pairs of the same, in order."""
    found = list(common(a, b))
    assert all(a[i] == b[j] for i, j in found)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(found))
    return len(found)


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None)
@given(a=st.lists(st.sampled_from("abcd"), max_size=12), b=st.lists(st.sampled_from("abcd"), max_size=12))
def test_no_more_is_in_common(way: str, a: list[str], b: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("_KEPT", "_WEIGHED", "_OFTEN"), WAYS[way], strict=True):
            patch.setattr(module, name, value)
        assert check(a, b) == longest(a, b)


@pytest.mark.parametrize("alike", [2, 40, 5_000])
def test_long_ones_whose_steps_come_again_and_again(alike: int) -> None:
    """difflib's time grows with the square of these lengths, and worse: 30 000 events took it minutes."""
    dice = random.Random(alike)
    a, b = ([str(dice.randrange(alike)) for _ in range(10_000)] for _ in range(2))
    steps = list(map(str, range(10_000)))
    assert check(a, b) > 0
    assert check([*steps, *a, *steps], [*steps, *b, *steps]) >= 20_000
    assert check(steps, steps[::-1]) == 1


def test_too_long_to_look_for_the_best_place_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 0)
    monkeypatch.setattr(module, "_WEIGHED", 0)
    assert check("abcde" * 4, "xabcdey" * 4) > 0
    assert check("abcde", "xx") == 0
    assert check("same", "same") == 4
