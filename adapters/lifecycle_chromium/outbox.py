"""Bytes on their way out, to a reader that may be slow or stopped, without ever blocking the one who sends.

`put` writes what the other side takes at once, in the calling thread: a thread of its own between two ends costs a
wake-up for every message. What is left over waits in memory, and a thread that lives only as long as something waits
sends it. Whoever puts sees how much waits and decides: a slow client is dropped, a slow browser slows its clients.
"""

from __future__ import annotations

import contextlib
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

__all__ = ["Chunk", "Outbox"]

Chunk: TypeAlias = bytes | bytearray | memoryview

# How often the sending thread looks whether it is still wanted while the other side takes nothing.
_LOOK_MS: Final = 100


class Outbox:
    """An ordered, unbounded queue of messages in front of a descriptor. Safe to use from several threads.

    *write* writes some of the given chunks without blocking, as os.writev on a non-blocking pipe does, and raises
    BlockingIOError when it can't write any. *fd* is what becomes writable again. *release* is called once, when the
    descriptor is no longer used.
    """

    def __init__(self, fd: int, write: Callable[[Sequence[Chunk]], int], release: Callable[[], None]) -> None:
        self._fd = fd
        self._write = write
        self._release = release
        self._changed = threading.Condition()
        self._queue: deque[memoryview] = deque()
        self._waiting = 0
        self._sending = False
        self._closed = False
        self._error: OSError | None = None

    def put(self, *chunks: Chunk) -> int:
        """Send one message. Bytes that wait behind the message being sent, this one included; 0 normally.

        Never blocks.

        Raises:
            OSError: The other side is gone, or the outbox is closed.
        """
        with self._changed:
            if self._closed:
                raise BrokenPipeError("closed")
            if self._error is not None:
                raise self._error
            sent = 0
            if not self._queue:
                with contextlib.suppress(BlockingIOError):
                    sent = self._write(chunks)
                if sent == sum(map(len, chunks)):
                    return 0
            rest = memoryview(b"".join(chunks))[sent:]
            self._queue.append(rest)
            if len(self._queue) > 1:
                self._waiting += len(rest)
            if not self._sending:
                # Where no thread is left for now it waits for the next message, which tries again.
                with contextlib.suppress(RuntimeError):
                    threading.Thread(target=self._send, name="outbox", daemon=True).start()
                    self._sending = True
            return self._waiting

    def drop_waiting(self) -> None:
        """Forget every message but the one that is being sent: half of it would be garbage."""
        with self._changed:
            while len(self._queue) > 1:
                self._queue.pop()
            self._waiting = 0
            self._changed.notify_all()

    def wait_until(self, limit_bytes: int, timeout_s: float) -> bool:
        """Wait until at most *limit_bytes* wait (see `put`), or it is closed or broken; False after *timeout_s*."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._waiting <= limit_bytes or self._closed or self._error is not None, timeout_s
            )

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is sent; False when it isn't after *timeout_s*, or never will be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue or self._closed or self._error is not None, timeout_s)
            return not self._queue and not self._closed and self._error is None

    def close(self) -> None:
        """Send nothing more; what waits is lost. Idempotent, never blocks."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
            if self._sending:
                return  # the sending thread releases: it may be polling the descriptor
        self._release()

    def _send(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while True:
            poll.poll(_LOOK_MS)
            with self._changed:
                if not self._closed:
                    self._send_some()
                if self._queue and not self._closed:
                    continue
                self._sending = False
                self._changed.notify_all()
                if not self._closed:
                    return
            self._release()
            return

    def _send_some(self) -> None:
        """Write until nothing waits or the other side takes no more. Holds the lock, so *write* must not block."""
        try:
            while self._queue:
                sent = self._write([self._queue[0]])
                self._queue[0] = self._queue[0][sent:]
                if not self._queue[0]:
                    self._queue.popleft()
                    self._waiting -= len(self._queue[0]) if self._queue else 0
                    self._changed.notify_all()
        except BlockingIOError:
            pass
        except OSError as error:
            self._error = error
            self._queue.clear()
            self._waiting = 0
