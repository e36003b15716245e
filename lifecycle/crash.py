"""Named moments at which a test can have this process die, stop or fail.

Nothing arms them in production: there is no variable, argument or file for it. A test sets `on_point` from inside the
process that it wants to end, and otherwise a point costs one comparison. tests/chaos/test_crash_points.py finds every
point in the source, has the process killed there beside a real browser, and looks at what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["point"]

on_point: Callable[[str], object] | None = None


def point(name: str) -> None:
    """The moment called *name* has come."""
    if on_point is not None:
        on_point(name)
