"""What both clients do to prove a log; the audit itself is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from os import PathLike

    from lifecycle.audit.checkpoint import Proof
    from lifecycle.audit.note import Checkpoint
    from lifecycle.audit.verify import Verification
    from lifecycle.client.recorder import Recorder
    from lifecycle.client.sessions import Sessions
    from lifecycle.projections import Progress

__all__ = ["proved", "taken", "verified"]


def verified(
    recorder: Recorder,
    against: str | PathLike[str] | Checkpoint | None,
    key: str | None,
    progress: Progress | None,
) -> Verification:
    """As Client.verify."""
    from lifecycle.audit.note import Checkpoint, load_verifying_key, read_checkpoint
    from lifecycle.audit.verify import verify

    if against is None or isinstance(against, Checkpoint):
        if key is not None:
            raise InvalidConfig("key", key, "goes with a checkpoint's file, and only with it")
        return verify(recorder.log, against=against, progress=progress)
    if key is None:
        raise InvalidConfig("key", key, "who signed the checkpoint: a text that `lifecycle key` prints, or its file")
    return verify(recorder.log, against=read_checkpoint(against, load_verifying_key(key)), progress=progress)


def taken(recorder: Recorder, key: str | PathLike[str], *, record: bool) -> Checkpoint:
    """As Client.checkpoint."""
    from lifecycle.audit import checkpoint, note

    signer = note.load_signing_key(key)
    if record:
        return checkpoint.record(recorder.log, signer, recorder.receipt)
    return checkpoint.checkpoint(recorder.log, signer)


def proved(sessions: Sessions, recorder: Recorder, session_id: str, version: int, at: Checkpoint) -> Proof:
    """As Client.prove."""
    from lifecycle.audit.checkpoint import prove

    return prove(recorder.log, sessions.resolve(session_id), version, at)
