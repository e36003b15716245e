"""What the recipes share: scripts in Node, and waiting."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lifecycle import Client

ROOT = Path(__file__).parents[3]


class Node:
    """A script in Node that says one line of JSON when it is there."""

    def __init__(self, folder: Path, script: str, *args: str) -> None:
        path = folder / f"script-{os.getpid()}.mjs"
        path.write_text(script)
        self.process = subprocess.Popen(
            ["node", path, *args], cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if line.startswith("{"))  # whatever else it logs
        self.said: Any = json.loads(line)

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        self.process.communicate(timeout=20)


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def released(client: Client, session_id: str) -> list[str]:
    """The names of all its steps, once the session is over and its browser gone."""
    return [step.name for step in client.subscribe(session_id)]
