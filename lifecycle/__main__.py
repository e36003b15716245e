"""`python -m lifecycle` is the `lifecycle` command."""

from __future__ import annotations

from lifecycle.cli import main

if __name__ == "__main__":
    main()
