"""`lifecycle doctor`: what was found on this machine, why it was chosen, and what needs attention. Looks only."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lifecycle.cli.exits import FAILED, OK
from lifecycle.cli.logs import file_of, options, path_of
from lifecycle.cli.tables import print_json, print_line
from lifecycle.cli.text import printable
from lifecycle.client import adapters
from lifecycle.errors import LifecycleError
from lifecycle.log.locate import open_log
from lifecycle.ports import Examinable, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lifecycle.core import Session

__all__ = ["command"]


@click.command(
    "doctor",
    short_help="Show what was found on this machine and why it was chosen.",
    help="""\
Show what was found on this machine: Python, SQLite and how it keeps the log, the log itself, the browser and where else
one was looked for, sandbox, display, adapters, keepers that live and what dead ones left. Changes nothing.

\b
Examples:
  lifecycle doctor
  lifecycle doctor --log sessions.db
  lifecycle doctor --json

Exits with 1 where something needs attention; those lines begin with !.
""",
)
@options
def command(log: str | None, as_json: bool) -> int:
    """Show what was found."""
    found = [*_versions(), *_log(log)]
    runtime_dir, unreleased = _beside(log)
    for name in adapters.found():
        found += _adapter(name, runtime_dir, unreleased)
    if as_json:
        print_json({"ok": all(one.ok for one in found), "findings": [_json(one) for one in found]}, indent=2)
    else:
        _print(found)
    return OK if all(one.ok for one in found) else FAILED


def _json(one: Finding) -> dict[str, object]:
    found = asdict(one)
    found["details"] = [{"what": what, "found": said} for what, said in one.details]
    return found


def _print(found: Sequence[Finding]) -> None:
    width = max(len(one.name) for one in found)
    for one in found:
        mark = " " if one.ok else "!"
        print_line(f"{mark} {one.name:<{width}}  {printable(one.found)}")
        if one.why:
            print_line(f"  {'':<{width}}  why: {printable(one.why)}")
        for what, said in one.details:
            print_line(f"  {'':<{width}}    {printable(what)}: {printable(said)}")


def _versions() -> Iterator[Finding]:
    from lifecycle.log.driver import sqlite3

    yield Finding(name="lifecycle", found=_installed("session-lifecycle"), why=f"from {Path(__file__).parents[1]}")
    yield Finding(name="python", found=f"{platform.python_version()} ({sys.executable})")
    yield Finding(name="platform", found=platform.platform())
    yield Finding(name="sqlite", found=sqlite3.sqlite_version, why=f"the one that {sqlite3.__name__} is linked with")
    yield Finding(name="playwright", found=_installed("playwright"))


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _log(log: str | None) -> Iterator[Finding]:
    where = path_of(log)
    path = file_of(where)
    why = "--log says so" if log else "$LIFECYCLE_LOG says so" if os.environ.get("LIFECYCLE_LOG") else "the default"
    shown = str(path or where)
    if path is not None and not path.exists():
        parent = path.parent
        if not log and not os.environ.get("LIFECYCLE_LOG"):  # the default's directory is made when it is needed
            parent = next(folder for folder in path.parents if folder.is_dir())
        usable = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
        state = "not there yet; the first session makes it" if usable else f"{parent} can't be written"
        yield Finding(name="log", found=f"{shown} ({state})", ok=usable, why=why)
        return
    try:
        opened = open_log(where, create=False, read_only=True)
    except LifecycleError as error:
        yield Finding(name="log", found=str(error), ok=False, why=why)
        return
    try:
        sessions, unreleased = opened.sessions.count(now=0), len(opened.sessions.live())
        unreadable = opened.sessions.unreadable()
    except LifecycleError as error:
        yield Finding(name="log", found=f"{shown}: {error}", ok=False, why=why)
        return
    finally:
        opened.close()
    writable = path is None or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK))
    yield Finding(
        name="log",
        found=f"{shown} ({'writable' if writable else 'can be read, not written'})",
        ok=writable,
        why=why,
        details=(("sessions", str(sessions)), ("not released", str(unreleased)), *unreadable.items()),
    )
    if (durability := getattr(opened, "durability", None)) is not None:
        yield Finding(
            name="journal", found=f"{durability.journal}, synchronous={durability.synchronous}", why=durability.why
        )


def _beside(log: str | None) -> tuple[Path | None, Sequence[Session]]:
    """The log's runtime directory, if it is there, and the sessions whose browser may still be."""
    path = file_of(path_of(log))
    if path is None or not path.exists():
        return None, ()
    try:
        opened = open_log(path, create=False, read_only=True)
    except LifecycleError:
        return None, ()
    try:
        runtime = Path(f"{path}.d")  # opened.runtime_dir would make it
        return (runtime if runtime.is_dir() else None), opened.sessions.live()
    except LifecycleError:
        return None, ()
    finally:
        opened.close()


def _adapter(name: str, runtime_dir: Path | None, unreleased: Sequence[Session]) -> Iterator[Finding]:
    origin = adapters.found()[name]
    try:
        adapter = adapters.load(name)
    except Exception as error:  # an adapter of anybody's: whatever breaks in it is a finding, not our end
        yield Finding(name=f"adapter {name}", found=f"{origin} can't be used: {error!r}", ok=False)
        return
    yield Finding(name=f"adapter {name}", found=origin)
    if isinstance(adapter, Examinable):
        yield from adapter.examine(runtime_dir, unreleased)
