"""The `lifecycle` command, one file a verb. `main` is what the installed script and `python -m lifecycle` call."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command on sys.argv; exits with the code that app.py lists."""
    from lifecycle.cli.app import app

    # Python has None for a stream that was closed when it started (`lifecycle list >&-`).
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # A label that the locale can't write is no reason to fail.
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(errors="backslashreplace")

    app(prog_name="lifecycle")
