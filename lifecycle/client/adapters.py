"""Adapters found by the entry-point group `lifecycle.adapters`; nothing here imports one by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from lifecycle.errors import InvalidConfig
from lifecycle.ports import AsyncPages, Pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.ports import BrowserHost

__all__ = ["GROUP", "Drivers", "default_host", "found", "load"]

_P = TypeVar("_P", Pages, AsyncPages)

GROUP: Final = "lifecycle.adapters"


def found() -> dict[str, str]:
    """Installed adapters by name, and where each comes from, for `lifecycle doctor`."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


def load(name: str, *given: object) -> Any:
    """A new object of the adapter *name*, made of what is *given*.

    Raises:
        InvalidConfig: None of that name is installed.
    """
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()(*given)
    known = ", ".join(sorted(found())) or "none"
    raise InvalidConfig("adapter", name, f"no adapter of that name is installed (group {GROUP}); installed: {known}")


_hosts: Final[dict[str, BrowserHost]] = {}


def default_host() -> BrowserHost:
    """Chromium on this machine: one host for the whole process, since its keepers belong to the process."""
    # Of two threads that ask first, both get the host of one: setdefault is atomic, and a host by itself does nothing.
    return _hosts.get("chromium") or _hosts.setdefault("chromium", load("chromium"))


class Drivers(Generic[_P]):
    """The adapter that makes pages: the one that was given, or the installed one, found when it is first needed.

    `kept`: what lets go of the drivers that stay between the sessions of a client's block, by whose they are (a
    thread's, a loop's); None outside of a block.
    """

    def __init__(self, given: _P | None, name: str) -> None:
        self._pages: _P | None = given
        self._name = name
        self.kept: dict[int, Callable[[], Any]] | None = None

    def get(self) -> _P:
        """The adapter.

        Raises:
            InvalidConfig: None of that name is installed.
        """
        if self._pages is not None:
            return self._pages
        made: _P = load(self._name)
        self._pages = made
        return made

    def raised(self, error: BaseException) -> bool:
        """Whether *error* is a driver's: ours, or one with which the script has connected by itself."""
        try:
            return self.get().is_driver_error(error)
        except InvalidConfig:
            return False
