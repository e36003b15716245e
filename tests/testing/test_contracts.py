"""The contracts find the bugs that are planted, and tell which check found them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lifecycle.log import MemoryLog
from lifecycle.log.port import EventLog
from lifecycle.testing import LogContract, browser_contract
from lifecycle.testing.contract import Contract
from lifecycle.testing.fake_host import FakeBrowser
from tests.contracts.test_fake_host import FakeHostContract
from tests.testing.broken_hosts import BROKEN as BROKEN_HOSTS
from tests.testing.broken_logs import BROKEN


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
