"""Start, watch, relay and end a real Chromium. Does not import Playwright."""
