"""Runs a page of the documentation as a reader would, and compares (or writes) the output that it shows.

    python tests/docs/run_page.py PAGE.md            exits with 1 and a diff where the page shows something else
    python tests/docs/run_page.py --write PAGE.md    puts what came out into the page

Without a page, all of them.

What counts on a page:

- a ```python block is executed; all of a page share one namespace, one directory and one log;
- a ```text block right after it is what it printed;
- in a ```console block every line that begins with `$ ` is run by the shell, and what follows is what it printed;
- a ```sh block is for the reader's machine (installing, make) and is not run here, a ```js block by
  tests/adapters/recipes, a ```py block by the tests of an adapter whose host has an environment of its own.

Ids, times, pids, versions and the like differ in every run: they are compared by their form. An id that a page repeats
must be the same id in the run, so a command may name one that was printed before.
"""

from __future__ import annotations

import argparse
import difflib
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

#: what is real in a run and nobody's business on a page
HOME: Final = "/home/ada/shop"
HOST: Final = "laptop"
ID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
FORMS: Final = (
    (r' clients=\["[^"]*"(, "[^"]*")*\],?', ""),  # who is still connected in the moment of the end is a matter of luck
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "<time>"),
    (r"\d:\d\d:\d\d(\.\d+)?", "<duration>"),
    (r"\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}", "+<key>"),
    (r"(?<![\w/])[A-Za-z0-9+/]{43,}={1,2}", "<base64>"),
    (r"\b[0-9a-f]{64}\b", "<hash>"),
    (r"^\d{2,}$", "<count>"),
    (r"\b\d+ private parts", "<count> private parts"),
    (r"\+\d+\.\d{3}\b", "<offset>"),
    (r"\b\d+ min( \d+ s)? later", "<minutes> later"),
    (r"\b\d+(\.\d+)? (ms|s)\b", "<seconds>"),
    (r"(?i)(connected was client#\d+|no client was connected)", "<clients>"),
    (r"with (accessed|started) at", "with <step> at"),
    (r"(pid|client|cli|keeper) \d+", r"\1 <pid>"),
    (r"@[\w.-]+:\d+(:[0-9a-f-]{36})?( +\d+$)?", "@<process>"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
    (r"/s/[\w-]{20,}", "/s/<token>"),
    (r"(?:Headless)?Chrom\w+/[\d.]+", "<browser>"),
    (r"tab=[0-9A-F]{8}", "tab=<tab>"),
    (r"\b\d+ events", "<count> events"),
    (r"\b\d+ of \d+ bytes", "<count> of <count> bytes"),
    (r'"cursor": \d+', '"cursor": <count>'),
    (r"browser_path=[^\s,]+", "browser_path=<path>"),
)
#: steps of a history that are there or not, as timing has it
PASSING: Final = re.compile(r"\+\d+\.\d{3} +(client_disconnected|accessed) ")


ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "index.md",
    ROOT / "docs" / "reference" / "command.md",
    ROOT / "docs" / "reference" / "testing.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    ROOT / "adapters" / "lifecycle_playwright" / "README.md",
]


@dataclass(slots=True)
class Block:
    """A fenced block: its language, its lines without the fences, and the index of its first line on the page."""

    language: str
    start: int
    lines: list[str]


def blocks(page: list[str]) -> list[Block]:
    """The fenced blocks of *page*, in order."""
    found: list[Block] = []
    inside: Block | None = None
    for index, line in enumerate(page):
        if inside is None and line.startswith("```") and line.strip() != "```":
            inside = Block(line.removeprefix("```").strip(), index + 1, [])
        elif inside is not None and line.strip() == "```":
            found.append(inside)
            inside = None
        elif inside is not None:
            inside.lines.append(line)
    return found


def shown(page: str, language: str, containing: str) -> str:
    """The one block on a page of the docs that has *containing* in it, as a reader would copy it."""
    lines = (ROOT / "docs" / page).read_text("utf-8").splitlines()
    of_language = ["\n".join(block.lines) for block in blocks(lines) if block.language == language]
    [found] = [text for text in of_language if containing in text]
    return found


