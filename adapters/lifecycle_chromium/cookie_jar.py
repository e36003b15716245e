"""Between a session's browser and its cookie file: load once, save when something is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lifecycle.client.cookies import Cookies, Receipt, cookies_of, read, save
from lifecycle.core.events import CookiesLoaded, CookiesSaved
from lifecycle_chromium.pipe import CdpClosed, CdpError
from lifecycle_chromium.watch import read_cookies

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle_chromium.pipe import CdpPipe

__all__ = ["CookieJar"]

_WAIT_S: Final = 5.0
#: The browser's main process answers within a millisecond even when every page hangs; a stopped one never does.
_ANSWER_S: Final = 1.0


class CookieJar:
    """One session's cookie file. Used by the session's own thread alone."""

    def __init__(self, path: Path, pipe: CdpPipe) -> None:
        self._path = path
        self._pipe = pipe
        self._loaded: Cookies = []
        self._last: Cookies | None = None
        self._said: Receipt | None = None

    def load(self) -> CookiesLoaded:
        """Set the file's cookies in the browser; one that it refuses does not keep the others out.

        Raises:
            InvalidConfig: The file was malformed since it was checked.
            CdpClosed, TimeoutError: The browser does not answer.
        """
        found = read(self._path)
        if found is None:
            return CookiesLoaded(why_not="there is no such file yet", path=str(self._path))
        file, sha256 = found
        refused = self._set(file.cookies)
        self._loaded = file.cookies
        why_not = f"the browser refused {refused} of {len(file.cookies)}" if refused else None
        return CookiesLoaded(count=len(file.cookies) - refused, sha256=sha256, why_not=why_not, path=str(self._path))

    def _set(self, cookies: Cookies) -> int:
        if not cookies:
            return 0
        try:
            self._pipe.call("Storage.setCookies", {"cookies": cookies}, timeout_s=_WAIT_S)
        except CdpError:
            if len(cookies) == 1:
                return 1
            # All or none: find the bad ones by halves.
            middle = len(cookies) // 2
            return self._set(cookies[:middle]) + self._set(cookies[middle:])
        return 0

    def save(self) -> CookiesSaved | None:
        """Merge the browser's cookies into the file; None when they are what they were the last time."""
        try:
            now = cookies_of(list[object](read_cookies(self._pipe, timeout_s=_ANSWER_S)))
        except (CdpClosed, CdpError, TimeoutError, ValueError) as error:
            return self._say(Receipt(why_not=f"the browser did not tell its cookies: {type(error).__name__}"))
        if now == self._last:
            return None
        receipt = save(self._path, now, self._loaded)
        if receipt.why_not is None:
            self._last, self._loaded = now, now
        return self._say(receipt)

    def _say(self, receipt: Receipt) -> CookiesSaved | None:
        if receipt == self._said and receipt.why_not is not None:
            return None  # the same trouble as half a minute ago
        self._said = receipt
        return CookiesSaved(count=receipt.count, sha256=receipt.sha256, why_not=receipt.why_not, path=str(self._path))
