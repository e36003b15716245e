"""The rows of docs/reference/hosts.md: what browser-use reports, its Chrome afterwards, and what the log says."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from lifecycle_chromium.find import find_browser, sandbox_args
from tests.adapters.hosting import Host, sessions, steps
from tests.adapters.hosts import Row, hold

pytestmark = pytest.mark.browser

#: A BrowserSession as browser-use's examples have it, without an agent; the class and the client are what was added.
SCRIPT = """
import asyncio, os, sys
os.environ["ANONYMIZED_TELEMETRY"] = "false"
from lifecycle import AsyncClient  # added
from lifecycle_browser_use import KeptBrowserSession, RecordedBrowserSession

def heard(event):
    if event.event_type in ("BrowserStoppedEvent", "BrowserErrorEvent"):
        print("heard", event.event_type, getattr(event, "error_type", ""), flush=True)

async def main():
    client = AsyncClient()  # added
    browser = {browser}  # added
    await browser.start()
    browser.event_bus.on("*", heard)
    await browser.navigate_to("data:text/html,<title>hello</title>")
    watchdog = browser._local_browser_watchdog
    print("chrome", watchdog._subprocess.pid if watchdog._subprocess else 0, flush=True)
    print("ready", flush=True)
    if {waits}:
        await asyncio.sleep({waits})
    await browser.kill()

asyncio.run(main())
"""


def test_hosts_say_less_than_the_log(tmp_path: Path) -> None:
    options = {
        "headless": True,
        "executable_path": str(find_browser(headless=False).path),
        "chromium_sandbox": not sandbox_args()[0],
        "enable_default_extensions": False,
    }
    classes = {
        "its own browser": f"RecordedBrowserSession(client, **{options!r})",
        "ours": "KeptBrowserSession(client)",
    }
    rows: list[Row] = []
    for whose, browser in classes.items():
        for happened in ("`kill()`", "`kill -9` of Chrome", "`kill -9` of the host"):
            folder = tmp_path / f"{whose} {happened}"
            folder.mkdir()
            (folder / "script.py").write_text(
                SCRIPT.format(browser=browser, waits={"`kill()`": 0, "`kill -9` of Chrome": 6}.get(happened, 60))
            )
            with Host(folder, ["script.py"]) as host:
                host.until("ready")
                started = steps(host.log, "started")[0].get("browser") or {}
                chrome = int(host.until("chrome ").split()[1]) or started.get("pid", 0)
                if happened == "`kill -9` of Chrome":
                    os.kill(chrome, signal.SIGKILL)
                if happened == "`kill -9` of the host":
                    host.kill()
                else:
                    host.finish()
                [view] = sessions(host.log, 1)
                how = steps(host.log, "released")[0]["how"]
                said = [line.removeprefix("heard ").strip() for line in host.said if line.startswith("heard ")]
            runs = _runs(chrome)
            if runs:
                os.kill(chrome, signal.SIGKILL)
            rows.append(
                Row(
                    f"{happened}, {whose}{'; Chrome runs on' if runs else ''}",
                    ", ".join(f"`{line}`" for line in said) or "nothing",
                    f"`{view.status} {view.cause}`, `{how}`",
                )
            )
    hold("browser-use", rows)


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
