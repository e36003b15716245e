"""The collector: reads what came since the last scrape, and tells what it all amounts to."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from lifecycle.core import ENDINGS, LIVE, leads_to
from lifecycle.log.canonical import parse
from lifecycle.telemetry import append_failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client import Metric

    from lifecycle.log.port import Cursor, EventLog, Recorded

__all__ = ["SessionCollector"]

_PAGE: Final = 1000
_COUNTED: Final = ("session.created", "session.started", *ENDINGS)
_DURATIONS_S: Final = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 14_400, 86_400)
_LATENESS_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)


class SessionCollector(Collector):
    """Register it: `REGISTRY.register(SessionCollector(client.log))`. Thread-safe; a scrape reads what is new.

    Counts from the first event of the log, or from the one after the cursor *after*; the first scrape after that reads
    everything there is to count, so on a long log either give *after* or scrape once before you serve.

    | metric                                   | labels        |                                                    |
    |------------------------------------------|---------------|----------------------------------------------------|
    | lifecycle_sessions_created_total         |               | asked for                                          |
    | lifecycle_sessions_started_total         |               | whose browser came up                              |
    | lifecycle_sessions_ended_total           | status, cause | that the log says have ended                       |
    | lifecycle_sessions_live                  | status        | that live now; one past its deadline does not      |
    | lifecycle_session_duration_seconds       | status        | histogram: from created to the ending              |
    | lifecycle_session_ending_lateness_seconds | status       | histogram: from an ending's moment to its record   |
    | lifecycle_append_failures_total          | error         | of this process: what the log did not take         |
    """

    def __init__(
        self,
        log: EventLog,
        after: Cursor | None = None,
        *,
        durations_s: Sequence[float] = _DURATIONS_S,
        lateness_s: Sequence[float] = _LATENESS_S,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._log = log
        self._cursor = after
        self._now_us = now_us
        self._lock = threading.Lock()
        self._created = self._started = 0
        self._ended: Counter[tuple[str, str]] = Counter()
        self._began: dict[str, int] = {}
        self._durations = _Histogram(durations_s)
        self._lateness = _Histogram(lateness_s)

    def describe(self) -> list[Metric]:
        """Nothing, so that registering reads no log."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now.

        Raises:
            LogUnavailable, LogTampered: As reading says; the scrape fails, and the next one goes on.
        """
        with self._lock:
            self._read()
            yield CounterMetricFamily("lifecycle_sessions_created", "Sessions asked for.", self._created)
            yield CounterMetricFamily("lifecycle_sessions_started", "Sessions whose browser came up.", self._started)
            ended = CounterMetricFamily(
                "lifecycle_sessions_ended", "Sessions that have ended, by status and cause.", labels=("status", "cause")
            )
            for key, count in sorted(self._ended.items()):
                ended.add_metric(key, count)
            yield ended
            live = GaugeMetricFamily("lifecycle_sessions_live", "Sessions that live now.", labels=("status",))
            now = self._now_us()
            for status in LIVE:
                live.add_metric([status.value], self._log.sessions.count(now=now, status=status))
            yield live
            yield self._durations.family("lifecycle_session_duration_seconds", "From created to the ending.")
            yield self._lateness.family(
                "lifecycle_session_ending_lateness_seconds", "From the moment of an ending to its record in the log."
            )
        failures = CounterMetricFamily(
            "lifecycle_append_failures", "Appends of this process that the log did not take.", labels=("error",)
        )
        for error, count in sorted(append_failures().items()):
            failures.add_metric([error], count)
        yield failures

    def _read(self) -> None:
        while True:
            page = self._log.read_all(self._cursor, limit=_PAGE, types=_COUNTED)
            for row in page.events:
                self._count(row)
                self._cursor = row.position  # each counts once, also where the next one can't be
            self._cursor = page.cursor
            if page.caught_up:
                return

    def _count(self, row: Recorded) -> None:
        if row.type == "session.created":
            self._created += 1
            self._began[row.stream] = row.at
        elif row.type == "session.started":
            self._started += 1
        else:
            status = leads_to(row.type).value
            began = self._began.pop(row.stream, None)
            if began is None:  # before *after*
                began = self._log.read(row.stream, until=1)[0].at
            self._ended[status, str(parse(row.data).get(ENDINGS[row.type]))] += 1
            self._durations.add(status, (row.at - began) / 1e6)
            self._lateness.add(status, max(0, row.recorded_at - row.at) / 1e6)


class _Histogram:
    """Values by status in buckets whose upper bounds are given."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = sorted(bounds)
        self._counts: dict[str, list[int]] = {}
        self._sums: Counter[str] = Counter()

    def add(self, status: str, value: float) -> None:
        counts = self._counts.setdefault(status, [0] * (len(self._bounds) + 1))
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[status] += value  # type: ignore[assignment]

    def family(self, name: str, help: str) -> HistogramMetricFamily:
        made = HistogramMetricFamily(name, help, labels=("status",))
        for status, counts in sorted(self._counts.items()):
            so_far = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip((*map(str, map(float, self._bounds)), "+Inf"), counts, strict=True):
                so_far += count
                buckets.append((bound, so_far))
            made.add_metric([status], buckets=buckets, sum_value=self._sums[status])
        return made
