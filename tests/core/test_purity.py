"""The core is pure, by its source: what it may import is a list, and what it may never name is another.

The import contract in pyproject.toml forbids known I/O modules. This allows known pure ones, and bans the calls that an
allowed module still offers, such as datetime.now.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import lifecycle.core

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD: Final = {"__future__", "dataclasses", "datetime", "enum", "html", "math", "operator", "types", "typing"}
OURS: Final = {"lifecycle.core", "lifecycle.errors"}
#: module -> the only file that may import it; None: every file. The machine filters what `transitions` logs.
THEIRS: Final = {"pydantic": None, "transitions": "machine.py", "logging": "machine.py"}
#: for annotations only
TYPES_ONLY: Final = {"collections.abc"}

#: attributes that reach for the world, whatever they are taken from
ATTRIBUTES: Final = {
    "now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp", "time", "time_ns", "monotonic", "monotonic_ns",
    "perf_counter", "perf_counter_ns", "process_time", "sleep", "localtime", "gmtime", "astimezone", "random",
    "randint", "randbytes", "getrandbits", "choice", "shuffle", "urandom", "token_hex", "token_bytes",
    "uuid1", "uuid3", "uuid4",
    "uuid5", "uuid6", "uuid7", "getpid", "getppid", "gethostname", "environ", "getenv", "getcwd", "read_text",
    "write_text", "read_bytes", "write_bytes", "import_module",
}  # fmt: skip
#: pydantic's types that read the clock or the file system while they validate
WORLDLY_TYPES: Final = {
    "FilePath", "DirectoryPath", "NewPath", "SocketPath", "PastDate", "FutureDate", "PastDatetime", "FutureDatetime",
}  # fmt: skip
#: builtins that reach for the world, or whose answer differs from run to run
BUILTINS: Final = {
    "__import__", "breakpoint", "compile", "eval", "exec", "exit", "globals", "hash", "help", "id", "input", "locals",
    "open", "print", "quit", "vars",
}  # fmt: skip


def violations(source: str, file: str) -> Iterator[str]:
    """What in *source* makes it impure, as `line: what`."""
    tree = ast.parse(source)
    excused = {id(inner) for node in ast.walk(tree) for inner in _excused(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    if not _allowed(name.name, file, typing=id(node) in excused):
                        yield f"{node.lineno}: import {name.name}"
            case ast.ImportFrom(module=module, names=names, level=level):
                if level or module is None or not _allowed(module, file, typing=id(node) in excused):
                    yield f"{node.lineno}: from {'.' * level}{module or ''} import"
                for name in names:
                    if name.name in ATTRIBUTES | WORLDLY_TYPES or name.name == "*":
                        yield f"{node.lineno}: import {name.name}"
            case ast.Attribute(attr=attr) if attr in ATTRIBUTES | WORLDLY_TYPES:
                yield f"{node.lineno}: .{attr}"
            case ast.Name(id=name) if name in BUILTINS and id(node) not in excused:
                yield f"{node.lineno}: {name}"
            case ast.Global(names=names):
                yield f"{node.lineno}: global {', '.join(names)}"
            case ast.AsyncFunctionDef(name=name):
                yield f"{node.lineno}: async def {name}"
            case _:
                pass


def _excused(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a TYPE_CHECKING block, and what defines __hash__."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):
            for statement in body:
                yield from ast.walk(statement)
        case ast.FunctionDef(name="__hash__"):
            yield from ast.walk(node)
        case _:
            pass


def _allowed(module: str, file: str, *, typing: bool) -> bool:
    if module in STANDARD or any(module == ours or module.startswith(f"{ours}.") for ours in OURS):
        return True
    if typing and module in TYPES_ONLY:
        return True
    root = module.partition(".")[0]
    return root in THEIRS and THEIRS[root] in (None, file)


FILES = sorted(Path(lifecycle.core.__path__[0]).rglob("*.py"))


def test_there_are_files_to_look_at() -> None:
    assert {"decide.py", "evolve.py", "machine.py"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_core_is_pure(file: Path) -> None:
    assert list(violations(file.read_text("utf-8"), file.name)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "import random as datetime",
        "from time import time",
        "from uuid import uuid4",
        "from uuid_utils import uuid7",
        "from lifecycle.log import port",
        "from lifecycle.client.recorder import Recorder",
        "from lifecycle import core",
        "from . import events",
        "from .events import Event",
        "import lifecycle.errors_of_others",
        "from transitions import Machine",
        "from transitions.extensions import GraphMachine",
        "import structlog",
        "from collections.abc import Iterable",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sqlite3",
        "def late():\n    import secrets",
        "from datetime import datetime\nx = datetime.now()",
        "from datetime import datetime\nx = datetime.utcnow()",
        "from datetime import date\nx = date.today()",
        "import datetime\nclock = datetime.datetime.now",
        "from pydantic import Field\nclass E:\n    at: int = Field(default_factory=clock.time_ns)",
        "from pydantic import FilePath",
        "import pydantic\nx = pydantic.PastDatetime",
        "from typing import *",
        "def f(clock): return clock.monotonic()",
        "def f(ids): return ids.uuid7()",
        "def f(os): return os.getpid()",
        "def f(rng): return rng.random()",
        "x = open('file')",
        "print('hello')",
        "x = __import__('time').time()",
        "x = eval('1')",
        "x = hash('text')",
        "x = id(object())",
        "def f():\n    global state\n    state = 1",
        "async def f(): ...",
    ],
)
def test_a_planted_violation_is_found(source: str) -> None:
    assert list(violations(source, "decide.py"))


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("from transitions import Machine, MachineError", "machine.py"),
        ("from pydantic import BaseModel", "events.py"),
        ("from datetime import UTC, datetime, timedelta\nx = datetime(1970, 1, 1, tzinfo=UTC)", "view.py"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from collections.abc import Iterable", "evolve.py"),
        ("def decide(session, command, now): return max(now, session.last_at)", "decide.py"),
        ("class F:\n    def __hash__(self): return hash(self.x)", "frozen.py"),
    ],
)
def test_what_is_pure_is_left_alone(source: str, file: str) -> None:
    assert list(violations(source, file)) == []
