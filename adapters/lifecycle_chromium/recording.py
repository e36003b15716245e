"""The keeper's side of a recording: a process of its own that films through the gate, and the receipt for it.

What is started is whatever the owner's plan names; this module knows its words, not its work. A recorder that dies or
hangs costs its recording and nothing else: the receipt is waited for within a bound, and then it is ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle.telemetry import logger
from lifecycle_chromium import orphans

if TYPE_CHECKING:
    from lifecycle.core.events import Evidence

__all__ = ["Recording"]

#: How long a session's start waits for the first picture. It takes 0.3 s; what happened before is not on the film.
READY_S: Final = 5.0
_WORDS: Final = 300


class Recording:
    """One recorder process, in a group of its own. For the session's thread."""

    def __init__(self, session_id: str, order: dict[str, Any]) -> None:
        self.path: Final = Path(order["path"])
        self._part = self.path.with_name(f".{session_id}.mp4.part")
        command = [*order["command"], str(self.path), str(self._part), str(order["limit_bytes"])]
        self._process: subprocess.Popen[bytes] | None = None
        self._why_not: str | None = None
        self._news: dict[str, Any] = {}
        self._filming = threading.Event()
        self._ended = threading.Event()
        self._finished = False
        try:
            self._process = orphans.start(
                lambda: subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", start_new_session=True
                )
            )
        except OSError as error:
            self._fail(f"the recorder can't be started: {error.strerror}")
        else:
            threading.Thread(target=self._listen, name="recorder", daemon=True).start()

    def begin(self, session_id: str, look_url: str) -> None:
        """Film what is behind *look_url*; returns when the first picture is there, or won't be soon."""
        self._tell(cdp_url=look_url)
        if not self._filming.wait(READY_S):
            logger.warning("recording_late", session_id=session_id, waited_s=READY_S)

    def finish(self) -> None:
        """That was all; returns at once."""
        if not self._finished:
            self._finished = True
            self._tell(end=time.time())

    def receipt(self, timeout_s: float) -> Evidence:
        """What came of it, waiting up to *timeout_s*; the recorder is gone then, whatever it did."""
        self.finish()
        if not self._ended.wait(max(0.0, timeout_s)):
            self._fail("the recorder did not finish in time")
        self.end()
        if self._why_not is None and "sha256" not in self._news:
            self._why_not = self._news.get("why_not") or self._exit()
        if self._why_not is not None:
            return {"recording_why_not": self._why_not[:_WORDS]}
        return {f"recording_{name}": value for name, value in self._news.items()}

    def end(self) -> None:
        """End the recorder and its encoder, and remove what is not whole. Idempotent."""
        if self._process is not None:
            # By its group: the encoder may be stopped, and has nobody else. The number is ours until it is reaped.
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                orphans.reaped(self._process.pid)
                orphans.reap()
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _exit(self) -> str:
        assert self._process is not None
        code = self._process.returncode
        return f"the recorder ended with {f'signal {-code}' if code < 0 else f'code {code}'}"

    def _tell(self, **message: object) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is gone, which its receipt will say
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines, contextlib.suppress(ValueError):
            for line in lines:
                news: dict[str, Any] = json.loads(line)
                if news.pop("filming", False):
                    self._filming.set()
                if news:
                    self._news = news
                    break
        self._filming.set()
        self._ended.set()

    def _fail(self, why: str) -> None:
        self._why_not = why
        self._filming.set()
        self._ended.set()
