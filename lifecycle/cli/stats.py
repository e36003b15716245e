"""`lifecycle stats`: a log in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from lifecycle.audit.stats import stats
from lifecycle.cli.filters import asked_for, filters
from lifecycle.cli.logs import options, reading
from lifecycle.cli.progress import working
from lifecycle.cli.tables import on_terminal, print_json, print_line, print_pairs, print_table, say
from lifecycle.cli.text import clock, duration
from lifecycle.client.sessions import filters_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from lifecycle.audit.stats import Group, Percentiles, Stats

__all__ = ["command"]

_SHOWN: Final = 20


@click.command(
    "stats",
    short_help="Count sessions by status, cause, label and day; durations and lateness.",
    help="""\
Count the sessions by status and cause, by label and by day (UTC); how long those that ended lived, each and in all, and
how long after its moment an ending was recorded. Takes the filters of `lifecycle list`.

\b
Examples:
  lifecycle stats
  lifecycle stats --since "7d ago" --label job=nightly
  lifecycle stats --json
""",
)
@filters
@options
def command(log: str | None, as_json: bool, **asked: Any) -> None:
    """Count."""
    with reading(log) as opened, working("counting"):
        found = stats(opened, clock.now(), **filters_of(asked_for(asked)))  # type: ignore[arg-type]
    if as_json:
        print_json(_json(found), indent=2)
    else:
        _print(found)
    if found.unreadable:
        say(f"not counted: {found.unreadable} that can't be read here")


def _print(found: Stats) -> None:
    print_pairs(
        [
            ("sessions", str(found.sessions)),
            ("durations", f"{found.durations} (of {found.durations.count} that ended)"),
            ("in all", duration(found.total)),
            ("recorded after", f"{found.lateness} (of {found.lateness.count} endings)"),
        ]
    )
    for name, counts in (("status", found.by_status), ("cause", found.by_cause)):
        if counts:
            print_line()
            print_table((name, "sessions"), [(word, str(count)) for word, count in counts.items()])
    _print_groups("label", found.by_label)
    _print_groups("day", {day.isoformat(): group for day, group in found.by_day.items()})


def _print_groups(name: str, groups: Mapping[str, Group]) -> None:
    if not groups:
        return
    print_line()
    shown = list(groups.items())
    if more := on_terminal() and len(shown) > _SHOWN:
        shown = shown[-_SHOWN:] if name == "day" else shown[:_SHOWN]
    rows = [
        (word, str(one.sessions), _span(one.median), _span(one.total or None), _words(one.by_status))
        for word, one in shown
    ]
    print_table((name, "sessions", "median duration", "in all", "by status"), rows)
    if more:
        which = "the newest" if name == "day" else "the most frequent"
        say(f"{which} {_SHOWN} of {len(groups)} {name}s; a pipe and --json get all")


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {count}" for word, count in counts.items())


def _span(value: timedelta | None) -> str:
    return "" if value is None else duration(value)


def _json(found: Stats) -> dict[str, Any]:
    return {
        "sessions": found.sessions,
        "by_status": dict(found.by_status),
        "by_cause": dict(found.by_cause),
        "durations": _percentiles(found.durations),
        "total_s": found.total.total_seconds(),
        "recorded_after": _percentiles(found.lateness),
        "by_label": {name: _group(group) for name, group in found.by_label.items()},
        "by_day": {day.isoformat(): _group(group) for day, group in found.by_day.items()},
        "unreadable": found.unreadable,
    }


def _percentiles(of: Percentiles) -> dict[str, Any]:
    named = {"p50_s": of.p50, "p90_s": of.p90, "p99_s": of.p99, "max_s": of.longest}
    return {"count": of.count} | {name: _seconds(value) for name, value in named.items()}


def _group(group: Group) -> dict[str, Any]:
    return {
        "sessions": group.sessions,
        "by_status": dict(group.by_status),
        "median_s": _seconds(group.median),
        "total_s": group.total.total_seconds(),
    }


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()
