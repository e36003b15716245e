"""What the tests look at recordings with: the very encoder that made them, now as a player."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from lifecycle_viewer.film import encoder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.world import World

COLOURS = {"white": (255, 255, 255), "red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}


@dataclass(frozen=True, slots=True)
class Played:
    """A film as a player shows it: when each frame comes (s), what colour it is on the whole, and its size."""

    times: list[float]
    colours: list[str]
    size: tuple[int, int]

    @property
    def story(self) -> list[str]:
        """Its colours in their order, each once while it stays."""
        return [colour for colour, _ in groupby(self.colours)]


def play(path: Path) -> Played:
    """Decode every frame of a film."""
    done = subprocess.run(
        [
            *(encoder(), "-hide_banner", "-nostdin", "-i", str(path), "-vf", "showinfo,scale=1:1"),
            *("-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
        ],
        capture_output=True,
        check=True,
    )
    said = done.stderr.decode()
    times = [float(time) for time in re.findall(r"pts_time:([\d.]+)", said)]
    pixels = [tuple(done.stdout[at : at + 3]) for at in range(0, len(done.stdout), 3)]
    size = re.search(r"Video: h264.*?, (\d+)x(\d+)", said)
    assert size is not None, said
    return Played(times, [_named(pixel) for pixel in pixels], (int(size[1]), int(size[2])))


def _named(pixel: tuple[int, ...]) -> str:
    return min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(pixel, COLOURS[name], strict=True)))


def jpeg(source: str, size: str = "320x240", filters: str = "") -> bytes:
    """A picture that the encoder draws, `color=red` say."""
    what = f"{source}{':' if '=' in source else '='}s={size}{filters}"
    command = [encoder(), "-loglevel", "error", "-f", "lavfi", "-i", what, "-frames:v", "1", "-f", "mjpeg", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def page(colour: str) -> str:
    """A page of one colour."""
    return f"data:text/html,<title>{colour}</title><body style='background:{colour}'>"


def recorders(world: World) -> list[int]:
    """Pids of the recorders of this world, without their encoders."""
    return [pid for pid, line in world.processes() if "lifecycle_viewer.recorder" in line]


def encoders(world: World) -> list[int]:
    """Pids of the encoders of this world."""
    return [pid for pid, line in world.processes() if "ffmpeg" in line and "lifecycle_viewer" not in line]
