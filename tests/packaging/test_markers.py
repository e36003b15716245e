"""The `browser` marker: skipped where there is no browser, except in CI, where that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

EXAMPLE = """
import pytest
from lifecycle_chromium.find import find_browser


@pytest.mark.browser
def test_with_a_browser():
    find_browser(headless=True)


def test_without():
    pass
"""


def run(folder: Path, **variables: str) -> tuple[int, str]:
    shutil.copy(CONFTEST, folder)
    (folder / "test_example.py").write_text(EXAMPLE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = browser: as in the real configuration\n")
    environ = {name: value for name, value in os.environ.items() if name != "CI"} | variables
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        str(folder),
    ]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stdout


@pytest.mark.parametrize("ci", [{}, {"CI": ""}, {"CI": "false"}])
def test_without_a_browser_its_tests_are_skipped_and_the_reason_is_told(tmp_path: Path, ci: dict[str, str]) -> None:
    code, output = run(tmp_path, LIFECYCLE_BROWSER="/no/such/browser", **ci)
    assert "1 passed, 1 skipped" in output
    assert "/no/such/browser" in output
    assert code == 0


@pytest.mark.parametrize("value", ["true", "1"])
def test_in_ci_a_missing_browser_fails(tmp_path: Path, value: str) -> None:
    code, output = run(tmp_path, LIFECYCLE_BROWSER="/no/such/browser", CI=value)
    assert "1 failed, 1 passed" in output
    assert code == 1


def test_with_a_browser_nothing_is_skipped(tmp_path: Path) -> None:
    code, output = run(tmp_path, LIFECYCLE_BROWSER=sys.executable)
    assert "2 passed" in output
    assert code == 0
