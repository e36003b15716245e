"""`lifecycle demo`: the command, and what it prints at the end. The files beside it do the work."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lifecycle.audit.detail import by, detail, evidence_text
from lifecycle.cli.demo.cast import broken_promises
from lifecycle.cli.demo.director import Director
from lifecycle.cli.demo.progress import showing
from lifecycle.cli.demo.proof import prove
from lifecycle.cli.demo.site import serve
from lifecycle.cli.exits import FAILED, OK
from lifecycle.cli.logs import file_of, options, recorder_for
from lifecycle.cli.show import session_json
from lifecycle.cli.tables import on_terminal, print_json, print_line, print_table, say
from lifecycle.cli.text import offset
from lifecycle.cli.views import COLUMNS, row
from lifecycle.client.sessions import Sessions
from lifecycle.log.locate import open_log

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from lifecycle.cli.demo.cast import Played
    from lifecycle.cli.demo.proof import Proof

__all__ = ["command"]


@click.command(
    "demo",
    short_help="Run real sessions that end in every way, and prove what the log says of them.",
    help="""\
Serve a small site on loopback and run six real sessions on it at once: one closed by its script, one whose script
raises, one whose browser is killed, one that idles out, one that another process attaches to, one whose owner is
killed. Then print their list, histories and causes as the log has them, and prove that what is rebuilt from the events
is what was seen live, and that nothing is left.

\b
Examples:
  lifecycle demo
  lifecycle demo --log demo.db      keep the log there
  lifecycle demo --json

Takes less than a minute. Exits with 1, and says what, where anything is not as promised. The path of the log is told at
the end; $LIFECYCLE_LOG is not looked at.
""",
)
@partial(options, log_help="Where to keep the log. Default: a temporary directory of its own.")
def command(log: str | None, as_json: bool) -> int:
    """Run the demo."""
    began = time.monotonic()
    with _place(log) as (path, scratch):
        opened = open_log(path)
        try:
            sessions = Sessions(recorder_for(opened))
            say("six sessions, each script a process of its own; every step below is an event in the log")
            with serve() as url, showing() as tell:
                played = Director(opened, sessions, url, scratch, tell).run()
            if not any(one.session_id for one in played):
                raise click.ClickException(f"no session could be started: {broken_promises(played[0])[0]}")
            proofs = prove(opened, path, played, scratch)
        finally:
            opened.close()
    took = time.monotonic() - began
    broken = {one.part.name: found for one in played if (found := broken_promises(one))}
    ok = not broken and all(proof.holds for proof in proofs)
    if as_json:
        print_json(_as_json(path, played, proofs, broken, took, ok), indent=2)
    else:
        _print(path, played, proofs, took)
    for name, sentences in broken.items():
        for sentence in sentences:
            say(f"Error: session {name}: {sentence}")
    if not ok:
        say("Error: not everything is as promised")
    return OK if ok else FAILED


@contextmanager
def _place(log: str | None) -> Generator[tuple[Path, Path]]:
    """Where the log is, and a directory for what the scripts print, which goes at the end."""
    scratch = Path(tempfile.mkdtemp(prefix="lifecycle-demo-scratch-"))
    try:
        if log is None:
            yield Path(tempfile.mkdtemp(prefix="lifecycle-demo-")) / "sessions.db", scratch
        elif (path := file_of(log)) is not None:
            yield path, scratch
        else:
            raise click.UsageError("the demo needs a log in a file of its own: --log PATH")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _print(path: Path, played: Sequence[Played], proofs: Sequence[Proof], took: float) -> None:
    now = datetime.now(UTC)
    print_line("The list")
    print_table(
        ("demo", *COLUMNS[:-1]),
        [(one.part.name, *row(one.live, now=now, relative=on_terminal())[:-1]) for one in played if one.live],
    )
    for one in played:
        print_line()
        print_line(f"{one.part.name}: {one.part.plot}")
        print_line(f"  cause: {_cause(one)}")
        print_table(
            ("  offset", "event", "by", "detail"),
            [(f"  {offset(step.offset_us)}", step.name, by(step), detail(step)) for step in one.steps],
        )
    print_line()
    print_line("Rebuilt = live")
    for proof in proofs:
        print_line(f"  {'yes' if proof.holds else 'NO '}  {proof.claim} ({proof.compared} compared)")
        for line in proof.wrong:
            print_line(f"       {line}")
    print_line()
    print_line(f"{len(played)} sessions in {took:.1f} s. The log is {path}; look further with")
    command = _command()
    print_line(f"  {command} list --log {path}")
    print_line(f"  {command} why --log {path} {played[0].session_id}")


def _command() -> str:
    """What a shell calls this command: its name, or its path where the name leads elsewhere, as after `make demo`."""
    here = Path(sys.argv[0])
    found = shutil.which("lifecycle")
    if here.name != "lifecycle" or (found is not None and Path(found).resolve() == here.resolve()):
        return "lifecycle"
    return str(here)


def _cause(one: Played) -> str:
    if one.ending is None or one.live is None:
        return "none recorded"
    parts = [f"{one.live.status}/{one.live.cause}"]
    if one.live.error:
        parts.append(one.live.error)
    if found := one.ending.data.get("evidence"):
        parts.append(evidence_text(found))
    if (took := one.took_us) is not None and one.part.bound_us is not None:
        bound = f"{one.part.bound_us / 1000:g} ms are promised on an idle machine"
        parts.append(
            f"in the log {took / 1000:.0f} ms after {'the kill' if one.struck_at else 'the deadline'} ({bound})"
        )
    return ", ".join(parts)


def _as_json(
    path: Path, played: Sequence[Played], proofs: Sequence[Proof], broken: dict[str, list[str]], took: float, ok: bool
) -> dict[str, Any]:
    return {
        "ok": ok,
        "took_s": round(took, 3),
        "log": os.fspath(path),
        "sessions": [
            {
                "demo": one.part.name,
                "plot": one.part.plot,
                "promised": {"status": one.part.status, "cause": one.part.cause},
                "broken": broken.get(one.part.name, []),
                "recorded_after_s": None if one.took_us is None else one.took_us / 1e6,
                **session_json(one.session_id or "", one.live, one.steps),
            }
            for one in played
        ],
        "proofs": [{**asdict(proof), "holds": proof.holds} for proof in proofs],
    }
