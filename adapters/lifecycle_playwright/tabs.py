"""The tabs of one connection: which one is active, what each of them tells by itself, what was observed last.

A tab is listened to from the moment an operation first needs it, on a CDP session of its own beside Playwright's. That
session only listens (dialogs, opened windows), so a user's own handlers of dialogs keep working; and since it is there
before a page hangs, it can dismiss a forgotten dialog, or stop a script, when nothing else gets through any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lifecycle_playwright.steps import Steps

__all__ = ["Dialog", "Ear", "Page", "Seen", "Tabs"]

#: Playwright's Page of the synchronous or of the asynchronous API: the same names, other results
Page: TypeAlias = Any


@dataclass(slots=True)
class Dialog:
    """An alert, confirm, prompt or beforeunload; `answer` is None while it is open."""

    kind: str
    message: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the latest observe() gave out: the tab, and for each id how its element is called."""

    page: Page
    elements: Mapping[str, str]


@dataclass(slots=True)
class Ear:
    """What one tab tells by itself; `dialogs` and `windows` (opened by its page) are those since an operation began."""

    session: Any  # CDPSession
    listens: bool = False
    dialogs: list[Dialog] = field(default_factory=list["Dialog"])
    windows: int = 0

    def open_dialog(self) -> Dialog | None:
        """The dialog that blocks the page now."""
        return next((one for one in reversed(self.dialogs) if one.answer is None), None)

    def begin(self) -> None:
        """An operation begins: forget what was, but not a dialog that is still open."""
        self.dialogs = [one for one in self.dialogs if one.answer is None]
        self.windows = 0


class Tabs:
    """One connection's tabs. *ages* tells the ids (CDP's targetId) of the session's tabs, oldest first."""

    def __init__(self, first: Page, ages: Callable[[], Sequence[str]]) -> None:
        self.context: Any = first.context
        self.seen: Seen | None = None
        self._active: Page = first
        self._ages = ages
        self._known: list[Page] = []
        self._ears: dict[Page, Ear] = {}
        self._crashed: set[Page] = set()
        for page in self.context.pages:
            self._follow(page)

        def appeared(page: Page) -> None:
            self._follow(page)

        self.context.on("page", appeared)

    def _follow(self, page: Page) -> None:
        def crashed(_: Page) -> None:
            self._crashed.add(page)

        def loaded(_: Page) -> None:
            # Playwright counts its references anew in each document: an old one may come to mean another element.
            if self.seen is not None and self.seen.page is page:
                self.seen = None

        page.on("crash", crashed)
        page.on("domcontentloaded", loaded)

    def pages(self) -> Steps[list[Page]]:
        """The open tabs in the order of their age, which is also that of their indices."""
        if not self._known and len(self.context.pages) > 1:
            yield from self._by_age()
        self._known = [page for page in self._known if not page.is_closed()]
        self._known += [page for page in self.context.pages if page not in self._known]
        return self._known

    def _by_age(self) -> Steps[None]:
        """The browser lists tabs that were there before the connection in no order; the log knows it."""
        age = {tab: place for place, tab in enumerate(self._ages())}
        ids: list[tuple[int, Page]] = []
        for page in self.context.pages:
            info = yield from self.info(page)
            ids.append((age.get(str(info.get("targetId")), len(age)), page))
        self._known = [page for _, page in sorted(ids, key=lambda one: one[0])]

    def active(self) -> Steps[Page]:
        """The active tab. Once it has been closed, the one before it; a new one where none is left."""
        if self._active.is_closed():
            place = self._known.index(self._active) if self._active in self._known else 0
            pages = yield from self.pages()
            self._active = pages[max(place - 1, 0)] if pages else (yield self.context.new_page())
        return self._active

    def activate(self, page: Page) -> None:
        """Make *page* the active tab."""
        self._active = page

    def crashed(self, page: Page) -> bool:
        """Whether the page's renderer is gone. The tab stays, but nothing can be done with it."""
        return page in self._crashed

    def ear(self, page: Page) -> Steps[Ear]:
        """What listens to *page*, from now on. Waits for a page that hangs, the first time."""
        ear = yield from self._session(page)
        if not ear.listens:
            yield ear.session.send("Page.enable")
            ear.listens = True
        return ear

    def heard(self) -> Ear | None:
        """What listens to the active tab already."""
        ear = self._ears.get(self._active)
        return ear if ear is not None and ear.listens else None

    def info(self, page: Page) -> Steps[Mapping[str, Any]]:
        """CDP's TargetInfo of *page*: targetId, url, title. The browser itself answers, also while the page hangs."""
        ear = yield from self._session(page)
        answer = yield ear.session.send("Target.getTargetInfo")
        info: Mapping[str, Any] = answer["targetInfo"]
        return info

    def _session(self, page: Page) -> Steps[Ear]:
        self._ears = {known: ear for known, ear in self._ears.items() if not known.is_closed()}
        self._crashed = {known for known in self._crashed if not known.is_closed()}
        if page not in self._ears:
            self._ears[page] = _listening((yield self.context.new_cdp_session(page)))
        return self._ears[page]


def _listening(session: Any) -> Ear:
    ear = Ear(session)

    def opening(event: Mapping[str, Any]) -> None:
        ear.dialogs.append(Dialog(kind=str(event.get("type")), message=str(event.get("message"))))

    def closed(event: Mapping[str, Any]) -> None:
        if (dialog := ear.open_dialog()) is not None:
            dialog.answer = "accepted" if event.get("result") else "dismissed"

    def window(_: Mapping[str, Any]) -> None:
        ear.windows += 1

    session.on("Page.javascriptDialogOpening", opening)
    session.on("Page.javascriptDialogClosed", closed)
    session.on("Page.windowOpen", window)
    return ear
