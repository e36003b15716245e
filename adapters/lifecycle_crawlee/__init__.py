"""Every browser of a Crawlee crawl as a session: a plugin for its BrowserPool."""

from __future__ import annotations

from lifecycle_crawlee.plugin import Plugin

__all__ = ["Plugin"]
