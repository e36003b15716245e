"""Every browser of a scrapy-playwright crawl as a session: one settings line."""

from __future__ import annotations

from lifecycle_scrapy.provider import Provider

__all__ = ["Provider"]
