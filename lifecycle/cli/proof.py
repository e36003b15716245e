"""The verbs that prove: `verify`, `key`, `checkpoint`, `prove`."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lifecycle.audit.checkpoint import checkpoint as take
from lifecycle.audit.checkpoint import prove as prove_event
from lifecycle.audit.checkpoint import prove_consistency, record
from lifecycle.audit.note import load_signing_key, load_verifying_key, make_key, read_checkpoint
from lifecycle.audit.verify import cannot_open
from lifecycle.audit.verify import verify as look
from lifecycle.cli.exits import OK, UNVERIFIED
from lifecycle.cli.logs import as_json as json_option
from lifecycle.cli.logs import options, reading, recorder_for, writing
from lifecycle.cli.rates import shown
from lifecycle.cli.tables import print_json, print_line, say
from lifecycle.cli.text import printable
from lifecycle.errors import HistoryError, LogUnsuitable, NewerLog

if TYPE_CHECKING:
    from lifecycle.audit.note import Checkpoint
    from lifecycle.audit.verify import Fault, Verification

__all__ = ["checkpoint", "key", "prove", "verify"]

#: faults that are named, but in JSON
_SHOWN: Final = 10


@click.command(
    "verify",
    short_help="Prove that the log is what it was: every event, hash and row.",
    help="""\
Prove that the log is what it was: positions and versions without gaps, every hash chain, every private part or the
receipt that it was forgotten, every history against today's table, the list of sessions against the events, and the
file against its append-only rules. Reads only, in pages: sessions go on meanwhile.

Whoever may write the file can also rewrite it and compute every hash anew, or cut off its end. Only a checkpoint that
was signed before and kept elsewhere tells: give it with --against, and the public half of its key with --public.

Exits with 4 and names the first ten faults if there are any; --json names up to 100.

After Ctrl-C, --resume goes on where it stopped. Of what was looked at before, it looks at the hashes again, and at
sessions that went on, but not at the rest: what was changed there since then is found without --resume only.

\b
Examples:
  lifecycle verify
  lifecycle verify --against monday.checkpoint --public crawler.pub
  lifecycle verify --resume
""",
)
@click.option(
    "--against", "checkpoint_", metavar="FILE", help="A checkpoint that was taken before; - reads it from stdin."
)
@click.option(
    "--public", "key_", metavar="KEY", help="Who signed it: the text `lifecycle key` printed, or a file with it."
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted one stopped.")
@options
def verify(checkpoint_: str | None, key_: str | None, resume: bool, log: str | None, as_json: bool) -> int:
    """Look at everything."""
    if (checkpoint_ is None) is not (key_ is None):
        raise click.UsageError("--against and --public belong together")
    checked = read_checkpoint(checkpoint_, load_verifying_key(key_)) if checkpoint_ and key_ else None
    began = time.monotonic()
    try:
        with reading(log, damaged=True) as opened, shown("verified", resumed=resume) as progress:
            found = look(opened, against=checked, progress=progress, resume=resume)
    except NewerLog:
        raise
    except (HistoryError, LogUnsuitable) as error:
        found = cannot_open(error)
    took_s = time.monotonic() - began
    if as_json:
        print_json(_as_json(found, took_s), indent=2)
    else:
        _tell(found, took_s)
    return OK if found.ok else UNVERIFIED


def _tell(found: Verification, took_s: float) -> None:
    print_line(f"{found.events} events of {found.sessions} sessions looked at in {took_s:.2f} s")
    if found.forgotten:
        print_line(f"{found.forgotten} private parts forgotten")
    for stream, why in found.newer.items():
        print_line(f"not judged: {stream}: {printable(why)}")
    if found.faults:
        for fault in found.faults[:_SHOWN]:
            print_line(f"FAULT {printable(str(fault))}")
        if more := len(found.faults[_SHOWN:]) + found.more:
            print_line(f"and {more} more; --json names them")
        return
    print_line(f"root {base64.b64encode(found.root).decode()} over {found.size} events")
    if found.against:
        print_line(f"its first {found.against.size} events are those of the checkpoint of {found.against.origin}")
    if found.resumed:
        print_line(
            f"the first {found.resumed} were looked at by a run that was interrupted, since then only their hashes"
        )
        print_line("verified in two runs: what was changed between them in those events needs a run without --resume")
        return
    print_line("verified: nothing was changed, and the list of sessions is what the events say")


def _as_json(found: Verification, took_s: float) -> dict[str, Any]:
    return {
        "verified": found.ok,
        "events": found.events,
        "resumed": found.resumed,
        "sessions": found.sessions,
        "forgotten": found.forgotten,
        "size": found.size,
        "root": base64.b64encode(found.root).decode(),
        "against": None if found.against is None else _named(found.against),
        "faults": [_fault(fault) for fault in found.faults],
        "more": found.more,
        "newer": dict(found.newer),
        "took_s": round(took_s, 3),
    }


def _fault(fault: Fault) -> dict[str, Any]:
    names = ("where", "stream", "version", "position", "what", "expected", "found")
    return {name: getattr(fault, name) for name in names}


def _named(found: Checkpoint) -> dict[str, Any]:
    return {"origin": found.origin, "size": found.size, "root": base64.b64encode(found.root).decode()}


@click.command(
    "key",
    short_help="Make a key to sign checkpoints with.",
    help="""\
