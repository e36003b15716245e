"""A small web site on loopback for tests that need one: links, a form, a page that never answers, one that hangs."""

from __future__ import annotations

import contextlib
import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Generator

PAGES = {
    "/": '<h1>Welcome</h1><a href="/second">second</a>',
    "/second": '<h1>Second</h1><a href="/">first</a>',
    "/form": '<form action="/said"><input name="text"><button>send</button></form>',
    "/hangs": "<h1>Hangs</h1><script>setTimeout(() => { while (true); }, 50)</script>",
}


class Handler(BaseHTTPRequestHandler):
    """Answers a site's requests, quietly."""

    protocol_version = "HTTP/1.1"

    def wait_for_ever(self) -> None:
        """Give no answer for as long as the site is served."""
        assert isinstance(self.server, _Server)
        self.server.over.wait()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class _Pages(Handler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/never":
            self.wait_for_ever()
            return
        said = parse_qs(parts.query).get("text", [""])[0]
        body = f"<h1>{escape(said)}</h1>" if parts.path == "/said" else PAGES.get(parts.path)
        self._answer(404 if body is None else 200, parts.path, body or "<h1>Nothing here</h1>")

    def _answer(self, status: int, title: str, body: str) -> None:
        page = f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title>{body}".encode()
        with contextlib.suppress(ConnectionError):  # the browser may be gone by now
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Set-Cookie", "visited=yes")
            self.end_headers()
            self.wfile.write(page)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that is killed in the middle of a request is what some tests are about."""


@contextlib.contextmanager
def serve(handler: type[Handler] = _Pages) -> Generator[str]:
    """The site's address, without a slash at its end, as long as the block lasts."""
    with _Server(handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="site", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
