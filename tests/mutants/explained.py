"""Changes to the core that no test can tell from the original, each with the reason. `make mutmut` checks the list."""

from __future__ import annotations

from typing import Final

#: The change as `make mutmut` prints it -> why it makes no difference.
EXPLAINED: Final[dict[str, str]] = {}
