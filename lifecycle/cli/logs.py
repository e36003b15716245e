"""The log a verb works on: which one is meant, opened to read or to write, and never made by mistake."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lifecycle.cli.exits import NotFound
from lifecycle.cli.text import clock
from lifecycle.client.recorder import Recorder
from lifecycle.client.system import Uuid7, default_actor, default_log, writer_name
from lifecycle.log.locate import open_log
from lifecycle.log.place import place

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lifecycle.log.port import EventLog

__all__ = ["as_json", "file_of", "options", "path_of", "reading", "recorder_for", "writing"]


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.meta["lifecycle.verb"] = ctx
    return value


#: eager: an error in another option is printed as JSON too
as_json = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember,
    help="Print data as JSON; errors too, on stderr.",
)


def _named(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value == "":
        raise click.BadParameter("the path is empty; without --log it is the default log", ctx, param)
    return value


def options(
    command: Callable[..., Any],
    log_help: str = "The log. Default: $LIFECYCLE_LOG, else one file in your user data directory.",
) -> Callable[..., Any]:
    """--log and --json, which every verb takes."""
    log = click.option("--log", "log", metavar="PATH", callback=_named, help=log_help)
    return log(as_json(command))


def path_of(log: str | None) -> str:
    """What is opened: *log*, or the default."""
    return default_log(make=False) if log is None else log


@contextmanager
def reading(log: str | None, *, damaged: bool = False) -> Generator[EventLog]:
    """The log, to read; nothing is written, and a log that is not there is not made.

    *damaged*: a file whose guards are not whole, too.

    Raises:
        NotFound: No such file.
        LogUnsuitable, LogTampered, LogUnavailable: As opening it says.
    """
    where = _existing(log)
    lenient = {"damaged": True} if damaged and file_of(where) is not None else {}
    opened = open_log(where, create=False, read_only=True, **lenient)
    if getattr(opened, "copied", False):
        print("this is read from a private copy, since nothing may be written beside the log", file=sys.stderr)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def writing(log: str | None) -> Generator[EventLog]:
    """As reading(), to write: for verbs that put right what a log says, and so need one that is there."""
    where = _existing(log)
    with _heard():
        opened = open_log(where, create=False)
        try:
            yield opened
        finally:
            opened.close()


#: `lifecycle doctor` shows what these say
_TOLD_ELSEWHERE: Final = ("log.sqlite_affected", "browser_sandbox_off")


@contextmanager
def _heard() -> Generator[None]:
    """The library's warnings on stderr: this command is an application of its own, and sets up its own logging."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("Warning: %(message)s"))
    handler.addFilter(lambda record: not any(f"event='{name}'" in record.getMessage() for name in _TOLD_ELSEWHERE))
    logger = logging.getLogger("lifecycle")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def recorder_for(log: EventLog) -> Recorder:
    """What a verb acts through: the history names the user, and this process as a command."""
    return Recorder(log, clock, Uuid7(), actor=default_actor(), writer=writer_name("cli"))


def _existing(log: str | None) -> str:
    where = path_of(log)
    if (path := file_of(where)) is not None and not path.exists():
        raise NotFound(f"no log at {path}; the first session makes one, --log names another")
    return where


def file_of(where: str) -> Path | None:
    """The file that *where* means; None when it is a locator of another kind."""
    scheme, colon, rest = where.partition(":")
    if colon and scheme == "sqlite":
        return Path(place(rest).path)
    if colon and len(scheme) > 1 and scheme.isascii() and "/" not in scheme and not Path(where).exists():
        return None  # for open_log to know, or to refuse
    return Path(place(where).path)
