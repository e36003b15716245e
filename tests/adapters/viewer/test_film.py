"""Pictures become a film that keeps real time and its bound; no browser takes part."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import hashlib
import os
import signal
import stat
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from lifecycle_viewer import film, matroska
from lifecycle_viewer.film import Film
from tests.adapters.viewer.filming import jpeg, play

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_800_000_000.0
MB = 2**20


def test_a_film_keeps_real_time_and_its_last_picture_lasts_until_the_end(tmp_path: Path) -> None:
    made = Film(tmp_path / "part", limit_bytes=MB)
    for colour, at in [("red", 0.0), ("lime", 0.25), ("blue", 30.0)]:
        made.show_frame(jpeg(f"color={colour}"), T0 + at)
    receipt = made.finish(T0 + 90, tmp_path / "film.mp4")
    played = play(tmp_path / "film.mp4")
    assert played.times == [0, 0.25, 30, 90]
    assert played.colours == ["red", "lime", "blue", "blue"]
    whole = (tmp_path / "film.mp4").read_bytes()
    assert receipt == {
        "bytes": len(whole),
        "sha256": hashlib.sha256(whole).hexdigest(),
        "frames": 4,
        "duration_us": 90_000_000,
    }
    assert stat.S_IMODE((tmp_path / "film.mp4").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_a_clock_that_steps_back_loses_no_picture(tmp_path: Path) -> None:
    made = Film(tmp_path / "part", limit_bytes=MB)
    for at in (0, 10, 5, 10.0005):
        made.show_frame(jpeg("color=red"), T0 + at)
    assert made.finish(T0 + 1, tmp_path / "film.mp4")["frames"] == 5
    assert play(tmp_path / "film.mp4").times == [0, 10, 10.001, 10.002, 10.003]


def test_a_picture_of_another_size_or_shape_fits_into_the_first_ones(tmp_path: Path) -> None:
    made = Film(tmp_path / "part", limit_bytes=MB)
    for at, size in enumerate(["321x241", "640x480", "100x300"]):
        made.show_frame(jpeg("color=red", size), T0 + at)
    made.finish(T0 + 3, tmp_path / "film.mp4")
    played = play(tmp_path / "film.mp4")
    assert (played.size, len(played.times)) == ((322, 242), 4)


def test_at_its_bound_it_stops_and_stays_below(tmp_path: Path) -> None:
    changes: list[bool] = []
    made = Film(tmp_path / "part", limit_bytes=MB, on_change=lambda: changes.append(made.watched))
    pictures = [jpeg("nullsrc", "640x480", filters=f",noise=alls=100:all_seed={seed}") for seed in range(1, 6)]
    for at in range(400):
        made.show_frame(pictures[at % 5], T0 + at)
        if not made.watched:
            break
    receipt = made.finish(T0 + 1000, tmp_path / "film.mp4")
    assert receipt["cut"] == f"the limit of {MB} bytes"
    assert MB // 3 < (tmp_path / "film.mp4").stat().st_size == receipt["bytes"] <= MB
    assert changes == [True, False]
    played = play(tmp_path / "film.mp4")
    assert len(played.times) == receipt["frames"]
    assert played.times[-1] * 1e6 == receipt["duration_us"] < 1000e6, "what was not filmed is not claimed"


def test_without_a_picture_there_is_no_film_and_that_is_said(tmp_path: Path) -> None:
    made = Film(tmp_path / "part", limit_bytes=MB)
    made.show_frame(None, T0)
    assert made.finish(T0 + 1, tmp_path / "film.mp4") == {"why_not": "no picture came"}
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_fails_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 28\n")
    broken.chmod(0o700)
    monkeypatch.setattr(film, "encoder", lambda: str(broken))
    made = Film(tmp_path / "part", limit_bytes=MB)
    for at in range(5):
        made.show_frame(hollow_jpeg(), T0 + at)
    assert made.finish(T0 + 9, tmp_path / "film.mp4") == {
        "why_not": "the encoder ended with 28: No space left on device"
    }
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


def test_an_encoder_that_hangs_holds_nobody_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "_ENCODE_S", 0.2)
    made = Film(tmp_path / "part", limit_bytes=MB)
    made.show_frame(jpeg("color=red"), T0)
    assert made._encoder is not None
    os.kill(made._encoder.pid, signal.SIGSTOP)
    assert made.finish(T0 + 1, tmp_path / "film.mp4") == {"why_not": "the encoder did not finish within 0.2 s"}
    assert made._encoder.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_nor_does_one_that_takes_no_more_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "_PICTURE_S", 0.2)
    made = Film(tmp_path / "part", limit_bytes=MB)
    made.show_frame(jpeg("color=red"), T0)
    assert made._encoder is not None
    os.kill(made._encoder.pid, signal.SIGSTOP)
    large = jpeg("color=red") + bytes(2 * MB)  # more than a pipe holds
    monkeypatch.setattr(made, "_limit_bytes", 100 * MB)
    stuck = threading.Thread(target=made.show_frame, args=(large, T0 + 1))
    stuck.start()
    while not made._lock.locked():
        pass
    assert made.finish(T0 + 2, tmp_path / "film.mp4") == {"why_not": "the encoder took no more pictures"}
    stuck.join(10)
    assert not stuck.is_alive()
    with suppress(BrokenPipeError):
        made._encoder.communicate()


def test_what_is_no_jpeg_is_refused() -> None:
    for wrong in (b"", b"\x89PNG", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x04ab"):
        with pytest.raises(ValueError, match="not a JPEG"):
            matroska.jpeg_size(wrong)


def hollow_jpeg() -> bytes:
    """The smallest thing that has a JPEG's size in it; nobody decodes it."""
    return b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00"
