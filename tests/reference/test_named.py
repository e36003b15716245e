"""docs/reference/session-page.md names every example, and only tests that exist."""

from __future__ import annotations

import re
from typing import Final

from tests.chaos.faults import ROOT, defined
from tests.reference.examples import EXAMPLES

PAGE: Final = ROOT / "docs" / "reference" / "session-page.md"


def proofs() -> str:
    """The last column of the page's table."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    return "\n".join(row.rstrip("| ").rpartition(" | ")[2] for row in rows)


def test_every_example_is_named_and_no_other() -> None:
    assert set(re.findall(r"\*([^*]+)\*", proofs())) == {example.name for example in EXAMPLES}


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", proofs())
    assert len(named) > 20
    for file, name in named:
        assert (ROOT / file).exists(), file
        assert not name or name in defined(file), f"{file} has no {name}"
