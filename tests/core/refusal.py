"""How evolve refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lifecycle.core import evolve
from lifecycle.errors import IllegalHistory

if TYPE_CHECKING:
    from lifecycle.core import Event, Session


def refuses(before: Session | None, event: Event, match: str) -> None:
    """evolve refuses *event* after *before*, and names the version it would have had."""
    with pytest.raises(IllegalHistory, match=match) as caught:
        evolve(before, event)
    assert caught.value.version == (before.version if before else 0) + 1
    assert caught.value.session_id == (before.session_id if before else "(none)")
