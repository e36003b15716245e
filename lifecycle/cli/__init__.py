"""The `lifecycle` command, one file a verb. `main` is what the installed script and `python -m lifecycle` call."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command on sys.argv; exits with the code that app.py lists."""
    from lifecycle.cli.app import app

    app(prog_name="lifecycle")
