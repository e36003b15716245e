"""How far a verify came that was interrupted: a file beside the log, for one with *resume* to go on from.

It holds no secret and proves nothing: whoever may write the log may write it too. So what it says is held against the
hashes in the log, the root over which it knows.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from lifecycle.log.atomic import replace_file
from lifecycle.log.sqlite import SqliteLog

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.log.port import EventLog

__all__ = ["Halted", "halted", "place_of"]

_ROOT: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """The first *position* events were sound. `open`: the sessions among them that were not released yet."""

    position: int
    root: str
    sessions: int
    forgotten: int
    open: list[str]

    def keep(self, path: Path) -> None:
        """Write it, if it may be written there; an interrupt goes on either way."""
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            replace_file(path, json.dumps(asdict(self)).encode())


def halted(path: Path | None, end: int) -> Halted | None:
    """What an interrupted one left for a log with *end* events; None if there is none, or it can't be read."""
    if path is None:
        return None
    try:
        found = Halted(**json.loads(path.read_text("utf-8")))
        sound = 0 < found.position <= end and found.sessions + found.forgotten >= 0
        sound = sound and _ROOT.fullmatch(found.root) is not None and all(map(str.isprintable, found.open))
    except (OSError, ValueError, TypeError):
        return None
    return found if sound else None


def place_of(log: EventLog) -> Path | None:
    """The file for *log*; None where nothing stands beside it."""
    return log.runtime_dir / "verify.json" if isinstance(log, SqliteLog) else None
