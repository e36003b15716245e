"""The browser's command line: what is always on it, and what must never be.

Every local user can read it (/proc/PID/cmdline), so it carries no credential; and it is what decides who can reach the
browser, so nothing on it opens another way in than the pipe.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["HEADLESS", "STANDARD", "arguments"]

# Nothing that phones home or asks a person; pages in the background stay awake; and what Playwright's own launch turns
# off because its drivers rely on it (its chromiumSwitches.ts gives a reason for each).
_OFF: Final = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "Translate",
)
STANDARD: Final = (
    "--remote-debugging-pipe",
    "--allow-pre-commit-input",
    "--disable-back-forward-cache",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-breakpad",  # crash dumps hold cookies and pages
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",  # a container's /dev/shm is often too small for one page
    "--disable-extensions",
    "--disable-features=" + ",".join(_OFF),
    "--disable-field-trial-config",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--disable-quic",
    "--disable-renderer-backgrounding",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--enable-features=CDPScreenshotNewSurface",
    "--enable-unsafe-swiftshader",
    "--force-color-profile=srgb",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-service-autorun",
    "--password-store=basic",
    "--use-mock-keychain",
)
HEADLESS: Final = (
    "--headless",
    "--hide-scrollbars",
    "--mute-audio",
    # Without a pointing device a page would get its touch layout.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
)
_SWITCH: Final = re.compile(r"(--\w[\w-]*)(?:=[^\0]*)?", re.ASCII)
_OURS: Final = re.compile(r"--(remote-debugging-.*|user-data-dir|remote-allow-origins)")
_CREDENTIAL: Final = re.compile(r"//[^/@\s]*@|^--proxy-server=.*@")


def arguments(
    profile: Path, *, headless: bool, args: Sequence[str] = (), viewport: tuple[int, int] | None = None
) -> list[str]:
    """What follows the binary on the command line; *args* come after ours and so win.

    Raises:
        ValueError: One of *args* isn't a switch, is ours to give, or holds a credential. Its value isn't quoted.
    """
    for number, arg in enumerate(args, 1):
        switch = _SWITCH.fullmatch(arg)
        if switch is None:
            raise ValueError(f"browser argument {number} must look like --name or --name=value")
        if _OURS.fullmatch(switch[1]):
            raise ValueError(f"the browser argument {switch[1]} is set by the keeper and can't be given")
        if _CREDENTIAL.search(arg):
            raise ValueError(f"the browser argument {switch[1]} holds a credential, which every local user could read")
    chosen = [*STANDARD, f"--user-data-dir={profile}"]
    if headless:
        chosen += HEADLESS
    if viewport is not None:
        chosen.append(f"--window-size={viewport[0]},{viewport[1]}")
    if sys.platform == "linux" and os.geteuid() == 0 and "--no-sandbox" not in args:
        chosen.append("--no-sandbox")
    return [*chosen, *args, "about:blank"]
