"""What both of Playwright's APIs need of us: whose error it is, its text without the URL, which tab is the first."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CONNECT_S",
    "PATIENCE_S",
    "SILENT",
    "START_S",
    "TAB_WAIT_MS",
    "end_driver",
    "first_by_age",
    "is_driver_error",
    "seen",
    "without",
]

#: How long the driver may take to come up. It takes half a second, some seconds on a busy machine.
START_S: Final = 30.0
#: How long it may take to answer, to disconnect, to stop. It takes milliseconds, even on a busy machine.
PATIENCE_S: Final = 5.0
#: How long connecting may take, unless said otherwise; the driver keeps to it, where it does not hang. It takes 0.1 s.
CONNECT_S: Final = 30.0
SILENT: Final = "Playwright's driver does not answer"

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


def end_driver(manager: object, starting: object = None) -> bool:
    """Kill the driver's process, because it hangs; whether there was one. What waits for it fails then, and cleans up.

    *manager* is what sync_playwright() or async_playwright() gave, *starting* the coroutine of its start(), while that
    has not come to an end: the asynchronous API keeps the process there alone. It has no public name.
    """
    holders = [manager]
    while inspect.iscoroutine(starting) and starting.cr_frame is not None:
        holders += starting.cr_frame.f_locals.values()
        starting = starting.cr_await
    for holder in holders:
        for found in (holder, getattr(holder, "_client", None), getattr(holder, "_connection", None)):
            transport = getattr(found, "_transport", None)
            process = getattr(transport, "_proc", None)
            if isinstance(process, asyncio.subprocess.Process):
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                failed: asyncio.Future[Any] | None = getattr(transport, "on_error_future", None)
                if failed is not None:
                    failed.add_done_callback(seen)
                return True
    return False


def seen(failed: asyncio.Future[Any]) -> None:
    """Have looked at its error, if it has one: asyncio would report it."""
    if not failed.cancelled():
        failed.exception()


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