class Run:
    """One page, run from its top; `ids` leads from an id on the page to the one of this run."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page = page
        self.lines = page.read_text("utf-8").splitlines()
        self.folder = folder
        self.ids: dict[str, str] = {}
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.wrong: list[str] = []
        self.written: list[tuple[Block, list[str]]] = []

    def run(self) -> None:
        """Execute every block that counts."""
        printed: str | None = None
        for block in blocks(self.lines):
            match block.language:
                case "python":
                    printed = self.python(block)
                case "text" if printed is not None:
                    self.compare(block, block.lines, printed.rstrip("\n").splitlines())
                    printed = None
                case "console":
                    self.console(block)
                    printed = None
                case "sh" | "ini" | "js" | "py" | "text" | "mermaid":
                    printed = None
                case other:
                    raise SystemExit(f"{self.page}: a block of the language {other!r} is neither run nor known")

    def python(self, block: Block) -> str:
        """Execute; what it printed."""
        source = "\n" * block.start + "\n".join(block.lines)
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            # A reader's Python has no `from __future__` of this file's.
            exec(compile(source, str(self.page), "exec", dont_inherit=True), self.namespace)
        return self.anonymous(out.getvalue())

    def console(self, block: Block) -> None:
        """Run each command and compare what it printed."""
        shown: list[str] = []
        came: list[str] = []
        commands = [index for index, line in enumerate(block.lines) if line.startswith("$ ")]
        for index, following in pairwise([*commands, len(block.lines)]):
            command = self.translate(block.lines[index])
            done = subprocess.run(
                command.removeprefix("$ "),
                shell=True,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=100,
                check=False,
            )
            if "Traceback (most recent call last)" in done.stdout:
                raise RuntimeError(f"{command}\n{done.stdout}")
            printed = self.anonymous(done.stdout).rstrip("\n").splitlines()
            self.learn(block.lines[index + 1 : following], printed)
            shown += block.lines[index:following]
            came += [command, *printed]
        self.compare(block, shown, came)

    def learn(self, shown: list[str], came: list[str]) -> None:
        """Which id of the page is which of this run, by their order in an output."""
        for one, other in zip(re.findall(ID, "\n".join(shown)), re.findall(ID, "\n".join(came)), strict=False):
            self.ids.setdefault(one, other)

    def translate(self, line: str) -> str:
        """A line of the page with this run's ids."""
        return re.sub(ID, lambda found: self.ids.get(found[0], found[0]), line)

    def anonymous(self, text: str) -> str:
        """Without the names of this machine and this directory."""
        text = text.replace(str(self.folder), HOME).replace(f"@{socket.gethostname()}:", f"@{HOST}:")
        text = text.replace(f" on {socket.gethostname()}", f" on {HOST}")
        return "\n".join(line.rstrip() for line in text.splitlines())

    def compare(self, block: Block, shown: list[str], came: list[str]) -> None:
        """Hold what the page shows against what came, by form."""
        self.learn(shown, came)
        self.written.append((block, came))
        translated = [self.translate(line) for line in shown]
        if forms(translated) != forms(came):
            diff = difflib.unified_diff(translated, came, f"{self.page}:{block.start}", "this run", lineterm="")
            self.wrong.append("\n".join(diff))

    def write(self) -> None:
        """Put what came into the page."""
        for block, came in reversed(self.written):
            self.lines[block.start : block.start + len(block.lines)] = came
        self.page.write_text("\n".join(self.lines) + "\n", "utf-8")


def forms(lines: list[str]) -> list[str]:
    """The forms of *lines*, without those that come and go."""
    return [form(line) for line in lines if not PASSING.match(line)]


def form(line: str) -> str:
    """*line* with everything replaced that differs in every run."""
    for pattern, word in FORMS:
        line = re.sub(pattern, word, line)
    return " ".join(line.split())


def main() -> int:
    """Run the page that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, nargs="?")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.page is None:
        return max(subprocess.call([sys.executable, __file__, *sys.argv[1:], str(page)]) for page in PAGES)
    page = given.page.resolve()
    with tempfile.TemporaryDirectory(prefix="lifecycle-docs-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        os.environ.update(
            LIFECYCLE_LOG=f"{folder}/default.db",
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            USER="ada",
            COLUMNS="120",
        )
        run = Run(page, Path(folder))
        try:
            run.run()
        except Exception:
            traceback.print_exc()
            return 1
        if given.write:
            run.write()
            return 0
    for diff in run.wrong:
        print(diff)
    return 1 if run.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
