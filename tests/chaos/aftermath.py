"""What every attack on real browsers asks afterwards, and what its scripts do so that there is something to ask.

A script that begins with PRELUDE writes down what was acknowledged, and goes about with a canary in every place that a
secret may come from: a proxy's password, a URL, a cookie, an exception's text.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lifecycle.core.events import SessionAnnotated
from lifecycle.log.codec import decode
from lifecycle_chromium import process
from tests.chaos.check import whole
from tests.client.world import until
from tests.log.support import foreign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle import Client
    from lifecycle.core import ProcessIdentity
    from tests.client.world import World

__all__ = ["CANARY", "PRELUDE", "acknowledged", "launched", "leaked", "settled", "shown"]

CANARY: Final = "c4n4ry-s3cr3t"
#: The canary is put together, for this text stands on the script's own command line.
PRELUDE: Final = """
CANARY = "-".join(("c4n4ry", "s3cr3t"))
PROXY = f"http://user:{CANARY}@127.0.0.1:9"
acknowledged, steps = os.open("acknowledged", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), 0
def step(session):
    global steps
    steps += 1
    session.annotate("step", {"n": steps})
    os.write(acknowledged, f"{session.session_id} {steps}\\n".encode())
def secretive(page):
    page.context.add_cookies([{"name": "c", "value": CANARY, "url": "https://x.example"}])
    other = page.context.new_page()
    try:
        other.goto(f"https://user:{CANARY}@x.example/?key={CANARY}#{CANARY}")
    except Exception as error:
        assert type(error).__module__.startswith("playwright"), error
    other.close()
    page.goto("data:text/html,<title>x</title>")
"""
_ENDED: Final = ("closed", "error", "timed_out")


def settled(world: World, patience_s: float = 20) -> list[str]:
    """Let reconcile finish; then what is wrong with the record, and what is left of the sessions."""
    client = world.client()
    try:
        client.reconcile()
        with contextlib.suppress(AssertionError):
            # For a keeper that lives, or an owner that watches it, the bounds are in README.md.
            until(lambda: not list(_without_browser(client)), "", min(patience_s, 5))
        found = list(_without_browser(client))
        until(
            lambda: all(view.status in _ENDED for view in client.sessions.list()),
            f"a session does not end; {found}",
            patience_s,
        )
        client.reconcile()
        views = client.sessions.list()
        until(
            lambda: all(client.log.read(view.session_id)[-1].type == "session.released" for view in views),
            "a session is not released",
            20,
        )
        found += lost(world, client)
    finally:
        client.close()
    with contextlib.suppress(AssertionError):
        until(lambda: not world.left(), "", 10)
    found += [*world.left(), *whole(world.log, ()), *leaked(world)]
    return found + [f"no cause: {view.session_id}" for view in views if not view.cause]


def _without_browser(client: Client) -> Iterator[str]:
    """Sessions that are active by the log whose browser is not there."""
    for view in client.sessions.list(status="active"):
        session = client.log.load(view.session_id, None)
        assert session is not None
        if session.browser is not None and not _alive(session.browser):
            yield f"no browser: {view.session_id}"


def _alive(browser: ProcessIdentity) -> bool:
    there = process.identify(browser.pid)
    return there is not None and there.started == browser.started


def lost(world: World, client: Client) -> list[str]:
    """Steps that a script was told stand in the log, and do not."""
    told: list[list[str]] = []
    with contextlib.suppress(FileNotFoundError):
        lines = (world.folder / "acknowledged").read_text().splitlines(keepends=True)
        told = [line.split() for line in lines if line.endswith("\n")]  # a kill may have cut off the last one
    stored = {session_id: set(_steps(client, session_id)) for session_id in {session_id for session_id, _ in told}}
    return [f"lost: step {n} of {session_id}" for session_id, n in told if int(n) not in stored[session_id]]


def _steps(client: Client, session_id: str) -> Iterator[object]:
    for row in client.log.read(session_id):
        match decode(row):
            case SessionAnnotated(name="step", data=dict(data)):
                yield data["n"]
            case _:
                pass


def acknowledged(world: World) -> int:
    """How many steps the scripts were told of."""
    path = world.folder / "acknowledged"
    return path.read_text().count("\n") if path.exists() else 0


def launched(world: World) -> int:
    """How many browsers came up, by the log."""
    with foreign(world.log) as conn:
        return int(conn.execute("SELECT COUNT(*) FROM events WHERE type = 'session.started'").fetchone()[0])


def leaked(world: World) -> list[str]:
    """The canary in a file, log and all, or in what a script said on stdout and stderr."""
    # By another process: opening the log here would drop SQLite's locks on it.
    grep = ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings", CANARY, str(world.folder)]
    done = subprocess.run(grep, capture_output=True, text=True, check=False)
    found = [f"canary in {path}" for path in done.stdout.splitlines()]
    return found + [
        f"canary in the output of script {n}" for n, script in enumerate(world.scripts) if CANARY in script.printed
    ]


def shown(world: World) -> list[str]:
    """The canary on the command line or in the environment of a process that takes part, while it lives."""
    found: list[str] = []
    for pid, line in world.processes():
        with contextlib.suppress(OSError):
            line += Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
        if CANARY in line:
            found.append(f"canary shown by process {pid}")
    return found
