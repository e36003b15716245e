"""The command itself: its verbs, and what becomes of an error.

Verbs are imported when they are used: `lifecycle --help` loads click and nothing of ours but this.

| exit code | means                                                                     |
|-----------|---------------------------------------------------------------------------|
| 0         | done                                                                      |
| 1         | failed: the sentence on stderr says what and whether trying again can help |
| 2         | the command line was wrong                                                |
| 3         | not found: no such log, no such session                                   |
| 4         | verification failed: the record or the read model is not what it should be |
| 130       | interrupted                                                               |
| 141       | whoever read our output went away (what a shell shows for SIGPIPE)        |
"""

from __future__ import annotations

import difflib
import errno
import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from lifecycle.cli.exits import FAILED, INTERRUPTED, NOT_FOUND, PIPE_CLOSED, UNVERIFIED, USAGE
from lifecycle.errors import AmbiguousSession, HistoryError, InvalidConfig, LifecycleError, UnknownSession

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SECTIONS", "VERBS", "App", "app"]

#: verb -> (module that holds it as `command`, or module:name; what `--help` says of it)
VERBS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("demo.verb", "Run real sessions that end in every way, and prove what the log says of them."),
    "list": ("listing", "List sessions, newest first."),
    "show": ("show", "Show one session: what happened, when, who acted, why it ended."),
    "why": ("why", "Say in words why a session ended, or what it is doing."),
    "history": ("history", "Show the events of a session, one by one."),
    "event": ("event", "Show one event of a session, with every column."),
    "tail": ("tail", "Show the last events of the log or of a session, and follow it."),
    "stats": ("stats", "Count sessions by status, cause, label and day; durations and lateness."),
    "timeline": ("timeline", "Draw sessions along a line of time: here, as SVG or HTML, or for Perfetto."),
    "diff": ("diff", "Compare two sessions: their fields, and their histories step by step."),
    "view": ("viewing", "Watch a session in your browser, without touching it."),
    "stop": ("stop", "End a session, whichever process started it."),
    "reconcile": ("reconcile", "Put right what dead processes left: sessions nobody keeps, browsers nobody owns."),
    "verify": ("proof:verify", "Prove that the log is what it was: every event, hash and row."),
    "key": ("proof:key", "Make a key to sign checkpoints with."),
    "checkpoint": ("proof:checkpoint", "Sign what the log holds now, for somebody to keep."),
    "prove": ("proof:prove", "Prove to somebody else that one event stands in the log."),
    "export": ("carry:export", "Write events as JSON Lines, CloudEvents or CSV."),
    "forward": ("forwarding", "Send events as CloudEvents to a URL or a file, and go on with those that come."),
    "import": ("carry:import_", "Read an export into an empty log, with the same hashes."),
    "check": ("carry:check", "Replay recorded histories by today's rules, and compare."),
    "backup": ("carry:backup", "Copy the log while it is in use, and verify the copy."),
    "seal": ("retention:seal", "Close a log in which nothing lives for good."),
    "forget": ("retention:forget", "Delete what is private in a session's events."),
    "rebuild": ("rebuild", "Replay every event and prove the list of sessions equal to the log."),
    "doctor": ("doctor", "Show what was found on this machine and why it was chosen."),
}

#: what a disk says to whoever writes to a file that is open already
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

#: how `--help` groups them
SECTIONS: Final = {
    "Begin": ("demo", "doctor"),
    "Look": ("list", "show", "why", "history", "event", "tail", "stats", "timeline", "diff", "view"),
    "Act": ("stop", "reconcile"),
    "Prove": ("verify", "rebuild", "check", "key", "checkpoint", "prove"),
    "Carry away": ("export", "import", "forward", "backup", "seal", "forget"),
}

EXAMPLES: Final = """\
\b
Examples:
  lifecycle demo                        see it work, on real browsers
  lifecycle list --status active        what runs now
  lifecycle why ID                      why did it end?
  lifecycle show ID                     what happened in it?
  lifecycle tail -f                     what happens now
  lifecycle stop ID                     end it, from any process
  lifecycle list --since "2h ago" --json

The log is one SQLite file: --log PATH, else $LIFECYCLE_LOG, else a file in your user data directory.
"""


