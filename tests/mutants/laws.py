"""For each invariant a bug that it sees: planted on a copy, and the engine says which invariants are broken.

    python -m tests.mutants.laws             every law in SEEN must see its bug; 1 where one does not
    python -m tests.mutants.laws 12 sim-3    only theirs
    python -m tests.mutants.laws --find client/guard.py simulation    which laws see the file's bugs in an engine

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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from lifecycle.core import decide
from lifecycle.errors import IllegalHistory
from lifecycle.log import MemoryLog
from lifecycle.testing import model
from lifecycle.testing import rules as of_rules
from lifecycle.testing.history import check_history
from lifecycle.testing.invariants import Appending, Checker, Entry, Look, Replayed, Space, Step, Store, Upcast
from lifecycle.testing.laws.logs import everything
from lifecycle.testing.rules import ClientRules, CoreRules, LogRules, Rules
from lifecycle.testing.runs import play
from lifecycle.testing.simulation import Budget, Failure, seeds
from tests.mutants import core, shell
from tests.testing import broken_logs
from tests.testing.engines import ALL_LAWS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from lifecycle.core import Command, Event, Session
    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.testing.invariants import Violation
    from lifecycle.testing.laws.facts import Findings
    from tests.mutants.bug import Bug

ROOT: Final = Path(__file__).parents[2]
_LONGEST_S: Final = 300
#: Most bugs make what the rules assert fail first, which ends a round.
_ROUNDS: Final = 40
_SCENARIOS: Final = ("everything", "everything", "watched", "everything", "everything", "begin")
_LOGS: Final = "tests/testing/broken_logs.py"

#: id -> the file and the name of a bug in the lists of this folder, or in tests/testing/broken_logs.py
SEEN: Final[dict[str, tuple[str, str]]] = {
    "1": ("core/decide.py", "created again"),
    "2": ("core/decide.py", "note accepted in ended states"),
    "3": ("core/decide.py", "fail accepted in ended states"),
    "4": ("core/decide.py", "extend accepted in ended states"),
    "5": ("log/batch.py", "all events of a batch have its first version"),
    "6": ("log/batch.py", "all events of a batch at its first position"),
    "7": ("core/decide.py", "second start accepted"),
    "8": ("log/batch.py", "written as of a newer shape"),
    "9": ("core/evolve.py", "a session under another id"),
    "10": ("core/decide.py", "clock behind the history not clamped"),
    "11": ("core/decide.py", "deadline: expires 1 µs early"),
    "12": ("core/decide.py", "timed_out stamped now"),
    "13": ("core/decide.py", "deadline: a stop beats it"),
    "14": ("core/decide.py", "deadline: > for >="),
    "15": ("core/deadlines.py", "extension forgotten in D"),
    "16": ("core/evolve.py", "an older access moves D back"),
    "17": ("core/decide.py", "clock behind the history not clamped"),
    "17-seen": ("core/view.py", "reader's clock before creation"),
    "18": ("core/decide.py", "timed_out stamped now"),
    "19": ("core/evolve.py", "version stands still"),
    "20": ("core/evolve.py", "navigation is access"),
    "21": ("core/view.py", "duration not capped at D"),
    "22": ("core/view.py", "an ended session counted to its last access"),
    "23": ("core/view.py", "duration grows after the ending"),
    "24": ("core/view.py", "duration not capped at D"),
    "25": ("core/deadlines.py", "D in whole seconds"),
    "26": ("core/decide.py", "timeout tells when it was noticed"),
    "27": ("core/evolve.py", "at going back accepted"),
    "28": ("core/evolve.py", "equal times refused"),
    "29": ("core/evolve.py", "a fold changes the session it began with"),
    "30": ("core/evolve.py", "a fold that goes on forgets an extension"),
    "31": ("core/evolve.py", "a fold from the beginning keeps alive"),
    "32": ("core/upcast.py", "read a microsecond later"),
    "33": ("core/upcast.py", "an old event stamped by its age"),
    "34": ("core/machine.py", "choices in no order"),
    "35": ("core/machine.py", "a refusal names what is legal elsewhere"),
    "36": ("core/decide.py", "second stop emits"),
    "37": ("core/decide.py", "expire refused in ended states"),
    "38": ("core/decide.py", "a stop at the last event's moment does nothing"),
    "39": ("core/decide.py", "second stop refused"),
    "40": ("core/states.py", "table: close leads to error"),
    "41": ("core/decide.py", "a timed-out session never released"),
    "42": ("log/batch.py", "any version accepted"),
    "43": (_LOGS, "WritesHalfABatch"),
    "44": (_LOGS, "SaysTheWrongPosition"),
    "45": (_LOGS, "RewritesHistory"),
    "45-kept": ("log/memory.py", "opened without its last event"),
    "46": ("projections/query.py", "an overdue session in two lists"),
    "47": (_LOGS, "ForgetsAccesses"),
    "48": (_LOGS, "SkipsAnEvent"),
    "49": ("log/memory.py", "the head of the whole log"),
    "50": ("client/recorder.py", "a lost race taken for success"),
    "51": ("log/memory.py", "every event twice in the pages"),
    "51-log": (_LOGS, "AppendsARetryAgain"),
    "52": ("log/memory.py", "the newest event not in the pages"),
    "53": ("log/memory.py", "the newest event not in the pages"),
    "54": ("log/memory.py", "every event twice in the pages"),
    "55": ("log/batch.py", "the chain begins anew in every batch"),
    "56": ("log/batch.py", "another salt kept"),
    "57": ("core/deadlines.py", "limits that meet are idle"),
    "58": ("core/decide.py", "extends to now"),
    "59": ("core/decide.py", "a stop recorded as an exception"),
    "60": ("core/decide.py", "access in the future"),
    "61": ("core/deadlines.py", "extension forgotten in D"),
    "sim-1": ("client/keeping.py", "the browser ended before its ending stands"),
    "sim-2": ("client/keeping.py", "cookies saved after the browser was asked to close"),
    "sim-3": ("client/keeping.py", "a crash taken for a close"),
    "sim-4": ("client/keeping.py", "a deaf browser left running"),
    "sim-5": ("projections/memory.py", "nothing live to be put right"),
    "sim-6": ("client/recorder.py", "a lost race taken for success"),
    "sim-7": ("client/keeping.py", "the deadline not kept"),
    "sim-8": ("client/keeping.py", "a profile told as removed"),
    "sim-9": ("audit/follow.py", "a cursor that is not gone by"),
    "sim-10": ("client/guard.py", "a hung keeper left alone"),
    "sim-11": ("client/handle.py", "a start that fails is left alone"),
}


def judging(check: Callable[[Any], Findings]) -> Callable[[Any], Findings]:
    """*check*, as long as it can judge: a law that stumbles over what the bug left has seen nothing."""

    def judged(subject: Any) -> Findings:
        with suppress(Exception):
            yield from check(subject)

    return judged


class Collecting(Checker):
    """Goes on where another would raise, and knows which laws were broken."""

    def __init__(self, wanted: Collection[str]) -> None:
        super().__init__(replace(law, check=judging(law.check)) for law in ALL_LAWS)
        self.broken: set[str] = set()
        self._wanted = set(wanted)

    @property
    def done(self) -> bool:
        """Whether all that were wanted are broken; never where none was."""
        return bool(self._wanted) and self._wanted <= self.broken

    def violations(self, subject: object) -> Iterator[Violation]:
        for violation in super().violations(subject):
            self.broken.add(violation.id)
            yield violation

    def check(self, *subjects: object) -> None:
        for subject in subjects:
            for _ in self.violations(subject):
                pass
        if self.done:  # enough: ends the run
            raise AssertionError("broken")


def unhurt(held: Collecting) -> Callable[..., Step]:
    """play, for a core with a bug: what decide emits and evolve refuses changed nothing, and breaks 28."""

    def tolerant(
        before: Session | None, command: Command, clock: int, history: tuple[Event, ...] | None = None
    ) -> Step:
        try:
            return play(before, command, clock, history)
        except IllegalHistory:
            held.broken.add("28")
            return Step(before, command, clock, decide(before, command, clock), before, None, history)

    return tolerant


def search(held: Collecting) -> None:
    """The search of the core."""
    setattr(model, "play", unhurt(held))  # noqa: B010  # this process does nothing else
    steps = model.closure()
    with suppress(Exception):
        held.check(Space(steps))
    for step in steps[::5]:  # a bug shows in many
        with suppress(Exception):
            held.step(step)
        if held.done:
            return


def rules(machine: type[Rules], held: Collecting, examples: int) -> None:
    """Any orders to the core, a log or a client. What the rules themselves assert ends a round."""

    def unheard(rows: Sequence[Recorded], *, checker: Checker) -> list[Violation]:
        list(check_history(rows, checker=checker))
        return []

    setattr(of_rules, "check_history", unheard)  # noqa: B010  # what it finds is collected, and ends no run
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
    for number in range(_ROUNDS):  # the same ones in every run
        with suppress(Exception):
            run_state_machine_as_test(seed(number)(machine), settings=few)
        if held.done:
            return


def ordered(held: Collecting) -> None:
    """Any commands to the core."""
    setattr(of_rules, "play", unhurt(held))  # noqa: B010
    rules(CoreRules, held, 60)


def reopened(log: EventLog) -> EventLog:
    """Another log in memory, of what stands in *log*."""
    rows = everything(log)
    log.close()
    return MemoryLog(rows=rows)


def simulated(held: Collecting) -> None:
    """Worlds in which calls fail and processes die."""
    budget = Budget(faults=2, crashes=1, events=3)
    for number in range(600):
        with suppress(Failure):
            seeds([number], _SCENARIOS[number % len(_SCENARIOS)], budget, held)
        if held.done:
            return


def one_test(held: Collecting, test: str) -> None:
    """The test of a law that needs another process, or a history of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    held.broken |= set(re.findall(r"Broken: \[(\w+)\]", run.stdout))


