"""The contracts find the bugs that are planted, and tell which check found them."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle.errors import LogUnavailable
from lifecycle.log import MemoryLog
from lifecycle.log.port import EventLog
from lifecycle.testing import LogContract, browser_contract
from lifecycle.testing.contract import Contract
from lifecycle.testing.fake_host import FakeBrowser
from lifecycle.testing.log_samples import begin
from tests.contracts.test_fake_host import FakeHostContract
from tests.testing.broken_hosts import BROKEN as BROKEN_HOSTS
from tests.testing.broken_logs import BROKEN

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from lifecycle.log.port import Recorded


def contract_of(kind: type[MemoryLog]) -> type[LogContract]:
    class Subject(LogContract):
        def log(self) -> EventLog:
            return kind()

    return Subject


def fails(contract: LogContract, check: str) -> bool:
    with suppress(Exception):
        getattr(contract, check)()
        return False
    return True


@pytest.mark.parametrize("broken", BROKEN)
def test_the_contract_finds_a_broken_log(broken: type[MemoryLog]) -> None:
    contract = contract_of(broken)
    assert any(fails(contract(), check) for check in contract.checks())


@pytest.mark.parametrize("broken", BROKEN_HOSTS)
def test_the_contract_finds_a_careless_host(broken: type[FakeBrowser], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_contract, "_PATIENCE_S", 1.0)
    check, promise = BROKEN_HOSTS[broken]
    with pytest.raises(AssertionError, match=promise):
        getattr(FakeHostContract(broken()), check)()


def test_prove_raises_what_every_check_has_found() -> None:
    class Two(Contract):
        def check_good(self) -> None: ...

        def check_bad(self) -> None:
            raise AssertionError("bad")

        def check_worse(self) -> None:
            raise ValueError("worse")

    assert list(Two.failures()) == ["check_bad", "check_worse"]
    with pytest.raises(ExceptionGroup, match="2 of 3 checks fail") as caught:
        Two.prove()
    assert [error.__notes__ for error in caught.value.exceptions] == [["in Two.check_bad"], ["in Two.check_worse"]]


def test_prove_tells_how_many_checks_have_passed() -> None:
    class One(Contract):
        def check_good(self) -> None: ...

    assert One.prove() == 1


def test_what_a_contract_says_of_a_broken_log_names_the_promise_without_a_test_runner() -> None:
    """Every failing check says a sentence, in an interpreter that strips `assert` too."""
    code = f"""if True:
        import sys
        sys.path.append({str(Path(__file__).parents[2])!r})
        from lifecycle.testing import LogContract
        from tests.testing.broken_logs import BROKEN
        for kind in BROKEN:
            class Subject(LogContract):
                def log(self):
                    return kind()
            failures = Subject.failures()
            told = all(str(error) for error in failures.values())
            print(kind.__name__, bool(failures), told)
    """
    done = subprocess.run([sys.executable, "-P", "-O", "-c", code], capture_output=True, text=True, check=True)
    assert {line.split(" ", 1)[1] for line in done.stdout.splitlines()} == {"True True"}, done.stdout


class Shelf(MemoryLog):
    """A log whose rows stand on a shelf, where they outlive it."""

    def __init__(self, shelf: list[Recorded]) -> None:
        self.shelf = shelf
        self.full = False
        super().__init__(rows=list(shelf), keep=self.put)

    def put(self, batch: Sequence[Recorded]) -> None:
        if self.full:
            raise OSError("no space left")
        self.shelf += batch


class KeepsAtClose(Shelf):
    """What is acknowledged is on the shelf once the log is closed."""

    def __init__(self, shelf: list[Recorded]) -> None:
        self.kept: list[Recorded] = []
        super().__init__(shelf)

    def put(self, batch: Sequence[Recorded]) -> None:
        self.kept += batch

    def close(self) -> None:
        self.shelf += self.kept
        self.kept = []
        super().close()


class ReadsByStream(Shelf):
    def __init__(self, shelf: list[Recorded]) -> None:
        super().__init__(sorted(shelf, key=lambda row: (row.stream, row.version)))
        self.shelf = shelf


class CutsLongBatches(Shelf):
    def put(self, batch: Sequence[Recorded]) -> None:
        super().put(batch[:4])


class Swallows(Shelf):
    def put(self, batch: Sequence[Recorded]) -> None:
        with suppress(OSError):
            super().put(batch)


class KeepsWhatItRefuses(Shelf):
    def put(self, batch: Sequence[Recorded]) -> None:
        if self.full:
            self.shelf += batch[:1]
        super().put(batch)


def shelf_contract(kind: type[Shelf]) -> type[LogContract]:
    class Subject(LogContract):
        def log(self) -> EventLog:
            return kind([])

        def again(self, log: EventLog) -> EventLog:
            assert isinstance(log, Shelf)
            return kind(log.shelf)

        @contextmanager
        def full(self, log: EventLog) -> Generator[None]:
            assert isinstance(log, Shelf)
            log.full = True
            yield
            log.full = False

    return Subject


_OUTLIVE = "check_events_outlive_the_log_object"
_FULL = "check_what_cannot_be_stored_is_not_acknowledged"
_CARELESS: dict[type[Shelf], dict[str, str]] = {
    Shelf: {},
    KeepsAtClose: {_OUTLIVE: "the first that is missing is", _FULL: "LogUnavailable, the call gave"},
    ReadsByStream: {_OUTLIVE: r"the first that differs of 11 is \[0\], .*stream: expected 's-2', seen 's-1'"},
    CutsLongBatches: {_OUTLIVE: "opened again"},
    Swallows: {_FULL: "LogUnavailable, the call gave"},
    KeepsWhatItRefuses: {_FULL: ""},
}


@pytest.mark.parametrize("kind", _CARELESS)
def test_what_a_log_keeps_is_looked_at_when_it_is_opened_again(kind: type[Shelf]) -> None:
    """Each bug alone fails the checks that are about it; the sound log keeps all of the contract."""
    failures = shelf_contract(kind).failures()
    assert failures.keys() == _CARELESS[kind].keys()
    for check, told in _CARELESS[kind].items():
        assert re.search(told, str(failures[check]))


def test_a_log_that_can_not_keep_its_rows_says_so_in_the_port_s_words() -> None:
    log = Shelf([])
    log.full = True
    with pytest.raises(LogUnavailable, match=r"the rows could not be kept: OSError: no space left"):
        begin(log, "s-1")
    log.full = False
    begin(log, "s-1")
    assert log.head("s-1") == 2
