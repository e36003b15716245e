"""MemoryLog keeps the contract of every log."""

from __future__ import annotations

import pytest

from lifecycle.log import MemoryLog
from lifecycle.log.port import EventLog
from lifecycle.testing.log_contract import LogContract


class MemoryContract(LogContract):
    def log(self) -> EventLog:
        return MemoryLog()


@pytest.mark.parametrize("check", LogContract.checks())
def test_memory_log_keeps_the_contract(check: str) -> None:
    getattr(MemoryContract(), check)()
