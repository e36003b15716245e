"""A timeline in the Trace Event Format (JSON object form), which ui.perfetto.dev and chrome://tracing open.

A session is a process; its tracks are its life, each tab, its operations, its clients, and all events as instants.
Times are µs after the beginning of the first session, which `otherData.began` gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.audit.account import OPERATION, text_of
from lifecycle.audit.detail import by
from lifecycle.audit.words import iso
from lifecycle.core import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lifecycle.audit.history import Step
    from lifecycle.audit.timeline.rows import Row, Timeline

__all__ = ["trace"]

#: (name, begin, end, what is told of it)
_Span = tuple[str, int, int, dict[str, Any]]


def trace(timeline: Timeline) -> dict[str, Any]:
    """What json.dump writes into the file."""
    events: list[dict[str, Any]] = []
    for number, row in enumerate(timeline.rows, 1):
        events += _session(row, number, timeline.start_of(row))
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"began": iso(moment(timeline.began)), "sessions": len(timeline.rows)},
    }


def _session(row: Row, pid: int, zero: int) -> Iterator[dict[str, Any]]:
    status = f"{row.status}/{row.cause}" if row.cause else row.status
    yield _meta("process_name", pid, 0, name=f"{row.session_id} {status}")
    yield _meta("process_sort_index", pid, 0, sort_index=pid)
    tracks: list[tuple[str, list[_Span]]] = [("life", _life(row))]
    tracks += [(f"tab {tab[:8]}", spans) for tab, spans in _tabs(row).items()]
    tracks += [("operations", lane) for lane in _lanes(_operations(row))]
    tracks += [(f"client {name}", spans) for name, spans in _clients(row).items()]
    for tid, (name, spans) in enumerate(tracks, 1):
        yield _meta("thread_name", pid, tid, name=name)
        yield _meta("thread_sort_index", pid, tid, sort_index=tid)
        for said, begin, end, args in spans:
            complete = {"ph": "X", "cat": name.split()[0], "ts": begin - zero, "dur": max(end - begin, 0)}
            yield {"name": said, **complete, "pid": pid, "tid": tid, "args": args}
    tid = len(tracks) + 1
    yield _meta("thread_name", pid, tid, name="events")
    yield _meta("thread_sort_index", pid, tid, sort_index=tid)
    for step in row.steps:
        instant = {"ph": "i", "s": "t", "cat": "event", "ts": step.at - zero, "pid": pid, "tid": tid}
        yield {"name": step.name, **instant, "args": _args(step)}


def _meta(what: str, pid: int, tid: int, **args: Any) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "ts": 0, "args": args}


def _args(step: Step) -> dict[str, Any]:
    return {"version": step.version, "at": iso(moment(step.at)), "by": by(step), **step.data}


def _life(row: Row) -> list[_Span]:
    began = row.until if row.started is None else row.started
    spans: list[_Span] = [("starting", row.created, began, {**row.labels})]
    if row.started is not None:
        spans.append(("running", row.started, row.until, {"status": row.status, "cause": row.cause}))
    if row.ended is not None and row.released is not None:
        spans.append(("ending", row.ended, row.released, {}))
    return spans


def _tabs(row: Row) -> dict[str, list[_Span]]:
    """For each tab what stood in it, from one navigation to the next."""
    tabs: dict[str, list[tuple[int, str]]] = {}
    over: dict[str, int] = {}
    for step in row.steps:
        tab = text_of(step, "tab")
        if step.type in ("session.navigated", "session.tab_opened") and tab:
            tabs.setdefault(tab, []).append((step.at, text_of(step, "url") or "(forgotten)"))
        elif step.type == "session.tab_closed":
            over[tab] = step.at
    found: dict[str, list[_Span]] = {}
    for tab, visits in tabs.items():
        ends = [*(at for at, _ in visits[1:]), over.get(tab, row.until)]
        found[tab] = [(url, at, max(end, at), {}) for (at, url), end in zip(visits, ends, strict=True)]
    return found


def _operations(row: Row) -> list[_Span]:
    """An operation is recorded at its end, with how long it took."""
    spans: list[_Span] = []
    for step in row.steps:
        if step.type == OPERATION:
            took = step.data.get("took_us")
            begin = step.at - took if isinstance(took, int) else step.at
            name = " ".join(part for part in (text_of(step, "kind"), text_of(step, "target")) if part)
            spans.append((name, max(begin, row.created), step.at, _args(step)))
    return spans


def _lanes(spans: Sequence[_Span]) -> list[list[_Span]]:
    """In as many tracks as needed, for no two of a track to overlap."""
    lanes: list[list[_Span]] = []
    for span in sorted(spans, key=lambda one: one[1]):
        lane = next((lane for lane in lanes if lane[-1][2] <= span[1]), None)
        if lane is None:
            lanes.append([span])
        else:
            lane.append(span)
    return lanes


def _clients(row: Row) -> dict[str, list[_Span]]:
    found: dict[str, list[_Span]] = {}
    came: dict[str, int] = {}
    for step in row.steps:
        name = text_of(step, "client")
        if step.type == "session.client_connected":
            came.setdefault(name, step.at)
        elif step.type == "session.client_disconnected" and name in came:
            found.setdefault(name, []).append((name, came.pop(name), step.at, {}))
    for name, at in came.items():
        found.setdefault(name, []).append((name, at, max(row.until, at), {}))
    return found
