"""The library's own log lines, through structlog, without touching the host application's logging.

If the application has configured structlog, lines go its way; otherwise to the standard logger `lifecycle`, which is
silent until the application gives it a handler. Nothing is ever printed on stdout, nothing is configured, and no
CDP URL, token, cookie or typed text is passed in here.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["logger", "to_stderr"]

_std = logging.getLogger("lifecycle")
_std.addHandler(logging.NullHandler())


class _Lazy:
    """Chooses where a line goes when it is written, so that configuration after import still counts."""

    def _logger(self) -> Any:
        if structlog.is_configured():
            return structlog.get_logger("lifecycle")
        return structlog.wrap_logger(
            _std,
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.contextvars.merge_contextvars,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def debug(self, event: str, **fields: object) -> None:
        """A line for whoever debugs the library."""
        self._logger().debug(event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """Something an operator may want to know."""
        self._logger().info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that went wrong and was dealt with."""
        self._logger().warning(event, **fields)


logger = _Lazy()


def to_stderr(*, without: Collection[str] = ()) -> None:
    """Have warnings printed on stderr, but for the events named: for our own command, which is its own application.

    Does nothing where structlog has been configured already.
    """
    if structlog.is_configured():
        return

    def chosen(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if fields.get("event") in without:
            raise structlog.DropEvent
        return fields

    structlog.configure(
        processors=[
            chosen,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, pad_event=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        # Looked up when a line is written: whoever runs the command in-process may have replaced sys.stderr.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
