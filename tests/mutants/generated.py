"""Small changes that mutmut makes to the core: each must be caught, or be explained in tests/mutants/explained.py.

    make mutmut                     all of them
    make mutmut ONLY=deadlines      only those in whose name the word stands

In two steps, because mutmut forks from a process that has imported the core already: what runs during the import (the
Machine, the models, closures) is not changed in its children, and 21 of the 22 changes to `commands._fitted` seemed
to survive. So what survives its run is tried again, each in a Python of its own, with all tests of the core and
those of the log's loading. What was found is kept in build/mutmut.json by the change itself: interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.mutants.explained import EXPLAINED

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / "build" / "mutmut"
_KEPT: Final = ROOT / "build" / "mutmut.json"
_NEAR: Final = ("commands", "deadlines", "decide", "errors", "events", "evolve", "frozen", "machine", "states", "view")
_FAST: Final = [f"tests/core/test_{name}.py" for name in (*_NEAR, "upcast", "told")]
#: mutmut's exit codes: survived, no test runs it.
_LEFT: Final = (0, 33)

_SETTINGS: Final = f"""\
[tool.mutmut]
source_paths = ["lifecycle"]
only_mutate = ["lifecycle/core/*"]
also_copy = ["docs", "adapters"]
track_dependencies = false
pytest_add_cli_args = ["-p", "no:cacheprovider", "--import-mode=importlib", "-x"]
pytest_add_cli_args_test_selection = {json.dumps(_FAST)}

[tool.pytest.ini_options]
markers = ["browser: not here"]
timeout = 60
"""


def prepare() -> None:
    """A copy of what is changed and of its tests; what mutmut has made there for the same source is kept."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in ("lifecycle", "adapters", "tests", "docs"):
        shutil.rmtree(PLACE / name, ignore_errors=True)
        shutil.copytree(ROOT / name, PLACE / name, ignore=shutil.ignore_patterns("__pycache__"))
    (PLACE / "pyproject.toml").write_text(_SETTINGS, "utf-8")


def changes(only: str) -> dict[str, tuple[int | None, str]]:
    """name -> (mutmut's exit code, the change as `file function: - old + new`)."""
    found: dict[str, tuple[int | None, str]] = {}
    for meta in sorted(PLACE.glob("mutants/lifecycle/core/*.py.meta")):
        file = meta.with_suffix("")
        lines = file.read_text("utf-8").splitlines()
        bodies = {
            node.name: [line.replace(node.name, "…") for line in lines[node.lineno - 1 : node.end_lineno]]
            for node in ast.walk(ast.parse("\n".join(lines)))
            if isinstance(node, ast.FunctionDef)
        }
        for name, code in json.loads(meta.read_text("utf-8"))["exit_code_by_key"].items():
            if only not in name:
                continue
            function, _, number = name.rpartition(".")[2].rpartition("__mutmut_")
            new = bodies[f"{function}__mutmut_{number}"]
            changed = difflib.unified_diff(bodies[f"{function}__mutmut_orig"], new, lineterm="", n=0)
            text = " ".join(f"{line[0]} {line[1:].strip()}" for line in list(changed)[2:] if line[0] in "+-")
            change = f"{file.name} {function.removeprefix('x_')}: {text}"
            # The same line may stand in a function twice, and be caught in one place only.
            before = sum(change == told.partition(" (no. ")[0] for _, told in found.values())
            found[name] = code, f"{change} (no. {before + 1})" if before else change
    return found


def survives(name: str) -> bool:
    """Whether all tests pass in a Python that has had the change *name* from its first line on."""
    stem = name.split(".")[2]
    near = [f"tests/core/test_{stem}.py"] if stem in _NEAR else []
    near.append("tests/log/test_loading.py")
    rest = [f"tests/core/test_{name}.py" for name in ("pages", "invariants", "closure")]
    for tests in (near, [*_FAST, *rest]):
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
            *tests,
        ]
        run = subprocess.run(
            command,
            cwd=PLACE / "mutants",
            env={**os.environ, "MUTANT_UNDER_TEST": name},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            return False
    return True


def main() -> int:
    """Run mutmut, then what is left; the counts, and 1 when something is left unexplained."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.generated", description="Plant what mutmut makes.")
    parser.add_argument("only", nargs="?", default="")
    parser.add_argument("--skip-first", action="store_true", help="go on with what mutmut has found before")
    given = parser.parse_args()
    if not given.skip_first:
        prepare()
        which = [f"*{given.only}*"] if given.only else []
        # Its own verdicts are 1 where something survives; they are read from its files.
        subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "1", *which], cwd=PLACE, check=False)
    made = changes(given.only)
    again = any(code in (None, *_LEFT) for code, _ in made.values())
    if again and not survives("lifecycle.core.nothing"):
        print("the tests fail where nothing was changed: what they catch proves nothing")
        return 1
    kept: dict[str, bool] = json.loads(_KEPT.read_text("utf-8")) if _KEPT.exists() else {}
    left: list[str] = []
    for name, (code, change) in made.items():
        if code not in (None, *_LEFT):
            continue
        if change not in kept or (kept[change] and change not in EXPLAINED):
            kept[change] = survives(name)
            _KEPT.write_text(json.dumps(kept, indent=1), "utf-8")
        if kept[change]:
            left.append(change)
            print(f"{'explained' if change in EXPLAINED else 'SURVIVED'}: {change}", flush=True)
    unexplained = [change for change in left if change not in EXPLAINED]
    print(f"{len(made)} changes, {len(made) - len(left)} caught, {len(left) - len(unexplained)} explained")
    if unexplained:
        print(f"{len(unexplained)} survive without an explanation")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
