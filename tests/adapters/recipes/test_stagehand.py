"""Stagehand, env LOCAL, on a session of ours; what needs a model is not tried."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lifecycle import Client, State
from tests.adapters.recipes.kit import Node
from tests.docs.run_page import shown

pytestmark = pytest.mark.browser

BEGIN = f"""
import {{ Stagehand }} from '@browserbasehq/stagehand'
const cdpUrl = process.argv[2]
{shown("how-to/hand-over.md", "js", "new Stagehand")}
const page = stagehand.context.pages()[0]
await page.goto('data:text/html,<title>' + process.argv[3] + '</title>')
console.log(JSON.stringify({{title: await page.title()}}))
"""


def test_it_is_killed_and_closes_and_the_session_goes_on(client: Client, node: Callable[..., Node]) -> None:
    with client.Session(page=False) as session:
        killed = node(BEGIN + "await new Promise(() => setInterval(() => {}, 1000))", session.cdp_url(), "killed")
        assert killed.said["title"] == "killed"
        killed.kill()
        node(BEGIN + "await stagehand.close(); process.exit(0)", session.cdp_url(), "closes").end()
        assert session.status().status is State.ACTIVE
    steps = client.history(session.session_id)
    assert [step.data["client"] for step in steps if step.name == "client_connected"] == ["stagehand#1", "stagehand#2"]
    assert [step.name for step in steps if step.name == "navigated"] == ["navigated"] * 2
    assert session.status().cause == "stopped"
