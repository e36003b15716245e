"""What a downloaded file is called where it is kept: the name that the server suggests, made harmless, counted up."""

from __future__ import annotations

import errno
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["free_name", "harmless"]

#: File systems take 255 bytes; the rest is for counting up.
_NAME_BYTES: Final = 240
_MANY: Final = 10_000


def harmless(suggested: str) -> str:
    """*suggested* as a name in a directory, never a path or hidden: its end where it is too long, or `download`."""
    printable = "".join(character for character in suggested if character.isprintable())
    name = PureWindowsPath(PurePosixPath(printable).name).name
    return name.encode("utf-8", "ignore")[-_NAME_BYTES:].decode("utf-8", "ignore").strip(" .") or "download"


def free_name(directory: Path, suggested: str, take: Callable[[Path], object]) -> Path:
    """The path in *directory* that *take* took for a file called *suggested*: of a name that nothing there has.

    *take* makes a path and raises FileExistsError where there is one, so that nobody else can get the name meanwhile.

    Raises:
        FileExistsError: There are ten thousand of that name.
        OSError: As *take* raises it.
    """
    name = harmless(suggested)
    stem, dot, suffix = name.partition(".")
    for count in range(1, _MANY):
        path = directory / (name if count == 1 else f"{stem} ({count}){dot}{suffix}")
        try:
            take(path)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(errno.EEXIST, f"too many files called {name!r}", str(directory))
