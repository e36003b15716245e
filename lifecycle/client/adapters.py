"""Adapters found by the entry-point group `lifecycle.adapters`; nothing here imports one by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from lifecycle.ports import AsyncPages, BrowserHost, Pages

__all__ = ["GROUP", "default_async_pages", "default_host", "default_pages", "found", "load"]

GROUP: Final = "lifecycle.adapters"


def found() -> dict[str, str]:
    """Installed adapters by name, and where each comes from, for `lifecycle doctor`."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


def load(name: str) -> Any:
    """A new object of the adapter *name*.

    Raises:
        InvalidConfig: None of that name is installed.
    """
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()()
    known = ", ".join(sorted(found())) or "none"
    raise InvalidConfig("adapter", name, f"no adapter of that name is installed (group {GROUP}); installed: {known}")


_host: BrowserHost | None = None


def default_host() -> BrowserHost:
    """Chromium on this machine: one host for the whole process, since its keepers belong to the process."""
    global _host
    if _host is not None:
        return _host
    made: BrowserHost = load("chromium")
    _host = made
    return made


def default_pages() -> Pages:
    """Playwright's synchronous pages."""
    pages: Pages = load("playwright")
    return pages


def default_async_pages() -> AsyncPages:
    """Playwright's asynchronous pages."""
    pages: AsyncPages = load("playwright-async")
    return pages
