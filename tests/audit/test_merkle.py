"""The tree against RFC 6962's published vectors, and against another implementation of it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import pymerkle  # type: ignore[import-untyped]  # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.audit import merkle

#: the inputs and roots that Certificate Transparency's own implementations test with
INPUTS: Final = tuple(
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
)
ROOTS: Final = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
#: (leaf from 1, size, hashes): the inclusion proofs of the same set
PATHS: Final = (
    (1, 1, ()),
    (
        1,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        6,
        8,
        (
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (3, 3, ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",)),
    (
        2,
        5,
        (
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)
#: (old size, size, hashes): its consistency proofs
GROWTH: Final = (
    (1, 1, ()),
    (
        1,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        6,
        8,
        (
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (
        2,
        5,
        (
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)


def tree(entries: list[bytes] | tuple[bytes, ...]) -> merkle.Node:
    """All nodes, computed from the leaves each time: slow, and without a thought."""
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    return lambda height, index: merkle.fold_hashes(leaves[index << height : (index + 1) << height])


def grown(entries: list[bytes] | tuple[bytes, ...]) -> bytes:
    frontier = merkle.Frontier()
    for entry in entries:
        frontier.add(merkle.leaf_hash(entry))
    return frontier.root()


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_roots_are_those_of_the_rfc(size: int) -> None:
    assert grown(INPUTS[:size]).hex() == ROOTS[size]
    assert merkle.root_of(size, tree(INPUTS)).hex() == ROOTS[size]


@pytest.mark.parametrize(("leaf", "size", "hashes"), PATHS)
def test_inclusion_proofs_are_those_of_the_rfc(leaf: int, size: int, hashes: tuple[str, ...]) -> None:
    found = merkle.inclusion(leaf - 1, size, tree(INPUTS))
    assert [value.hex() for value in found] == list(hashes)


@pytest.mark.parametrize(("old", "size", "hashes"), GROWTH)
def test_consistency_proofs_are_those_of_the_rfc(old: int, size: int, hashes: tuple[str, ...]) -> None:
    found = merkle.consistency(old, size, tree(INPUTS))
    assert [value.hex() for value in found] == list(hashes)


def theirs(entries: list[bytes]) -> Any:
    made: Any = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in entries:
        made.append_entry(entry)
    return made


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 33, 64, 65])
def test_another_implementation_has_the_same_roots_and_takes_our_proofs(size: int) -> None:
    entries = [sha256(bytes([number])).digest() for number in range(size)]
    other, node = theirs(entries), tree(entries)
    root = merkle.root_of(size, node)
    assert other.get_root() == root == grown(entries)
    for index in range(size):
        # Their paths begin with the leaf itself.
        path = other.prove_inclusion(index + 1, size).path
        assert path[0] == merkle.leaf_hash(entries[index])
        assert sorted(path[1:]) == sorted(merkle.inclusion(index, size, node))
    for old in range(1, size):
        ours = merkle.consistency(old, size, node)
        assert merkle.verify_consistency(old, size, ours, other.get_root(old), root)


@given(st.integers(1, 70), st.data())
def test_a_proof_holds_for_its_leaf_and_place_alone(size: int, data: st.DataObject) -> None:
    entries = [bytes([number]) for number in range(size)]
    node = tree(entries)
    root = merkle.root_of(size, node)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion(index, size, node)
    leaf = merkle.leaf_hash(entries[index])
    assert len(proof) <= size.bit_length()
    assert merkle.verify_inclusion(leaf, index, size, proof, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, proof, root)
    assert not merkle.verify_inclusion(leaf, index, size, [*proof, root], root)
    assert not merkle.verify_inclusion(leaf, index, size, proof, merkle.EMPTY)
    other = data.draw(st.integers(-1, size))
    assert other == index or not merkle.verify_inclusion(leaf, other, size, proof, root)
    if proof:
        assert not merkle.verify_inclusion(leaf, index, size, proof[:-1], root)


@given(st.integers(1, 70), st.data())
def test_a_consistency_proof_holds_for_its_two_trees_alone(size: int, data: st.DataObject) -> None:
    entries = [bytes([number]) for number in range(size)]
    node = tree(entries)
    old = data.draw(st.integers(0, size))
    old_root, root = merkle.root_of(old, node), merkle.root_of(size, node)
    proof = merkle.consistency(old, size, node)
    assert merkle.verify_consistency(old, size, proof, old_root, root)
    assert not merkle.verify_consistency(old, size, [*proof, root], old_root, root)
    assert not merkle.verify_consistency(size + 1, size, proof, old_root, root)
    if 0 < old < size:
        changed = [*entries]
        changed[data.draw(st.integers(0, old - 1))] = b"changed"
        forged = tree(changed)
        rewritten = merkle.root_of(size, forged)
        assert not merkle.verify_consistency(old, size, merkle.consistency(old, size, forged), old_root, rewritten)


def test_complete_subtrees_are_told_as_they_complete() -> None:
    entries = [number.to_bytes(2) for number in range(600)]
    told: list[tuple[int, int, bytes]] = []
    frontier = merkle.Frontier(lambda level, number, hashed: told.append((level, number, hashed)))
    for entry in entries:
        frontier.add(merkle.leaf_hash(entry))
    node = tree(entries)
    assert told == [(1, 0, node(8, 0)), (1, 1, node(8, 1))]


@given(sizes=st.lists(st.integers(0, 700), max_size=5))
def test_leaves_may_come_in_any_portions(sizes: list[int]) -> None:
    one: list[tuple[int, int, bytes]] = []
    other: list[tuple[int, int, bytes]] = []
    singly = merkle.Frontier(lambda level, index, hashed: one.append((level, index, hashed)))
    portions = merkle.Frontier(lambda level, index, hashed: other.append((level, index, hashed)))
    for number, size in enumerate(sizes):
        leaves = [merkle.leaf_hash(b"%d %d" % (number, leaf)) for leaf in range(size)]
        for leaf in leaves:
            singly.add(leaf)
        portions.extend(leaves)
        assert (portions.size, portions.root()) == (singly.size, singly.root())
    assert one == other
