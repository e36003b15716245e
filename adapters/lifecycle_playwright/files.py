"""Actions that move files: upload and download."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle.client.downloads import free_name
from lifecycle.ports import Performed
from lifecycle_playwright.elements import FIELD, locate, what
from lifecycle_playwright.failures import Refused
from lifecycle_playwright.steps import until

if TYPE_CHECKING:
    from lifecycle import actions
    from lifecycle_playwright.elements import Locator
    from lifecycle_playwright.steps import Steps
    from lifecycle_playwright.tabs import Page, Tabs

__all__ = ["download", "upload"]

#: what the driver says when the system refuses it a file: ENOSPC: no space left on device, copyfile …
_SYSTEM: Final = re.compile(r"\bE[A-Z0-9]{3,}: ([\w -]+)")


def upload(tabs: Tabs, page: Page, action: actions.UploadFile) -> Steps[Performed]:
    """Give a file to a file input, or to the button that asks for one."""
    path = Path(action.file_path)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise Refused(
            "file", f"{str(path)!r} is not a file that can be read", "the path is not a file that can be read"
        )
    element = yield from locate(tabs, page, action)
    kind, _ = yield element.evaluate(FIELD, timeout=action.timeout)
    if kind == "file":
        yield element.set_input_files(path, timeout=action.timeout)
    else:
        yield from _through_chooser(page, element, path, action)
    return Performed(ok=True, message=f"gave {path.name!r} to {what(tabs, action)}")


def _through_chooser(page: Page, button: Locator, path: Path, action: actions.UploadFile) -> Steps[None]:
    end = time.monotonic() + action.timeout / 1000
    choosers: list[Any] = []

    def asked(chooser: Any) -> None:
        choosers.append(chooser)

    page.on("filechooser", asked)
    try:
        yield button.click(timeout=action.timeout)
        yield from until(page, lambda: choosers, end)
    finally:
        page.remove_listener("filechooser", asked)
    if not choosers:
        raise Refused("unsuitable", f"clicking it asked for no file within {action.timeout} ms; it is no file input")
    yield choosers[0].set_files(path, timeout=action.timeout)


def download(tabs: Tabs, page: Page, action: actions.DownloadFile) -> Steps[Performed]:
    """Click, and save the file that comes."""
    if action.directory is not None and not Path(action.directory).is_dir():
        message = f"{str(action.directory)!r} is not a directory"
        raise Refused("file", message, "the directory for downloads is not there")
    element = yield from locate(tabs, page, action)
    end = time.monotonic() + action.timeout / 1000
    downloads: list[Any] = []

    def began(download: Any) -> None:
        downloads.append(download)

    def appeared(popup: Page) -> None:  # target=_blank: the tab that asks for the file is a new one
        popup.on("download", began)

    page.on("download", began)
    tabs.context.on("page", appeared)
    try:
        yield element.click(timeout=action.timeout)
        yield from until(page, lambda: downloads, end)
    finally:
        page.remove_listener("download", began)
        tabs.context.remove_listener("page", appeared)
    if not downloads:
        raise Refused("download", f"no download began within {action.timeout} ms")
    return (yield from _save(downloads[0], action))


def _save(download: Any, action: actions.DownloadFile) -> Steps[Performed]:
    if failure := (yield download.failure()):  # waits for the end
        raise Refused("download", f"the download failed: {failure}", "the download failed")
    path = _free(action.directory, download.suggested_filename)
    try:
        yield download.save_as(path)
    except BaseException as error:
        path.unlink(missing_ok=True)  # the driver takes away what it could not finish
        if action.directory is None:
            path.parent.rmdir()
        if found := _SYSTEM.search(str(error)):
            raise _unsaved(path.parent, found[1]) from error
        raise
    data = {"path": str(path), "suggested_filename": download.suggested_filename, "size": path.stat().st_size}
    return Performed(ok=True, message=f"saved {path.name!r}, {data['size']} bytes", data=data)


def _free(wanted: str | Path | None, suggested: str) -> Path:
    """A name that no file has, in the directory *wanted* or in a new one; taken now, and save_as writes into it."""
    directory = None if wanted is None else Path(wanted)
    try:
        directory = directory or Path(tempfile.mkdtemp(prefix="lifecycle-download-"))
        return free_name(directory, suggested, lambda path: path.open("xb").close())
    except FileExistsError:
        raise Refused(
            "file", f"{str(directory)!r} holds too many files of that name", "no free name for the file"
        ) from None
    except OSError as error:
        raise _unsaved(directory, error.strerror) from error


def _unsaved(directory: Path | None, why: str | None) -> Refused:
    where = "anywhere" if directory is None else f"in {str(directory)!r}"
    return Refused("file", f"it can't be saved {where}: {why}", f"it can't be saved: {why}")
