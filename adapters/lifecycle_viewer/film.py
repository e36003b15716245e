"""Pictures become a film: an MP4 file that keeps real time, written as they come.

The encoder (ffmpeg, of the extra `recording`) is a process of its own that gets each picture with its time. A page that
draws nothing sends none and costs nothing. Whoever hands in a picture waits until the encoder has taken it: so the
browser, which waits for its pictures to be acknowledged, is what slows down when the machine is busy, and nothing piles
up. The file gets its name when it is whole; until then, and when it can't be made, there is none of that name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import threading
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle_viewer import matroska

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Film", "encoder"]

#: How long the encoder may take for what it has been given, once that is all.
_ENCODE_S: Final = 2.0
#: How long the picture that is being handed in may take then.
_PICTURE_S: Final = 0.5
#: What a file grows by when it is closed: its index, some bytes for each picture, and besides what is on its way: a
#: picture, which has half a byte a pixel when it is noise.
_INDEX_BYTES: Final = 32
_MARGIN_BYTES: Final = 64 * 1024
_WORDS: Final = 300


def encoder() -> str:
    """The encoder's path.

    Raises:
        RuntimeError, ImportError: There is none.
    """
    import imageio_ffmpeg  # type: ignore[import-untyped] # it has no types

    found: str = imageio_ffmpeg.get_ffmpeg_exe()
    return found


class Film:
    """Takes pictures until it is finished or full. Thread-safe; *on_change* is called after the first picture and when
    there is nothing more to take.
    """

    def __init__(self, path: Path, *, limit_bytes: int, on_change: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._on_change = on_change
        self._lock = threading.Lock()
        self._encoder: subprocess.Popen[bytes] | None = None
        self._margin_bytes = 0
        self._pictures = 0
        self._began = 0.0
        self._times_ms = array("Q")
        self._last: bytes | None = None
        self._full = False
        self._broken = False
        self._finished = False

    @property
    def watched(self) -> bool:
        """Whether it takes pictures."""
        return not (self._full or self._broken or self._finished)

    @property
    def begun(self) -> bool:
        """Whether there is a picture in it."""
        return self._pictures > 0

    def show(self, **changes: Any) -> None:
        """Address and title are not in the film."""

    def show_frame(self, jpeg: bytes | None, at: float) -> None:
        """A picture, and since when it is to be seen (s since the epoch). None leaves the last one on."""
        with self._lock:
            if jpeg is None or not self.watched:
                return
            first = not self._pictures
            if first:
                self._begin(jpeg, at)
            self._take(jpeg, at)
            stopped = not self.watched
        if first or stopped:
            self._on_change()

    def _begin(self, jpeg: bytes, at: float) -> None:
        width, height = matroska.jpeg_size(jpeg)
        self._began = at
        self._margin_bytes = _MARGIN_BYTES + width * height // 2
        limit_bytes = self._limit_bytes - self._margin_bytes
        self._encoder = _start(self._path, width + width % 2, height + height % 2, limit_bytes)
        self._write(matroska.head(width, height))

    def _take(self, jpeg: bytes, at: float) -> None:
        # Never back, and no two at one time: clocks step, and players drop one of them.
        at_ms = max(round((at - self._began) * 1000), self._times_ms[-1] + 1 if self._pictures else 0)
        if self._pictures and self._written() + self._margin_bytes > self._limit_bytes:
            self._full = True
            return
        if self._write(matroska.picture(jpeg, at_ms)):
            self._pictures += 1
            self._last = jpeg
            self._times_ms.append(at_ms)

    def _written(self) -> int:
        with contextlib.suppress(OSError):
            return self._path.stat().st_size + self._pictures * _INDEX_BYTES
        return 0

    def _write(self, data: bytes) -> bool:
        assert self._encoder is not None
        assert self._encoder.stdin is not None
        try:
            self._encoder.stdin.write(data)
            self._encoder.stdin.flush()
        except OSError:
            self._broken = True
        return not self._broken

    def finish(self, at: float, final: Path) -> Mapping[str, Any]:
        """Close the film at *at*, and give it its name *final*; the receipt: what it is, or `why_not`. Once.

        Takes 3 seconds at most, and what reading the file takes.
        """
        if not self._lock.acquire(timeout=_PICTURE_S):
            return self._none("the encoder took no more pictures")
        try:
            if self._encoder is None:
                self._finished = True
                return self._none("no picture came")
            if self.watched and self._last is not None:
                self._take(self._last, at)  # so that the last picture lasts until the end
            self._finished = True
            return self._close(final)
        finally:
            self._lock.release()

    def _close(self, final: Path) -> Mapping[str, Any]:
        assert self._encoder is not None
        try:
            told, words = self._encoder.communicate(timeout=_ENCODE_S)
        except subprocess.TimeoutExpired:
            self._encoder.kill()
            self._encoder.communicate()
            return self._none(f"the encoder did not finish within {_ENCODE_S:g} s")
        if self._encoder.returncode != 0:
            said = words.decode(errors="replace").strip().rpartition("\n")[2]
            return self._none(f"the encoder ended with {self._encoder.returncode}: {said}"[:_WORDS])
        try:
            digest, size = _digest(self._path)
            self._path.replace(final)
        except OSError as error:
            return self._none(f"the file can't be written: {error.strerror}")
        # The encoder's own words: it stops by itself at the limit, and may have been handed more.
        facts = dict(line.split("=", 1) for line in told.decode().splitlines() if "=" in line)
        frames = int(facts["frame"])
        cut = self._full or self._broken or frames < self._pictures
        duration_us = self._times_ms[frames - 1] * 1000
        return {
            "bytes": size,
            "sha256": digest,
            "frames": frames,
            "duration_us": duration_us,
            **({"cut": f"the limit of {self._limit_bytes} bytes"} if cut else {}),
        }

    def _none(self, why: str) -> Mapping[str, Any]:
        if self._encoder is not None:
            self._encoder.kill()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        return {"why_not": why}


def _start(path: Path, width: int, height: int, limit_bytes: int) -> subprocess.Popen[bytes]:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    fit = f"scale={width}:{height}:force_original_aspect_ratio=decrease:out_range=tv"
    pad = f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2"
    return subprocess.Popen(
        [
            *(encoder(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y"),
            # Nothing is read ahead to find out what it is: the first picture would wait for the next ones.
            *("-f", "matroska", "-analyzeduration", "1", "-probesize", "32", "-fpsprobesize", "0", "-i", "pipe:0"),
            *("-vf", f"{fit},{pad},setsar=1,format=yuv420p", "-fps_mode", "passthrough", "-enc_time_base", "1:1000"),
            # zerolatency: what is taken is written; the size of the file is known, and its end comes at once.
            *("-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-crf", "26", "-threads", "2"),
            *("-fs", str(limit_bytes), "-video_track_timescale", "1000"),
            # One report, at the end: nobody reads it before.
            *("-progress", "pipe:1", "-stats_period", "1000000"),
            *("-flush_packets", "1", "-f", "mp4", f"file:{path}"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return digest, os.fstat(file.fileno()).st_size
