"""What an import loads, seen from a fresh interpreter; and that `__all__` is sorted and true."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lifecycle
import lifecycle.testing
import lifecycle_chromium
import lifecycle_playwright
import lifecycle_viewer

# pydantic and transitions, and what these two bring themselves.
CORE_MAY_LOAD = {
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
    *("transitions", "six"),
}


def loaded_by(statement: str) -> set[str]:
    """The top-level names that *statement* adds, without those of the standard library and our own.

    What an interpreter loads before its first statement (a tool's .pth file, say) is not counted.
    """
    script = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(tops - sys.stdlib_module_names))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    # Compiled packages register helpers under mangled names.
    return {name for name in done.stdout.split() if not name.startswith("_") and "__mypyc" not in name} - {"lifecycle"}


def test_the_core_loads_only_transitions_and_pydantic() -> None:
    assert loaded_by("import lifecycle.core") <= CORE_MAY_LOAD


def test_the_core_does_load_what_it_may() -> None:
    """Else the test above proves nothing."""
    assert {"pydantic", "transitions"} <= loaded_by("import lifecycle.core")


def test_importing_the_library_loads_no_driver_and_no_adapter() -> None:
    loaded = loaded_by("import lifecycle")
    assert not loaded & {"playwright", "greenlet", "lifecycle_chromium", "lifecycle_playwright", "lifecycle_viewer"}


def test_importing_an_adapter_loads_no_driver() -> None:
    """`import lifecycle_playwright` must work where a part of Playwright is broken, so that the error can say so."""
    assert "playwright" not in loaded_by("import lifecycle_playwright")
    assert "playwright" not in loaded_by("import lifecycle_chromium")
    assert "playwright" not in loaded_by("import lifecycle_viewer.__main__")


#: Imports each module of a package as the first of it, and prints those that can't be. What imports nothing of the rest
#: (its names come after the package's) stays loaded for the rest: building the core's models takes most of the time.
FIRST = """
import importlib, pkgutil, sys

package, *apart = sys.argv[1:]
found = pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")
for name in [package, *(info.name for info in found)]:
    kept = () if name.startswith(tuple(apart)) else tuple(apart)
    for loaded in [*sys.modules]:
        if loaded.partition(".")[0] == package and not loaded.startswith(kept):
            del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except Exception as error:
        print(name, error)
"""


def refused(package: str, *apart: str, path: str = "") -> list[str]:
    command = [sys.executable, "-c", FIRST, package, *apart]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=300, env={**os.environ, "PYTHONPATH": path}
    )
    return done.stdout.splitlines()


def test_every_module_may_be_the_first_that_is_imported() -> None:
    """Modules that import each other in a circle can be imported from some sides only."""
    assert refused("lifecycle", "lifecycle.core", "lifecycle.errors") == []


def test_a_circle_is_seen(tmp_path: Path) -> None:
    (tmp_path / "ringed").mkdir()
    for name, text in {
        "__init__": "",
        "one": "from ringed.two import two\none = 1\n",
        "two": "def two():\n    from ringed import three\n",
        "three": "from ringed.four import four\nthree = 3\n",
        "four": "four = 4\nfrom ringed import three\nthree.three\n",
    }.items():
        (tmp_path / "ringed" / f"{name}.py").write_text(text)
    found = refused("ringed", path=str(tmp_path))
    assert [line.split()[0] for line in found] == ["ringed.three"]


def modules() -> list[str]:
    names = ["lifecycle", "lifecycle_chromium", "lifecycle_playwright", "lifecycle_viewer"]
    for package in (lifecycle, lifecycle_chromium, lifecycle_playwright, lifecycle_viewer):
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        names += [info.name for info in found if not info.name.endswith(".__main__")]
    return names


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions: the order that ruff keeps."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2, name)


@pytest.mark.parametrize("name", modules())
def test_all_is_sorted_without_doubles_and_names_what_is_there(name: str) -> None:
    module = importlib.import_module(name)
    promised = exported(module)
    assert promised == sorted(set(promised), key=order)
    for public in promised:
        getattr(module, public)


@pytest.mark.parametrize("name", ["lifecycle", "lifecycle.core", "lifecycle.errors"])
def test_the_public_packages_do_promise_something(name: str) -> None:
    assert exported(importlib.import_module(name))


def exported(module: ModuleType) -> list[str]:
    promised = getattr(module, "__all__", ())
    assert all(isinstance(name, str) for name in promised)
    return list(promised)


@pytest.mark.parametrize("package", [lifecycle, lifecycle.testing], ids=lambda package: package.__name__)
def test_no_name_that_is_loaded_late_is_that_of_a_module(package: ModuleType) -> None:
    """Importing the module would put it in the name's place."""
    assert {module.name for module in pkgutil.iter_modules(package.__path__)} & set(package.__all__) == set()
