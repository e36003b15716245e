"""Signed checkpoints: C2SP's signed note and tlog-checkpoint, with Ed25519, as other tools of the field read them.

https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint. Keys have the form that Go's sumdb tools use:
`NAME+ID+base64(1 ‖ public key)` to verify, `PRIVATE+KEY+NAME+ID+base64(1 ‖ seed)` to sign. NAME is the log's origin, a
name that nobody else uses, such as `example.com/crawler`.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle.errors import BadCheckpoint, InvalidConfig, MissingExtra
from lifecycle.log.atomic import sync_directory

if TYPE_CHECKING:
    from os import PathLike

__all__ = [
    "Checkpoint",
    "SigningKey",
    "VerifyingKey",
    "body_of",
    "load_signing_key",
    "load_verifying_key",
    "make_key",
    "open_checkpoint",
    "read_checkpoint",
    "sign",
]

_ED25519: Final = b"\1"
_NAME: Final = re.compile(r"[^\s+\0-\x1f\x7f]{1,200}")
_SIGNATURE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_LONGEST: Final = 16_384


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The Merkle tree over a log's first `size` events, as `origin` signed it; `text` is the whole note."""

    origin: str
    size: int
    root: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """Who may have signed: its text is what `lifecycle key` prints."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that signatures name their key by."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Who signs. Keep it where the log's writer can't reach it, or a checkpoint proves little."""

    name: str
    seed: bytes = field(repr=False)

    @property
    def verifying(self) -> VerifyingKey:
        """Its public half."""
        return VerifyingKey(self.name, self._private().public_key().public_bytes_raw())

    def _private(self) -> Any:
        return _ed25519().Ed25519PrivateKey.from_private_bytes(self.seed)

    def sign(self, text: bytes) -> bytes:
        """The signature over *text*."""
        signature: bytes = self._private().sign(text)
        return signature

    def secret(self) -> str:
        """The text of the key file."""
        return f"PRIVATE+KEY+{self.name}+{self.verifying.id.hex()}+{base64.b64encode(_ED25519 + self.seed).decode()}"


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtra("a signed checkpoint", "audit") from None
    return ed25519


