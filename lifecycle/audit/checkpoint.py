"""Checkpoints of a log and proofs from it: what is handed to somebody who does not trust us.

The tree is computed from the hashes of the events, from where the last recorded checkpoint stopped; a proof reads about
256 hashes for each 8 levels of the tree.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lifecycle.audit import merkle
from lifecycle.audit.note import Checkpoint, SigningKey, sign
from lifecycle.errors import BadCheckpoint, InvalidConfig, LogTampered, UnknownSession
from lifecycle.log.codec import FIRST, envelope_text
from lifecycle.log.material import material
from lifecycle.log.port import ANY, NewEvent
from lifecycle.log.receipts import STREAM, LogCheckpointed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lifecycle.log.material import Material
    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.projections import Progress

__all__ = ["Proof", "Tree", "checkpoint", "prove", "prove_consistency", "record"]

_HEAD: Final = "c2sp.org/tlog-proof@v1"
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIDE: Final = 1 << merkle.TILE


class Tree:
    """The Merkle tree of a log's first *size* events. `fresh` collects the hashes that the log did not have stored."""

    def __init__(self, look: Material, size: int | None = None, progress: Progress | None = None) -> None:
        self._look = look
        end = look.end()
        self.size = end if size is None else size
        if not 0 <= self.size <= end:
            raise InvalidConfig("size", self.size, f"a number of events that the log has, 0 to {end}")
        self._progress = progress
        self._known: dict[tuple[int, int], bytes] = {}
        self.fresh: dict[tuple[int, int], bytes] = {}

    def root(self) -> bytes:
        """The root."""
        return merkle.root_of(self.size, self.node)

    def node(self, height: int, index: int) -> bytes:
        """The hash over the 2^height events from index * 2^height on."""
        level, rest = divmod(height, merkle.TILE)
        return merkle.fold_hashes(self._entries(level, index << rest, (index + 1) << rest))

    def _entries(self, level: int, begin: int, end: int) -> list[bytes]:
        if level == 0:
            return [merkle.leaf_hash(_bytes(value, begin)) for value in self._look.hashes(begin, end)]
        missing = [number for number in range(begin, end) if (level, number) not in self._known]
        if missing:
            stored = self._look.tree(level, missing[0], missing[-1] + 1)
            self._known.update(((level, number), value) for number, value in stored)
        for number in missing:
            if (level, number) not in self._known:
                hashed = merkle.fold_hashes(self._entries(level - 1, number * _SIDE, (number + 1) * _SIDE))
                self._known[level, number] = self.fresh[level, number] = hashed
                if self._progress is not None and level == 1:
                    self._progress((number + 1) * _SIDE, self.size)
        return [self._known[level, number] for number in range(begin, end)]


def _bytes(value: str, after: int) -> bytes:
    if not _HEX.fullmatch(value):
        raise LogTampered("log", f"a hash after position {after}", expected="64 hexadecimal digits", found=value[:80])
    return bytes.fromhex(value)


def checkpoint(log: EventLog, key: SigningKey, progress: Progress | None = None) -> Checkpoint:
    """A signed checkpoint of everything that stands in *log* now. Nothing is written.

    It says what the log holds, not that it is sound: verify() says that.

    Raises:
        MissingExtra: Without the extra `audit`.
        LogUnavailable, LogTampered: As reading says.
    """
    tree = Tree(material(log), progress=progress)
    return sign(tree.size, tree.root(), key)


def record(
    log: EventLog, key: SigningKey, new: Callable[[Any], NewEvent], progress: Progress | None = None
) -> Checkpoint:
    """As checkpoint; its text becomes a receipt in the stream `log`, and the next one goes on where it stopped."""
    from lifecycle.log.sqlite import SqliteLog

    tree = Tree(material(log), progress=progress)
    signed = sign(tree.size, tree.root(), key)
    if isinstance(log, SqliteLog):
        log.keep_tree(tree.fresh)  # first: verify() takes the receipt as a promise that they are there
    log.append(STREAM, [new(LogCheckpointed(note=signed.text))], expected=ANY)
    return signed


@dataclass(frozen=True, slots=True)
class Proof:
    """That an event stands in a log: verifiable with the checkpoint's key alone.

    `entry` is the canonical envelope whose SHA-256 is the event's hash, `index` its position less 1, `hashes` lead from
    the leaf to the checkpoint's root. `text` is a C2SP tlog-proof, with the envelope as its extra data.
    """

    entry: str
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint

    @property
    def text(self) -> str:
        """A self-contained file, https://c2sp.org/tlog-proof."""
        extra = base64.b64encode(self.entry.encode()).decode()
        lines = [_HEAD, f"extra {extra}", f"index {self.index}", *(_base64(value) for value in self.hashes)]
        return "\n".join(lines) + "\n\n" + self.checkpoint.text


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def prove(log: EventLog, stream: str, version: int, at: Checkpoint) -> Proof:
    """That version *version* of *stream* is among the events of the checkpoint *at*.

    Raises:
        UnknownSession, InvalidConfig: No such stream, no such event in it, or it came after the checkpoint.
        BadCheckpoint: The log is not the one of the checkpoint any more.
    """
    rows = log.read(stream, after=version - 2, until=version)
    row, prev = _with_prev(rows, stream, version, log)
    if row.position > at.size:
        raise InvalidConfig(
            "version", version, f"recorded at position {row.position}, after the checkpoint's {at.size}"
        )
    tree = _tree_of(log, at)
    hashes = merkle.inclusion(row.position - 1, at.size, tree.node)
    return Proof(envelope_text(row, prev), row.position - 1, tuple(hashes), at)


def _with_prev(rows: Sequence[Recorded], stream: str, version: int, log: EventLog) -> tuple[Recorded, str]:
    if not rows and not log.head(stream):
        raise UnknownSession(stream, log.locator)
    if not rows or rows[-1].version != version:
        raise InvalidConfig("version", version, f"a version of {stream}, 1 to {log.head(stream)}")
    return rows[-1], rows[-2].hash if len(rows) > 1 else FIRST


def _tree_of(log: EventLog, at: Checkpoint) -> Tree:
    look = material(log)
    if look.end() < at.size:
        raise BadCheckpoint(
            f"it covers {at.size} events, the log holds {look.end()}: another log, or its end was cut off"
        )
    tree = Tree(look, at.size)
    if (root := tree.root()) != at.root:
        raise BadCheckpoint(
            f"the log's first {at.size} events have the root {root.hex()}, not {at.root.hex()}; "
            "it was rewritten, or it is another log"
        )
    return tree


def prove_consistency(log: EventLog, old: Checkpoint, new: Checkpoint) -> list[bytes]:
    """That everything up to the checkpoint *old* stands unchanged below *new*; for merkle.verify_consistency.

    Raises:
        InvalidConfig: *new* covers less than *old*.
        BadCheckpoint: The log is not the one of one of them.
    """
    if new.size < old.size:
        raise InvalidConfig("checkpoints", (old.size, new.size), "the older one first")
    _tree_of(log, old)
    return merkle.consistency(old.size, new.size, _tree_of(log, new).node)
