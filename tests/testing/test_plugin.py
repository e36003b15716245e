"""The pytest plugin: an embedder's test reads in five lines, and nothing is paid for what is not used."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lifecycle.errors import KeeperUnavailable
from tests.packaging.test_imports import loaded_by

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle import Client
    from lifecycle.testing import FakeBrowser, VirtualClock


def test_a_job_times_out(lifecycle_client: Client, lifecycle_clock: VirtualClock) -> None:
    with lifecycle_client.Session(page=False, timeout_minutes=10) as session:
        lifecycle_clock.sleep(601)
    assert session.status().status == "timed_out"


def test_a_browser_is_lost(
    lifecycle_client: Client, lifecycle_clock: VirtualClock, lifecycle_browser: FakeBrowser
) -> None:
    session = lifecycle_client.Session(page=False)
    session.start()
    lifecycle_browser.lose_keeper()
    lifecycle_clock.sleep(1)
    assert session.status().cause == "keeper_lost"


def test_a_pretended_browser_has_no_page_and_says_so(lifecycle_client: Client) -> None:
    with (
        lifecycle_client.Session() as session,
        pytest.raises(KeeperUnavailable, match="a pretended browser has no page"),
    ):
        _ = session.page
    assert session.status().status == "closed"


LEAKS = """
from lifecycle.testing.fake_host import PretendedBrowser

def test_leaks(lifecycle_client, lifecycle_clock, monkeypatch):
    for way in ("kill", "ask_to_close"):
        monkeypatch.setattr(PretendedBrowser, way, lambda self: None)
    with lifecycle_client.Session(page=False, timeout_minutes=1):
        pass
    monkeypatch.undo
"""


def test_a_browser_that_is_left_running_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "[53]" in done.stdout


def test_loading_the_plugin_loads_nothing_else() -> None:
    assert not loaded_by("import pytest, _pytest.python\nimport lifecycle.testing.pytest_plugin") & {
        "hypothesis",
        "pydantic",
        "transitions",
        "structlog",
    }


def test_the_library_and_the_kit_never_load_hypothesis_unasked() -> None:
    names = "check_history, LogContract, BrowserContract, given, VirtualClock, FakeBrowser, Checker, register"
    assert "hypothesis" not in loaded_by(
        f"import lifecycle\nfrom lifecycle import Client\nfrom lifecycle.testing import {names}"
    )
    assert "hypothesis" in loaded_by("from lifecycle.testing import LogRules")


def test_without_hypothesis_the_error_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import lifecycle.testing\n"
        "try: lifecycle.testing.LogRules\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("MissingExtra lifecycle.testing.rules needs the extra 'testing'")
