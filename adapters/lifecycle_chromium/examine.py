"""What `lifecycle doctor` says of this adapter: browsers, sandbox, display, and what lies in a log's runtime directory.

Looks only. The one thing it starts is the chosen browser with `--version`, which shows whether its libraries are there.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from typing import TYPE_CHECKING, Final

from lifecycle.errors import BrowserNotFound
from lifecycle.ports import Finding
from lifecycle_chromium.find import Surroundings, find_browser, sandbox_args, survey
from lifecycle_chromium.process import Identity, find_by_profile, is_alive, is_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lifecycle.core import Session

__all__ = ["examine"]

_VERSION_S: Final = 10.0


def examine(runtime_dir: Path | None, unreleased: Sequence[Session]) -> list[Finding]:
    """Findings, the most needed first."""
    headless = _browser("browser", headless=True)
    window = _browser("browser with a window", headless=False)
    return [
        headless,
        window,
        _sandbox(),
        _display(),
        *_runtime(runtime_dir, unreleased),
    ]


def _browser(name: str, *, headless: bool) -> Finding:
    try:
        found = find_browser(headless=headless)
    except BrowserNotFound as error:
        looked = tuple((look.place, look.found) for look in survey(headless=headless))
        return Finding(name=name, found=str(error), ok=False, details=looked)
    version, problem = _version(found.path)
    return Finding(
        name=name,
        found=f"{found.path} ({version})" if problem is None else f"{found.path} does not run: {problem}",
        ok=problem is None,
        why=found.why,
        details=found.looked_at,
    )


def _version(browser: Path) -> tuple[str, str | None]:
    """What the binary calls itself, or what keeps it from running."""
    try:
        done = subprocess.run(
            [browser, "--version"], capture_output=True, text=True, errors="replace", timeout=_VERSION_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        return "", words[-1] if words else f"it exits with {done.returncode}"
    return done.stdout.strip(), None


def _sandbox() -> Finding:
    try:
        args, reason = sandbox_args(find_browser(headless=True).path)
    except BrowserNotFound:
        args, reason = sandbox_args()
    return Finding(name="sandbox", found="off" if args else "on", why=reason)


def _display() -> Finding:
    s = Surroundings.here()
    if s.platform != "linux":
        return Finding(name="display", found="the system's own")
    named = [f"{name}={s.environ[name]}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if s.environ.get(name)]
    return Finding(
        name="display",
        found=", ".join(named) or "none",
        why=None if named else "headless=False serves the live view then",
    )


def _runtime(runtime_dir: Path | None, unreleased: Sequence[Session]) -> Iterator[Finding]:
    if runtime_dir is None or not runtime_dir.is_dir():
        yield Finding(name="keepers", found="none")
        yield Finding(name="leftovers", found="none")
        return
    keepers = _keepers(runtime_dir)
    alive = sorted(keeper for keeper, lives in keepers.items() if lives)
    yield Finding(
        name="keepers",
        found=f"{len(alive)} alive" if alive else "none",
        details=tuple((keeper, "alive") for keeper in alive),
    )
    left = [*_left(runtime_dir, keepers, unreleased)]
    yield Finding(
        name="leftovers",
        found=f"{len(left)}" if left else "none",
        ok=not left,
        why="`lifecycle reconcile` puts sessions right and removes what is theirs" if left else None,
        details=tuple(left),
    )


def _keepers(runtime_dir: Path) -> dict[str, bool]:
    """Keeper id -> whether it lives, by the lock it holds."""
    found: dict[str, bool] = {}
    for lock in sorted((runtime_dir / "keepers").glob("*.lock")):
        try:
            with lock.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    found[lock.stem] = False
                except BlockingIOError:
                    found[lock.stem] = True
        except OSError:
            continue  # it went just now
    return found


def _left(runtime_dir: Path, keepers: dict[str, bool], unreleased: Sequence[Session]) -> Iterator[tuple[str, str]]:
    for session in unreleased:
        if not is_here(Identity(**session.owner.model_dump())):
            continue
        if session.keeper_id is None:
            if not is_alive(Identity(**session.owner.model_dump())):
                yield f"session {session.session_id}", f"{session.status}, and its owner is gone"
        elif not keepers.get(session.keeper_id):
            yield f"session {session.session_id}", f"{session.status}, and nobody keeps it"
    kept = {session.session_id for session in unreleased if keepers.get(session.keeper_id or "")}
    names = {
        path.name.partition(".")[0]: path
        for folder in ("endpoints", "profiles")
        if (runtime_dir / folder).is_dir()
        for path in sorted((runtime_dir / folder).iterdir())
    }
    for session_id, path in names.items():
        if session_id not in kept:
            pids = find_by_profile(session_id)
            yield str(path), f"its browser runs as {', '.join(map(str, pids))}" if pids else "its browser is gone"
    for keeper, lives in keepers.items():
        if not lives:
            yield str(runtime_dir / "keepers" / f"{keeper}.lock"), "its keeper is gone"
    for said in sorted((runtime_dir / "keepers").glob("*.err")):
        if not keepers.get(said.stem) and os.path.getsize(said):
            yield str(said), "a keeper that is gone printed this"
