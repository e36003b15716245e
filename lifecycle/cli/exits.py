"""The exit codes; app.py says what each means."""

from __future__ import annotations

from typing import Final

import click

__all__ = ["FAILED", "INTERRUPTED", "NOT_FOUND", "OK", "PIPE_CLOSED", "UNVERIFIED", "USAGE", "NotFound"]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
UNVERIFIED: Final = 4
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141


class NotFound(click.ClickException):
    """Something that was named is not there."""

    exit_code = NOT_FOUND
