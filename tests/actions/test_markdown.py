"""HTML to Markdown: articles without what stands around them, listings whole, and a word where a library is missing."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from lifecycle.client.markdown import _length, markdown, require  # pyright: ignore[reportPrivateUsage]
from lifecycle.errors import MissingExtra
from tests.actions.site import PAGES


def md(path: str, **options: Any) -> str:
    """A page of the site as Markdown."""
    full: dict[str, Any] = {"main": False, "links": True, "images": False, **options}
    return markdown(f"<html><body>{PAGES[path]}</body></html>", **full)


def test_an_article_without_what_stands_around_it() -> None:
    text = md("/article", main=True)
    for fact in (
        "For forty years",
        "**two hundred metres**",
        "[charts](/charts)",
        "## What the record holds",
        "- eleven thousand ships",
        "| 1910 | 271 |",
        "sent home",
    ):
        assert fact in text
    for noise in ("News menu", "newsletter", "Imprint"):
        assert noise not in text


def test_a_listing_is_whole_although_it_is_no_article() -> None:
    text = md("/listing", main=True)
    for fact in ("# Lamps", "## Desk lamp", "19.90 EUR", "[Details](/lamps/3)", "34.50 EUR", "sale"):
        assert fact in text
    for noise in ("Menu", "Imprint"):
        assert noise not in text


def test_everything_unless_only_the_content_is_wanted() -> None:
    text = md("/article")
    for fact in ("News menu", "newsletter", "Imprint", "# The lighthouse keeper's record", "sent home"):
        assert fact in text


@pytest.mark.parametrize("main", [True, False])
def test_links_and_images_are_kept_as_asked(main: bool) -> None:
    full = md("/article", main=main, images=True)
    assert "[charts](/charts)" in full
    assert "![The lamp](/lamp.png)" in full
    bare = md("/article", main=main, links=False)
    assert "charts" in bare
    assert "/charts" not in bare
    assert "lamp.png" not in bare


def test_what_is_no_text_for_people_is_left_out() -> None:
    html = (
        "<p>Read</p><script>alert(1)</script><style>p {}</style><svg><title>icon</title></svg><noscript>no</noscript>"
        "<select><option>Red</option></select><img src='data:image/png;base64,AAAA'><a href='javascript:go()'>Go</a>"
    )
    assert markdown(html, main=False, links=True, images=True) == "Read\n\nGo"


def test_an_empty_page_is_an_empty_text() -> None:
    assert markdown("", main=False, links=True, images=True) == ""
    assert markdown("<html><body></body></html>", main=True, links=True, images=True) == ""


@pytest.mark.parametrize("missing", ["trafilatura", "markdownify"])
def test_a_missing_library_is_told_with_its_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require("scrape()")
    real = importlib.util.find_spec

    def absent(name: str) -> object:
        return None if name == missing else real(name)

    monkeypatch.setattr("lifecycle.client.markdown.find_spec", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'session-lifecycle\[scrape\]'"):
        require("scrape()")


def test_a_page_can_not_make_counting_its_words_take_long() -> None:
    """Each parenthesis began a URL, by its looks, that went on to the end: 32 KB took half a second, 1 MB minutes."""
    assert _length("(a" * 2**20) == 2**20
