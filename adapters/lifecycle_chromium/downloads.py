"""What pages download, kept in the session's directory: whole, under the suggested name, whoever is connected.

1. The browser puts every download into the session's own folder, under a number of its own (`allowAndName`), for a
   session of the keeper's, which is told of all of them, also those of clients' contexts;
2. one that is complete gets a second name in the directory, a hard link: there at once and whole, never over another
   file. On another file system it is copied beside its place first;
3. the first name stays where Playwright looks for it, and goes with the session.

Chromium forgets where downloads go, and refuses them, when the client that said so last has left: `renew`. A download
that a client has put elsewhere is kept from there (measured with Chromium 156, tests/client/test_downloads.py).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import threading
import uuid
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from lifecycle.client.downloads import free_name, harmless
from lifecycle.telemetry import logger
from lifecycle_chromium.pipe import CdpClosed

if TYPE_CHECKING:
    from lifecycle.core.events import Evidence
    from lifecycle_chromium.pipe import CdpPipe

__all__ = ["QUEUE_BYTES", "Downloads"]

#: What may wait for a slow disk, in bytes of CDP: a page may offer any number. What comes beyond is not kept.
QUEUE_BYTES: Final = 16 * 2**20
_CHUNK_BYTES: Final = 2**20
#: What copies too long has this long to stop and to tidy up.
_LATE_S: Final = 0.5


class Downloads:
    """One session's downloads, from its start until its browser's pipe is closed. Thread-safe.

    Raises: as `CdpPipe.call`.
    """

    def __init__(self, pipe: CdpPipe, folder: Path, directory: Path) -> None:
        self._pipe = pipe
        self._folder = folder
        self._directory = directory
        self._names: dict[str, str] = {}  # of downloads that have begun and not ended
        self._saved = 0
        self._not_saved = 0
        self._why_not: str | None = None
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._ending = False
        self._cut_off = 0
        self._over = False
        self._late = threading.Event()
        self._changed = threading.Condition()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._session_id = pipe.attach_browser()
        self._thread = threading.Thread(target=self._run, name="downloads", daemon=True)
        self._thread.start()
        pipe.add_route(self._session_id, self._on_message)
        pipe.on_closed(self._stop)
        self.renew()

    def renew(self) -> None:
        """Say again where downloads go, because somebody has left. Never blocks or fails."""
        there = {"behavior": "allowAndName", "downloadPath": str(self._folder), "eventsEnabled": True}
        with contextlib.suppress(CdpClosed):
            self._pipe.post("Browser.setDownloadBehavior", there, session_id=self._session_id)

    def finish(self) -> None:
        """The session has ended: what is cancelled from now on is so because its browser goes. Returns at once."""
        self._ending = True

    def receipt(self, timeout_s: float) -> Evidence:
        """What was kept and what was not, once the browser is gone; what takes longer than *timeout_s* is not kept."""
        self._thread.join(max(0.0, timeout_s))
        self._late.set()
        self._stop()
        self._thread.join(_LATE_S)
        with self._changed:
            found: Evidence = {"downloads_saved": self._saved}
            if unfinished := self._cut_off + len(self._names):
                found = {**found, "downloads_unfinished": unfinished}
            if self._not_saved:
                found = {**found, "downloads_not_saved": self._not_saved, "downloads_why_not": self._why_not}
        return found

    def _on_message(self, message: bytes, _end: int) -> None:
        # A running download tells of itself several times a second.
        if not message.startswith(b'{"method":"Browser.download') or b'"state":"inProgress"' in message:
            return
        with self._changed:
            if self._queued_bytes + len(message) > QUEUE_BYTES:
                self._not_saved += 1
                self._why_not = "too many at once"
                return
            self._queue.append(message)
            self._queued_bytes += len(message)
            self._changed.notify()

    def _stop(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()

    def _run(self) -> None:
        while (message := self._next()) is not None:
            params: dict[str, Any] = message["params"]
            guid: str = params["guid"]
            if message["method"] == "Browser.downloadWillBegin":
                with self._changed:
                    self._names[guid] = harmless(params["suggestedFilename"])  # short, too
                continue
            with self._changed:
                name = self._names.pop(guid, "")
            if params["state"] == "completed":
                self._keep(Path(params.get("filePath") or self._folder / guid), name)
            elif self._ending:
                self._cut_off += 1

    def _next(self) -> dict[str, Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._over)
            if not self._queue:
                return None
            message = self._queue.popleft()
            self._queued_bytes -= len(message)
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def _keep(self, path: Path, name: str) -> None:
        why_not = None
        try:
            self._save(path, name)
        except OSError as error:
            why_not = error.strerror or type(error).__name__
            logger.warning("download_not_saved", why=why_not)
        with self._changed:
            if why_not is None:
                self._saved += 1
            else:
                self._not_saved += 1
                self._why_not = why_not

    def _save(self, path: Path, name: str) -> None:
        if self._late.is_set():
            raise OSError(errno.ETIME, "the session was over")
        with path.open("rb") as file:  # whoever removes it meanwhile takes only its name
            try:
                free_name(self._directory, name, lambda free: os.link(path, free))
            except FileExistsError:
                raise
            except OSError:
                self._copy(file, name)

    def _copy(self, file: BinaryIO, name: str) -> None:
        """Across file systems, or where there are no hard links: beside its place, and there when it is whole."""
        part = self._directory / f".{uuid.uuid4().hex}.part"
        try:
            with part.open("xb") as copy:
                while chunk := file.read(_CHUNK_BYTES):
                    copy.write(chunk)
                    if self._late.is_set():
                        raise OSError(errno.ETIME, "copying it took too long")
                os.fchmod(copy.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode))
            free_name(self._directory, name, lambda free: _name(part, free))
        finally:
            part.unlink(missing_ok=True)


def _name(part: Path, free: Path) -> None:
    try:
        os.link(part, free)
    except FileExistsError:
        raise
    except OSError:  # FAT and the like
        free.open("xb").close()
        part.replace(free)
