"""What both of Playwright's APIs need of us: whose error it is, its text without the URL, which tab is the first."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TAB_WAIT_MS", "first_by_age", "is_driver_error", "without"]

#: How long connect() waits for the tab of a browser that has none yet, before it opens one.
TAB_WAIT_MS: Final = 500.0
_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://\S*")  # a run of such characters may be as long as the text
_HIDDEN: Final = "(hidden)"


def is_driver_error(error: BaseException) -> bool:
    """Whether *error* is Playwright's own, of its synchronous or its asynchronous API; never imports either."""
    for name in ("playwright.sync_api", "playwright.async_api"):
        base = getattr(sys.modules.get(name), "Error", None)  # None also while another thread imports it
        if base is not None and isinstance(error, base):
            return True
    return False


def without(cdp_url: str, message: str) -> str:
    """The first line of a driver's *message*, without anything that tells *cdp_url*; the rest is call log and stack."""
    text = _URL.sub(_HIDDEN, message.partition("\n")[0].replace(cdp_url, _HIDDEN))
    for part in re.split(r"[/?&=]", cdp_url.partition("://")[2].partition("/")[2]):
        if len(part) >= 8:
            text = text.replace(part, _HIDDEN)
    return text


def first_by_age(ids: Sequence[str], oldest_first: Sequence[str]) -> int:
    """The index in *ids* of the tab that stands first in *oldest_first*; unknown ones come last."""
    age = {tab: place for place, tab in enumerate(oldest_first)}
    return min(range(len(ids)), key=lambda index: age.get(ids[index], len(age)))
