"""The recording of a session that has ended, as its receipt says, or why there is none."""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle.core import view
from lifecycle.core.events import SessionCreated, SessionReleased
from lifecycle.core.states import LIVE
from lifecycle.errors import NoRecording, UnknownSession
from lifecycle.log.codec import decode

if TYPE_CHECKING:
    from lifecycle.client.recorder import Recorder

__all__ = ["Recording", "find"]

#: A notebook shows smaller ones in place, larger ones by their path.
_SHOWN_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A session's video, an MP4 file: the very bytes whose hash stands in the history."""

    session_id: str
    path: Path
    bytes: int
    sha256: str
    frames: int
    duration: timedelta
    cut: str | None = None
    """Why it stops before the session did; None where it does not."""

    def _repr_html_(self) -> str:
        if self.bytes > _SHOWN_BYTES:
            return f"<code>{html.escape(str(self.path))}</code>"
        data = base64.b64encode(self.path.read_bytes()).decode()
        return f'<video controls style="max-width: 100%" src="data:video/mp4;base64,{data}"></video>'


def find(recorder: Recorder, session_id: str) -> Recording:
    """The recording of a session that has ended; reads the whole file and checks it against the receipt.

    Raises:
        NoRecording: Says why: not ended yet, not recorded, not made, gone, or changed since.
        UnknownSession: No session of that id in this log.
    """
    rows = recorder.log.read(session_id)
    if not rows:
        raise UnknownSession(session_id, recorder.log.locator)
    created, released = decode(rows[0]), decode(rows[-1])
    assert isinstance(created, SessionCreated)
    if created.recording_limit_bytes is None:
        raise NoRecording(session_id, "it was not recorded; client.Session(record=True) is")
    if not isinstance(released, SessionReleased):
        now = view(recorder.load(session_id), recorder.clock.now())
        what = f"it is {now.status}" if now.status in LIVE else "its browser is not gone yet"
        raise NoRecording(session_id, f"{what}, and a video is whole once that is over")
    return _checked(session_id, released)


def _checked(session_id: str, released: SessionReleased) -> Recording:
    facts: dict[str, Any] = {
        name.removeprefix("recording_"): value
        for name, value in released.receipts.items()
        if name.startswith("recording_")
    }
    if "sha256" not in facts:
        lost = f"nobody was there to finish it: its browser was {released.how}"
        raise NoRecording(session_id, str(facts.get("why_not") or lost))
    if released.recording is None:
        raise NoRecording(session_id, "where it lies has been forgotten")
    path = Path(released.recording)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NoRecording(session_id, f"{str(path)!r} can't be read: {error.strerror}") from None
    if digest != facts["sha256"]:
        raise NoRecording(session_id, f"{str(path)!r} is not what was recorded: its hash is another")
    return Recording(
        session_id=session_id,
        path=path,
        bytes=int(facts["bytes"]),
        sha256=digest,
        frames=int(facts["frames"]),
        duration=timedelta(microseconds=int(facts["duration_us"])),
        cut=facts.get("cut"),
    )
