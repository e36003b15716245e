"""Signed checkpoints and proofs: what they prove, and what is refused."""

from __future__ import annotations

import base64
import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle import Client
from lifecycle.audit import merkle
from lifecycle.audit.checkpoint import checkpoint, prove, prove_consistency
from lifecycle.audit.note import (
    Checkpoint,
    SigningKey,
    load_signing_key,
    load_verifying_key,
    make_key,
    open_checkpoint,
    read_checkpoint,
    sign,
)
from lifecycle.audit.verify import verify
from lifecycle.errors import BadCheckpoint, InvalidConfig, UnknownSession
from lifecycle.log import MemoryLog
from lifecycle.testing.log_samples import MAX, T0, begin
from tests.audit.tampering import KEY, checkpointed, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.log import SqliteLog

    Change = Callable[[str], str]

#: the example of https://c2sp.org/signed-note; Go's tools signed it
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> SqliteLog:
    return written(tmp_path_factory.mktemp("log") / "log.db", 60)


def test_a_key_of_gos_tools_is_read_and_its_signature_holds() -> None:
    key = load_verifying_key(GO_KEY)
    assert str(key) == GO_KEY
    with pytest.raises(BadCheckpoint, match="origin, size, root"):
        open_checkpoint(GO_NOTE, key)  # a note, but no checkpoint
    body, _, signature = GO_NOTE.rpartition("\n\n")
    from lifecycle.audit.note import _valid  # pyright: ignore[reportPrivateUsage]

    signed = base64.b64decode(signature.split()[2])
    assert signed[:4] == key.id
    assert _valid(key, signed[4:], f"{body}\n".encode())


def test_a_checkpoint_reads_back_and_has_the_form_of_the_specification(log: SqliteLog) -> None:
    taken = checkpoint(log, KEY)
    lines = taken.text.split("\n")
    assert lines[0] == "example.com/test"
    assert lines[1] == str(taken.size)
    assert base64.b64decode(lines[2]) == taken.root
    assert lines[3] == ""
    assert lines[4].startswith("— example.com/test ")
    assert lines[5:] == [""]
    assert open_checkpoint(taken.text, KEY.verifying) == taken
    assert verify(log, against=taken).root == taken.root


def test_an_empty_log_has_a_checkpoint_too() -> None:
    log = MemoryLog()
    taken = checkpoint(log, KEY)
    assert (taken.size, taken.root) == (0, merkle.EMPTY)
    begin(log, "s-1")
    assert verify(log, against=taken).ok


def test_other_signatures_beside_ours_do_not_matter(log: SqliteLog) -> None:
    taken = checkpoint(log, KEY)
    witness = sign(taken.size, taken.root, SigningKey("witness.example", bytes(32))).text.rpartition("\n\n")[2]
    assert open_checkpoint(f"{taken.text}{witness}", KEY.verifying).root == taken.root


def replaced(old: str, new: str) -> Change:
    return lambda text: text.replace(old, new, 1)


def cut(end: int, tail: str = "") -> Change:
    return lambda text: text[:end] + tail


def repeated(times: int) -> Change:
    return lambda text: text * times


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replaced("\n320\n", "\n319\n"), "does not fit the text"),
        (replaced("example.com/test\n", "example.com/else\n"), "does not fit the text"),
        (cut(-1), "cut"),
        (cut(40), "origin, size, root"),
        (cut(-20, "\n"), "is no signature line|does not fit"),
        (replaced("\n320\n", "\n0320\n"), "no number of events"),
        (replaced("— ", "- "), "is no signature line"),
        (repeated(0), "origin, size, root"),
        (repeated(100), "more than 16384"),
    ],
)
def test_a_forged_checkpoint_is_refused_and_the_reason_told(change: Change, said: str) -> None:
    text = sign(320, merkle.EMPTY, KEY).text
    with pytest.raises(BadCheckpoint, match=said):
        open_checkpoint(change(text), KEY.verifying)


def test_another_key_is_refused_and_both_are_named() -> None:
    other = SigningKey("example.com/test", bytes(32))
    with pytest.raises(BadCheckpoint, match=r"signed by example\.com/test\+[0-9a-f]{8}, not by example\.com/test\+"):
        open_checkpoint(sign(1, merkle.EMPTY, other).text, KEY.verifying)


