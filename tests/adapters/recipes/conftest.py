"""Recipes: sessions of ours in other programs' hands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lifecycle import Client
from tests.adapters.recipes.kit import ROOT, Node

PACKAGES = ("@browserbasehq/stagehand@3.7.3", "@playwright/mcp@0.0.83", "puppeteer-core@24")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(tmp_path / "sessions.db") as made:
        yield made


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """Where npm has installed what the Node recipes need: build/recipes, made once."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing = pytest.fail if "CI" in os.environ else pytest.skip
        missing("there is no npm on this machine (Debian, Ubuntu: apt-get install npm)")
    folder = ROOT / "build" / "recipes"
    folder.mkdir(parents=True, exist_ok=True)
    installed = folder / "installed.json"
    with (folder / "lock").open("w") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers one installs
        if not installed.exists() or json.loads(installed.read_text()) != list(PACKAGES):
            quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
            subprocess.run([npm, "install", *quiet, *PACKAGES], cwd=folder, check=True, timeout=300)
            installed.write_text(json.dumps(PACKAGES))
    return folder


@pytest.fixture
def node(node_folder: Path) -> Iterator[Callable[..., Node]]:
    running: list[Node] = []

    def start(script: str, *args: str) -> Node:
        running.append(Node(node_folder, script, *args))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.kill()
