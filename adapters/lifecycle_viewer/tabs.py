"""Which tab to look at. Pure: messages about targets go in, the tab comes out.

No event tells which tab is in front (measured, with a window and without: bringToFront sends nothing), so what counts
is where something happened last: a tab was opened, or went to another address. A tab that only loads the same page
again takes the view from nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Tab", "Tabs"]


@dataclass(slots=True)
class Tab:
    """A tab: its target, the session that is attached to it, and what is known of its page."""

    target: str
    session: str
    url: str
    title: str
    crashed: bool = False


class Tabs:
    """The tabs of one browser, in the order in which something happened in them."""

    def __init__(self) -> None:
        self._tabs: dict[str, Tab] = {}  # by target; the last one is the one to look at

    @property
    def current(self) -> Tab | None:
        """The tab to look at; None when there is none."""
        return next(reversed(self._tabs.values()), None)

    def __len__(self) -> int:
        return len(self._tabs)

    def take(self, message: dict[str, Any]) -> bool:
        """Take in a message of the browser; whether it was about tabs at all."""
        params: dict[str, Any] = message.get("params", {})
        match message.get("method"):
            case "Target.attachedToTarget":
                info = params["targetInfo"]
                self._tabs[info["targetId"]] = Tab(
                    info["targetId"], params["sessionId"], info["url"], info.get("title", "")
                )
            case "Target.targetInfoChanged":  # a navigation was committed
                self.describe(params["targetInfo"])
                self.recovered(target=params["targetInfo"]["targetId"])
            case "Target.targetDestroyed":
                self._tabs.pop(params["targetId"], None)
            case "Target.detachedFromTarget":
                self._tabs = {key: tab for key, tab in self._tabs.items() if tab.session != params["sessionId"]}
            case "Target.targetCrashed":
                if (tab := self._tabs.get(params["targetId"])) is not None:
                    tab.crashed = True
            case _:
                return False
        return True

    def describe(self, info: dict[str, Any]) -> None:
        """Take in what the browser says of a target, told or asked."""
        tab = self._tabs.get(info["targetId"])
        if tab is None:
            return
        moved = info["url"] != tab.url
        tab.url, tab.title = info["url"], info.get("title", "")
        if moved and not tab.crashed:
            self._front(tab)

    def recovered(self, target: str) -> None:
        """The tab draws again."""
        if (tab := self._tabs.get(target)) is not None:
            tab.crashed = False

    def _front(self, tab: Tab) -> None:
        self._tabs[tab.target] = self._tabs.pop(tab.target)
