"""The fake host keeps the contract of the real one, so what is tested on it holds."""

from __future__ import annotations

import pytest

from lifecycle import Client, MemoryLog, Session
from lifecycle.ports import Exit
from lifecycle.testing.browser_contract import BrowserContract
from lifecycle.testing.fake_host import FakeBrowser
from tests.contracts import paths as paths_of
from tests.contracts.paths import PATHS


class FakeHostContract(BrowserContract):
    def __init__(self, host: FakeBrowser | None = None) -> None:
        self.host = host or FakeBrowser()
        self._client = Client(MemoryLog(), browser=self.host)

    def client(self) -> Client:
        return self._client

    def kill_browser(self, session_id: str) -> None:
        self.host.browsers[session_id].end(Exit(signal=9))

    def quit_browser(self, session_id: str) -> None:
        self.host.browsers[session_id].end(Exit(code=0))

    def lose_keeper(self, session_id: str) -> None:
        self.host.lose_keeper()

    def remains(self, session_id: str) -> list[str]:
        browser = self.host.browsers.get(session_id)
        if browser is None:
            return []
        left = {"browser": browser.running, "profile": browser.profile}
        return [f"{name} of {session_id}" for name, there in left.items() if there]

    def broken(self) -> Session:
        self.host.fail_launch = "told to fail"
        return self.session()

    def absent(self) -> Session:
        self.host.missing = True
        return self.session()


@pytest.mark.parametrize("check", BrowserContract.checks())
def test_fake_host_keeps_the_browser_contract(check: str) -> None:
    getattr(FakeHostContract(), check)()


@pytest.mark.parametrize("name", PATHS)
def test_every_shortest_path_of_the_model_can_be_walked(name: str) -> None:
    paths_of.check(FakeHostContract(), name)
