"""Sessions as Prometheus metrics, counted from the log: of every process that uses it, also of those that are gone.

Needs the extra `prometheus`. What one process alone knows, appends that the log did not take, is counted for this one.
"""

from __future__ import annotations

from lifecycle.errors import MissingExtra

try:
    from lifecycle_prometheus.collector import SessionCollector
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("prometheus"):
        raise
    raise MissingExtra("lifecycle_prometheus", "prometheus") from error

__all__ = ["SessionCollector"]
