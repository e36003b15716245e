"""Browser sessions with a lifecycle that can be trusted: every step an event, every status replayed.

    from lifecycle import Client

    with Client().Session(timeout_minutes=10) as session:
        session.page.goto("https://example.com")
        print(session.status().status)

`lifecycle.core` is the pure state machine, `lifecycle.log` the log, `lifecycle.errors` the tree of errors,
`lifecycle.actions` what `session.execute` does.
"""

from __future__ import annotations

#: True to type checkers, by this name. Importing typing for it would be nearly all that `import lifecycle` takes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from lifecycle.client.async_api import AsyncClient, AsyncSession
    from lifecycle.client.sync_api import Client, Session
    from lifecycle.core import Cause, SessionView, State
    from lifecycle.errors import (
        ActionFailed,
        BrowserLost,
        InvalidConfig,
        LifecycleError,
        LogUnavailable,
        SessionEnded,
        SessionStopped,
        SessionTimedOut,
        UnknownSession,
    )
    from lifecycle.log.locate import open_log
    from lifecycle.log.memory import MemoryLog
    from lifecycle.log.sqlite import SqliteLog
    from lifecycle.results import ExecutionResult, Observation

__all__ = [
    "ActionFailed",
    "AsyncClient",
    "AsyncSession",
    "BrowserLost",
    "Cause",
    "Client",
    "ExecutionResult",
    "InvalidConfig",
    "LifecycleError",
    "LogUnavailable",
    "MemoryLog",
    "Observation",
    "Session",
    "SessionEnded",
    "SessionStopped",
    "SessionTimedOut",
    "SessionView",
    "SqliteLog",
    "State",
    "UnknownSession",
    "open_log",
]

_HOME = {
    "AsyncClient": "client.async_api",
    "AsyncSession": "client.async_api",
    "Cause": "core",
    "Client": "client.sync_api",
    "ExecutionResult": "results",
    "MemoryLog": "log.memory",
    "Observation": "results",
    "Session": "client.sync_api",
    "SessionView": "core",
    "SqliteLog": "log.sqlite",
    "State": "core",
    "open_log": "log.locate",
}


def __getattr__(name: str) -> object:
    # Lazy: `import lifecycle` costs nothing until a name is used.
    if name not in __all__:
        raise AttributeError(f"module 'lifecycle' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"lifecycle.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
