"""For each invariant a bug that it sees: planted on a copy, and the engine says which invariants are broken.

    python -m tests.mutants.laws             every law in SEEN must see its bug; 1 where one does not
    python -m tests.mutants.laws 12 sim-3    only theirs
    python -m tests.mutants.laws --find client/guard.py   plants every bug of a file, and prints which laws see it

A law that sees no bug would be a sentence and no check. tests/testing/test_laws.py breaks each with a subject made by
hand; here the library has the bug, and an engine meets it among all that it does. docs/reference/invariants.md names
the bugs.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lifecycle.core import decide
from lifecycle.errors import IllegalHistory
from lifecycle.log import MemoryLog
from lifecycle.testing import model
from lifecycle.testing.invariants import Checker, Space, Step
from lifecycle.testing.rules import ClientRules, CoreRules, LogRules, Rules
from lifecycle.testing.runs import play
from lifecycle.testing.simulation import Budget, Failure, seeds
from tests.mutants import core, shell
from tests.testing import broken_logs
from tests.testing.engines import ALL_LAWS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from lifecycle.core import Command, Event, Session
    from lifecycle.testing.invariants import Violation
    from tests.mutants.bug import Bug

ROOT: Final = Path(__file__).parents[2]
_LONGEST_S: Final = 300
_LOGS: Final = "tests/testing/broken_logs.py"

#: id -> the file and the name of a bug in the lists of this folder, or in tests/testing/broken_logs.py
SEEN: Final[dict[str, tuple[str, str]]] = {}


class Collecting(Checker):
    """Goes on where another would raise, and knows which laws were broken."""

    def __init__(self, wanted: Collection[str]) -> None:
        super().__init__(ALL_LAWS)
        self.broken: set[str] = set()
        self._wanted = set(wanted)

    @property
    def done(self) -> bool:
        """Whether all that were wanted are broken; never where none was."""
        return bool(self._wanted) and self._wanted <= self.broken

    def violations(self, subject: object) -> Iterator[Violation]:
        for violation in super().violations(subject):
            # A law that can't judge, because the library refuses its subject, has seen nothing.
            if re.match(r"[A-Z][A-Za-z]+: ", violation.message) is None:
                self.broken.add(violation.id)
            yield violation

    def check(self, *subjects: object) -> None:
        for subject in subjects:
            for _ in self.violations(subject):
                pass


def search(held: Collecting) -> None:
    """The search of the core. What decide emits and evolve refuses is a step that changed nothing."""

    def tolerant(before: Session | None, command: Command, clock: int, history: tuple[Event, ...]) -> Step:
        try:
            return play(before, command, clock, history)
        except IllegalHistory:
            held.broken.add("28")
            return Step(before, command, clock, decide(before, command, clock), before, None, history)

    vars(model)["play"] = tolerant  # this process does nothing else
    steps = model.closure()
    with suppress(IllegalHistory):
        held.check(Space(steps))
    for step in steps[::5]:  # a bug shows in many
        with suppress(IllegalHistory):
            held.step(step)
        if held.done:
            return


def rules(machine: type[Rules], held: Collecting, examples: int) -> None:
    """Any orders to the core, a log or a client. What the rules themselves assert ends a round."""
    machine.checker = held
    few = settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
        phases=[Phase.generate],
    )
    for _ in range(6):
        with suppress(Exception):
            run_state_machine_as_test(machine, settings=few)
        if held.done:
            return


def simulated(held: Collecting) -> None:
    """Worlds in which calls fail and processes die."""
    budget = Budget(faults=2, crashes=1, events=3)
    for seed in range(600):
        with suppress(Failure):
            seeds([seed], "watched" if seed % 6 == 0 else "everything", budget, held)
        if held.done:
            return


def one_test(held: Collecting, test: str) -> None:
    """The test of a law that needs another process, or a history of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    held.broken |= set(re.findall(r"Broken: \[(\w+)\]", run.stdout))


ENGINES: Final[dict[str, Callable[[Collecting], None]]] = {
    "search": search,
    "CoreRules": lambda held: rules(CoreRules, held, 60),
    "LogRules": lambda held: rules(LogRules.over(MemoryLog), held, 60),
    "ClientRules": lambda held: rules(ClientRules, held, 10),
    "simulation": simulated,
    "old events": lambda held: one_test(held, "tests/core/test_upcast.py"),
    "replay": lambda held: one_test(held, "tests/core/test_determinism.py"),
}


def engines_of(file: str) -> tuple[str, ...]:
    """Which engines run over a bug of *file*."""
    if file == "core/upcast.py":
        return ("old events",)
    if file == "core/machine.py":
        return ("replay",)
    if file.startswith("core/"):
        return ("search", "CoreRules")
    return ("simulation", "ClientRules") if file.startswith("client/") else ("LogRules", "ClientRules")


def broken_by(bug: Bug, wanted: Collection[str] = ()) -> set[str]:
    """The laws that are broken in a copy of the library with *bug* in it; no more is tried once all *wanted* are."""
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as place:
        for name in ("lifecycle", "tests", "pyproject.toml"):
            source, target = ROOT / name, Path(place, name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        file = Path(place, "lifecycle", bug.file)
        text = file.read_text("utf-8")
        assert text.count(bug.old) == 1, f"{bug.file}: {bug.name} can't be planted"
        file.write_text(bug.planted(text), "utf-8")
        for engine in engines_of(bug.file):
            command = [sys.executable, "-W", "ignore", "-m", "tests.mutants.laws", "--engine", engine, *wanted]
            with suppress(subprocess.TimeoutExpired):
                run = subprocess.run(
                    command, cwd=place, capture_output=True, text=True, check=False, timeout=_LONGEST_S
                )
                found |= set(run.stdout.split())
            if wanted and found >= set(wanted):
                break
    return found


def broken_in(log: str, wanted: Collection[str]) -> set[str]:
    """The laws that are broken in a log that has its bug already."""
    held = Collecting(wanted)
    rules(LogRules.over(getattr(broken_logs, log)), held, 60)
    return held.broken


def main() -> int:
    """Plant what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.laws", description="Show that each law sees a bug.")
    parser.add_argument("ids", nargs="*", metavar="LAW")
    parser.add_argument("--find", metavar="FILE", help="print which laws see the bugs of this file")
    parser.add_argument("--engine", choices=ENGINES, help="run this engine here, and print the laws it finds broken")
    given = parser.parse_args()
    if given.engine:
        held = Collecting(given.ids)
        ENGINES[given.engine](held)
        print(*sorted(held.broken))
        return 0
    bugs = {(bug.file, bug.name): bug for bug in (*core.BUGS, *shell.BUGS)}
    if given.find:
        for bug in bugs.values():
            if bug.file == given.find and bug.equivalent is None:
                print(f"{bug.name} ->", *sorted(broken_by(bug)), flush=True)
        return 0
    laws: dict[tuple[str, str], list[str]] = {}
    for law, place in SEEN.items():
        if not given.ids or law in given.ids:
            laws.setdefault(place, []).append(law)
    blind: list[str] = []
    for place, wanted in laws.items():
        found = broken_in(place[1], wanted) if place[0] == _LOGS else broken_by(bugs[place], wanted)
        blind += sorted(set(wanted) - found)
        print(f"{': '.join(place)} -> {' '.join(id if id in found else f'{id} IS BLIND' for id in wanted)}", flush=True)
    print(f"{sum(map(len, laws.values()))} laws, {len(blind)} saw nothing: {', '.join(blind) or 'none'}")
    return 1 if blind else 0


if __name__ == "__main__":
    sys.exit(main())
