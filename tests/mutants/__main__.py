"""Plants bugs, one at a time, on copies: every one must be caught, or the tests prove less than they say.

    python -m tests.mutants              all of them; prints bug -> what caught it, in how many seconds
    python -m tests.mutants keeping      only those whose file or name contains the word
    python -m tests.mutants --list       names them

What is tried first is the engine that ought to find it: the core's laws, the simulation of client and keeper, the
contract of logs; then the tests of the file. A bug whose text no longer stands in the source is an error. Not part of
the test run: it takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.mutants import core, shell

if TYPE_CHECKING:
    from tests.mutants.bug import Bug

ROOT: Final = Path(__file__).parents[2]
_COPIED: Final = ("lifecycle", "tests", "docs", "pyproject.toml")
#: Engines by the beginning of the file's name: each is what pytest is given.
_ENGINES: Final = {
    "client/": ("tests/simulation", "tests/client/test_{stem}.py", "tests/client"),
    "log/": ("tests/contracts", "tests/log"),
    "projections/": ("tests/contracts", "tests/projections"),
    "": ("tests/core/test_{stem}.py tests/core/test_invariants.py", "tests/core"),
}
_BAD: Final = ("SURVIVED", "STALE", "BROKEN")


def plant(bug: Bug) -> str:
    """What catches *bug*: the first test of the first engine; or SURVIVED."""
    with tempfile.TemporaryDirectory() as place:
        for name in _COPIED:
            source, target = ROOT / name, Path(place, name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        file = Path(place, "lifecycle", bug.file)
        text = file.read_text("utf-8")
        if text.count(bug.old) != 1:
            return f"STALE: the text stands {text.count(bug.old)} times in {bug.file}"
        planted = text.replace(bug.old, bug.new)
        if "expected=ANY)" in bug.new:
            planted = planted.replace("import NO_STREAM,", "import ANY, NO_STREAM,")
        compile(planted, bug.file, "exec")  # a syntax error would be caught, and prove nothing
        file.write_text(planted, "utf-8")
        began = time.monotonic()
        engines = next(engines for start, engines in _ENGINES.items() if bug.file.startswith(start))
        for engine in engines:
            near = [name for name in engine.format(stem=file.stem).split() if Path(place, name).exists()]
            if near and (caught := _caught(place, near)):
                return f"{caught} ({time.monotonic() - began:.0f} s)"
    return "SURVIVED" if bug.equivalent is None else f"equivalent: {bug.equivalent}"


def _caught(place: str, tests: list[str]) -> str | None:
    """The first of *tests* that fails."""
    # -m puts the copy first on sys.path, before the checkout that is installed.
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--timeout=60"]
    # The made pages are left out, because they notice every change for the wrong reason.
    command += ["-m", "not browser", "--ignore=tests/core/test_pages.py", *tests]
    run = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if run.returncode in (0, 5):
        return None
    found = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", run.stdout, re.MULTILINE)
    if found is None and "Timeout" in run.stdout + run.stderr:
        return f"{tests[0]}: hangs"
    # Tests that can't even be collected fail whatever they would have found out.
    return found[1] if found else f"BROKEN, exit code {run.returncode}: {(run.stdout + run.stderr)[-300:]}"


def main() -> int:
    """Plant what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Plant bugs, one at a time.")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    every = [*core.BUGS, *shell.BUGS]
    bugs = [bug for bug in every if not given.words or any(word in f"{bug.file} {bug.name}" for word in given.words)]
    if given.list:
        for bug in bugs:
            print(f"{bug.file}: {bug.name}")
        return 0
    bad = equivalent = 0
    with ThreadPoolExecutor(2) as pool:
        for bug, caught in zip(bugs, pool.map(plant, bugs), strict=True):
            bad += caught.startswith(_BAD)
            equivalent += caught.startswith("equivalent")
            print(f"{bug.file}: {bug.name} -> {caught}", flush=True)
    print(f"{len(bugs)} planted, {len(bugs) - bad - equivalent} caught, {equivalent} equivalent")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
