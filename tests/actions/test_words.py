"""From Playwright's errors to ours: what they mean, and nothing of their call log, which holds what was typed."""

from __future__ import annotations

import pytest

from lifecycle_playwright.failures import explained

LOG = """
Call log:
  - waiting for locator("#a")
    - locator resolved to <input id="a" value="x9"/>
    - fill("x9")
  - attempting fill action
    2 × waiting for element to be visible, enabled and editable
      - element is not {why}
    - retrying fill action
"""


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("Locator.fill: Timeout 500ms exceeded." + LOG.format(why="enabled"), "timeout", "it is disabled"),
        ("Locator.fill: Timeout 500ms exceeded." + LOG.format(why="visible"), "timeout", "it is not visible"),
        (
            "Locator.fill: Timeout 500ms exceeded." + LOG.format(why="shy"),
            "timeout",
            "the field could not be used within 5 ms",
        ),
        (
            'Locator.fill: Timeout 1ms exceeded.\nCall log:\n  - waiting for locator("#a")\n',
            "not_found",
            "there is no the field on",
        ),
        (
            'Page.goto: Timeout 1ms exceeded.\nCall log:\n  - navigating to "http://a/?t=x9"',
            "timeout",
            "finished loading",
        ),
        ("Locator.fill: Error: Cannot type text into input[type=number]" + LOG, "unsuitable", "Cannot type text"),
        (
            "Locator.fill: Error: strict mode violation: locator('x') resolved to 2 elements:\n x9",
            "ambiguous",
            "2 elements",
        ),
        (
            "Page.goto: net::ERR_NAME_NOT_RESOLVED at http://a/?t=x9" + LOG,
            "navigation",
            "loaded: ERR_NAME_NOT_RESOLVED",
        ),
        ('Keyboard.press: Unknown key: "x9"', "invalid", "no such key"),
        ("Page.title: Target page, context or browser has been closed", "lost", "the next call makes a new one"),
        ("Connection closed while reading from the driver", "lost", "the next call makes a new one"),
        ("Page.reload: Page crashed" + LOG, "crashed", "go on in another tab"),
    ],
)
def test_an_error_is_explained(text: str, reason: str, message: str) -> None:
    refused = explained(text, "the field", 5, closed=False)
    assert refused.reason == reason
    assert message in refused.message
    assert "x9" not in refused.message + refused.summary


def test_a_tab_that_was_closed_is_told_from_a_browser_that_is_gone() -> None:
    text = "Page.title: Target page, context or browser has been closed"
    assert explained(text, "the page", 5, closed=True).reason == "closed"


def test_the_latest_hindrance_counts() -> None:
    log = "\nCall log:\n locator resolved to x\n element is not stable\n element is not enabled"
    assert explained("Locator.click: Timeout 5ms exceeded." + log, "it", 5, closed=False).message.endswith(
        "it is disabled"
    )