def test_a_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    made = make_key(path, "example.com/a")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_signing_key(path) == made
    assert load_verifying_key(str(path)) == made.verifying
    assert load_verifying_key(str(made.verifying)) == made.verifying
    assert made.secret().split("+", 4)[-1] not in repr(made)
    with pytest.raises(InvalidConfig, match="not there yet"):
        make_key(path, "example.com/a")
    os.chmod(path, 0o640)
    with pytest.raises(InvalidConfig, match="chmod 600"):
        load_signing_key(path)


@pytest.mark.parametrize("text", ["", "nonsense", "a+00000000+AAAA", "PRIVATE+KEY+a+00000000+AAAA", "\xff"])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(text.encode("latin1"))
    path.chmod(0o600)
    with pytest.raises(InvalidConfig, match="key"):
        load_signing_key(path)
    with pytest.raises(InvalidConfig, match="^key=" if text.startswith("PRIVATE") else "^public="):
        load_verifying_key(str(path))


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb"])
def test_a_name_that_can_not_be_an_origin_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidConfig, match="name="):
        make_key(tmp_path / "a.key", name)
    assert not (tmp_path / "a.key").exists()


def test_every_event_is_proved_by_few_hashes(log: SqliteLog) -> None:
    taken = checkpoint(log, KEY)
    for session in range(0, 60, 7):
        proof = prove(log, f"s-{session:05}", 2, taken)
        leaf = merkle.leaf_hash(sha256(proof.entry.encode()).digest())
        assert len(proof.hashes) <= taken.size.bit_length()
        assert merkle.verify_inclusion(leaf, proof.index, taken.size, proof.hashes, taken.root)
        assert proof.text.endswith(taken.text)


def test_what_can_not_be_proved_is_refused(log: SqliteLog) -> None:
    taken = checkpoint(log, KEY)
    with pytest.raises(UnknownSession):
        prove(log, "nobody", 1, taken)
    with pytest.raises(InvalidConfig, match="1 to 6"):
        prove(log, "s-00000", 7, taken)
    with pytest.raises(InvalidConfig, match="after the checkpoint"):
        prove(log, "s-00000", 6, Checkpoint("example.com/test", 3, merkle.EMPTY))
    with pytest.raises(BadCheckpoint, match="rewritten"):
        prove(log, "s-00000", 1, Checkpoint("example.com/test", 3, merkle.EMPTY))
    with pytest.raises(BadCheckpoint, match="cut off"):
        prove(log, "s-00000", 1, Checkpoint("example.com/test", 10**6, merkle.EMPTY))


def test_checkpoints_are_consistent_with_each_other(tmp_path: Path) -> None:
    log = written(tmp_path / "log.db", 60)
    old = checkpointed(log)
    begin(log, "s-new", T0 + 100 * MAX)
    new = checkpointed(log)
    proof = prove_consistency(log, old, new)
    assert merkle.verify_consistency(old.size, new.size, proof, old.root, new.root)
    assert verify(log, against=old).ok
    with pytest.raises(InvalidConfig, match="older one first"):
        prove_consistency(log, new, old)
    log.close()


def test_the_client_does_all_of_it(tmp_path: Path) -> None:
    written(tmp_path / "log.db", 9).close()
    key = make_key(tmp_path / "a.key", "example.com/a")
    with Client(tmp_path / "log.db") as client:
        taken = client.checkpoint(tmp_path / "a.key", record=True)
        (tmp_path / "taken").write_text(taken.text)
        assert read_checkpoint(tmp_path / "taken", key.verifying) == taken
        assert client.verify(against=tmp_path / "taken", public=str(key.verifying)).ok
        assert client.verify(against=taken).ok
        assert client.prove("s-00000", 1, taken).index == 0
        with pytest.raises(InvalidConfig, match="key"):
            client.verify(against=tmp_path / "taken")
        assert [view.session_id for view in client.sessions.list()] == [f"s-{n:05}" for n in reversed(range(9))]
        with pytest.raises(UnknownSession):
            client.sessions.get("log")
