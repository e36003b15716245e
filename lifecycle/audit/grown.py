"""The part of verify that grows the Merkle tree over the events it looks at, and holds others' trees against it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lifecycle.audit.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from lifecycle.audit.faults import Faults
    from lifecycle.audit.note import Checkpoint
    from lifecycle.log.material import Material

__all__ = ["Grown"]

_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
#: events of which only the hashes are read, at a time
_PAGE: Final = 1000
#: so many missing events are given leaves of their own
_GAP: Final = 1000


@dataclass(slots=True)
class Grown:
    """The tree over what was looked at; with the checkpoint *against*, its root is compared where it stands."""

    look: Material
    faults: Faults
    against: Checkpoint | None
    tree: Frontier = field(init=False)
    #: the hashes of the last few events, not yet in the tree
    leaves: list[bytes] = field(default_factory=list[bytes])
    nodes: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict[int, list[tuple[int, bytes]]])

    def __post_init__(self) -> None:
        self.plant()

    def plant(self) -> None:
        """Begin with an empty tree."""
        self.leaves.clear()
        self.nodes.clear()
        self.tree = Frontier(lambda level, number, hashed: self.nodes.setdefault(level, []).append((number, hashed)))

    def add(self, hashed: str) -> None:
        """One more event's hash, whatever stands there."""
        self.leaves.append(leaf_hash(bytes.fromhex(hashed) if _HEX.fullmatch(hashed) else b""))

    def add_computed(self, hashed: str) -> None:
        """As add, of a hash that was computed and so is one."""
        self.leaves.append(leaf_hash(bytes.fromhex(hashed)))

    def add_missing(self, before: int) -> None:
        """What is missing *before* this position is a fault already; the places of the others stay."""
        self.grow()
        while self.tree.size < before - 1 and before - self.tree.size <= _GAP:
            self.leaves.append(leaf_hash(b""))
            self.grow()

    def add_stored(self, until: int) -> None:
        """The hashes of the first so many events, which have been looked at before."""
        for begin in range(0, until, _PAGE):
            for hashed in self.look.hashes(begin, min(begin + _PAGE, until)):
                self.add(hashed)
            self.grow()

    def grow(self) -> None:
        """Bring the tree along."""
        leaves, self.leaves = self.leaves, []
        if self.against is not None and self.tree.size < self.against.size <= self.tree.size + len(leaves):
            cut = self.against.size - self.tree.size
            self.tree.extend(leaves[:cut])
            self._compare_root(self.against)
            leaves = leaves[cut:]
        self.tree.extend(leaves)

    def _compare_root(self, against: Checkpoint) -> None:
        if (root := self.tree.root()) != against.root:
            self.faults.add(
                where="checkpoint",
                what=f"the root over the first {against.size} events",
                expected=against.root.hex(),
                found=root.hex(),
                position=against.size,
            )

    def compare_size(self) -> None:
        """Whether the checkpoint was reached."""
        if self.against is not None and self.tree.size < self.against.size:
            self.faults.add(
                where="checkpoint",
                what="how many events there are",
                expected=f"at least {self.against.size}",
                found=self.tree.size,
            )

    def compare_stored(self, checkpointed: int) -> None:
        """Hold the stored tree against it; the last recorded checkpoint is of so many events."""
        for level in range(1, 9):
            stored = dict(self.look.tree(level, 0, 2**62))
            ours = dict(self.nodes.get(level, ()))
            # Another process may have taken a checkpoint of more than we have seen. An empty tree is filled again.
            if level == 1 and not stored:
                return
            wanted = checkpointed // 256**level
            for number in sorted({*stored, *range(wanted)}):
                computed, found = ours.get(number), stored.get(number)
                if computed == found or (computed is None and (number + 1) * 256**level <= self.look.end()):
                    continue
                self.faults.add(
                    where="tree",
                    what=f"the hash over {256**level} events from position {number * 256**level + 1} on",
                    expected=computed.hex() if computed else "none",
                    found=found.hex() if found else "none",
                )
