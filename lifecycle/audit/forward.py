"""forward(): the events of a log, those that come too, as CloudEvents to a file or an HTTP endpoint.

In the order of the log, each at least once: where it stands is written to a cursor file after the sink has taken the
events, so that after a crash a few may come again and none is left out. Receivers know a repeated event by its `id`.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import ssl
import stat
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from lifecycle.audit.export import cloud_event
from lifecycle.audit.mark import Mark
from lifecycle.errors import InvalidConfig, SinkRefused, SinkUnavailable
from lifecycle.log.atomic import sync_directory
from lifecycle.log.batch import event_types
from lifecycle.log.port import Cursor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Mapping, Sequence

    from lifecycle.log.port import EventLog

__all__ = ["FileSink", "Forwarded", "HttpSink", "Sink", "forward", "sink_for"]

#: events looked at in one reading of the log
_PAGE: Final = 500
#: how often, at most, the cursor is written while events go out
_STORE_S: Final = 0.2
#: how long to sleep where nothing wakes us: for `stop`, and for logs that can't wake anybody
_LOOK_S: Final = 1.0
#: waits between attempts: doubled from the first to the last
_FIRST_WAIT_S: Final = 0.5
_LAST_WAIT_S: Final = 60.0
#: what a server may ask for by Retry-After
_MOST_ASKED_S: Final = 300.0
#: how every line of ours begins
_BEGINS: Final = b'{"specversion": "1.0"'
#: answers that another attempt may change (RFC 9110 §15.5.9, RFC 8470, RFC 6585); so may every 5xx
_LATER: Final = frozenset((408, 425, 429))


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What one run did: `events` were taken by the sink, up to `cursor` (None: nothing ever was)."""

    events: int
    cursor: Cursor | None


class Sink(Protocol):
    """Where events go. `most`: how many are handed over at once."""

    most: int

    def take(self, events: Sequence[Mapping[str, object]]) -> None:
        """Take them for good, or raise; after an error the same events come again.

        Raises:
            SinkUnavailable: Not now.
            SinkRefused: Not these.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class FileSink:
    """A file of CloudEvents, one a line (JSON Lines), synced to the disk before they count as taken.

    A line that a crash cut is taken away when the file is opened again. A pipe or a terminal may stand for the file;
    a file that holds something else may not.
    """

    most = _PAGE

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._fd: int | None = None
        self._regular = True
        self._made = False

    def take(self, events: Sequence[Mapping[str, object]]) -> None:
        """Append and sync.

        Raises:
            SinkUnavailable: It can't be written now; the message says why.
            InvalidConfig: It holds something else, and was left as it is.
        """
        try:
            if self._fd is None:
                self._fd = self._open()
            _write(self._fd, "".join(map(_line, events)).encode())
            if self._regular:
                os.fsync(self._fd)
        except OSError as error:
            self._take_back()
            self.close()
            raise SinkUnavailable(str(self.path), error.strerror or str(error)) from error

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(self.path, flags | os.O_CREAT | os.O_EXCL, 0o600)
            self._made = True
        except FileExistsError:
            fd = os.open(self.path, flags | os.O_CREAT, 0o600)
            self._made = False
        try:
            self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
            if not self._regular:
                return fd
            begun = os.pread(fd, len(_BEGINS), 0)
            if not _BEGINS.startswith(begun):
                raise InvalidConfig("to", str(self.path), "a new file, or one of events that were forwarded before")
            sync_directory(self.path)  # it may have been made just now
            end = os.lseek(fd, 0, os.SEEK_END)
            while end and os.pread(fd, 1, end - 1) != b"\n":
                step = max(0, end - 4096)
                end = step + os.pread(fd, end - step, step).rfind(b"\n") + 1
            os.ftruncate(fd, end)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _take_back(self) -> None:
        """Leave no empty file where there was none, such as on a full disk."""
        with suppress(OSError):
            if self._fd is not None and self._regular and self._made and os.fstat(self._fd).st_size == 0:
                os.unlink(self.path)

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


class _InTime(io.RawIOBase):
    """What comes from a socket, all of it within the socket's timeout, which is for each piece otherwise."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._until = time.monotonic() + (sock.gettimeout() or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int | None:  # type: ignore[override]
        if (left := self._until - time.monotonic()) <= 0:
            raise TimeoutError("timed out in the middle of the answer")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """One that is there in time or not at all, however slowly it trickles in."""

    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp = io.BufferedReader(_InTime(sock, self.fp.detach()))


