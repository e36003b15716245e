"""An adapter whose host library gets an environment of its own has a requirements.txt beside its tests.

They are not part of the main suite, whose environment can't hold all the hosts at once: `make adapters` runs them.
"""

from __future__ import annotations

import os
from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests of every host but the one whose environment this is."""
    if (collection_path / "requirements.txt").is_file():
        return os.environ.get("TESTS_OF_ADAPTER") != collection_path.name
    return None