def make_key(path: str | PathLike[str], name: str) -> SigningKey:
    """A new key in the new file *path*, which only its owner may read.

    Raises:
        InvalidConfig: There is such a file already, or it can't be made; a name that can't be a log's origin.
        MissingExtra: Without the extra `audit`.
    """
    if not _NAME.fullmatch(name):
        raise InvalidConfig("name", name, "1 to 200 characters without spaces and `+`, such as example.com/crawler")
    key = SigningKey(name, os.urandom(32))
    text = key.secret()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidConfig("key", os.fspath(path), f"a file that is not there yet: {error.strerror}") from None
    try:
        with open(fd, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(fd)
        sync_directory(Path(path))
    except OSError as error:
        os.unlink(path)
        raise InvalidConfig("key", os.fspath(path), f"a file that can be written: {error.strerror}") from None
    return key


def load_signing_key(path: str | PathLike[str]) -> SigningKey:
    """The key in the file *path*.

    Raises:
        InvalidConfig: No such file, others may read it, or it holds no key of ours.
    """
    shown = os.fspath(path)
    try:
        if os.stat(path).st_mode & 0o077:
            raise InvalidConfig("key", shown, "a file that only its owner may read: chmod 600")
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig("key", shown, f"a key file, as `lifecycle key` makes it: {_why(error)}") from None
    if not text.startswith("PRIVATE+KEY+"):
        raise InvalidConfig("key", shown, "a key to sign with; this file holds none")
    name, key_id, seed = _parts(text.removeprefix("PRIVATE+KEY+"), "key", shown)
    key = SigningKey(name, seed)
    if key.verifying.id != key_id:
        raise InvalidConfig("key", shown, "its id does not fit its key; it was changed or cut")
    return key


def load_verifying_key(given: str) -> VerifyingKey:
    """The key that *given* is, or that the file of this name holds.

    Raises:
        InvalidConfig: It is neither.
    """
    text = given.strip()
    if "+" not in text or Path(text).is_file():
        try:
            text = Path(text).read_text().strip()
        except (OSError, ValueError) as error:
            raise InvalidConfig("public", given, f"NAME+ID+KEY, or a file that holds it: {_why(error)}") from None
    if text.startswith("PRIVATE+KEY+"):
        return load_signing_key(given.strip()).verifying
    name, key_id, public = _parts(text, "public", given)
    key = VerifyingKey(name, public)
    if key.id != key_id:
        raise InvalidConfig("public", given, "its id does not fit its key; it was changed or cut")
    return key


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else "it holds no text"


def _parts(text: str, argument: str, shown: str) -> tuple[str, bytes, bytes]:
    try:
        name, key_id, encoded = text.split("+", 2)
        key = base64.b64decode(encoded, validate=True)
        found = name, bytes.fromhex(key_id), key[1:]
        if not _NAME.fullmatch(name) or key[:1] != _ED25519 or len(key) != 33 or len(found[1]) != 4:
            raise ValueError
    except ValueError:
        raise InvalidConfig(argument, shown, "NAME+ID+KEY with an Ed25519 key, as `lifecycle key` makes it") from None
    return found


def sign(size: int, root: bytes, key: SigningKey) -> Checkpoint:
    """The checkpoint of *key*'s log."""
    body = f"{key.name}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = base64.b64encode(key.verifying.id + key.sign(body.encode())).decode()
    return Checkpoint(key.name, size, root, f"{body}\n— {key.name} {signature}\n")


def body_of(text: str) -> Checkpoint:
    """What a checkpoint says, whoever signed it.

    Raises:
        BadCheckpoint: It is not in the form of one.
    """
    if len(text) > _LONGEST:
        raise BadCheckpoint(f"it has {len(text)} characters, more than {_LONGEST}")
    body, blank, _ = text.rpartition("\n\n")
    lines = body.split("\n")
    if not blank or len(lines) < 3 or "" in lines:
        raise BadCheckpoint("it does not consist of origin, size, root, an empty line and signatures")
    origin, size, root = lines[:3]
    if not _SIZE.fullmatch(size):
        raise BadCheckpoint(f"its second line, {_shown(size)}, is no number of events")
    try:
        hashed = base64.b64decode(root, validate=True)
    except ValueError:
        hashed = b""
    if len(hashed) != 32 or base64.b64encode(hashed).decode() != root:
        raise BadCheckpoint(f"its third line, {_shown(root)}, is no SHA-256 hash in base64")
    return Checkpoint(origin, int(size), hashed, text)


def read_checkpoint(path: str | PathLike[str], key: VerifyingKey) -> Checkpoint:
    """The checkpoint in the file *path*, `-` being stdin; errors as open_checkpoint.

    Raises:
        InvalidConfig: No such file.
    """
    try:
        if os.fspath(path) == "-":
            text = sys.stdin.read(_LONGEST + 1)
        else:
            with open(path, encoding="utf-8", newline="") as file:
                text = file.read(_LONGEST + 1)
    except OSError as error:
        raise InvalidConfig("checkpoint", os.fspath(path), f"a file with a checkpoint: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadCheckpoint("it is not text") from None
    return open_checkpoint(text, key)


def open_checkpoint(text: str, key: VerifyingKey) -> Checkpoint:
    """The checkpoint in *text*, once its signature by *key* has been checked.

    Raises:
        BadCheckpoint: Not in the form of one, of another log, not signed with this key, or changed since.
        MissingExtra: Without the extra `audit`.
    """
    found = body_of(text)
    body, _, signatures = text.rpartition("\n\n")
    if not signatures.endswith("\n"):
        raise BadCheckpoint("it is cut: its last line has no end")
    others: list[str] = []
    for line in signatures[:-1].split("\n"):
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise BadCheckpoint(f"{_shown(line)} is no signature line")
        name, encoded = match.groups()
        try:
            signed = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise BadCheckpoint(f"{_shown(line)} is no signature line") from None
        if name != key.name or signed[:4] != key.id:
            others.append(f"{name}+{signed[:4].hex()}")
            continue
        if not _valid(key, signed[4:], f"{body}\n".encode()):
            raise BadCheckpoint(f"the signature of {name} does not fit the text; one of the two was changed")
        if found.origin != key.name:
            raise BadCheckpoint(f"it is of the log {_shown(found.origin)}, not of {key.name}")
        return found
    signers = ", ".join(others)
    raise BadCheckpoint(f"it is signed by {signers}, not by {key.name}+{key.id.hex()}")


def _valid(key: VerifyingKey, signature: bytes, text: bytes) -> bool:
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else f"{text[:60]}…")
