"""Are there advisories about a package that the lock file names? Fails for one that is known, and says what is not.

    python -m tests.packaging.audit UV          UV is the program

Asks the package index through pip-audit. An index that has no advisories, or no network, leaves packages unknown: that
is said, with their number, and is no failure, so that CI can run where it can't be told.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["judged"]


def judged(report: dict[str, Any]) -> tuple[list[str], int, int]:
    """From pip-audit's JSON: the advisories, how many packages were looked up, and how many could not be."""
    packages = report["dependencies"]
    known = [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    unknown = sum("skip_reason" in package for package in packages)
    return known, len(packages) - unknown, unknown


def main(uv: str) -> int:
    """Audit the lock file."""
    with tempfile.TemporaryDirectory() as folder:
        locked = Path(folder) / "locked.txt"
        export = [uv, "export", "-q", "--no-emit-project", "--format", "requirements-txt", "-o", str(locked)]
        subprocess.run(export, check=True)
        audit = ["pip-audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
        done = subprocess.run(
            [uv, "tool", "run", *audit, "-r", str(locked)], check=False, capture_output=True, text=True, timeout=240
        )
    try:
        known, looked, unknown = judged(json.loads(done.stdout))
    except ValueError:
        print(f"NOT AUDITED: {(done.stderr.strip().splitlines() or ['pip-audit said nothing'])[-1]}")
        return 0
    print("\n".join(known))
    print(f"{looked} packages looked up, {len(known)} advisories")
    if unknown:
        print(f"NOT AUDITED: {unknown} packages, of which this index tells nothing")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
