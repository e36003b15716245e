"""Sessions along a line of time: in a terminal, as SVG or HTML that needs nothing else, and as a trace for Perfetto."""

from lifecycle.audit.timeline.rows import Row, Timeline, timeline

__all__ = ["Row", "Timeline", "timeline"]
