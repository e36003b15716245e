"""Runs of pytest in a process of their own, as a user starts them."""

from __future__ import annotations

import re
from pathlib import Path

from lifecycle import Client, SessionView
from lifecycle_chromium.find import find_browser, sandbox_args
from tests.adapters.hosting import Host, sessions

_CONFTEST = """
import pytest


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {{**browser_type_launch_args, "executable_path": {path!r}, "args": {args!r}, {more}}}
"""


def suite(folder: Path, tests: str, *options: str, more: str = "", ini: str = "") -> Host:
    """Start pytest with these options on a file of these tests; *more* are launch options."""
    folder.mkdir(exist_ok=True)
    binary = find_browser(headless=True).path
    (folder / "conftest.py").write_text(_CONFTEST.format(path=str(binary), args=sandbox_args(binary)[0], more=more))
    (folder / "test_shop.py").write_text(tests)
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
    return Host(folder, ["-m", "pytest", "-s", "-p", "no:cacheprovider", *options], COLUMNS="200")


def counted(host: Host) -> str:
    """What pytest's last line counts, such as `1 failed, 2 passed`."""
    host.finish()
    [line] = [line for line in host.said if re.search(r" in [\d.]+s", line)]
    return re.sub(r", \d+ warnings?", "", line.strip("= ").partition(" in ")[0])


def errors(host: Host) -> str:
    """The type of the error in pytest's short summary."""
    return re.sub(r".*?([A-Za-z]+Error).*", r"\1", host.until("FAILED "))


def by_test(log: Path, count: int) -> dict[str, list[SessionView]]:
    """The sessions of each test, and of the browsers that all of them share under ""."""
    found: dict[str, list[SessionView]] = {}
    for view in sessions(log, count):
        found.setdefault(view.labels.get("test", "").partition("::")[2].partition("[")[0], []).append(view)
    return found


def ends(log: Path, count: int) -> dict[str, str]:
    """How the sessions of each test ended."""
    return {
        test: ", ".join(f"{view.status} {view.cause}" for view in views) for test, views in by_test(log, count).items()
    }


def outcomes(log: Path) -> dict[str, str]:
    """The outcome of each test, as its session's history has it."""
    with Client(log) as client:
        return {
            step.data["data"]["nodeid"].partition("::")[2].partition("[")[0]: step.data["data"]["outcome"]
            for view in client.sessions.list()
            for step in client.history(view.session_id)
            if step.name == "annotated"
        }
