"""Notte's local session doing what our session does: start, one page, stop. In an environment of its own.

It launches by a channel's name only; here it gets the binary that the others get.
"""

import http.server
import json
import os
import statistics
import sys
import threading
import time

os.environ["DISABLE_TELEMETRY"] = os.environ["ANONYMIZED_TELEMETRY"] = "true"

BEGAN = time.perf_counter()

import notte  # noqa: E402
from loguru import logger  # noqa: E402
from notte_browser.driver import Browser  # noqa: E402
from patchright.async_api import BrowserType  # noqa: E402


class Site(http.server.BaseHTTPRequestHandler):
    """One page, since Notte takes only http."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>Welcome</h1>")

    def log_message(self, *_: object) -> None: ...


async def launched(self: BrowserType, launch=BrowserType.launch, **given: object) -> Browser:
    """BrowserType.launch with a binary in place of the channel; as root without the sandbox."""
    args = [*given.pop("args"), *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    given.pop("channel")
    return await launch(self, executable_path=os.environ["BENCH_BROWSER"], args=args, **given)


def lives(size: int, page: str) -> list[float]:
    began, took = BEGAN, []
    for _ in range(1 + size):
        with notte.Session(headless=True) as session:
            done = session.execute(type="goto", url=page)
            if not done.success:
                raise SystemExit(done.message)
        took.append(time.perf_counter() - began)
        began = time.perf_counter()
    return took


if __name__ == "__main__":
    logger.remove()
    BrowserType.launch = launched
    row, size, _ = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = lives(int(size), f"http://127.0.0.1:{server.server_address[1]}/")
    print(json.dumps(found[0] if row == "cold_session" else statistics.median(found[1:])))
