"""A site of four pages on loopback, served from a thread of this process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["serve"]

_PAGES: Final = {
    "/": ("A small shop", '<a href="/prices">Prices</a> <a href="/contact">Contact</a>'),
    "/prices": ("Prices", "<ul><li>Tea 3.20</li><li>Coffee 2.80</li></ul>"),
    "/contact": ("Contact", '<form action="/thanks"><input name="message"><button>Send</button></form>'),
    "/thanks": ("Thank you", "<p>We will answer.</p>"),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        title, body = _PAGES.get(self.path.partition("?")[0], ("Not found", ""))
        page = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>{body}".encode()
        self.send_response(404 if title == "Not found" else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that is killed in the middle of a request is what we are here to show."""


@contextmanager
def serve() -> Generator[str]:
    """The site's URL, as long as the block lasts."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="demo-site", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
