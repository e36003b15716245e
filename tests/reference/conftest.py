"""The same world as the client's tests: a log and a site of one's own, and the proof that nothing is left."""

from tests.client.conftest import site, world

__all__ = ["site", "world"]
