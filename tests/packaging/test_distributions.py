"""What the wheel and the source distribution hold, built here from the checkout."""

from __future__ import annotations

import configparser
import email
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "lifecycle": ROOT / "lifecycle",
    **{path.parent.name: path.parent for path in ROOT.glob("adapters/*/__init__.py")},
}
GIVEN = ("playwright", "pydantic", "sqlite-utils", "structlog", "transitions")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> dict[str, bytes]:
    """Name -> content of every file in the wheel."""
    [path] = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, bytes]) -> Message:
    [content] = [content for name, content in wheel.items() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(content)


def test_the_wheel_installs_our_packages_and_no_top_level_adapters(wheel: dict[str, bytes]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert tops == {*PACKAGES, "session_lifecycle-0.1.0.dev0.dist-info"}
    assert "adapters" not in tops


def test_every_source_file_is_in_the_wheel(wheel: dict[str, bytes]) -> None:
    for name, folder in PACKAGES.items():
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                inside = f"{name}/{path.relative_to(folder).as_posix()}"
                assert inside in wheel, f"{inside} would be missing once installed"


def test_the_wheel_is_typed(wheel: dict[str, bytes]) -> None:
    for name in PACKAGES:
        assert f"{name}/py.typed" in wheel


def test_the_license_is_in_the_wheel_and_named_in_its_metadata(wheel: dict[str, bytes], metadata: Message) -> None:
    [license] = [content for name, content in wheel.items() if name.endswith(".dist-info/licenses/LICENSE")]
    assert license == (ROOT / "LICENSE").read_bytes()
    assert b"Apache License" in license
    assert metadata["License-Expression"] == "Apache-2.0"


def test_the_metadata_says_what_a_user_of_the_index_needs(metadata: Message) -> None:
    assert metadata["Name"] == "session-lifecycle"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown", 'pyproject.toml needs `readme = "README.md"`'
    needed = metadata.get_all("Requires-Dist") or []
    for package in GIVEN:
        assert any(line.startswith(package) and "extra ==" not in line for line in needed), package


def test_the_wheel_brings_the_command_and_every_adapter(wheel: dict[str, bytes]) -> None:
    [content] = [content for name, content in wheel.items() if name.endswith(".dist-info/entry_points.txt")]
    points = configparser.ConfigParser()
    points.read_string(content.decode())
    adapters = dict(points["lifecycle.adapters"])
    assert dict(points["console_scripts"]) == {
        "lifecycle": "lifecycle.cli:main",
        "lifecycle-pipe": "lifecycle_chromium.on_pipe:main",
    }
    assert (
        adapters
        == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["lifecycle.adapters"]
    )
    assert {value.partition(":")[0] for value in adapters.values()} <= set(PACKAGES) - {"lifecycle"}


def test_the_source_distribution_holds_the_sources_and_no_leftovers(built: Path) -> None:
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names}
    everything = {
        "lifecycle",
        "adapters",
        "tests",
        "docs",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "uv.lock",
    }
    # The last two are the build backend's own doing.
    assert tops == everything | {".ci", "pyproject.toml"} | {"PKG-INFO", ".gitignore"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db"))]
