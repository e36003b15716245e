"""The Merkle tree over a log's events: RFC 6962's hashing, as RFC 9162 has it. Pure.

The leaf of an event is its hash, 32 bytes; its index is its position less 1. So the root over the first n events stands
for every column of every one of them and for their order, and log₂ n hashes prove that an event is among them.

The two `verify_` functions need nothing but their arguments; docs/how-to/prove.md shows the same in plain Python.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "EMPTY",
    "TILE",
    "Frontier",
    "consistency",
    "fold_hashes",
    "inclusion",
    "leaf_hash",
    "node_hash",
    "range_hash",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]

#: the root over nothing
EMPTY: Final = sha256(b"").digest()
#: leaves below one stored hash, as a power of two: a level of the stored tree spans this many levels
TILE: Final = 8
_SIDE: Final = 1 << TILE

if TYPE_CHECKING:
    #: (height, index) -> the hash over the 2^height leaves from index * 2^height on
    Node = Callable[[int, int], bytes]
    #: (level, number, hash) of a subtree over 256^level leaves that has just become complete
    Complete = Callable[[int, int, bytes], None]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one leaf."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


def fold_hashes(hashes: Sequence[bytes]) -> bytes:
    """The hash over neighbours; their number is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        pairs = iter(row)
        row = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return row[0]


class Frontier:
    """The root over leaves that come one after the other; holds log₂ n hashes."""

    def __init__(self, complete: Complete | None = None) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []
        self._complete = complete

    def add(self, leaf: bytes) -> None:
        """One more leaf's hash."""
        self._push(0, leaf)

    def _push(self, height: int, hashed: bytes) -> None:
        """A subtree over 2^height leaves; the size so far is a multiple of that."""
        added = 1 << height
        index = self.size >> height
        while self._peaks and self._peaks[-1][0] == height:
            hashed = node_hash(self._peaks.pop()[1], hashed)
            height += 1
            index >>= 1
            if self._complete is not None and height % TILE == 0:
                self._complete(height // TILE, index, hashed)
        self._peaks.append((height, hashed))
        self.size += added

    def extend(self, leaves: Sequence[bytes]) -> None:
        """More leaves' hashes; whole subtrees of 256 at once."""
        begin = 0
        while begin < len(leaves):
            if self.size % _SIDE or len(leaves) - begin < _SIDE:
                self.add(leaves[begin])
                begin += 1
                continue
            hashed = fold_hashes(leaves[begin : begin + _SIDE])
            if self._complete is not None:
                self._complete(1, self.size // _SIDE, hashed)
            self._push(TILE, hashed)
            begin += _SIDE

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        hashed = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            hashed = node_hash(left, hashed)
        return hashed


def _split(size: int) -> int:
    """The largest power of two below *size*."""
    return 1 << (size - 1).bit_length() - 1


def range_hash(begin: int, end: int, node: Node) -> bytes:
    """The root over the leaves begin <= index < end, *begin* being where a subtree of the tree begins."""
    size = end - begin
    height = size.bit_length() - 1
    if size == 1 << height:
        return node(height, begin >> height)
    middle = begin + _split(size)
    return node_hash(range_hash(begin, middle, node), range_hash(middle, end, node))


def root_of(size: int, node: Node) -> bytes:
    """The root over the first *size* leaves."""
    return range_hash(0, size, node) if size else EMPTY


def inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """What proves that a leaf has this *index* in the tree of *size* leaves (RFC 9162, 2.1.3.1); from the leaf up."""
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(range_hash(middle, end, node))
            end = middle
        else:
            path.append(range_hash(begin, middle, node))
            begin = middle
    return path[::-1]


def consistency(old: int, size: int, node: Node) -> list[bytes]:
    """What proves that the tree of *size* leaves only adds to the one of *old* leaves (RFC 9162, 2.1.4.1)."""
    if not 0 < old < size:
        return []
    path: list[bytes] = []
    begin, end, whole = 0, size, True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(range_hash(middle, end, node))
            end = middle
        else:
            path.append(range_hash(begin, middle, node))
            begin, whole = middle, False
    if not whole:
        path.append(range_hash(begin, end, node))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether *proof* shows that the leaf hash *leaf* has *index* in the tree of *size* leaves with this *root*.

    RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    at, last, hashed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            hashed = node_hash(sibling, hashed)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            hashed = node_hash(hashed, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and hashed == root


def verify_consistency(old: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes) -> bool:
    """Whether *proof* shows that the tree of *size* leaves with *root* only adds to that of *old* ones with *old_root*.

    RFC 9162, 2.1.4.2. The tree of no leaves is the beginning of every other.
    """
    if not 0 <= old <= size:
        return False
    if old in (0, size):
        return not proof and old_root == (EMPTY if old == 0 else root)
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old - 1, size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before = node_hash(sibling, before)
            after = node_hash(sibling, after)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            after = node_hash(after, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and before == old_root and after == root
