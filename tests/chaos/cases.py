"""Attacks that are tests of other folders, run and counted by their cases.

    python -m tests.chaos.cases         after it, CHAOS_FIGURES has a line for each kind

Of bad input one case is one input or more, each refused by name; damaged files are counted where they are made, in
test_damage.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.chaos.record import ROOT, Figures

__all__ = ["ATTACKS", "BAD_INPUTS"]

#: Files, or single tests of them, by what they attack.
ATTACKS: Final[dict[str, tuple[str, ...]]] = {
    "full disks, size limits, no descriptors left, errors after the commit": ("tests/log/test_disk.py",),
    "places that may only be read": ("tests/log/test_read_only.py",),
    "processes: killed in a statement, stopped, interrupted, many": ("tests/log/test_processes.py",),
    "forks": ("tests/log/test_fork.py",),
    "death and damage while a log is made": ("tests/log/test_making.py",),
    "logs of older versions": ("tests/histories/test_histories.py",),
    "events of newer versions": ("tests/client/test_newer_version.py",),
}
#: The same of what feeds bad input.
BAD_INPUTS: Final[dict[str, tuple[str, ...]]] = {
    "command lines, and what they name": ("tests/cli/test_bad_input.py",),
    "arguments of the Python API": ("tests/client/test_bad_input.py",),
    "configuration and values of events": (
        "tests/core/test_deadlines.py::test_any_other_value_is_refused_by_name_with_what_is_allowed",
        "tests/core/test_events.py::test_what_can_not_be_recorded_is_refused_at_construction",
        "tests/log/test_canonical.py::test_what_has_no_canonical_form_is_refused",
        "tests/adapters/chromium/test_launch.py::test_arguments_that_open_another_way_in_or_show_a_secret_are_refused",
    ),
    "stored events that are none": (
        "tests/core/test_upcast.py::test_what_does_not_have_the_shape_is_malformed_and_says_where",
        "tests/log/test_canonical.py::test_what_canonical_never_wrote_is_not_read",
        "tests/log/test_codec.py::test_what_is_stored_wrong_is_named",
    ),
    "files that are no log": (
        "tests/log/test_opening.py::test_an_unsuitable_file_is_named_and_left_alone",
        "tests/log/test_opening.py::test_what_is_no_path_is_refused",
        "tests/log/test_opening.py::test_options_out_of_range_are_refused_before_anything_is_made",
    ),
    "handshakes with the gate": (
        "tests/adapters/chromium/test_gate.py::test_a_token_that_could_be_guessed_or_is_no_word_is_refused",
        "tests/adapters/chromium/test_gate.py::test_another_host_name_is_refused",
        "tests/adapters/chromium/test_gate.py::test_two_host_names_are_refused",
        "tests/adapters/chromium/test_gate.py::test_a_web_page_is_refused_even_with_the_token",
        "tests/adapters/chromium/test_gate.py::test_without_the_token_everything_is_the_same_refusal",
        "tests/adapters/chromium/test_gate.py::test_one_session_s_token_does_not_open_another_s_door",
        "tests/adapters/chromium/test_gate.py::test_a_request_has_a_size_and_a_time",
        "tests/adapters/chromium/test_gate.py::test_strangers_that_say_nothing_do_not_fill_the_house",
    ),
    "SQL in every filter": (
        "tests/chaos/test_hostile_input.py::test_sql_in_any_filter_finds_nothing_and_changes_nothing",
    ),
}


def _passed(tests: list[str]) -> Counter[str]:
    """How many cases of each of *tests*, and of each of their files, passed.

    Raises:
        subprocess.CalledProcessError: Not all of them.
    """
    # What such a test would tell of itself is told when it runs for itself.
    quiet = {name: value for name, value in os.environ.items() if name != "CHAOS_FIGURES"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        pytest = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", *tests]
        subprocess.run(pytest, cwd=ROOT, env=quiet, check=True)
        cases = Counter[str]()
        for case in ElementTree.parse(report).iter("testcase"):
            if not len(case):  # nothing to say of it: it passed
                file = f"{case.attrib['classname'].replace('.', '/')}.py"
                cases[file] += 1
                cases[f"{file}::{case.attrib['name'].partition('[')[0]}"] += 1
        return cases


def main() -> int:
    kinds = {**ATTACKS, **BAD_INPUTS}
    cases = _passed([test for tests in kinds.values() for test in tests])
    figures, command = Figures(Path(__file__)), "python -m tests.chaos.cases"
    for kind, tests in kinds.items():
        counted = [cases[test] for test in tests]
        assert all(counted), f"no case passed: {[test for test in tests if not cases[test]]}"
        if kind in ATTACKS:
            figures(kind, {"cases": sum(counted)}, command=command)
        else:
            figures(kind, bad=sum(counted), command=command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
