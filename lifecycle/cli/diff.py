"""`lifecycle diff A B`: two sessions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lifecycle.audit.detail import detail
from lifecycle.audit.diff import diff
from lifecycle.cli.logs import options, reading, recorder_for
from lifecycle.cli.progress import working
from lifecycle.cli.tables import print_json, print_line, print_table, say
from lifecycle.cli.text import clock, offset
from lifecycle.cli.views import step_json
from lifecycle.client.sessions import Sessions

if TYPE_CHECKING:
    from lifecycle.audit.diff import Difference, Line
    from lifecycle.audit.history import Step

__all__ = ["command"]


@click.command(
    "diff",
    short_help="Compare two sessions: their fields, and their histories step by step.",
    help="""\
Compare two sessions: the fields that differ, and their histories step by step. `-` is a step that only A has, `+` one
that only B has. Ids, processes and times are each session's own, and not compared.

\b
Examples:
  lifecycle diff A B
  lifecycle diff A B --json
""",
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@options
def command(a: str, b: str, log: str | None, as_json: bool) -> None:
    """Compare."""
    with reading(log) as opened, working("reading the events"):
        sessions = Sessions(recorder_for(opened))
        found = diff(opened, sessions.resolve(a), sessions.resolve(b), clock.now())
    if as_json:
        print_json(_json(found), indent=2)
        return
    if found.fields:
        rows = [(name, one or "-", other or "-") for name, (one, other) in found.fields.items()]
        print_table(("differs", "A", "B"), rows)
        print_line()
    print_table((" ", "A", "B", "event", "detail"), map(_row, found.lines))
    if found.same:
        say("the same steps, and nothing but times differs")


def _row(line: Line) -> tuple[str, ...]:
    return (line.mark, _offset(line.a), _offset(line.b), line.step.name, detail(line.step))


def _offset(step: Step | None) -> str:
    return "" if step is None else offset(step.offset_us)


def _json(found: Difference) -> dict[str, Any]:
    return {
        "a": found.a,
        "b": found.b,
        "same": found.same,
        "fields": {name: {"a": one, "b": other} for name, (one, other) in found.fields.items()},
        "lines": [
            {
                "mark": line.mark.strip() or "=",
                "a": None if line.a is None else step_json(line.a),
                "b": None if line.b is None else step_json(line.b),
            }
            for line in found.lines
        ],
    }
