"""Selenium on a session of ours, by way of lifecycle-pipe: chromedriver can't be told an address with a token."""

from __future__ import annotations

import os
import shutil
import signal
from typing import Any

import pytest

from lifecycle import Client, State
from lifecycle_chromium.on_pipe import main
from tests.adapters.recipes.kit import released
from tests.docs.run_page import shown

webdriver = pytest.importorskip("selenium.webdriver", reason="see requirements.txt")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("chromedriver") is None and "CI" not in os.environ,  # there it fails
        reason="there is no chromedriver on this machine (Debian: apt-get install chromium-driver)",
    ),
]


def _driver(client: Client, session: Any) -> Any:
    """As the page shows it."""
    names: dict[str, Any] = {"client": client, "session": session}
    exec(shown("how-to/hand-over.md", "py", "webdriver.Chrome("), names)
    return names["driver"]


def test_it_is_killed_and_quits_and_the_session_goes_on(client: Client) -> None:
    with client.Session(page=False) as session:
        driver = _driver(client, session)
        driver.get("data:text/html,<title>before</title><button onclick='document.title=\"after\"'>go</button>")
        driver.find_element("css selector", "button").click()
        assert driver.title == "after"
        os.kill(driver.service.process.pid, signal.SIGKILL)
        driver.service.process.wait()

        driver = _driver(client, session)
        assert driver.title == "after"
        driver.quit()  # is Browser.close, and ends lifecycle-pipe alone
        assert session.status().status is State.ACTIVE
    steps = client.history(session.session_id)
    assert [step.data["client"] for step in steps if step.name == "client_connected"] == ["pipe#1", "pipe#2"]
    assert "navigated" in [step.name for step in steps]
    assert session.status().cause == "stopped"


def test_it_hears_at_once_that_the_session_is_over(client: Client) -> None:
    session = client.Session(page=False).start()
    driver = _driver(client, session)
    session.stop()
    with pytest.raises(Exception, match="has closed the connection"):
        _ = driver.title
    driver.quit()
    assert released(client, session.session_id)[-2:] == ["closed", "released"]


def test_the_pipe_says_what_is_missing(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--lifecycle-log={client.log.locator}"]) == 2
    assert "--lifecycle-session" in capsys.readouterr().err
    with client.Session(page=False) as session:
        pass
    assert main([f"--lifecycle-log={client.log.locator}", f"--lifecycle-session={session.session_id}"]) == 1
    assert session.session_id in capsys.readouterr().err
