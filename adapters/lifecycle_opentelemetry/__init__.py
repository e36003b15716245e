"""Sessions as OpenTelemetry: a span for each that has ended, its events in it, and a log record for the ending.

Everything is made from the log, so it is the same while sessions run, after the fact, and in a process that has nothing
to do with them. Only the OpenTelemetry API is needed (extra `opentelemetry`); without an SDK nothing goes anywhere.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self

from lifecycle.core import ENDINGS
from lifecycle.errors import LifecycleError, MissingExtra
from lifecycle.telemetry import logger

try:
    from lifecycle_opentelemetry.spans import Tracing, traceparent
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("opentelemetry"):
        raise
    raise MissingExtra("lifecycle_opentelemetry", "opentelemetry") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.trace import TracerProvider

    from lifecycle.log.port import Cursor, EventLog

__all__ = ["Exporter", "export", "traceparent"]

_PAGE: Final = 200
#: so that leaving the block is noticed; the log wakes us as soon as something comes
_LOOK_S: Final = 1.0


def export(
    log: EventLog,
    after: Cursor | None = None,
    *,
    tracer_provider: TracerProvider | None = None,
    logger_provider: LoggerProvider | None = None,
) -> Cursor | None:
    """Make the spans and log records of all sessions that have ended after the cursor *after*; None: of all.

    Gives the cursor to go on from. A session whose deadline has passed has ended once the log says so, which a keeper
    sees to, or `reconcile`. The providers are OpenTelemetry's global ones unless given; flushing them is yours.

    Raises:
        LogUnavailable, LogTampered: As reading says.
    """
    for cursor in _exported(log, after, Tracing(tracer_provider, logger_provider)):
        after = cursor
    return after


def _exported(log: EventLog, after: Cursor | None, tracing: Tracing) -> Iterator[Cursor | None]:
    """Export, and give the cursor of what has been."""
    while True:
        page = log.read_all(after, limit=_PAGE, types=ENDINGS)
        for ending in page.events:
            tracing.ended(ending, log.read(ending.stream))
            yield ending.position
        after = page.cursor
        yield after
        if page.caught_up:
            return


class Exporter:
    """export() beside your program, for as long as a `with` block lasts: each session as soon as it has ended.

    It begins after *after*: a cursor, or (None) what stands in the log when the block begins. `cursor` is how far it
    came, for the next one to begin after. Nothing that goes wrong in it reaches the program; it is in the log lines of
    `lifecycle`. What has ended by the end of the block is exported when the block is left.
    """

    def __init__(
        self,
        log: EventLog,
        after: Cursor | None = None,
        *,
        tracer_provider: TracerProvider | None = None,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        self.cursor = after
        self._log = log
        self._tracing = Tracing(tracer_provider, logger_provider)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lifecycle-opentelemetry", daemon=True)

    def __enter__(self) -> Self:
        if self.cursor is None:
            last = self._log.last(1)
            self.cursor = last[0].position if last else None
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._export()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._export():
                self._log_wait()
            else:
                self._stop.wait(_LOOK_S)

    def _log_wait(self) -> None:
        try:
            self._log.wait(self.cursor, _LOOK_S)
        except LifecycleError:
            self._stop.wait(_LOOK_S)  # said when it is read next

    def _export(self) -> bool:
        try:
            for cursor in _exported(self._log, self.cursor, self._tracing):
                self.cursor = cursor  # each is exported once, also where the next one can't be
        except Exception as error:  # a host's exporter, or the log: neither may take the program down
            logger.warning("opentelemetry.export_failed", error=f"{type(error).__name__}: {error}")
            return False
        return True
