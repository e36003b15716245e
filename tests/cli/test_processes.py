"""A session that one process starts, another attaches to, and the command stops: the history names all three."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.cli.conftest import User

pytestmark = pytest.mark.browser

OWNER = """
import sys
from lifecycle import Client
client = Client(sys.argv[1], actor="owner")
with client.Session(page=False) as session:
    print(session.session_id, flush=True)
    sys.stdin.readline()
    print(session.status().status, session.status().cause, flush=True)
"""

VISITOR = """
import sys
from lifecycle import Client
with Client(sys.argv[1], actor="visitor").Session(sys.argv[2]) as session:
    session.page.goto("data:text/html,<title>visited</title>")
"""


@contextmanager
def owner(log: Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    """A process with a session, and the session's id; it goes on when it gets a line."""
    line = [sys.executable, "-c", OWNER, str(log)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            if process.poll() is None:
                process.kill()


def shown(user: User, log: Path, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(user("show", session_id, "--log", log, "--json").stdout)
    return found


def test_three_processes_in_one_history(tmp_path: Path, user: User) -> None:
    log = tmp_path / "s.db"
    with owner(log) as (process, session_id):
        subprocess.run([sys.executable, "-c", VISITOR, str(log), session_id], check=True, timeout=60)
        done = user("stop", session_id, "--log", log, USER="grace")
        assert done.returncode == 0, done.stderr
        assert process.communicate("\n", timeout=60)[0].split() == ["closed", "stopped"]
    found = shown(user, log, session_id)
    assert {one["actor"] for one in found["actors"]} == {"owner", "keeper", "visitor", "grace"}
    assert len({one["writer"] for one in found["actors"]}) == 4
    assert found["events"][-1]["type"] == "session.released"
    assert found["events"][-1]["data"]["profile_removed"]


def test_owner_and_keeper_dead_together_are_put_right_by_reconcile(tmp_path: Path, user: User) -> None:
    log = tmp_path / "s.db"
    with owner(log) as (process, session_id):
        created = shown(user, log, session_id)["events"][0]
        keeper = created["data"]["keeper"]["pid"]
        os.kill(process.pid, signal.SIGSTOP)  # neither may see the other die
        os.kill(keeper, signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert user("doctor", "--log", log).returncode == 1
    done = user("reconcile", "--log", log, "--json")
    assert json.loads(done.stdout)["cause"] == "keeper_lost"
    found = shown(user, log, session_id)
    assert (found["session"]["status"], found["session"]["cause"]) == ("error", "keeper_lost")
    assert found["events"][-1]["type"] == "session.released"
    assert not list((tmp_path / "s.db.d" / "profiles").iterdir())
    leftovers = [line for line in user("doctor", "--log", log).stdout.splitlines() if "leftovers" in line]
    assert leftovers[0].endswith("none")
