"""What of URLs and messages may enter the log."""

from __future__ import annotations

import pytest

from lifecycle.client.redact import message, url

TOKEN = "k5yAcJC_JtOjwE_bLRRwQNzqcSoUxiKol8RROFU_h9o"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://example.com/a/b", "https://example.com/a/b"),
        ("https://user:secret@example.com:8443/a", "https://example.com:8443/a"),
        ("https://example.com/?q=secret&empty=&flag#secret", "https://example.com/?q=REDACTED&empty=REDACTED&REDACTED"),
        (f"https://example.com/{TOKEN}", f"https://example.com/{TOKEN}"),
        (f"http://localhost:3000/{TOKEN}", f"http://localhost:3000/{TOKEN}"),
        (f"ws://127.0.0.1:4321/{TOKEN}/devtools/browser/x", "ws://127.0.0.1:4321/REDACTED"),
        (f"wss://cloud.example/{TOKEN}?key=secret", "wss://cloud.example/REDACTED?key=REDACTED"),
        ("ws://127.0.0.1:4321/", "ws://127.0.0.1:4321/"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("file:///tmp/a.html", "file:///tmp/a.html"),
        ("about:blank", "about:blank"),
        ("chrome-error://chromewebdata/", "chrome-error://chromewebdata/"),
        ("data:text/html,secret", "data:REDACTED"),
        ("blob:https://example.com/secret", "blob:REDACTED"),
        ("javascript:alert('secret')", "javascript:REDACTED"),
        ("http://[secret", "http:REDACTED"),
        ("http://host:port/secret", "http:REDACTED"),
        ("secret", "REDACTED"),
        ("", "REDACTED"),
    ],
)
def test_a_url_keeps_what_is_no_secret(text: str, kept: str) -> None:
    assert url(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"can't reach ws://127.0.0.1:1/{TOKEN}/devtools: refused", "can't reach ws://127.0.0.1:1/REDACTED refused"),
        (f"GET http://127.0.0.1:1/{TOKEN}/json/version", "GET http://127.0.0.1:1/REDACTED/json/version"),
        (f"GET http://localhost:1/{TOKEN}", "GET http://localhost:1/REDACTED"),
        (f"from-ws://127.0.0.1:1/{TOKEN}/json", "from-ws://127.0.0.1:1/REDACTED/json"),
        ("GET http://127.0.0.1:1/prices/tea", "GET http://127.0.0.1:1/prices/tea"),
        ("failed\nCall log:\n  - secret", "failed"),
        ("failed\nBrowser logs:\n  secret", "failed"),
        ("a\x00b \udc80", "ab ?"),
        ("x" * 3000, "x" * 2000 + "… (3000 characters)"),
    ],
)
def test_a_message_keeps_what_is_no_secret(text: str, kept: str) -> None:
    assert message(text) == kept


@pytest.mark.parametrize("before", ["proxy_", "1", "9-", "x" * 40, "a.b-" * 20], ids=len)
def test_what_stands_right_before_a_url_hides_no_secret(before: str) -> None:
    """A scheme was looked for at the beginning of a word alone."""
    assert message(f"{before}http://me:secret@example.com/") == f"{before}http://example.com/"


def test_a_page_can_not_hold_an_ending_up_by_its_error_s_text() -> None:
    """Each word looked like a scheme that went on to the end: 32 KB took half a second, 1 MB minutes."""
    assert message("a-" * 2**20).endswith("(2097152 characters)")
