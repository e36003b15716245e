"""What a power cut leaves: every state that the recorded writes and syncs allow, built again and looked at.

The model: a write reaches the disk when its file is synced; before that it may be there, missing, or torn at 512 bytes,
in any order. A removed file may come back until its directory is synced. Real disks can do worse.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.chaos.check import looked_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Op", "Outcome", "cut_everywhere", "read"]

_SECTOR: Final = 512
_WAYS: Final = ("none", "all", "prefix", "subset", "torn")


@dataclass(frozen=True, slots=True)
class Op:
    kind: str
    name: str
    at: int
    data: bytes


@dataclass(slots=True)
class Outcome:
    states: int = 0
    lost: int = 0
    broken: int = 0
    first: str = ""


@dataclass(slots=True)
class _File:
    durable: bytearray | None = None
    pending: list[Op] = field(default_factory=list[Op])


def read(operations: Path) -> list[Op]:
    raw, at = operations.read_bytes(), 0
    ops: list[Op] = []
    while at < len(raw):
        end = raw.index(b"\n", at)
        kind, number, size, name = raw[at:end].decode().split(" ", 3)
        at = end + 1 + int(size)
        ops.append(Op(kind, name.rpartition("/")[2] if kind != "a" else name, int(number), raw[end + 1 : at]))
    return ops


def _apply(content: bytearray | None, op: Op) -> bytearray | None:
    if op.kind == "u":
        return None
    content = bytearray() if content is None else content
    if op.kind == "t":
        return content[: op.at] + bytes(max(0, op.at - len(content)))
    content += bytes(max(0, op.at - len(content)))
    content[op.at : op.at + len(op.data)] = op.data
    return content


def _survived(file: _File, way: str, chance: random.Random) -> bytearray | None:
    content = None if file.durable is None else bytearray(file.durable)
    pending = file.pending
    match way:
        case "none":
            kept = []
        case "all":
            kept = pending
        case "prefix":
            kept = pending[: chance.randint(0, len(pending))]
        case _:
            kept = [op for op in pending if chance.random() < 0.5]
    for op in kept:
        if way == "torn" and op.kind == "w":
            for start in range(0, len(op.data), _SECTOR):
                if chance.random() < 0.5:
                    content = _apply(content, Op("w", op.name, op.at + start, op.data[start : start + _SECTOR]))
        else:
            content = _apply(content, op)
    return content


def states(ops: list[Op], before: bytes, seed: int) -> Iterator[tuple[set[str], dict[str, bytearray | None]]]:
    """Before every operation, in five ways: what had been acknowledged, and the files that may be there."""
    chance = random.Random(seed)
    files = {"log.db": _File(bytearray(before))}
    told: set[str] = set()
    for op in [*ops, Op("a", "", 0, b"")]:
        for way in _WAYS:
            yield set(told), {name: _survived(file, way, chance) for name, file in files.items()}
        file = files.setdefault(op.name, _File()) if op.kind in "wtu" else files.get(op.name)
        if op.kind == "a":
            told.add(op.name)
        elif op.kind == "s" and file is not None:
            kept = [o for o in file.pending if o.kind == "u"]
            if not kept:
                file.durable = _survived(file, "all", chance)
                file.pending = []
        elif op.kind == "s":  # the directory
            for other in files.values():
                if any(o.kind == "u" for o in other.pending):
                    last = max(n for n, o in enumerate(other.pending) if o.kind == "u")
                    other.durable, other.pending = None, other.pending[last + 1 :]
        elif file is not None:
            file.pending.append(op)


def cut_everywhere(folder: Path, ops: list[Op], before: bytes, seed: int) -> Outcome:
    """Build every state in *folder* and look at it through SQLite."""
    outcome, path = Outcome(), folder / "log.db"
    for told, files in states(ops, before, seed):
        for name in ("log.db", "log.db-wal", "log.db-shm", "log.db-journal"):
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            if content is not None:
                (folder / name).write_bytes(content)
        wrong = looked_at(path, told)
        outcome.states += 1
        outcome.lost += any(text.startswith("lost") for text in wrong)
        outcome.broken += any(not text.startswith("lost") for text in wrong)
        outcome.first = outcome.first or "; ".join(wrong)
    return outcome