class HttpSink:
    """An endpoint that takes CloudEvents by POST: one as `application/cloudevents+json`, or *batch* of them at once.

    *headers* go with every request. Redirections are not followed. Connecting, sending, and the whole of the answer may
    each take *timeout_s*.

    Raises:
        InvalidConfig: No usable http or https URL, header, batch or timeout.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, *, batch: int = 1, timeout_s: float = 30.0
    ) -> None:
        shown = url.partition("?")[0].rpartition("@")[2]  # without what may be a secret
        wrong = InvalidConfig("to", shown, "must be a file, or a URL such as https://host/path")
        try:
            found = urlsplit(url)
            # Given to the connection in any case: without a port it takes the end of an IPv6 address for one.
            port = found.port or (443 if found.scheme == "https" else 80)
            (found.hostname or "").encode("idna")  # as the connection will, whose error would be Python's own
        except ValueError:
            raise wrong from None
        readable = url.isascii() and url.isprintable() and " " not in url and found.port != 0
        if found.scheme not in ("http", "https") or not found.hostname or not readable:
            raise wrong
        if found.username is not None:
            raise InvalidConfig("to", found.hostname, "must not hold a name and password; send them as a header")
        if not 1 <= batch <= _PAGE:
            raise InvalidConfig("batch", batch, f"must be from 1 to {_PAGE}")
        if not 0 < timeout_s <= 3600:
            raise InvalidConfig("timeout_s", timeout_s, "must be seconds, up to 3600")
        for name, value in (headers or {}).items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not value.isprintable() or not value.isascii():
                raise InvalidConfig("headers", name, "must be a name and a printable ASCII value")
        self.most = batch
        self._timeout_s = timeout_s
        self._where = f"{found.scheme}://{found.netloc}{found.path}"  # without a query, which may hold a secret
        self._target = (found.path or "/") + (f"?{found.query}" if found.query else "")
        kind = "application/cloudevents+json" if batch == 1 else "application/cloudevents-batch+json"
        self._headers = {"User-Agent": "session-lifecycle", **(headers or {}), "Content-Type": f"{kind}; charset=utf-8"}
        if found.scheme == "https":
            context = ssl.create_default_context()
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                found.hostname, port, timeout=timeout_s, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(found.hostname, port, timeout=timeout_s)
        self._connection.response_class = _Answer

    def take(self, events: Sequence[Mapping[str, object]]) -> None:
        """POST them; any 2xx is a yes.

        Raises:
            SinkUnavailable: No answer, 408, 425, 429 or 5xx.
            SinkRefused: Any other answer.
        """
        body = json.dumps(events[0] if self.most == 1 else list(events), ensure_ascii=False).encode()
        try:
            if self._connection.sock is not None:
                self._connection.sock.settimeout(self._timeout_s)  # the last answer has left what it did not take
            self._connection.request("POST", self._target, body, self._headers)
            answer = self._connection.getresponse()
            said = answer.read(512).decode("utf-8", "replace")
            if answer.read(1):
                self._connection.close()  # a long answer is not worth the wait
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise SinkUnavailable(self._where, str(error) or type(error).__name__) from error
        if 200 <= answer.status < 300:
            return
        why = f"{answer.status} {answer.reason}".strip()
        if answer.status in _LATER or answer.status >= 500:
            raise SinkUnavailable(self._where, why, _asked(answer.headers.get("Retry-After")))
        if (elsewhere := answer.headers.get("Location")) is not None:
            why += f", which points to {elsewhere}"
        raise SinkRefused(self._where, why, str(events[0]["id"]), said)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def sink_for(
    to: str | os.PathLike[str], headers: Mapping[str, str] | None = None, *, batch: int = 1, timeout_s: float = 30.0
) -> Sink:
    """The sink that *to* means: a URL, or a file.

    Raises:
        InvalidConfig: As HttpSink; or headers and batches for a file.
    """
    if isinstance(to, str) and "://" in to:
        return HttpSink(to, headers, batch=batch, timeout_s=timeout_s)
    if headers or batch != 1:
        raise InvalidConfig("headers" if headers else "batch", headers or batch, "is for a URL; a file has none")
    return FileSink(to)


def forward(
    log: EventLog,
    sink: Sink,
    cursor_file: str | os.PathLike[str],
    *,
    follow: bool = False,
    types: Collection[str] | None = None,
    after: Cursor | None = None,
    source: str = "urn:session-lifecycle",
    private: bool = False,
    give_up_s: float | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[int, int], None] | None = None,
    trouble: Callable[[SinkUnavailable, float], None] | None = None,
) -> Forwarded:
    """Hand the events that *cursor_file* has not seen to *sink*; with *follow* those that come too, until *stop*.

    Only events of *types*, such as "closed", where that is given. A new cursor file begins after *after* (None: with
    the first event). What is private in an event stays here, but with *private*. A sink that is not available is tried
    again, with growing pauses, for *give_up_s* seconds (None: for ever); *trouble* hears each time why, and how long
    the pause is. *progress* hears positions. Blocks; to run it beside other work, give it a thread and *stop*.

    Raises:
        InvalidConfig: The cursor file is none, or belongs to another log; no such type of event.
        SinkUnavailable: For longer than *give_up_s*, or somebody else forwards with this cursor file now.
        SinkRefused: The sink will not have an event; nothing after it was sent.
        LogUnavailable, LogTampered: As reading says.
    """
    wanted = event_types(types)
    _apart(log, sink, Path(cursor_file))
    stop = stop or threading.Event()
    with Mark(cursor_file) as mark:
        mark.check(log)
        at = mark.cursor if mark.found else after
        if not mark.found and at is not None:
            mark.store(log, at)
        sent = 0
        stored = time.monotonic()
        try:
            while not stop.is_set():
                page = log.read_all(at, limit=_PAGE, types=wanted)
                events = [(row.position, cloud_event(row, source, private=private)) for row in page.events]
                for begin in range(0, len(events), sink.most):
                    some = events[begin : begin + sink.most]
                    if not _insist(sink, [event for _, event in some], give_up_s, stop, trouble):
                        return Forwarded(sent, at)
                    at = some[-1][0]
                    sent += len(some)
                    if time.monotonic() - stored >= _STORE_S:
                        mark.store(log, at)
                        stored = time.monotonic()
                at = page.cursor
                if progress is not None and at is not None:
                    last = log.last(1)
                    progress(at, last[0].position if last else at)
                if page.caught_up:
                    mark.store(log, at)
                    if not follow:
                        break
                    log.wait(at, _LOOK_S)
        finally:
            try:
                mark.store(log, at)
            finally:
                sink.close()
        return Forwarded(sent, at)


def _apart(log: EventLog, sink: Sink, cursor_file: Path) -> None:
    """Refuse one file for two purposes: to open the log's own would take SQLite's locks from this process."""
    files = [("cursor", cursor_file), *([("to", sink.path)] if isinstance(sink, FileSink) else [])]
    for argument, path in files:
        if f"sqlite:{path.resolve()}" == log.locator:
            raise InvalidConfig(argument, str(path), "must not be the log itself")
    if len({path.resolve() for _, path in files}) < len(files):
        raise InvalidConfig("cursor", str(cursor_file), "must not be the file to which the events go")


def _insist(
    sink: Sink,
    events: Sequence[Mapping[str, object]],
    give_up_s: float | None,
    stop: threading.Event,
    trouble: Callable[[SinkUnavailable, float], None] | None,
) -> bool:
    """Hand *events* over, however long it takes; False when told to stop first."""
    began = time.monotonic()
    pause = _FIRST_WAIT_S
    while not stop.is_set():
        try:
            sink.take(events)
        except SinkUnavailable as error:
            wait = pause if error.after_s is None else max(pause, error.after_s)
            if give_up_s is not None and time.monotonic() + wait - began > give_up_s:
                raise
            if trouble is not None:
                trouble(error, wait)
            stop.wait(wait)
            pause = min(2 * pause, _LAST_WAIT_S)
        else:
            return True
    return False


def _asked(text: str | None) -> float | None:
    """The seconds that Retry-After asks for; a date is as good as nothing, the pauses grow by themselves."""
    return min(float(text), _MOST_ASKED_S) if text is not None and text.isascii() and text.isdigit() else None


def _line(event: Mapping[str, object]) -> str:
    return json.dumps(event, ensure_ascii=False) + "\n"


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
