"""What a planted bug is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["Bug", "planted_in"]


class Bug(NamedTuple):
    """*old*, which stands once in *file* of lifecycle/, becomes *new*. *equivalent* says why no test can tell.

    Files of adapters/ begin with that.
    """

    name: str
    file: str
    old: str
    new: str
    equivalent: str | None = None

    def source(self, root: str | Path) -> Path:
        """Its file in the checkout *root*, or in a copy of it."""
        return Path(root, self.file if self.file.startswith("adapters/") else f"lifecycle/{self.file}")

    def planted(self, text: str) -> str:
        """*text*, the source, with the bug in it."""
        planted = text.replace(self.old, self.new)
        if self.new.endswith("ANY)"):
            planted = planted.replace("import NO_STREAM,", "import ANY, NO_STREAM,")
        return planted


def planted_in(file: str, *bugs: tuple[str, str, str] | tuple[str, str, str, str]) -> list[Bug]:
    """Bugs of one file: name, old, new, and why it is equivalent, if it is."""
    return [Bug(bug[0], file, *bug[1:]) for bug in bugs]
