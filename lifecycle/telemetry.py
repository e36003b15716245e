"""The library's own log lines, through structlog, without touching the host application's logging; and one count.

If the application has configured structlog, lines go its way; otherwise to the standard logger `lifecycle`, which is
silent until the application gives it (or the root logger) a handler. Nothing is ever printed on stdout, nothing is
configured, and no CDP URL, token, cookie or typed text is passed in here.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["append_failed", "append_failures", "logger"]

_std = logging.getLogger("lifecycle")
_std.addHandler(logging.NullHandler())


class _Lazy:
    """Chooses where a line goes when it is written, so that configuration after import still counts.

    structlog is imported with the first line that somebody hears: it brings rich along, a tenth of a second that the
    start of a keeper has no use for. What the application's own processors raise is told on stderr, as the standard
    library does it with handlers: no ending may fail because nobody can be told of it.
    """

    def debug(self, event: str, **fields: object) -> None:
        """A line for whoever debugs the library."""
        _say(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Something an operator may want to know."""
        _say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that went wrong and was dealt with."""
        _say(logging.WARNING, event, fields)


def _say(level: int, event: str, fields: dict[str, object]) -> None:
    try:
        if (line := _heard(level)) is not None:
            getattr(line, logging.getLevelName(level).lower())(event, **fields)
    except Exception:
        if logging.raiseExceptions and sys.stderr is not None:
            traceback.print_exc()


def _heard(level: int) -> Any:
    """A structlog logger if anybody would hear a line of *level*, else None."""
    configured = "structlog" in sys.modules and sys.modules["structlog"].is_configured()
    if not configured and not (_std.isEnabledFor(level) and _has_ears(_std)):
        return None
    import structlog

    render = structlog.processors.KeyValueRenderer(key_order=["event"])

    def rendered(std: Any, name: str, fields: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
        about = {"exc_info": fields.pop("exc_info", None)}  # the standard library makes the traceback of it
        return (render(std, name, fields),), about

    if configured:
        return structlog.get_logger("lifecycle")
    return structlog.wrap_logger(
        _std,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            rendered,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _has_ears(std: logging.Logger | None) -> bool:
    while std is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in std.handlers):
            return True
        std = std.parent if std.propagate else None
    return False


logger = _Lazy()

_append_failures: Counter[str] = Counter()


def append_failed(error: BaseException) -> None:
    """Count an append that the log did not take."""
    _append_failures[type(error).__name__] += 1


def append_failures() -> dict[str, int]:
    """How many appends of this process the log did not take, by the name of the error.

    WrongVersion is not among them: that is how writers take turns, and the command is decided again.
    """
    return dict(_append_failures)
