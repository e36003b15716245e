"""Hypothesis profiles, and the way to this folder's helper modules (`tests.core.given`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[2]))

_SLOW_MACHINE = [HealthCheck.too_slow]

#: The same examples in every run, everywhere: a red build is red for everybody.
settings.register_profile(
    "steady",
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=_SLOW_MACHINE,
)
#: New examples in every run, many of them: pytest tests/core --hypothesis-profile=explore
settings.register_profile(
    "explore", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINE
)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile", None):
        settings.load_profile("steady")
