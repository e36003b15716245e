"""The real host: real Chromium, a real keeper process, a real log file."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from lifecycle import Client, Session, SqliteLog, core
from lifecycle.testing.browser_contract import BrowserContract
from lifecycle_chromium import ChromiumHost, paths, process
from tests.contracts import paths as paths_of
from tests.contracts.paths import PATHS

pytestmark = pytest.mark.browser


class ChromiumContract(BrowserContract):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = ChromiumHost()
        self.log = SqliteLog(folder / "log.db")
        self._client = Client(self.log, browser=self.host)

    def close(self) -> None:
        self.host.close()
        self._client.close()
        self.log.close()

    def client(self) -> Client:
        return self._client

    def _load(self, session_id: str) -> core.Session:
        session = self.log.sessions.get(session_id)
        assert session is not None
        return session

    def kill_browser(self, session_id: str) -> None:
        browser = self._load(session_id).browser
        assert browser is not None
        os.kill(browser.pid, signal.SIGKILL)

    def quit_browser(self, session_id: str) -> None:
        from websockets.sync.client import connect

        urls = paths.read_endpoint(self.log.runtime_dir, session_id)
        assert urls is not None
        with connect(urls.cdp_url) as socket:
            socket.send('{"id":1,"method":"Browser.close"}')
            socket.recv()

    def lose_keeper(self, session_id: str) -> None:
        keeper = self._load(session_id).keeper
        assert keeper is not None
        os.kill(keeper.pid, signal.SIGKILL)

    def remains(self, session_id: str) -> list[str]:
        runtime = self.log.runtime_dir
        files = [paths.profile(runtime, session_id), paths.endpoint(runtime, session_id)]
        return [str(pid) for pid in process.find_by_profile(session_id)] + [str(f) for f in files if f.exists()]

    def broken(self) -> Session:
        script = self.folder / "broken-browser"
        script.write_text("#!/bin/sh\necho it is broken >&2\nexit 7\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return self.session(browser=script)

    def absent(self) -> Session:
        return self.session(browser=self.folder / "no-such-browser")


@pytest.mark.parametrize("check", BrowserContract.checks())
def test_chromium_host_keeps_the_browser_contract(check: str, tmp_path: Path) -> None:
    contract = ChromiumContract(tmp_path)
    try:
        getattr(contract, check)()
    finally:
        contract.close()
    assert list(tmp_path.glob("log.db.d/keepers/*")) == []


@pytest.mark.parametrize("name", PATHS)
def test_every_shortest_path_of_the_model_can_be_walked_with_a_real_browser(name: str, tmp_path: Path) -> None:
    contract = ChromiumContract(tmp_path)
    try:
        paths_of.check(contract, name)
    finally:
        contract.close()
