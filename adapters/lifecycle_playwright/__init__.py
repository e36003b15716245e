"""Playwright pages on a session, and sessions on browsers that somebody else launched."""

from lifecycle_playwright.async_api import AsyncPages
from lifecycle_playwright.sync_api import Pages

__all__ = ["AsyncPages", "Pages"]
