"""Playwright pages on a session, and sessions on browsers that somebody else launched."""
