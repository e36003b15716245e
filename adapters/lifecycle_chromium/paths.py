"""Where a keeper's things lie, all under the log's runtime directory (0700), and how they are removed.

LOGNAME.d/endpoints/SESSION.json   0600: the gate's URLs with their tokens, written when a session is active
LOGNAME.d/keepers/KEEPER.lock      locked as long as the keeper lives; KEEPER.err is what it printed
LOGNAME.d/profiles/SESSION/        the browser's profile, 0700; its path is how the browser's processes are known
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Final, NamedTuple

from lifecycle import crash

__all__ = [
    "Endpoint",
    "artifacts",
    "endpoint",
    "keeper_err",
    "keeper_lock",
    "profile",
    "read_endpoint",
    "remove_endpoint",
    "remove_keeper",
    "remove_profile",
    "write_endpoint",
]

_ENDPOINT_CHARACTERS: Final = 65536
_PATIENCE_S: Final = 2.0
_SOCKET: Final = "SingletonSocket"
_SOCKET_FOLDERS: Final = ("org.chromium.Chromium.", "com.google.Chrome.")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Endpoint(NamedTuple):
    """Where clients connect, and where those who only look; both are credentials."""

    cdp_url: str
    look_url: str


def _inside(runtime: Path, folder: str, name: str, suffix: str) -> Path:
    # Ids come out of a log that somebody else may have written: never let one name another place.
    if not _ID.fullmatch(name):
        raise ValueError(f"{name!r} can't be part of a path")
    parent = runtime / folder
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if parent.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "a symbolic link is not followed", str(parent))
    return parent / f"{name}{suffix}"


def profile(runtime: Path, session_id: str) -> Path:
    """The profile directory of a session (not made here)."""
    return _inside(runtime, "profiles", session_id, "")


def artifacts(runtime: Path, session_id: str) -> Path:
    """Where a session's clients may put downloads and traces: in its profile, which goes with it (not made here)."""
    return profile(runtime, session_id) / "artifacts"


def keeper_lock(runtime: Path, keeper_id: str) -> Path:
    """The lock file that a living keeper holds."""
    return _inside(runtime, "keepers", keeper_id, ".lock")


def keeper_err(runtime: Path, keeper_id: str) -> Path:
    """Where a keeper's stderr goes."""
    return _inside(runtime, "keepers", keeper_id, ".err")


def endpoint(runtime: Path, session_id: str) -> Path:
    """The file that holds a session's gate URLs."""
    return _inside(runtime, "endpoints", session_id, ".json")


def write_endpoint(runtime: Path, session_id: str, urls: Endpoint) -> None:
    """Publish the gate's URLs to the owner's user alone, whole or not at all."""
    path = endpoint(runtime, session_id)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump({"session_id": session_id, **urls._asdict()}, file)
    crash.point("keeper.endpoint_written")
    temporary.replace(path)


def read_endpoint(runtime: Path, session_id: str) -> Endpoint | None:
    """The session's gate URLs; None when they are not published (any more), or not by a keeper."""
    try:
        fd = os.open(endpoint(runtime, session_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, encoding="utf-8") as file:
            found = json.loads(file.read(_ENDPOINT_CHARACTERS))
        urls = Endpoint(found["cdp_url"], found["look_url"])
        # The token goes to this machine's gate, and nowhere else.
        return urls if all(url.startswith("ws://127.0.0.1:") for url in urls) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


# What is removed below is removed at the end of a session, which goes on whatever stands in the way.


def remove_endpoint(runtime: Path, session_id: str) -> None:
    """Withdraw the session's gate URLs, and what a keeper left that was killed while it wrote them."""
    with contextlib.suppress(OSError):
        path = endpoint(runtime, session_id)
        path.unlink(missing_ok=True)
        for unfinished in path.parent.glob(f"{session_id}.*.tmp"):
            unfinished.unlink(missing_ok=True)


def remove_profile(runtime: Path, session_id: str) -> bool:
    """Remove the profile; whether it is gone. A dying browser may still write in it, so this tries for 2 s."""
    try:
        path = profile(runtime, session_id)
    except OSError:
        return False
    _remove_socket(path)
    until = time.monotonic() + _PATIENCE_S
    while True:
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)


def _remove_socket(path: Path) -> None:
    """Remove the folder of the socket by which a full Chromium knows its profile taken: one that was killed leaves it.

    It lies among the system's temporary files, and a link in the profile leads there. Whoever can write to the profile
    could have put another link: nothing goes but what Chromium makes, by its names.
    """
    with contextlib.suppress(OSError):
        folder = (path / _SOCKET).readlink().parent
        if folder.name.removeprefix(".").startswith(_SOCKET_FOLDERS):
            for name in (_SOCKET, "SingletonCookie"):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


def remove_keeper(runtime: Path, keeper_id: str) -> None:
    """Remove what a keeper that is gone (or going) leaves behind; what it printed stays if it printed anything."""
    with contextlib.suppress(OSError):
        err = keeper_err(runtime, keeper_id)
        with contextlib.suppress(FileNotFoundError):
            if err.stat().st_size == 0:
                err.unlink()
        keeper_lock(runtime, keeper_id).unlink(missing_ok=True)
