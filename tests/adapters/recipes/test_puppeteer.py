"""Puppeteer on a session of ours: killed in the middle, disconnecting, and closing the browser behind our back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lifecycle import Cause, Client, State
from tests.adapters.recipes.kit import Node, released, until
from tests.docs.run_page import shown

pytestmark = pytest.mark.browser

BEGIN = f"""
import puppeteer from 'puppeteer-core'
const cdpUrl = process.argv[2]
{shown("how-to/hand-over.md", "js", "puppeteer.connect")}
const [page] = await browser.pages()
await page.goto('data:text/html,<title>' + process.argv[3] + '</title>')
console.log(JSON.stringify({{title: await page.title()}}))
"""


def test_it_comes_and_goes_and_the_session_goes_on(client: Client, node: Callable[..., Node]) -> None:
    with client.Session(page=False) as session:
        killed = node(BEGIN + "await new Promise(() => setInterval(() => {}, 1000))", session.cdp_url(), "killed")
        assert killed.said["title"] == "killed"
        killed.kill()
        node(BEGIN + "await browser.disconnect()", session.cdp_url(), "leaves").end()
        assert session.status().status is State.ACTIVE
        until(lambda: sum(step.name == "navigated" for step in client.history(session.session_id)) == 2, "not recorded")
    steps = client.history(session.session_id)
    assert [step.data["client"] for step in steps if step.name == "client_connected"] == ["puppeteer#1", "puppeteer#2"]
    assert session.status().cause is Cause.STOPPED


def test_it_closes_the_browser_behind_our_back(client: Client, node: Callable[..., Node]) -> None:
    with client.Session(page=False) as session:
        node(BEGIN + "await browser.close()", session.cdp_url(), "closes").end()
        assert released(client, session.session_id)[-2:] == ["closed", "released"]
    assert session.status().cause is Cause.BROWSER_CLOSED
