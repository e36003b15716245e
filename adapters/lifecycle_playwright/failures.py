"""Why an operation failed, in our words. Playwright's own never leave this folder: its call log holds what was typed.

A `message` is for the caller; a `summary` is what may be recorded too: no paths, nothing that the page itself said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lifecycle.ports import Performed

if TYPE_CHECKING:
    from lifecycle.results import Reason
    from lifecycle_playwright.tabs import Dialog

__all__ = ["CRASHED", "HUNG", "LEFT", "Refused", "about_dialog", "explained", "failed"]

CRASHED: Final = "the page has crashed; go on in another tab: goto_new_tab, switch_tab or close_tab"
LEFT: Final = "the page was left for another one meanwhile"
HUNG: Final = "the page does not answer, as when a script of its own runs for ever; go on in another tab or close it"

_HEAD: Final = re.compile(r"^\w+\.\w+: (?:(?:Error|SyntaxError|TimeoutError): )?")
_MATCHES: Final = re.compile(r"resolved to (\d+) elements")
_NET: Final = re.compile(r"\bnet::(ERR_\w+)")

#: what Playwright writes into its call log while it waits for an element, and what it means; the last one counts
_HINDRANCES: Final = (
    ("element is not enabled", "it is disabled"),
    ("element is not editable", "it is read-only"),
    ("element is not visible", "it is not visible"),
    ("element is not stable", "it keeps moving"),
    ("element is outside of the viewport", "it can't be scrolled into view"),
    ("intercepts pointer events", "something else covers it"),
    ("did not find some options", "it has no such option"),
    ("element was detached from the DOM", "it was removed meanwhile"),
)


class Refused(Exception):
    """An operation can't be done; says why."""

    def __init__(self, reason: Reason, message: str, summary: str | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.summary = message if summary is None else summary


def failed(refused: Refused, target: str | None = None) -> Performed:
    """The outcome of an operation that was refused."""
    return Performed(ok=False, message=refused.message, reason=refused.reason, summary=refused.summary, target=target)


def about_dialog(dialog: Dialog) -> Refused:
    """A dialog was left open until the time was over, and has been dismissed now."""
    return Refused(
        "dialog",
        f"{_named(dialog.kind)} that nobody answered blocked the page and was dismissed: {dialog.message!r}",
        f"{_named(dialog.kind)} that nobody answered blocked the page and was dismissed",
    )


def _named(kind: str) -> str:
    return f"an {kind}" if kind == "alert" else f"a {kind}"


def explained(text: str, what: str, timeout_ms: int, *, closed: bool) -> Refused:
    """What Playwright's error *text* says about *what*, an element or None for the page; *closed*: the tab is."""
    line = text.partition("\n")[0]
    if "crashed" in line:
        return Refused("crashed", CRASHED)
    if "has been closed" in line or "onnection closed" in line:
        if closed:
            return Refused("closed", "the tab was closed meanwhile")
        return Refused("lost", "the connection to the browser was lost; the next call makes a new one")
    if "context was destroyed" in line:
        return Refused("closed", LEFT)
    if found := _MATCHES.search(line):
        return Refused("ambiguous", f"{what} matches {found[1]} elements; it must be exactly one")
    if "Timeout" in line and "exceeded" in line:
        return _late(text, what, timeout_ms)
    if "invalid URL" in line:
        return Refused("invalid", "not a URL that can be opened; give all of it, as in https://example.com/")
    if "Download is starting" in line:
        return Refused("navigation", "the address is a download, not a page; use download_file on a link to it")
    if found := _NET.search(line):
        return Refused("navigation", f"the page could not be loaded: {found[1]}")
    if "Unknown key" in line:
        return Refused("invalid", "no such key; keys are named as in KeyboardEvent.key: Enter, ArrowDown, Control+A")
    if re.search(r"while parsing|SyntaxError|Malformed|Unknown engine|Unsupported token", line):
        return Refused("invalid", f"{what} is not a valid selector: {_HEAD.sub('', line)}", "not a valid selector")
    said = _HEAD.sub("", line).strip()
    return Refused("unsuitable", f"{what} can't do that: {said}", f"{what} can't do that")


def _late(text: str, what: str, timeout_ms: int) -> Refused:
    within = f"within {timeout_ms} ms"
    if "navigating to" in text or "waiting for navigation" in text:
        return Refused("timeout", f"the page had not finished loading {within}")
    if "waiting for locator" in text and "locator resolved to" not in text:
        return Refused("not_found", f"there is no {what} on the page after {timeout_ms} ms")
    places = [(text.rfind(sign), meaning) for sign, meaning in _HINDRANCES if sign in text]
    why = f": {max(places)[1]}" if places else ""
    return Refused("timeout", f"{what} could not be used {within}{why}")
