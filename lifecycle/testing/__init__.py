"""The kit for those who build on this library: contracts for logs and browsers, sample histories, a virtual clock.

Nothing here needs a test runner; everything raises AssertionError with what was expected and what was seen.
"""
