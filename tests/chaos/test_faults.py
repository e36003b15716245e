"""The table of faults: each has a test that exists, or a reason; and the page in the docs is what the table says."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.faults import FAULTS, GROUPS, PAGE, Fault, defined, page

#: How many faults of each group research found; more may join.
FOUND = {"A": 11, "B": 13, "C": 11, "D": 20, "E": 13, "F": 16, "G": 14, "H": 8, "I": 13, "J": 7}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_has_tests_that_exist_or_a_reason(fault: Fault) -> None:
    assert missing(fault) == []


def missing(fault: Fault) -> list[str]:
    """What is wrong with a row's tests."""
    if isinstance(fault.shown, str):
        return [] if fault.shown.endswith(".") else ["a reason is a sentence"]
    if not fault.shown:
        return ["neither a test nor a reason"]
    return [f"{file} has no {name}" for file, name in fault.tests() if name not in defined(file)]


def test_no_fault_is_left_out() -> None:
    groups = Counter(fault.id[0] for fault in FAULTS)
    assert set(groups) == set(GROUPS)
    assert all(groups[group] >= count for group, count in FOUND.items())
    assert [fault.id for fault in FAULTS] == [f"{group}{n + 1}" for group in GROUPS for n in range(groups[group])]


def test_a_test_that_is_gone_and_a_fault_without_one_are_found() -> None:
    """The check can fail."""
    assert missing(Fault("A1", "", "", ())) == ["neither a test nor a reason"]
    assert missing(Fault("A1", "", "", ("log/test_disk::nothing_of_the_kind",))) == [
        "tests/log/test_disk.py has no test_nothing_of_the_kind"
    ]
    assert missing(Fault("A1", "", "", ("log/no_such_file::x",))) == ["tests/log/no_such_file.py has no test_x"]


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), "python -m tests.chaos.faults"