class App(click.Group):
    """The group of verbs; turns every error of ours into one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which people need them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, imported now."""
        if cmd_name not in VERBS:
            return None
        name, _, attribute = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"lifecycle.cli.{name}"), attribute or "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that `--help` imports no verb."""
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{verb:<10}", VERBS[verb][1]) for verb in verbs])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb; where there is none of that name, the nearest are named."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS)
            said = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(VERBS)}."
            ctx.fail(f"No such command {args[0]!r}. {said}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words after `lifecycle`; the options of a verb are refused in front of it."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name in ("--log", "--json"):
                typed = {"--log": "--log PATH"}.get(error.option_name, error.option_name)
                ctx.fail(f"{error.option_name} goes after the verb, as in `lifecycle list {typed}`.")
            raise
        except BrokenPipeError:  # of --help and --version, which are printed here
            _let_go_of_stdout()
            ctx.exit(PIPE_CLOSED)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        """Run, and exit with a code of the table above."""
        kwargs["standalone_mode"] = False
        args = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(args, *rest, **kwargs)
        except click.Abort:
            print("interrupted", file=sys.stderr)
            code = INTERRUPTED
        except click.ClickException as error:
            if "--json" in args:  # by the words: what the parser refuses has no parameters
                _print_json("UsageError", error.format_message(), retryable=False)
            else:
                error.show()
            code = error.exit_code
        except OSError as error:
            if error.filename is not None or error.errno not in _FULL:
                raise
            _let_go_of_stdout()
            said = f"what is printed can't be written: {error.strerror}"
            with suppress(OSError):  # stderr may lead to the same disk
                if "--json" in args:
                    _print_json("OutputUnavailable", said, retryable=True)
                else:
                    print(f"Error: {said}", file=sys.stderr)
            code = FAILED
        sys.exit(code or 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; its value is the exit code."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except LifecycleError as error:
            said = _as_typed(error, ctx) if isinstance(error, InvalidConfig) else str(error)
            _say(error, said, ctx, retryable=error.retryable)
            return code_for(error)
        except click.UsageError:
            raise  # click shows it with the usage line
        except click.ClickException as error:
            _say(error, error.format_message(), ctx, retryable=False)
            return error.exit_code
        except BrokenPipeError:
            _let_go_of_stdout()
            return PIPE_CLOSED
        return code


def code_for(error: LifecycleError) -> int:
    """The exit code for an error of ours."""
    match error:
        case UnknownSession():
            return NOT_FOUND
        case InvalidConfig() | AmbiguousSession():
            return USAGE
        case HistoryError():
            return UNVERIFIED
        case _:
            return FAILED


def _as_typed(error: InvalidConfig, ctx: click.Context) -> str:
    """What is wrong, under the name that the user knows it by: what the library calls `types` is `--type` here.

    The names are those of the verb's parameters; a `_` at their end keeps them apart from functions.
    """
    verb: click.Context | None = ctx.meta.get("lifecycle.verb")
    name, bracket, key = error.argument.partition("[")
    for param in () if verb is None else verb.command.params:
        names = {str(param.name).rstrip("_"), *(option.lstrip("-") for option in param.opts)}
        given = verb is not None and verb.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if given and name in names:
            typed = param.opts[-1] if isinstance(param, click.Option) else param.human_readable_name.strip("[].")
            return typed + bracket + key + str(error).removeprefix(error.argument)
    return str(error)


def _say(error: Exception, message: str, ctx: click.Context, *, retryable: bool) -> None:
    from lifecycle.cli.text import printable

    verb: click.Context | None = ctx.meta.get("lifecycle.verb")
    if verb is not None and verb.params["as_json"]:
        _print_json(type(error).__name__, message, retryable=retryable)
    else:
        print(f"Error: {printable(message)}", file=sys.stderr)


def _print_json(error: str, message: str, *, retryable: bool) -> None:
    print(json.dumps({"error": error, "message": message, "retryable": retryable}), file=sys.stderr)


def _let_go_of_stdout() -> None:
    """Nobody reads any more; what is still buffered must not raise again when the interpreter flushes it."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return


@click.command(
    cls=App,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"Browser sessions whose lifecycle can be trusted.\n\n{EXAMPLES}",
)
@click.version_option(package_name="session-lifecycle", prog_name="lifecycle")
def app() -> None:
    """Only a group."""
