"""From HTML to Markdown: trafilatura for what an article says, markdownify for everything and for all other pages.

Both come with the extra `scrape` and are imported when they are first needed, which takes a good part of a second.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast

from lifecycle.errors import MissingExtra

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

__all__ = ["markdown", "require"]

#: What stands around the content of a page.
_AROUND: Final = ("nav", "header", "footer", "aside", "form", "dialog")
_AROUND_ROLES: Final = ("navigation", "banner", "contentinfo", "complementary", "search", "dialog")
#: Never text for people.
_NOT_TEXT: Final = ("script", "style", "noscript", "template", "svg", "canvas", "select", "datalist", "head")
#: Blocks that markdownify takes for words of a line.
_BLOCKS: Final = ("aside", "details", "fieldset", "footer", "form", "header", "main", "nav", "summary")
#: trafilatura knows articles. From listings, shops and dashboards it takes little or nothing, and from short pages all
#: there is, as words without a form. So it is believed where what it found is at least this part, and not more, of the
#: text that is left without what stands around.
_BELIEVED: Final = 0.4


def require(what: str) -> None:
    """Refuse *what* where the libraries are not installed; imports nothing.

    Raises:
        MissingExtra: Says what to install.
    """
    if find_spec("trafilatura") is None or find_spec("markdownify") is None:
        raise MissingExtra(what, "scrape")


def markdown(html: str, *, main: bool, links: bool, images: bool) -> str:
    """*html* as Markdown: all of it, or with *main* only its content without what stands around it.

    Args:
        links, images: Whether these keep their URLs; without, links are their text and images are left out.
    """
    if main and (article := _article(html, links=links, images=images)) is not None:
        return article
    return _everything(_soup(html, main=main), links=links, images=images)


def _article(html: str, *, links: bool, images: bool) -> str | None:
    import trafilatura  # type: ignore[import-untyped, unused-ignore] # typed since some release

    found = trafilatura.extract(
        html, output_format="markdown", include_links=links, include_images=images, include_comments=False
    )
    if not found:
        return None
    there = _length(_soup(html, main=True).get_text(" "))
    return _tidy(found) if _BELIEVED * there <= _length(found) <= there else None


def _length(text: str) -> int:
    return len(re.sub(r"\([^\s()]+\)|\W+", "", text))  # without URLs and marks


def _soup(html: str, *, main: bool) -> BeautifulSoup | Tag:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "lxml")
    for one in soup.find_all(_NOT_TEXT):
        one.decompose()
    if not main:
        return soup
    inside = soup.find_all("main") or soup.find_all(None, {"role": "main"}) or soup.find_all("article")
    root = inside[0] if len(inside) == 1 else soup
    around = [*root.find_all(_AROUND), *root.find_all(None, {"role": _AROUND_ROLES})]
    for one in around:
        if not (one.name == "header" and one.find("h1")):  # an article's own header holds its title
            one.decompose()
    return root


def _everything(root: BeautifulSoup | Tag, *, links: bool, images: bool) -> str:
    import markdownify  # type: ignore[import-untyped, unused-ignore] # typed since some release

    for image in root.find_all("img"):
        if str(image.get("src") or "").startswith("data:") or not image.get("src"):
            image.decompose()
    for link in root.find_all("a"):
        if not re.match(r"https?:|mailto:|tel:|file:|ftp:|/|#|\w[^:]*$", str(link.get("href") or "")):
            link.unwrap()
    for block in root.find_all(_BLOCKS):
        block.name = "div"
    without = [*([] if links else ["a"]), *([] if images else ["img"])]
    convert = cast("Any", markdownify).MarkdownConverter(heading_style="ATX", bullets="-", strip=without)
    return _tidy(str(convert.convert_soup(root)))


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