ENGINES: Final[dict[str, Callable[[Collecting], None]]] = {
    "search": search,
    "CoreRules": ordered,
    "LogRules": lambda held: rules(LogRules.over(MemoryLog, reopen=reopened), held, 60),
    "ClientRules": lambda held: rules(ClientRules, held, 10),
    "simulation": simulated,
    "old events": lambda held: one_test(held, "tests/core/test_upcast.py"),
    "replay": lambda held: one_test(held, "tests/core/test_determinism.py"),
}


#: for the laws about each kind of subject, the engines that meet it soonest
_NEAR: Final[dict[type, tuple[str, ...]]] = {
    Entry: ("search", "CoreRules", "simulation", "LogRules"),
    Step: ("search", "CoreRules"),
    Look: ("search", "CoreRules"),
    Space: ("search",),
    Upcast: ("old events",),
    Replayed: ("replay",),
    Appending: ("LogRules",),
    Store: ("LogRules",),
}


def engines_of(laws: Collection[str], file: str) -> tuple[str, ...]:
    """Which engines look for a breach of *laws* by a bug of *file*."""
    about = {law.about for law in ALL_LAWS if law.id in laws}
    found = dict.fromkeys(engine for kind in about for engine in _NEAR.get(kind, ("simulation", "ClientRules")))
    return tuple(engine for engine in found if engine not in ("search", "CoreRules") or file.startswith("core/"))


def broken_by(bug: Bug, wanted: Collection[str], engines: Collection[str] = ()) -> set[str]:
    """Which laws a copy of the library with *bug* in it breaks; no more is tried once all *wanted* are."""
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as place:
        for name in ("lifecycle", "tests", "pyproject.toml"):
            source, target = ROOT / name, Path(place, name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        file = bug.source(place)
        text = file.read_text("utf-8")
        assert text.count(bug.old) == 1, f"{bug.file}: {bug.name} can't be planted"
        file.write_text(bug.planted(text), "utf-8")
        for engine in engines or engines_of(wanted, bug.file):
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
    parser.add_argument("ids", nargs="*", metavar="LAW or ENGINE")
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
                print(f"{bug.name} ->", *sorted(broken_by(bug, (), given.ids)), flush=True)
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
