"""The verbs that let go of a log's contents, each with a receipt: `seal`, `forget`."""

from __future__ import annotations

import sys

import click

from lifecycle.audit import retention
from lifecycle.audit.note import load_signing_key
from lifecycle.cli.exits import OK
from lifecycle.cli.logs import options, recorder_for, writing
from lifecycle.cli.progress import working
from lifecycle.cli.tables import print_json, print_line, say
from lifecycle.client.sessions import Sessions

__all__ = ["forget", "seal"]


@click.command(
    "seal",
    short_help="Close a log in which nothing lives for good.",
    help="""\
Close the log for good: nothing is added to it any more, but for receipts of what is forgotten, and its last checkpoint
is printed. With --next a new log begins with that checkpoint, so that the chain of files can be followed. Every session
must have ended and its browser be gone; `lifecycle reconcile` sees to what dead processes left.

Old sessions need not be deleted one by one, which would break the record: seal the file, go on in the next one, and
delete sealed files as whole when their time is over.

\b
Examples:
  lifecycle seal --key crawler.key --log 2026.db --next 2027.db > 2026.checkpoint
""",
)
@click.option("--key", "key_", metavar="FILE", required=True, help="The key to sign with.")
@click.option("--next", "following", metavar="PATH", help="The new log that goes on.")
@options
def seal(key_: str, following: str | None, log: str | None, as_json: bool) -> int:
    """Close for good."""
    signer = load_signing_key(key_)
    with writing(log) as opened, working("sealing"):
        signed = retention.seal(opened, signer, recorder_for(opened).receipt, following)
    if as_json:
        print_json({"size": signed.size, "text": signed.text, "next": following}, indent=2)
    else:
        sys.stdout.write(signed.text)
        say(f"sealed with {signed.size} events" + (f"; {following} goes on" if following else ""))
    return OK


@click.command(
    "forget",
    short_help="Delete what is private in a session's events.",
    help="""\
Delete what is private in the events of session ID: addresses, messages, paths, annotations. The session must have
ended. Its events, hashes, status and every proof stay what they are: an event holds only a salted hash of what is
private. What was deleted is overwritten in the file, and a receipt is added to the log. Backups and exports that were
made before keep what they have.

\b
Examples:
  lifecycle forget ID
""",
)
@click.argument("session_id", metavar="ID")
@options
def forget(session_id: str, log: str | None, as_json: bool) -> int:
    """Delete what is private."""
    with writing(log) as opened, working("forgetting"):
        recorder = recorder_for(opened)
        done = retention.forget(opened, Sessions(recorder).resolve(session_id), recorder.receipt)
    if as_json:
        print_json({"session_id": done.session_id, "rows": done.rows, "scrubbed": done.scrubbed}, indent=2)
    else:
        print_line(f"{done.session_id}: {done.rows} private parts forgotten")
        if not done.scrubbed:
            say("somebody is reading the log: traces stay in the write-ahead log until this is run again")
    return OK
