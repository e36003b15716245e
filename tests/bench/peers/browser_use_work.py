"""browser-use's BrowserSession doing what our session does: start, one page, stop. In an environment of its own."""

import asyncio
import json
import os
import statistics
import sys
import time

os.environ["ANONYMIZED_TELEMETRY"] = "false"
os.environ["BROWSER_USE_LOGGING_LEVEL"] = "result"

BEGAN = time.perf_counter()

from browser_use import BrowserSession  # noqa: E402

#: loads at once and needs no server
PAGE = "data:text/html,<h1>Welcome</h1>"


async def lives(size: int) -> list[float]:
    began, took = BEGAN, []
    for _ in range(1 + size):
        session = BrowserSession(
            headless=True,
            executable_path=os.environ["BENCH_BROWSER"],
            chromium_sandbox=os.geteuid() != 0,
            enable_default_extensions=False,
        )
        await session.start()
        await session.navigate_to(PAGE)
        await session.kill()
        took.append(time.perf_counter() - began)
        began = time.perf_counter()
    return took


if __name__ == "__main__":
    row, size, _ = sys.argv[1:]
    found = asyncio.run(lives(int(size)))
    print(json.dumps(found[0] if row == "cold_session" else statistics.median(found[1:])))
