"""What two sequences have in common, in order: the longest that there is, by bit-parallel dynamic programming.

A row of the table of lengths is one integer, whose bit j is 0 where the length grows at j (Crochemore et al. 2001,
Hyyrö 2004): 64 cells are one step of the machine. Where all rows are too many to keep, the sequences are cut in two
where the lengths of both halves add up to the most (Hirschberg 1975). difflib looks for the longest unbroken run
first: that takes minutes where the same few steps come again and again, and finds a part of what is common.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["common"]

#: cells of the table whose rows are kept: 8 MB
_KEPT: Final = 2**26
#: cells looked at for the best place to cut: some seconds. Of what is larger the halves are compared, whatever is best.
_WEIGHED: Final = 2**34
#: a text that stands in more places has its mask kept; all masks of the others would need more than the table
_OFTEN: Final = 64


def common(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The pairs of places in *a* and *b* with the same text that make the longest common subsequence, in order.

    For more than 2**34 pairs of places (131 000 a side) it need not be the longest.
    """
    begin, end = 0, 0
    most = min(len(a), len(b))
    while begin < most and a[begin] == b[begin]:
        begin += 1
    while end < most - begin and a[-1 - end] == b[-1 - end]:
        end += 1
    yield from ((i, i) for i in range(begin))
    yield from ((begin + i, begin + j) for i, j in _between(a[begin : len(a) - end], b[begin : len(b) - end]))
    yield from ((len(a) - i, len(b) - i) for i in range(end, 0, -1))


def _between(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int, int]]:
    if len(a) < 2 or len(a) * len(b) <= _KEPT:
        yield from _traced(a, b)
        return
    i, j = len(a) // 2, len(b) // 2
    if len(a) * len(b) <= _WEIGHED:
        ahead, behind = _lengths(a[:i], b), _lengths(a[: i - 1 : -1], b[::-1])
        j = max(range(len(b) + 1), key=lambda j: ahead[j] + behind[len(b) - j])
    yield from common(a[:i], b[:j])
    yield from ((i + x, j + y) for x, y in common(a[i:], b[j:]))


def _lengths(a: Sequence[str], b: Sequence[str]) -> list[int]:
    """How long the longest common subsequence of *a* and each beginning of *b* is."""
    row = 0
    for row in _rows(a, b):  # noqa: B007 # the last one counts
        pass
    grows = f"{row:0{len(b)}b}"[::-1] if b else ""
    return [0, *accumulate(bit == "0" for bit in grows)]


def _traced(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int, int]]:
    rows = list(_rows(a, b))
    i, j = len(a), len(b)
    found: list[tuple[int, int]] = []
    while i and j:
        if rows[i] >> (j - 1) & 1:
            j -= 1
            continue
        i -= 1
        if rows[i] >> (j - 1) & 1:
            j -= 1
            found.append((i, j))
    return reversed(found)


def _rows(a: Sequence[str], b: Sequence[str]) -> Iterator[int]:
    """The rows of the table, one for each beginning of *a*, the empty one included."""
    places: dict[str, list[int]] = {}
    for j, text in enumerate(b):
        places.setdefault(text, []).append(j)
    masks = {text: _mask(found) for text, found in places.items() if len(found) > _OFTEN}
    every = (1 << len(b)) - 1
    row = every
    yield row
    for text in a:
        mask = masks.get(text)
        hit = row & (_mask(places.get(text, ())) if mask is None else mask)
        row = (row + hit | row - hit) & every
        yield row


def _mask(places: Iterable[int]) -> int:
    return sum(1 << j for j in places)
