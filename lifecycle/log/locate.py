"""From the text that names a log to the log: a path, `sqlite:/path`, or a scheme that another package brings."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from lifecycle.log.port import EventLog

__all__ = ["open_log"]

#: Two characters at least, so that a drive letter is no scheme.
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]+):", re.ASCII)
#: Entry points: the name is the scheme, the object is called with the whole locator and the keyword arguments.
_GROUP: Final = "lifecycle.logs"


def open_log(where: str | os.PathLike[str], **options: Any) -> EventLog:
    """The log that *where* names: a path, or what some log's `locator` gave. *options* go to the log's class.

    Raises:
        InvalidConfig: A scheme that nothing installed knows.
        LogUnsuitable, LogTampered, LogUnavailable: As the log's class.
    """
    from lifecycle.log.sqlite import SqliteLog

    if not isinstance(where, str) or not (found := _SCHEME.match(where)):
        return SqliteLog(where, **options)
    scheme = found.group(1)
    if scheme == "sqlite":
        return SqliteLog(where.removeprefix("sqlite:"), **options)
    known = {point.name: point for point in entry_points(group=_GROUP)}
    if scheme not in known:
        schemes = ", ".join(sorted({"sqlite", *known}))
        raise InvalidConfig("log", where, f"a path, or a locator with one of these schemes: {schemes}")
    opened: EventLog = known[scheme].load()(where, **options)
    return opened
