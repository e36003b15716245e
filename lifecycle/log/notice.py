"""What the log has to say beside its results: through lifecycle.telemetry, once for each matter and process."""

from __future__ import annotations

from typing import Any

__all__ = ["notice", "warn_once"]

_SAID: set[tuple[str, str]] = set()


def notice(event: str, **fields: Any) -> None:
    """Write one line at level info."""
    from lifecycle.telemetry import logger

    logger.info(event, **fields)


def warn_once(event: str, about: str, **fields: Any) -> None:
    """Write one warning, unless this process has given it about the same thing."""
    from lifecycle.telemetry import logger

    if (event, about) not in _SAID:
        _SAID.add((event, about))
        logger.warning(event, about=about, **fields)