Make an Ed25519 key in the new FILE, which only you may read, and print its public half, which others verify with.
NAME stands for the log in its checkpoints; take one that nobody else uses. If FILE is there already, its public half
is printed again.

\b
Examples:
  lifecycle key crawler.key --name example.com/crawler > crawler.pub
  lifecycle key crawler.key
""",
)
@click.argument("file")
@click.option("--name", metavar="NAME", help="The log's origin, such as example.com/crawler; for a new key.")
@json_option
def key(file: str, name: str | None, as_json: bool) -> int:
    """Make a key, or show it."""
    there = Path(file).exists()
    if there is (name is not None):
        said = (
            "is there already; without --name its public half is printed" if there else "is not there; --name makes it"
        )
        raise click.UsageError(f"{file} {said}")
    found = load_signing_key(file) if name is None else make_key(file, name)
    if as_json:
        print_json({"name": found.name, "public": str(found.verifying), "file": file}, indent=2)
    else:
        print_line(str(found.verifying))
    if name is not None:
        say(f"{file} signs; keep it where nobody who writes the log can reach it")
    return OK


@click.command(
    "checkpoint",
    short_help="Sign what the log holds now, for somebody to keep.",
    help="""\
Print a signed checkpoint: how many events there are, and one hash that stands for all of them and their order. Keep it
where nobody who writes the log can change it; `lifecycle verify --against` tells later whether any of it was changed.
The form is C2SP's tlog-checkpoint, which other tools read.

With --record its text also becomes an event of the log, and the next checkpoint is computed from there on; without,
the log is only read. With --since an older checkpoint, it also proves that nothing before that one was changed.

\b
Examples:
  lifecycle checkpoint --key crawler.key > monday.checkpoint
  lifecycle checkpoint --key crawler.key --record
  lifecycle checkpoint --key crawler.key --since monday.checkpoint --json
""",
)
@click.option("--key", "key_", metavar="FILE", required=True, help="The key to sign with; `lifecycle key` makes one.")
@click.option("--record", "keep", is_flag=True, help="Keep it in the log too.")
@click.option("--since", "checkpoint_", metavar="FILE", help="An older checkpoint of the same key.")
@options
def checkpoint(key_: str, keep: bool, checkpoint_: str | None, log: str | None, as_json: bool) -> int:
    """Sign, print, perhaps record."""
    signer = load_signing_key(key_)
    old = read_checkpoint(checkpoint_, signer.verifying) if checkpoint_ else None
    with (writing if keep else reading)(log) as opened, shown("hashed") as progress:
        taken = (
            record(opened, signer, recorder_for(opened).receipt, progress) if keep else take(opened, signer, progress)
        )
        hashes = [] if old is None else prove_consistency(opened, old, taken)
    proof = [base64.b64encode(value).decode() for value in hashes]
    if as_json:
        since = None if old is None else {**_named(old), "proof": proof}
        print_json({**_named(taken), "text": taken.text, "since": since}, indent=2)
    else:
        sys.stdout.write(taken.text)
        if old is not None:
            say(
                f"everything up to the checkpoint of {old.size} events is unchanged; the proof has {len(proof)} hashes:"
            )
            for value in proof:
                say(f"  {value}")
    return OK


@click.command(
    "prove",
    short_help="Prove to somebody else that one event stands in the log.",
    help="""\
Print a proof that version VERSION of session ID stands in the log: the event as it was hashed, about log2(n) hashes,
and a signed checkpoint, in C2SP's form tlog-proof. Whoever has the public key can check it without the log and without
this library: docs/how-to/prove.md has the recipe. What is private in the event stays private.

--key signs a new checkpoint; --at takes one that was signed before, with the key of --public.

\b
Examples:
  lifecycle prove ID 7 --key crawler.key > ending.tlog-proof
  lifecycle prove ID 7 --at monday.checkpoint --public crawler.pub
""",
)
@click.argument("session_id", metavar="ID")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--key", "signer", metavar="FILE", help="Sign a checkpoint of now with this key.")
@click.option("--at", "checkpoint_", metavar="FILE", help="A checkpoint that was taken before.")
@click.option(
    "--public", "key_", metavar="KEY", help="Who signed that one: the text `lifecycle key` printed, or a file with it."
)
@options
def prove(
    session_id: str,
    version: int,
    signer: str | None,
    checkpoint_: str | None,
    key_: str | None,
    log: str | None,
    as_json: bool,
) -> int:
    """Prove one event."""
    if (signer is None) is (checkpoint_ is None) or (checkpoint_ is None) is not (key_ is None):
        raise click.UsageError("either --key, or --at with --public")
    with reading(log) as opened:
        if signer is not None:
            checked = take(opened, load_signing_key(signer))
        else:
            assert checkpoint_ is not None
            assert key_ is not None
            checked = read_checkpoint(checkpoint_, load_verifying_key(key_))
        found = prove_event(opened, session_id, version, checked)
    if as_json:
        print_json(
            {
                "entry": found.entry,
                "index": found.index,
                "hashes": [base64.b64encode(value).decode() for value in found.hashes],
                "checkpoint": found.checkpoint.text,
            },
            indent=2,
        )
    else:
        sys.stdout.write(found.text)
    return OK
