"""The kit for those who build on this library: prove transitions, logs, browsers and recorded histories.

    check_history(rows)             what is wrong with a record, told from the rows alone
    LogContract, BrowserContract    what every log and every browser host must do, check by check
    given(...).when(...).then(...)  one command of the core
    CoreRules, LogRules, ClientRules, strategies
                                    Hypothesis looks for what you did not think of (the extra `testing`)
    Client(log=MemoryLog(), browser=FakeBrowser(), clock=VirtualClock())
                                    a whole system in one process, where minutes take milliseconds

Nothing here needs a test runner; everything raises AssertionError with what was expected and what was seen.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle.testing.browser_contract import BrowserContract
    from lifecycle.testing.clock import ManualClock
    from lifecycle.testing.fake_host import FakeBrowser
    from lifecycle.testing.history import check_events, check_history
    from lifecycle.testing.invariants import (
        INVARIANTS,
        Broken,
        Checker,
        Invariant,
        Vacuous,
        Violation,
        forget,
        register,
    )
    from lifecycle.testing.log_contract import LogContract, disk_full
    from lifecycle.testing.rules import AsyncClientRules, ClientRules, CoreRules, LogRules, prove
    from lifecycle.testing.story import given
    from lifecycle.testing.virtual_clock import VirtualClock

__all__ = [
    "INVARIANTS",
    "AsyncClientRules",
    "Broken",
    "BrowserContract",
    "Checker",
    "ClientRules",
    "CoreRules",
    "FakeBrowser",
    "Invariant",
    "LogContract",
    "LogRules",
    "ManualClock",
    "Vacuous",
    "Violation",
    "VirtualClock",
    "check_events",
    "check_history",
    "disk_full",
    "forget",
    "given",
    "prove",
    "register",
]

_HOME = {
    "AsyncClientRules": "rules",
    "BrowserContract": "browser_contract",
    "ClientRules": "rules",
    "CoreRules": "rules",
    "FakeBrowser": "fake_host",
    "LogContract": "log_contract",
    "LogRules": "rules",
    "ManualClock": "clock",
    "VirtualClock": "virtual_clock",
    "check_events": "history",
    "check_history": "history",
    "disk_full": "log_contract",
    "given": "story",
    "prove": "rules",
}


def __getattr__(name: str) -> object:
    # Lazy: only what asks for rules or strategies needs Hypothesis.
    if name not in __all__:
        raise AttributeError(f"module 'lifecycle.testing' has no attribute {name!r}")
    value = getattr(import_module(f"lifecycle.testing.{_HOME.get(name, 'invariants')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
