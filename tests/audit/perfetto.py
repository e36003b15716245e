"""Whether Perfetto reads our traces: its own trace processor loads one and is asked for what it made of it.

    uv run --with perfetto python -m tests.audit.perfetto TRACE_PROCESSOR TRACE...

TRACE_PROCESSOR is Perfetto's `trace_processor_shell`, the importer and the tables that ui.perfetto.dev runs as well. It
is no package of Debian or PyPI (PyPI's `perfetto` downloads it), so this is a command and no test of the suite.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

_SPANS: Final = """SELECT s.ts AS ts, s.dur AS dur, s.name AS name, p.name AS session, t.name AS track
    FROM slice s JOIN thread_track k ON s.track_id = k.id JOIN thread t USING (utid) JOIN process p USING (upid)"""
_COMPLAINTS: Final = "SELECT name, severity, value FROM stats WHERE value > 0 AND severity != 'info'"

#: ts and dur in nanoseconds, the event's name, its session and its track
Span = tuple[int, int, str, str, str]


def written(trace: dict[str, Any]) -> Counter[Span]:
    """Every span and event of our file, as Perfetto should show it."""
    events = trace["traceEvents"]
    named = {
        (event["name"], event["pid"], event["tid"] if event["name"] == "thread_name" else 0): event["args"]["name"]
        for event in events
        if event["name"] in ("process_name", "thread_name")
    }
    return Counter(
        (
            event["ts"] * 1000,
            event.get("dur", 0) * 1000,
            event["name"],
            named["process_name", event["pid"], 0],
            named["thread_name", event["pid"], event["tid"]],
        )
        for event in events
        if event["ph"] in ("X", "i")
    )


def main() -> int:
    """Print a line for each trace; 1 when Perfetto complains of one or shows something else than its file holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace_processor", type=Path)
    parser.add_argument("traces", type=Path, nargs="+")
    given = parser.parse_args()
    perfetto: Any = importlib.import_module("perfetto.trace_processor")
    failed = 0
    for path in given.traces:
        config = perfetto.TraceProcessorConfig(bin_path=str(given.trace_processor))
        with perfetto.TraceProcessor(trace=str(path), config=config) as asked:
            complaints = [(row.name, row.severity, row.value) for row in asked.query(_COMPLAINTS)]
            shown = Counter((row.ts, row.dur, row.name, row.session, row.track) for row in asked.query(_SPANS))
        wanted = written(json.loads(path.read_bytes()))
        missing, added = wanted - shown, shown - wanted
        print(
            f"{path}: {shown.total()} spans and events shown, {missing.total()} missing, {added.total()} others,",
            end=" ",
        )
        print(f"complaints: {complaints or 'none'}")
        failed += bool(complaints or missing or added)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
