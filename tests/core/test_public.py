"""The core's promise: its public names, and what importing it costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import lifecycle.core

MODULES = [
    "lifecycle.errors",
    *(f"lifecycle.core.{module.name}" for module in pkgutil.iter_modules(lifecycle.core.__path__)),
]


def order(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def defined(module: str) -> set[str]:
    """Names without underscore that *module* itself binds at its top level."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case _:
                pass
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("module", [*MODULES, "lifecycle.core"])
def test_all_is_sorted_and_true(module: str) -> None:
    loaded = importlib.import_module(module)
    assert list(loaded.__all__) == sorted(set(loaded.__all__), key=order)
    assert all(hasattr(loaded, name) for name in loaded.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_all_leaves_nothing_public_out(module: str) -> None:
    """An underscore means private, everything else is promised."""
    assert defined(module) <= set(importlib.import_module(module).__all__)


def test_the_core_exports_what_the_design_names() -> None:
    promised = {"TABLE", "State", "Trigger", "machine", "decide", "evolve", "fold", "initial"}
    assert promised <= set(lifecycle.core.__all__)


def test_importing_the_core_loads_pydantic_and_transitions_and_nothing_else_from_outside() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; before = set(sys.modules); import lifecycle.core; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    theirs = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
    theirs |= {"transitions", "six"}
    loaded = {name for name in run.stdout.split() if not name.startswith("_sysconfigdata")}  # the interpreter's own
    assert loaded - theirs == {"lifecycle"}
