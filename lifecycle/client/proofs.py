"""What both clients do to prove a log; the audit itself is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from os import PathLike

    from lifecycle.audit.carry import Checked, Imported
    from lifecycle.audit.checkpoint import Proof
    from lifecycle.audit.export import Format
    from lifecycle.audit.into_file import Exported
    from lifecycle.audit.note import Checkpoint
    from lifecycle.audit.retention import Forgotten
    from lifecycle.audit.verify import Verification
    from lifecycle.client.recorder import Recorder
    from lifecycle.client.sessions import Sessions
    from lifecycle.projections import Progress

__all__ = [
    "backed_up",
    "checked",
    "exported",
    "exported_to",
    "forgotten",
    "imported",
    "proved",
    "sealed",
    "taken",
    "verified",
]


def verified(
    recorder: Recorder,
    against: str | PathLike[str] | Checkpoint | None,
    public: str | None,
    progress: Progress | None,
    *,
    resume: bool,
) -> Verification:
    """As Client.verify."""
    from lifecycle.audit.note import Checkpoint, load_verifying_key, read_checkpoint
    from lifecycle.audit.verify import verify

    if against is None or isinstance(against, Checkpoint):
        if public is not None:
            raise InvalidConfig("public", public, "goes with a checkpoint's file, and only with it")
        return verify(recorder.log, against=against, progress=progress, resume=resume)
    if public is None:
        said = "who signed the checkpoint: a text that `lifecycle key` prints, or its file"
        raise InvalidConfig("public", public, said)
    signed = read_checkpoint(against, load_verifying_key(public))
    return verify(recorder.log, against=signed, progress=progress, resume=resume)


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


def exported(
    sessions: Sessions, recorder: Recorder, form: Format, ids: Collection[str] | None, *, private: bool
) -> Iterator[str]:
    """As Client.export."""
    from lifecycle.audit.export import export

    return export(recorder.log, form, sessions=_chosen(sessions, form, ids), private=private)


def exported_to(
    sessions: Sessions,
    recorder: Recorder,
    path: str | PathLike[str],
    form: Format,
    ids: Collection[str] | None,
    progress: Progress | None,
    *,
    private: bool,
    resume: bool,
) -> Exported:
    """As Client.export_to."""
    from lifecycle.audit.into_file import export_to

    chosen = _chosen(sessions, form, ids)
    return export_to(recorder.log, path, form, sessions=chosen, private=private, resume=resume, progress=progress)


def _chosen(sessions: Sessions, form: Format, ids: Collection[str] | None) -> list[str] | None:
    from lifecycle.audit.export import FORMATS

    if form not in FORMATS:
        raise InvalidConfig("form", form, f"one of {', '.join(FORMATS)}")
    return None if ids is None else [sessions.resolve(one) for one in ids]


def imported(recorder: Recorder, file: str | PathLike[str], progress: Progress | None) -> Imported:
    """As Client.import_export."""
    from lifecycle.audit.carry import import_lines, lines_of

    return import_lines(lines_of(file, progress), recorder.log)


def checked(recorder: Recorder, file: str | PathLike[str] | None) -> Checked:
    """As Client.check."""
    from lifecycle.audit.carry import check, check_lines, lines_of

    return check(recorder.log) if file is None else check_lines(lines_of(file))


def backed_up(recorder: Recorder, to: str | PathLike[str]) -> Verification:
    """As Client.backup."""
    from lifecycle.audit.carry import backup

    return backup(recorder.log, to)


def sealed(recorder: Recorder, key: str | PathLike[str], following: str | PathLike[str] | None) -> Checkpoint:
    """As Client.seal."""
    from lifecycle.audit import note, retention

    return retention.seal(recorder.log, note.load_signing_key(key), recorder.receipt, following)


def forgotten(sessions: Sessions, recorder: Recorder, session_id: str) -> Forgotten:
    """As Client.forget."""
    from lifecycle.audit.retention import forget

    return forget(recorder.log, sessions.resolve(session_id), recorder.receipt)
