"""The host that the documentation shows, with a browser behind a script, keeps the contract of the usual one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lifecycle import Client
from lifecycle.testing.browser_contract import BrowserContract
from tests.contracts.test_chromium_host import ChromiumContract

pytestmark = pytest.mark.browser

PAGE = Path(__file__).parents[2] / "docs/how-to/own-browser.md"


class OwnContract(ChromiumContract):
    """The hooks are the same: it is Chromium, in a keeper of ours."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        shown = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        assert shown is not None
        names: dict[str, Any] = {}
        exec(compile(shown[1], str(PAGE), "exec", dont_inherit=True), names)
        self.host = names["WrappedHost"](folder / "start-browser")
        self._client = Client(self.log, browser=self.host)


@pytest.mark.parametrize("check", BrowserContract.checks())
def test_the_host_of_the_page_keeps_the_browser_contract(check: str, tmp_path: Path) -> None:
    contract = OwnContract(tmp_path)
    try:
        getattr(contract, check)()
    finally:
        contract.close()
    assert list(tmp_path.glob("log.db.d/keepers/*")) == []
