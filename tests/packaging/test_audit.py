"""The audit fails for a known advisory, and counts what it can't know."""

from __future__ import annotations

from typing import Any

from tests.packaging.audit import judged


def test_advisories_and_what_could_not_be_looked_up() -> None:
    report: dict[str, Any] = {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-2026-1"}, {"id": "GHSA-x"}]},
            {"name": "elsewhere", "skip_reason": "Dependency not found on PyPI and could not be audited"},
        ]
    }
    assert judged(report) == (["bad 2: PYSEC-2026-1", "bad 2: GHSA-x"], 2, 1)
