"""The top level is what the project's owner fixed; an adapter has README, types and its `packages` line."""

from __future__ import annotations

import fnmatch
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import lifecycle
import lifecycle_chromium
import lifecycle_playwright
import lifecycle_viewer

ROOT = Path(__file__).parents[2]
FIXED = {"pyproject.toml", "lifecycle", "adapters", "tests", "docs", "README.md"}
NEEDED_BY_A_REPOSITORY = {".ci", ".git", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "uv.lock"}
#: the client makes objects of these; the others are imported by whoever uses them
FOUND_BY_THE_CLIENT = {"lifecycle_chromium", "lifecycle_playwright", "lifecycle_viewer"}
ADAPTERS = sorted(path.name for path in (ROOT / "adapters").iterdir() if path.name != "__pycache__")


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_top_level_holds_what_was_fixed_and_nothing_else() -> None:
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line[:1] not in ("", "#")]
    there = {path.name for path in ROOT.iterdir() if not any(fnmatch.fnmatch(path.name, name) for name in ignored)}
    assert there - NEEDED_BY_A_REPOSITORY == FIXED
    # Unpacked from a source distribution there is no .git.
    assert NEEDED_BY_A_REPOSITORY - {".git"} <= there


def test_adapters_is_a_folder_and_not_a_package() -> None:
    """Installed as `adapters` it would overwrite an unrelated project's package."""
    assert not (ROOT / "adapters/__init__.py").exists()


def test_the_list_of_packages_names_every_adapter(pyproject: dict[str, Any]) -> None:
    packages = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["lifecycle", *(f"adapters/{name}" for name in ADAPTERS)]


def test_the_import_contracts_and_coverage_know_every_adapter(pyproject: dict[str, Any]) -> None:
    everything = ["lifecycle", *ADAPTERS]
    linter = pyproject["tool"]["importlinter"]
    contracts = {contract["id"]: contract for contract in linter["contracts"]}
    assert linter["root_packages"] == everything
    assert contracts["adapters-import-inward"]["forbidden_modules"] == ADAPTERS
    assert contracts["adapters-apart"]["modules"] == ADAPTERS
    for package in ("transitions", "sqlite-utils", "structlog"):
        assert contracts[f"{package}-in-one-place"]["source_modules"] == everything
    assert contracts["playwright-in-one-place"]["source_modules"] == [
        name for name in everything if name != "lifecycle_playwright"
    ]
    assert pyproject["tool"]["coverage"]["run"]["source_pkgs"] == everything


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_is_whole(adapter: str) -> None:
    folder = ROOT / "adapters" / adapter
    assert adapter.startswith("lifecycle_")
    for name in ("__init__.py", "README.md", "py.typed"):
        assert (folder / name).is_file(), f"{adapter} has no {name}"


def test_every_entry_point_can_be_loaded() -> None:
    points = entry_points(group="lifecycle.adapters")
    assert {point.value.partition(":")[0] for point in points} == FOUND_BY_THE_CLIENT
    for point in points:
        assert callable(point.load())


def test_library_and_adapters_come_from_one_place() -> None:
    """A library from the checkout beside adapters from a wheel would pass every other test."""
    library = Path(lifecycle.__path__[0]).parent
    adapters = {
        Path(module.__path__[0]).parent for module in (lifecycle_chromium, lifecycle_playwright, lifecycle_viewer)
    }
    assert adapters == ({ROOT / "adapters"} if library == ROOT else {library})


def test_the_lock_file_names_the_public_index_only() -> None:
    """A lock made behind a mirror would send everybody there."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    for package in lock["package"]:
        assert package["source"] in ({"registry": "https://pypi.org/simple"}, {"editable": "."})
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        for file in files:
            assert file["url"].startswith("https://files.pythonhosted.org/")
