"""A session for every browser, and every context or test, of a pytest-playwright run: --lifecycle."""

from __future__ import annotations

__all__: list[str] = []
